"""Pruning: set weights to zero and keep them there."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .errors import InvalidInput
from .importance import activation_scores, taylor_scores
from .language import marked, tr
from .models import Attachment, attach, attachable, prunable_layers, unknown_layer, weight_before
from .networks import Architecture
from .recipe import (
    Step,
    by_layer,
    choice,
    kept,
    knob,
    layer_values,
    register,
    with_own_layers,
)
from .training import Context, fit

SCOPES = ("global", "layer")
NOTHING: Mapping[str, float] = MappingProxyType({})


def mask_k_largest(W: torch.Tensor, K: int) -> torch.Tensor:
    """Which weights are among the K largest in size. W: any shape; K: 0 to W.numel().

    Returns bool, the shape of W, True exactly K times; among equals the first by position are kept.
    """
    size = W.abs().flatten()
    if K >= size.numel():
        return torch.ones_like(W, dtype=torch.bool)
    if K <= 0:
        return torch.zeros_like(W, dtype=torch.bool)
    threshold = size.kthvalue(size.numel() - K + 1).values
    mask = size > threshold
    ties = (size == threshold).nonzero().flatten()
    mask[ties[: K - int(mask.sum())]] = True
    return mask.view_as(W)


def keep_k_largest(W: torch.Tensor, K: int) -> torch.Tensor:
    """W_pruned: the K largest weights in size stay, all others are zero. W: any shape; K: 0 to
    W.numel().
    """
    return apply_mask(W, mask_k_largest(W, K))


def apply_mask(W: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """W * mask, with a plain zero (never -0.0) where the mask is False; no gradient there."""
    if torch.is_grad_enabled() or W.dtype != torch.float32:
        return torch.where(mask, W, torch.zeros((), dtype=W.dtype))
    bits = (
        W.detach().contiguous().numpy().view(np.int32)
    )  # the same, four times faster: all bits or none
    return torch.from_numpy((bits * mask.contiguous().numpy()).view(np.float32))


def below(places: torch.Tensor, K: int) -> torch.Tensor:
    """places < K, by numpy: five times faster where they are int32."""
    return torch.from_numpy(places.numpy() < K)


def random_scores(W: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Numbers by chance, of W's shape: 1 to 2 where W is not zero, below 1/2 where it is."""
    score = torch.rand(W.shape, generator=generator) + 1
    return torch.where(W != 0, score, 0.5 * (score - 1))


def ranks(scores: torch.Tensor) -> torch.Tensor:
    """Place of each number in the order of size, the largest first, among equals the first by
    position first. Returns int32, the shape of scores; `ranks(W) < K` is `mask_k_largest(W, K)`.
    """
    bits = scores.abs().flatten().numpy().view(np.uint32)  # of numbers >= 0: in their order
    keys = (np.uint32(0xFFFFFFFF) - bits).astype(np.uint64) << np.uint64(32)
    keys |= np.arange(len(bits), dtype=np.uint64)
    keys.sort()  # five times faster than a stable argsort
    places = torch.empty(len(bits), dtype=torch.int32)
    places[torch.from_numpy(keys.astype(np.uint32).astype(np.int64))] = torch.arange(
        len(bits), dtype=torch.int32
    )
    return places.view(scores.shape)


def mask_n_of_m(scores: torch.Tensor, n: int, m: int) -> torch.Tensor:
    """The n highest of every m neighbours in each row, as the sparse units of GPUs ask it.

    scores: (out, in, ...); neighbours are inputs of the same place (kernel position); the last of a
    row's groups may be shorter. Among equals the first is kept. Returns bool, the shape of scores.
    """
    rows = scores.movedim(1, -1).flatten(1)  # channels of one place lie together
    short = -rows.shape[1] % m
    padded = F.pad(rows, (0, short), value=-1.0).unflatten(1, (-1, m))
    order = padded.sort(dim=-1, descending=True, stable=True).indices[..., :n]
    mask = torch.zeros_like(padded, dtype=torch.bool).scatter_(-1, order, True)
    mask = mask.flatten(1)[:, : rows.shape[1]]
    shape = scores.movedim(1, -1).shape
    return mask.view(shape).movedim(-1, 1).contiguous()


RAMP = 0.7  # share of the training after which the final sparsity is reached


def sparsity_so_far(done: float, final: float, ramp: float = RAMP) -> float:
    """The cubic way from 0 to the final sparsity over the first part, `ramp`, of the training [Zhu
    & Gupta, 2017]. done, ramp: 0..1.
    """
    return final * (1 - (1 - min(1.0, done / ramp)) ** 3)


@attachable
class Pruned(Attachment):
    """A mask on a weight: bool, the weight's shape, False where it is zero.

    returning: during gradual pruning, pruned weights learn on (the gradient passes the mask), so
    that they may come back.
    """

    kind = "pruned"
    mask: torch.Tensor
    returning = False

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, W: torch.Tensor) -> torch.Tensor:
        kept = apply_mask(W, self.mask)
        return kept.detach() + (W - W.detach()) if self.returning else kept

    @classmethod
    def from_state(cls, state: dict[str, torch.Tensor]) -> Pruned:
        return cls(state["mask"])


Score = Callable[[str, torch.Tensor], torch.Tensor]  # (layer, W) -> numbers of W's shape


def prune(
    model: nn.Module,
    context: Context,
    sparsity: float,
    scope: str,
    by: str,
    score: Score,
    own: Mapping[str, float] = NOTHING,
) -> None:
    """Attach masks that keep a share of 1 - sparsity of all weights: those that score highest.

    scope: `layer` keeps that share of each layer, `global` compares the weights of all layers with
    each other. score: layer and W (any shape) to numbers of its shape; by: its name. own: layers
    with a sparsity of their own, which the others are not compared with. Each network is sorted
    once.
    """
    for layer, mask in masks(model, context, sparsity, scope, by, score, own):
        attach(layer, Pruned(mask))


def masks(
    model: nn.Module,
    context: Context,
    sparsity: float,
    scope: str,
    by: str,
    score: Score,
    own: Mapping[str, float] = NOTHING,
) -> Iterator[tuple[nn.Module, torch.Tensor]]:
    """The layers, and the mask of each that `prune` attaches."""
    layers = dict(prunable_layers(model))
    together = [name for name in layers if scope == "global" and name not in own]
    alone = [name for name in layers if name not in together]

    def sort_together() -> dict[str, torch.Tensor]:
        scores = [score(name, layers[name].weight.detach()) for name in together]
        places = ranks(torch.cat([s.flatten() for s in scores]))
        parts = places.split([s.numel() for s in scores])
        return {n: p.view_as(s) for n, p, s in zip(together, parts, scores, strict=True)}

    def sort_alone(name: str) -> torch.Tensor:
        return ranks(score(name, layers[name].weight.detach()))

    places = context.once(f"order by {by} of {together}", sort_together) if together else {}
    whole = sum(part.numel() for part in places.values())
    for name, layer in layers.items():
        if name in alone:
            part = context.once(f"order by {by} of {name}", partial(sort_alone, name))
            yield layer, below(part, kept(part.numel(), own.get(name, sparsity)))
        else:
            yield layer, below(places[name], kept(whole, sparsity))


SPARSITY = dict(low=0.0, high=0.99, grain=0.01)
SPARSITY_HELP = "share of weights set to zero"
OWN_HELP = "layers with a sparsity of their own, as in conv1=0.5;fc1=0.95"


@dataclass(frozen=True, kw_only=True)
class _Pruning(Step):
    """What the one-shot prunings share: the knobs, and how they are written."""

    version: ClassVar[int] = 1
    family: ClassVar[str] = "pruned"
    words: ClassVar[str] = marked("prune {share:.0f} %")

    sparsity: float = knob(0.9, **SPARSITY, help=SPARSITY_HELP)
    scope: str = choice(
        "global", options=SCOPES, help="compare the weights of all layers, or of each layer alone"
    )
    layers: str = by_layer(**SPARSITY, help=OWN_HELP)

    def why_not(self, a: Architecture, before: tuple[Step, ...] = ()) -> str:
        return unknown_layer(a, layer_values(self.layers), before)

    def label(self) -> str:
        label = tr(self.words, share=100 * self.sparsity)
        if self.scope == "layer":
            label = tr("{label} per layer", label=label)
        return with_own_layers(label, self.layers)

    def _prune(self, model: nn.Module, context: Context, by: str, score: Score) -> nn.Module:
        own = layer_values(self.layers)
        prune(model, context, self.sparsity, self.scope, by, score, own)
        return model


@register
@dataclass(frozen=True, kw_only=True)
class MagnitudePruning(_Pruning):
    """Set the smallest weights to zero: keep the K largest."""

    name: ClassVar[str] = "magnitude_pruning"
    reference: ClassVar[str] = "Han et al., 2015, arXiv:1506.02626"

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        return self._prune(model, context, "size", lambda _, W: W.abs())


@register
@dataclass(frozen=True, kw_only=True)
class RandomPruning(_Pruning):
    """Set weights chosen by chance to zero: the reference that every other pruning must beat."""

    name: ClassVar[str] = "random_pruning"
    version: ClassVar[int] = 2
    reference: ClassVar[str] = "the reference line of Blalock et al., 2020, arXiv:2003.03033"
    words: ClassVar[str] = marked("random {share:.0f} %")

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        start = context.generator.initial_seed()

        def score(name: str, W: torch.Tensor) -> torch.Tensor:
            """Of each layer by itself, so that no layer's chance depends on another's settings."""
            own = torch.Generator().manual_seed(start + zlib.crc32(name.encode()))
            return random_scores(W, own)

        return self._prune(model, context, "chance", score)


@register
@dataclass(frozen=True, kw_only=True)
class TaylorPruning(_Pruning):
    """Set the weights to zero that change the loss least, by its gradient on training images."""

    name: ClassVar[str] = "taylor_pruning"
    reference: ClassVar[str] = "Molchanov et al., 2019, arXiv:1906.10771"
    words: ClassVar[str] = marked("Taylor {share:.0f} %")

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        scores = context.once("Taylor scores", lambda: taylor_scores(model, context))
        return self._prune(model, context, "loss", lambda name, _: scores[name])


@register
@dataclass(frozen=True, kw_only=True)
class ActivationPruning(_Pruning):
    """Set the weights to zero that matter least for their layer: |w| times what comes in."""

    name: ClassVar[str] = "activation_pruning"
    reference: ClassVar[str] = "Wanda: Sun et al., 2024, arXiv:2306.11695"
    words: ClassVar[str] = marked("Wanda {share:.0f} %")

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        scores = context.once("Wanda scores", lambda: activation_scores(model, context))
        return self._prune(model, context, "activation", lambda name, _: scores[name])


@register
@dataclass(frozen=True, kw_only=True)
class NMPruning(Step):
    """Keep the n largest of every m neighbouring weights: 2:4 is what GPUs run faster."""

    name: ClassVar[str] = "n_m_pruning"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "pruned"
    reference: ClassVar[str] = "Mishra et al., 2021, arXiv:2104.08378"

    n: int = knob(2, low=1, high=16, grain=1, help="weights that stay in each group")
    m: int = knob(4, low=2, high=16, grain=1, help="weights in a group")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n > self.m:
            raise InvalidInput("n_m_pruning.n must be at most m = {m}, got {n}", m=self.m, n=self.n)

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        for _, layer in prunable_layers(model):
            attach(layer, Pruned(mask_n_of_m(layer.weight.detach().abs(), self.n, self.m)))
        return model

    def label(self) -> str:
        return f"{self.n}:{self.m}"


BETWEEN = 0.01  # share of the training between two looks at the masks


@register
@dataclass(frozen=True, kw_only=True)
class GradualPruning(Step):
    """Prune while training, more and more; pruned weights learn on and may return."""

    name: ClassVar[str] = "gradual_pruning"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "pruned"
    reference: ClassVar[str] = "Zhu & Gupta, 2017, arXiv:1710.01878"
    trains: ClassVar[bool] = True

    sparsity: float = knob(0.9, **SPARSITY, help="share of weights that are zero in the end")
    scope: str = choice(
        "global", options=SCOPES, help="compare the weights of all layers, or of each layer alone"
    )
    epochs: int = knob(3, low=1, high=100, grain=1, help="times that every training image is seen")
    learning_rate: float = knob(
        0.001, low=0.00001, high=0.1, grain=0.00001, help="the highest of the schedule"
    )
    batch: int = knob(128, low=16, high=1024, grain=1, help="images per step")

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        held: list[tuple[nn.Module, Pruned]] = [
            (layer, Pruned(torch.ones_like(layer.weight, dtype=torch.bool)))
            for _, layer in prunable_layers(model)
        ]
        for layer, pruned in held:
            pruned.returning = True
            attach(layer, pruned)
        last = -1.0

        def prune_more(done: float) -> None:
            nonlocal last
            if last < RAMP and (done - last >= BETWEEN or done >= RAMP):
                self._set(held, sparsity_so_far(done, self.sparsity))
                last = done

        fit(
            model,
            context,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch=self.batch,
            each_step=prune_more,
        )
        prune_more(1.0)  # a very short training may not have come so far
        for _, pruned in held:
            pruned.returning = False
        return model

    def _set(self, held: list[tuple[nn.Module, Pruned]], share: float) -> None:
        """Masks of the weights as they have become."""
        with torch.no_grad():
            sizes = [weight_before(layer, pruned).abs() for layer, pruned in held]
        if self.scope == "layer":
            new = [mask_k_largest(W, kept(W.numel(), share)) for W in sizes]
        else:
            flat = torch.cat([W.flatten() for W in sizes])
            mask = mask_k_largest(flat, kept(len(flat), share))
            parts = mask.split([W.numel() for W in sizes])
            new = [part.view_as(W) for part, W in zip(parts, sizes, strict=True)]
        for (_, pruned), mask in zip(held, new, strict=True):
            pruned.mask.copy_(mask)

    def label(self) -> str:
        how = dict(share=100 * self.sparsity, epochs=self.epochs)
        return tr("prune to {share:.0f} % in {epochs}", **how)
