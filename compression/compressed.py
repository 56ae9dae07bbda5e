"""A network as whole numbers and tables: what the file holds, without the bytes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from .entropy import Counted, bits_of, count_symbols
from .models import (
    Attachment,
    Chain,
    attach,
    attachments,
    effective_state,
    prunable_layers,
    rebuild,
)
from .networks import Architecture
from .quantization import Codebook, FixedPoint, Grid, Magnitudes

MOST_VALUES = 4096  # a codebook with more values than this is stored as plain floats
SAMPLE = 512  # weights that are looked at first
KINDS = ("raw", "float", "codebook", "grid", "fixed_point")
MOST_SMALL = 256  # the largest symbol of a bias or a norm, either way


@dataclass(frozen=True)
class CompressedTensor:
    """One tensor. kind: one of KINDS; biases and norms are raw, or a grid with one step.

    raw, float: `values`, float32 of the tensor's shape (float: of weights)
    codebook:   `symbols` are indices into `table`, float32 ascending
    grid:       value = symbol * table; table: float32 step, (1,) or one per output unit
    fixed_point: value = symbol / table; table: float32 (1,), Q
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    values: np.ndarray | None = None
    symbols: np.ndarray | None = None
    table: np.ndarray | None = None

    def decoded(self) -> np.ndarray:
        """The tensor, float32 of its shape, bit for bit what was compressed."""
        if self.values is not None:
            return self.values.reshape(self.shape)
        assert self.symbols is not None and self.table is not None
        return _decode(self.kind, self.symbols.reshape(self.shape), self.table)

    @cached_property
    def counted(self) -> Counted:
        """The symbols that are coded: of floats their top bytes. Not for the kind `raw`."""
        if self.symbols is not None:
            return count_symbols(self.symbols)
        assert self.values is not None
        return count_tops(self.values)

    @property
    def nonzero(self) -> int:
        """How many of its numbers are not zero."""
        if self.values is not None and self.kind == "raw":
            return int(np.count_nonzero(self.values))
        alphabet, counts, _ = self.counted
        if self.kind == "codebook" and self.table is not None:
            return int(counts[self.table[alphabet] != 0].sum())
        return int(counts[alphabet != (ZERO if self.kind == "float" else 0)].sum())

    @property
    def rest_bytes(self) -> int:
        """Bytes of floats that stand behind the coded ones: three for each that is not 0."""
        return 3 * self.nonzero if self.kind == "float" else 0

    def entropy_bits(self) -> float:
        """Order-0 entropy of the symbols, in bits; plain numbers count with their bits.

        Tables are not counted.
        """
        if self.kind == "raw":
            return 32.0 * math.prod(self.shape)
        return bits_of(self.counted.counts) + 8.0 * self.rest_bytes

    def nominal_bits(self) -> float:
        """params x bits: those that the number of different symbols needs, 32 for floats."""
        if self.symbols is None:
            return 32.0 * math.prod(self.shape)
        different = len(self.counted.alphabet)
        return float(self.symbols.size * max(1, math.ceil(math.log2(different))))


ZERO = 256  # symbol of a weight that is exactly +0.0


def float_tops(values: np.ndarray) -> np.ndarray:
    """The symbol of each float32 value: its top byte, or ZERO. Returns int32 (N,)."""
    raw = np.ascontiguousarray(values, dtype="<f4").reshape(-1).view("<u4")
    return np.where(raw, raw >> 24, ZERO).astype(np.int32)


def count_tops(values: np.ndarray) -> Counted:
    """The same symbols, counted; mostly by bytes, since almost no weight but 0 has a top byte 0."""
    raw = np.ascontiguousarray(values, dtype="<f4").reshape(-1)
    tops = raw.view(np.uint8)[3::4].copy()
    counts = torch.bincount(torch.from_numpy(tops), minlength=ZERO + 1).numpy()
    if counts[0] != len(raw) - np.count_nonzero(raw.view("<u4")):
        return count_symbols(float_tops(values))
    counts[ZERO], counts[0] = counts[0], 0
    alphabet = np.flatnonzero(counts).astype(np.int32)
    place = np.zeros(ZERO, np.uint8)  # in the alphabet, of each top byte; that of ZERO at 0
    place[alphabet % ZERO] = np.arange(len(alphabet))
    places = np.frombuffer(tops.tobytes().translate(place.tobytes()), np.uint8)
    return Counted(alphabet, counts[alphabet], places.astype(np.int32))


def _decode(kind: str, symbols: np.ndarray, table: np.ndarray) -> np.ndarray:
    if kind == "codebook":
        return table[symbols]
    rows = table.reshape(-1, *[1] * (symbols.ndim - 1)) if len(table) > 1 else table
    whole = symbols.astype(np.float32)
    return whole / rows if kind == "fixed_point" else whole * rows


@dataclass(frozen=True)
class CompressedModel:
    """architecture: how to build the network; dataset: what it was trained on; tensors: in the
    order of its layers.
    """

    architecture: Architecture
    dataset: str
    tensors: tuple[CompressedTensor, ...]

    def entropy_bytes(self) -> int:
        return math.ceil(sum(t.entropy_bits() for t in self.tensors) / 8)

    def nominal_bytes(self) -> int:
        return math.ceil(sum(t.nominal_bits() for t in self.tensors) / 8)


def compress(model: Chain, dataset: str) -> CompressedModel:
    """Take the network as it is used (masks and levels applied) apart into symbols and tables,
    without any loss.
    """
    tensors = []
    for name, value in effective_state(model).items():
        layer, part = name.rsplit(".", 1)
        attached = attachments(model.get_submodule(layer), part)
        make = _weight if value.dim() > 1 else _small
        tensors.append(make(name, value.numpy(), attached))
    return CompressedModel(model.architecture, dataset, tuple(tensors))


def decompress(compressed: CompressedModel) -> Chain:
    """The network, rebuilt: plain float32 weights, nothing attached."""
    state = {t.name: torch.from_numpy(np.array(t.decoded())) for t in compressed.tensors}
    model = rebuild(compressed.architecture, state)
    if compressed.architecture.activation_bits:  # whole numbers are multiplied with whole numbers
        layers = dict(prunable_layers(model))
        for t in compressed.tensors:
            if t.kind == "grid" and t.table is not None and len(t.shape) > 1:
                attach(layers[t.name.removesuffix(".weight")], _any_multiple(t.table, t.shape))
    return model


def _any_multiple(steps: np.ndarray, shape: tuple[int, ...]) -> Grid:
    """All multiples of the steps: (1,), or one for each output of a weight of this shape."""
    step = torch.from_numpy(np.array(steps))
    step = step.reshape(-1, *[1] * (len(shape) - 1)) if len(step) > 1 else step
    low = torch.full_like(step, -(2**24), dtype=torch.int64)
    return Grid(step, low, torch.tensor([2**25 + 1]), torch.tensor([1]))


def _small(name: str, array: np.ndarray, attached: list[Attachment]) -> CompressedTensor:
    """A bias, or a part of a norm: on its grid, or plain floats."""
    for quantizer in reversed(attached):
        found = _on_grid(name, array, quantizer) if isinstance(quantizer, Grid) else None
        if found and found.symbols is not None and np.abs(found.symbols).max() <= MOST_SMALL:
            return found
    return CompressedTensor(name, array.shape, "raw", values=array.copy())


def _weight(name: str, array: np.ndarray, attached: list[Attachment]) -> CompressedTensor:
    """The first of the kinds that gives the same bits back: evenly spaced, few values, plain
    floats.
    """
    for quantizer in reversed(attached):
        found = None
        if isinstance(quantizer, Grid | FixedPoint):
            found = _on_grid(name, array, quantizer)
        elif isinstance(quantizer, Codebook | Magnitudes):
            found = _in_codebook(name, array, quantizer)
        if found is not None:
            return found
    table = _few_values(array)
    if table is not None:
        symbols = np.searchsorted(table, array.reshape(-1)).astype(np.int32)
        return CompressedTensor(name, array.shape, "codebook", symbols=symbols, table=table)
    return CompressedTensor(name, array.shape, "float", values=array.copy())


def _few_enough(different: int, array: np.ndarray) -> bool:
    return different <= min(MOST_VALUES, int(np.count_nonzero(array)) // 2)


def _few_values(array: np.ndarray) -> np.ndarray | None:
    """The values of a weight, ascending, where a codebook of them is small enough.

    Where nearly all of the first SAMPLE weights that are not zero differ, there are too many.
    """
    flat = array.reshape(-1)
    some = flat[: 8 * SAMPLE]
    some = some[some != 0]
    if len(some) < SAMPLE:
        some = flat[flat != 0]
    if len(np.unique(some[:SAMPLE])) > 0.95 * min(SAMPLE, len(some)):
        return None
    table = np.unique(flat)
    return table if _few_enough(len(table), array) else None


def _in_codebook(
    name: str, array: np.ndarray, quantizer: Codebook | Magnitudes
) -> CompressedTensor | None:
    """The weight as places in its codebook, and 0 for what is pruned; values without weights are
    left out.
    """
    table = np.unique(np.append(quantizer.table().detach().numpy(), np.float32(0)))
    middles = torch.from_numpy((table[1:] + table[:-1]) / 2)
    places = torch.bucketize(torch.from_numpy(array).flatten(), middles, out_int32=True).numpy()
    if not np.array_equal(table[places], array.reshape(-1)):
        return None
    used, _, symbols = count_symbols(places)
    if not _few_enough(len(used), array):
        return None
    table = table[used]
    if isinstance(quantizer, Magnitudes):
        table, symbols = _with_opposites(table, symbols)
    return CompressedTensor(name, array.shape, "codebook", symbols=symbols, table=table)


def _with_opposites(table: np.ndarray, symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The table, ascending, and the places in it, with the opposites of all values, also of a size
    that only one sign has left: the coder tells signs and sizes apart, and half of the table is
    enough for it.
    """
    both = np.unique(np.concatenate([table, -table[table != 0]]))
    if len(both) == len(table):
        return table, symbols
    return both, np.searchsorted(both, table).astype(np.int32)[symbols]


def _on_grid(name: str, array: np.ndarray, quantizer: Grid | FixedPoint) -> CompressedTensor | None:
    if isinstance(quantizer, Grid):
        kind, table = "grid", quantizer.step.numpy().reshape(-1)
        whole = np.rint(array / quantizer.step.numpy())
    else:
        kind, table = "fixed_point", quantizer.Q.numpy()
        whole = np.rint(array * table)
    if not np.isfinite(whole).all() or np.abs(whole).max(initial=0) >= 2**24:
        return None
    symbols = whole.astype(np.int32)
    if not np.array_equal(_decode(kind, symbols, table), array):
        return None
    found = CompressedTensor(
        name, array.shape, kind, symbols=symbols.reshape(-1), table=table.copy()
    )
    return found if len(found.counted.alphabet) <= MOST_VALUES else None
