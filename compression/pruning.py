"""Pruning: set weights to zero and keep them there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from .models import Attachment, attach, attachable, prunable_layers
from .recipe import Step, choice, kept, knob, register
from .training import Context

SCOPES = ("global", "layer")


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
    ones = -mask.view(torch.int8).to(torch.int32)  # the same, five times faster: all bits or none
    return (W.view(torch.int32) & ones).view(torch.float32)


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


@attachable
class Pruned(Attachment):
    """A fixed mask on a weight: bool, the weight's shape, False where it is zero."""

    kind = "pruned"
    mask: torch.Tensor

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, W: torch.Tensor) -> torch.Tensor:
        return apply_mask(W, self.mask)

    @classmethod
    def from_state(cls, state: dict[str, torch.Tensor]) -> Pruned:
        return cls(state["mask"])


def prune(
    model: nn.Module,
    context: Context,
    sparsity: float,
    scope: str,
    by: str,
    score: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    """Attach masks that keep a share of 1 - sparsity of all weights: those that score highest.

    scope: `layer` keeps that share of each layer, `global` compares the weights of all layers with
    each other. score: W (any shape) to numbers of its shape; by: its name. Each network is sorted
    once.
    """
    layers = [layer for _, layer in prunable_layers(model)]

    def sort() -> list[torch.Tensor]:
        weights = [layer.weight.detach() for layer in layers]
        if scope == "layer":
            return [ranks(score(W)) for W in weights]
        flat = torch.cat([W.flatten() for W in weights])
        parts = ranks(score(flat)).split([W.numel() for W in weights])
        return [part.view_as(W) for part, W in zip(parts, weights, strict=True)]

    places = context.once(f"order by {by}, {scope}", sort)
    whole = sum(part.numel() for part in places)
    for layer, part in zip(layers, places, strict=True):
        K = kept(part.numel() if scope == "layer" else whole, sparsity)
        attach(layer, Pruned(part < K))


@register
@dataclass(frozen=True, kw_only=True)
class MagnitudePruning(Step):
    """Set the smallest weights to zero: keep the K largest."""

    name: ClassVar[str] = "magnitude_pruning"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "pruned"
    reference: ClassVar[str] = "Han et al., 2015, arXiv:1506.02626"

    sparsity: float = knob(0.9, low=0.0, high=0.99, grain=0.01, help="share of weights set to zero")
    scope: str = choice(
        "global", options=SCOPES, help="compare the weights of all layers, or of each layer alone"
    )

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        prune(model, context, self.sparsity, self.scope, "size", torch.abs)
        return model

    def label(self) -> str:
        return f"prune {100 * self.sparsity:.0f} %" + (
            " per layer" if self.scope == "layer" else ""
        )


@register
@dataclass(frozen=True, kw_only=True)
class RandomPruning(Step):
    """Set weights chosen by chance to zero: the reference that every other pruning must beat."""

    name: ClassVar[str] = "random_pruning"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "pruned"
    reference: ClassVar[str] = "the reference line of Blalock et al., 2020, arXiv:2003.03033"

    sparsity: float = knob(0.9, low=0.0, high=0.99, grain=0.01, help="share of weights set to zero")
    scope: str = choice(
        "global", options=SCOPES, help="draw from all layers together, or from each layer alone"
    )

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        score = lambda W: random_scores(W, context.generator)  # noqa: E731
        prune(model, context, self.sparsity, self.scope, "chance", score)
        return model

    def label(self) -> str:
        return f"random {100 * self.sparsity:.0f} %" + (
            " per layer" if self.scope == "layer" else ""
        )
