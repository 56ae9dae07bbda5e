"""Quantization: few values for many weights. A weight that is exactly zero (pruned) stays zero and
is not a level.

Every level that a step sets can be stored exactly: grids by their step (float32), codebooks by
float16 values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from .errors import InvalidInput
from .language import tr
from .models import Attachment, attach, attachable, prunable_layers, unknown_layer
from .networks import Architecture
from .recipe import Step, by_layer, choice, knob, layer_values, register, with_own_layers
from .training import Context


def quantize(W: torch.Tensor, Q: float) -> torch.Tensor:
    """W_quantized = round(W*Q), the compression stage.

    Q: levels per unit of weight, above 0. Returns whole numbers.
    """
    return torch.round(W * Q)


def dequantize(W_quantized: torch.Tensor, Q: float) -> torch.Tensor:
    """W = W_quantized/Q, the decompression stage."""
    return W_quantized / Q


def straight_through(W: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """The value of `levels`; the gradient goes to W as if nothing had been rounded, and to `levels`
    as well.
    """
    return levels + (W - W.detach())


class _Share(torch.autograd.Function):
    """table[chosen], and 0 where W is 0. Backward: the gradient goes to W unchanged (where W is 0
    only while zeros learn), and its sum per value to the table.

    By hand because the gradient of indexing is several times slower than one `bincount`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        W: torch.Tensor,
        table: torch.Tensor,
        borders: torch.Tensor,
        zeros_learn: bool = False,
    ) -> torch.Tensor:
        chosen = torch.bucketize(W.contiguous(), borders, out_int32=True)
        zero = W == 0
        ctx.save_for_backward(chosen, zero)
        ctx.levels, ctx.zeros_learn = len(table), zeros_learn
        return torch.where(zero, 0.0, table[chosen])

    @staticmethod
    def backward(
        ctx: Any, *gradients: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        chosen, zero = ctx.saved_tensors
        gradient = torch.where(zero, 0.0, gradients[0])
        sums = torch.bincount(chosen.flatten(), gradient.flatten(), ctx.levels)
        passed = gradients[0] if ctx.zeros_learn else gradient
        return passed, sums.to(gradient.dtype), None, None


@attachable
class FixedPoint(Attachment):
    """round(W*Q)/Q. Q: float32 (1,)."""

    kind = "fixed_point"
    Q: torch.Tensor

    def __init__(self, Q: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("Q", Q)

    def integers(self, W: torch.Tensor) -> torch.Tensor:
        """Symbols, float32 whole numbers of W's shape."""
        return quantize(W, self.Q)  # type: ignore[arg-type]

    def forward(self, W: torch.Tensor) -> torch.Tensor:
        return straight_through(W, dequantize(self.integers(W), self.Q).detach() + 0.0)  # type: ignore[arg-type]

    @classmethod
    def from_state(cls, state: dict[str, torch.Tensor]) -> FixedPoint:
        return cls(state["Q"])


@attachable
class Grid(Attachment):
    """Evenly spaced levels n*step. step: float32 (1,) or (out, 1, ...); n runs from low to low +
    stride*(levels - 1).

    low: int64, the shape of step; levels, stride: int64 (1,). stride 2 (with half a step) makes an
    even number
    of levels symmetric around zero.
    """

    kind = "grid"
    step: torch.Tensor
    low: torch.Tensor
    levels: torch.Tensor
    stride: torch.Tensor

    def __init__(
        self, step: torch.Tensor, low: torch.Tensor, levels: torch.Tensor, stride: torch.Tensor
    ) -> None:
        super().__init__()
        for name, value in dict(step=step, low=low, levels=levels, stride=stride).items():
            self.register_buffer(name, value)

    def integers(self, W: torch.Tensor) -> torch.Tensor:
        """Symbols n, float32 whole numbers of W's shape; 0 where W is 0."""
        odd = self.low % self.stride  # 1 where the levels lie at odd multiples of half a step
        n = self.stride * torch.round((W / self.step - odd) / self.stride) + odd
        n = torch.minimum(torch.maximum(n, self.low), self.low + self.stride * (self.levels - 1))
        return torch.where(W == 0, 0.0, n.float())

    def forward(self, W: torch.Tensor) -> torch.Tensor:
        return straight_through(W, (self.integers(W) * self.step).detach() + 0.0)

    @classmethod
    def from_state(cls, state: dict[str, torch.Tensor]) -> Grid:
        return cls(state["step"], state["low"], state["levels"], state["stride"])


@attachable
class Codebook(Attachment):
    """Each weight takes a value of a table. values: float32 (levels,), trained along; used as
    float16, in order.

    offsets: float32 (levels - 1,): by how much the border between two neighbours lies above their
    middle.
    """

    kind = "codebook"
    offsets: torch.Tensor

    def __init__(self, values: torch.Tensor, offsets: torch.Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)
        self.register_buffer("offsets", offsets)

    def table(self) -> torch.Tensor:
        """The values as they are stored, ascending; the gradient passes the rounding to float16."""
        values = self.values.sort().values
        return straight_through(values, values.detach().half().float())

    def forward(self, W: torch.Tensor) -> torch.Tensor:
        table = self.table()
        fixed = table.detach()
        borders = ((fixed[1:] + fixed[:-1]) / 2 + self.offsets).cummax(0).values
        return _Share.apply(W, table, borders) + 0.0

    @classmethod
    def from_state(cls, state: dict[str, torch.Tensor]) -> Codebook:
        return cls(state["values"], state["offsets"])


@attachable
class Magnitudes(Attachment):
    """A codebook that is symmetric around zero: each weight keeps its sign and takes one of a few
    sizes. logs: float32 (levels,), logarithms of the sizes, trained along: the sizes stay above
    zero, and one learning rate suits small ones and large ones. They are used as float16, in order.

    returning: as in `Pruned`, which then stands before it; waiting: weights pass as they are.
    """

    kind = "magnitudes"
    returning = False
    waiting = False

    def __init__(self, logs: torch.Tensor) -> None:
        super().__init__()
        self.logs = nn.Parameter(logs)

    def table(self) -> torch.Tensor:
        """The values as they are stored, ascending: (2 * levels,)."""
        sizes = self.logs.sort().values.exp()
        sizes = straight_through(sizes, sizes.detach().half().float())
        return torch.cat([-sizes.flip(0), sizes])

    def forward(self, W: torch.Tensor) -> torch.Tensor:
        if self.waiting:
            return W
        table = self.table()
        fixed = table.detach()
        return _Share.apply(W, table, (fixed[1:] + fixed[:-1]) / 2, self.returning) + 0.0

    @classmethod
    def from_state(cls, state: dict[str, torch.Tensor]) -> Magnitudes:
        return cls(state["logs"])


@register
@dataclass(frozen=True, kw_only=True)
class FixedPointQuantization(Step):
    """round(W*Q), then W/Q: the formula as it is taught; the number of levels follows from the
    range of W.
    """

    name: ClassVar[str] = "fixed_point_quantization"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "quantized"
    reference: ClassVar[str] = "fixed point, as in Gupta et al., 2015, arXiv:1502.02551"

    Q: int = knob(32, low=1, high=4096, grain=1, help="levels per unit of weight; 1/Q is the step")

    def why_not(self, a: Architecture, before: tuple[Step, ...] = ()) -> str:
        return int8_already(self, before)

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        for _, layer in prunable_layers(model):
            attach(layer, FixedPoint(torch.tensor([float(self.Q)])))
        return model

    def label(self) -> str:
        return f"Q {self.Q}"


def int8_already(step: Step, before: tuple[Step, ...]) -> str:
    """Why no other levels can be set behind these steps, or an empty string."""
    if not any(other.name == "activation_quantization" for other in before):
        return ""
    if step.name == "activation_quantization":
        return tr("activation_quantization can be done once: weights and inputs are int8 already")
    return tr(
        "{step} has to come before activation_quantization, whose weights are int8", step=step.name
    )


LEVELS = dict(low=2, high=256, grain=1)
OWN_LEVELS = dict(low=0, high=256, grain=1)
OWN_HELP = "layers with levels of their own, as in conv1=64;fc1=4; 0 leaves a layer as it is"


class _Quantization(Step):
    """What the quantizers with levels share: layers may have levels of their own."""

    levels: int
    layers: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if 1.0 in layer_values(self.layers).values():
            raise InvalidInput(
                "{step}.layers: a layer has 0 or at least 2 levels, got 1", step=self.name
            )

    def why_not(self, a: Architecture, before: tuple[Step, ...] = ()) -> str:
        return int8_already(self, before) or unknown_layer(a, layer_values(self.layers), before)

    def _levels(self, model: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d, int]]:
        """The layers that get levels, and how many each."""
        own = layer_values(self.layers)
        for name, layer in prunable_layers(model):
            levels = int(own.get(name, self.levels))
            if levels:
                yield name, layer, levels


@register
@dataclass(frozen=True, kw_only=True)
class UniformQuantization(_Quantization):
    """Evenly spaced levels over the range of the weights."""

    name: ClassVar[str] = "uniform_quantization"
    version: ClassVar[int] = 2
    family: ClassVar[str] = "quantized"
    reference: ClassVar[str] = "Jacob et al., 2018, arXiv:1712.05877"

    levels: int = knob(16, **LEVELS, help="values that the weights of a layer can take")
    scheme: str = choice(
        "symmetric",
        options=("symmetric", "affine"),
        help="levels symmetric around zero, or from smallest to largest",
    )
    range: str = choice(
        "mse",
        options=("minmax", "mse", "percentile"),
        help="all weights, least squared error, or 99.9 % of them",
    )
    per: str = choice(
        "tensor", options=("tensor", "channel"), help="one step per layer, or one per output unit"
    )
    layers: str = by_layer(**OWN_LEVELS, help=OWN_HELP)

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        for name, layer, levels in self._levels(model):
            W = layer.weight.detach()
            order = context.once(f"{name} in order", partial(Ordered.of, W))
            attach(layer, uniform_grid(W, levels, self.scheme, self.range, self.per, order))
        return model

    def label(self) -> str:
        label = tr("{levels} levels, uniform", levels=self.levels)
        return with_own_layers(label, self.layers)


PERCENTILE = 0.999
SHRINK = torch.linspace(0.2, 1.0, 41)  # shares of the full range that `mse` tries


def uniform_grid(
    W: torch.Tensor, levels: int, scheme: str, range_: str, per: str, order: Ordered | None = None
) -> Grid:
    """The grid of UniformQuantization for one weight.

    W: (out, ...); levels: 2..256; words as in the step's knobs; order: `Ordered.of(W)`, if known.
    """
    rows = W.flatten(1) if per == "channel" else W.reshape(1, -1)
    low, high = rows.amin(1).clamp(max=0), rows.amax(1).clamp(min=0)
    if range_ == "percentile":
        low, high = _inner(rows, low, high)
    shares = SHRINK if range_ == "mse" else SHRINK[-1:]
    grids = [_grid(low * share, high * share, levels, scheme) for share in shares]
    best = torch.zeros(len(rows), dtype=torch.int64)
    if len(grids) > 1 and per == "channel":
        best = torch.stack([_error_of_rows(grid, rows) for grid in grids]).argmin(0)
    elif len(grids) > 1:
        errors = [(order or Ordered.of(W)).error(_levels_of(grid)) for grid in grids]
        best = torch.tensor([int(np.argmin(errors))])
    every = torch.arange(len(rows))
    shape = (-1, *[1] * (W.dim() - 1)) if per == "channel" else (1,)
    step = torch.stack([grid.step for grid in grids])[best, every].reshape(shape)
    first = torch.stack([grid.low for grid in grids])[best, every].reshape(shape)
    return Grid(step, first, grids[0].levels, grids[0].stride)


def _error_of_rows(grid: Grid, rows: torch.Tensor) -> torch.Tensor:
    """Squared error of each row's own grid: (rows,)."""
    flat = Grid(grid.step[:, None], grid.low[:, None], grid.levels, grid.stride)
    return (flat(rows) - rows).square().sum(1)


def _levels_of(grid: Grid) -> np.ndarray:
    """The values of a grid with one step, ascending, float64."""
    places = int(grid.low) + int(grid.stride) * np.arange(int(grid.levels))
    return float(grid.step) * places


def _inner(
    rows: torch.Tensor, low: torch.Tensor, high: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Range that holds PERCENTILE of the weights that are not zero, per row."""
    inner = []
    for row, lo, hi in zip(rows, low, high, strict=True):
        values = row[row != 0].sort().values
        cut = int((1 - PERCENTILE) / 2 * len(values))
        inner.append((values[cut], values[-1 - cut]) if len(values) else (lo, hi))
    return torch.stack([a for a, _ in inner]).clamp(max=0), torch.stack(
        [b for _, b in inner]
    ).clamp(min=0)


def _grid(low: torch.Tensor, high: torch.Tensor, levels: int, scheme: str) -> Grid:
    """low, high: (rows,), low <= 0 <= high."""
    tiny = torch.finfo(torch.float32).tiny
    if scheme == "affine":  # zero is a level: its place is a whole number
        step = ((high - low) / (levels - 1)).clamp(min=tiny)
        return Grid(step, torch.round(low / step).long(), torch.tensor([levels]), torch.tensor([1]))
    stride = 1 + (levels + 1) % 2  # an even number of levels lies at odd multiples of half a step
    step = (2 * torch.maximum(-low, high) / (levels - 1) / stride).clamp(min=tiny)
    first = torch.full_like(step, -(levels - 1) * stride // 2, dtype=torch.int64)
    return Grid(step, first, torch.tensor([levels]), torch.tensor([stride]))


@register
@dataclass(frozen=True, kw_only=True)
class CodebookQuantization(_Quantization):
    """Weight sharing: k-means finds the values that the weights of a layer share; zeros of pruning
    are kept apart.
    """

    name: ClassVar[str] = "codebook_quantization"
    version: ClassVar[int] = 2
    family: ClassVar[str] = "quantized"
    reference: ClassVar[str] = "Han et al., 2016, arXiv:1510.00149; rate: Chou et al., 1989"

    levels: int = knob(16, **LEVELS, help="values in the codebook of a layer")
    rate: float = knob(
        0.0,
        low=0.0,
        high=4.0,
        grain=0.05,
        help=(
            "price of a bit, in squared errors of the plain codebook: above 0, rare values are used"
            " less"
        ),
    )
    layers: str = by_layer(**OWN_LEVELS, help=OWN_HELP)

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        for name, layer, levels in self._levels(model):
            W = layer.weight.detach()
            order = context.once(f"{name} in order", partial(Ordered.of, W))
            values, offsets = k_means(order, levels, self.rate)
            if len(values):
                attach(layer, Codebook(torch.from_numpy(values), torch.from_numpy(offsets)))
        return model

    def label(self) -> str:
        label = tr("{levels} levels", levels=self.levels)
        if self.rate:
            label = tr("{label}, rate {rate:g}", label=label, rate=self.rate)
        return with_own_layers(label, self.layers)


class Ordered:
    """The weights of a tensor that are not zero, in order, and what any set of levels asks of them.

    values: float64 (N,), ascending; sums, squares: (N + 1,), of the first 0, 1, ... N values and of
    their squares.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.sums = np.concatenate([[0.0], np.cumsum(values)])
        self.squares = np.concatenate([[0.0], np.cumsum(values**2)])
        self._partitions: dict[int, Partitions] = {}

    @classmethod
    def of(cls, W: torch.Tensor | np.ndarray) -> Ordered:
        flat = np.sort(np.asarray(W).reshape(-1))
        first, last = np.searchsorted(flat, 0, "left"), np.searchsorted(flat, 0, "right")
        return cls(np.concatenate([flat[:first], flat[last:]]).astype(np.float64))

    def __len__(self) -> int:
        return len(self.values)

    def different(self, most: int) -> np.ndarray | None:
        """The different values, if there are so many at most."""
        some = self.values[:: max(1, len(self) // 4096)]
        if len(np.unique(some)) > most:
            return None
        found = np.unique(self.values)
        return found if len(found) <= most else None

    def cells(self, borders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many values lie between the borders, and their sums: (len(borders) + 1,) each."""
        inner = np.maximum.accumulate(np.searchsorted(self.values, borders))
        cut = np.concatenate([[0], inner, [len(self)]])
        return np.diff(cut), np.diff(self.sums[cut])

    def error(self, levels: np.ndarray) -> float:
        """Squared error when each value goes to the nearest level. levels: ascending."""
        counts, totals = self.cells((levels[1:] + levels[:-1]) / 2)
        return float(self.squares[-1] - 2 * (totals @ levels) + counts @ levels**2)

    def best_of_cells(self, levels: int) -> np.ndarray:
        """Means of the groups of the best partition of a few hundred cells into so many groups."""
        cells = CELLS if 8 * levels <= CELLS else 8 * MOST_EXACT
        if cells not in self._partitions:
            self._partitions[cells] = Partitions(self, cells)
        return self._partitions[cells].means(levels)

    def companded(self, levels: int) -> np.ndarray:
        """Values as dense as the cube root of the density of the weights: good for many levels."""
        counts, edges = np.histogram(self.values, bins=512)
        mass = np.concatenate([[0.0], np.cumsum(np.cbrt(counts))])
        return np.interp((np.arange(levels) + 0.5) / levels, mass / mass[-1], edges)


def k_means(order: Ordered, levels: int, rate: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Codebook of least squared error on a line.

    The best partition of a few hundred cells is found exactly (dynamic programming) where there are
    few levels; Lloyd's rounds over the ordered weights do the rest. levels: 1 or more; rate: price
    of a bit, in mean squared errors of the plain codebook. Returns values float32 (ascending, exact
    in float16, at most `levels`) and float32 border offsets. They depend on the weights alone, not
    on what was asked before: the same recipe gives the same bytes.
    """
    if not len(order):
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    different = order.different(levels)
    if different is not None:
        values = np.unique(different.astype(np.float16)).astype(np.float32)
        return values, np.zeros(len(values) - 1, np.float32)
    start = order.best_of_cells if levels <= MOST_EXACT else order.companded
    values = _lloyd(order, start(levels))
    offsets = np.zeros(max(0, len(values) - 1))
    if rate:
        values, offsets = _entropy_constrained(order, values, rate)
    values = values.astype(np.float16).astype(np.float32)
    return values, offsets.astype(np.float32)


CELLS = 256
MOST_EXACT = 64  # levels up to which the partition of the cells is found exactly
ROUNDS = 200


class Partitions:
    """Best partitions of cells into 1, 2, 3, ... groups, by Bellman's recursion [Fisher, 1958].

    Each number of groups builds on the one below, so none is computed twice. The cells are as dense
    as `Ordered.companded` says.
    """

    def __init__(self, order: Ordered, cells: int) -> None:
        borders = order.companded(cells - 1)
        cut = np.unique([0, *np.searchsorted(order.values, borders), len(order)])
        self.n, self.s, q = cut.astype(np.float64), order.sums[cut], order.squares[cut]
        with np.errstate(divide="ignore", invalid="ignore"):  # error of cells i..j-1 as one group
            error = (q[None] - q[:, None]) - (self.s[None] - self.s[:, None]) ** 2 / (
                self.n[None] - self.n[:, None]
            )
        error[np.tril_indices(len(cut))] = np.inf
        self._error, self._best = error, error[0]
        self._before: list[np.ndarray] = []  # where the last of 2, 3, ... groups begins

    def means(self, groups: int) -> np.ndarray:
        """Means of the groups, at most as many as there are cells."""
        wanted = min(groups, len(self.n) - 1) - 1
        while len(self._before) < wanted:
            total = self._best[:, None] + self._error
            self._before.append(total.argmin(0))
            self._best = total.min(0)
        ends = [len(self.n) - 1]
        for step in reversed(self._before[:wanted]):
            ends.append(int(step[ends[-1]]))
        ends = sorted({0, *ends})
        return np.diff(self.s[ends]) / np.diff(self.n[ends])


def _lloyd(order: Ordered, values: np.ndarray) -> np.ndarray:
    """Values after ROUNDS rounds, or when nothing moves; values without weights are dropped."""
    values = np.unique(values)
    for _ in range(ROUNDS):
        counts, totals = order.cells((values[1:] + values[:-1]) / 2)
        used = counts > 0
        moved = totals[used] / counts[used]
        if len(moved) == len(values) and np.allclose(moved, values, rtol=0, atol=1e-9):
            break
        values = moved
    return values


def _entropy_constrained(
    order: Ordered, values: np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Values and border offsets that trade squared error for bits: a weight goes where error +
    price*bits is least.
    """
    n = len(order)
    counts, totals = order.cells((values[1:] + values[:-1]) / 2)
    price = rate * max(order.error(values), 1e-12 * n) / n
    for _ in range(30):
        values, counts = (totals / np.maximum(counts, 1))[counts > 0], counts[counts > 0]
        bits = -np.log2(counts / n)
        offsets = price * np.diff(bits) / (2 * np.maximum(np.diff(values), 1e-9))
        borders = np.maximum.accumulate((values[1:] + values[:-1]) / 2 + offsets)
        counts, totals = order.cells(borders)
    keep = counts > 0
    values, counts = (totals / np.maximum(counts, 1))[keep], counts[keep]
    bits = -np.log2(counts / n)
    return values, price * np.diff(bits) / (2 * np.maximum(np.diff(values), 1e-9))
