"""Pruning: set weights to zero and keep them there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

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
    return torch.where(mask, W, torch.zeros((), dtype=W.dtype))


def mask_k_random(W: torch.Tensor, K: int, generator: torch.Generator) -> torch.Tensor:
    """K weights chosen by chance among those that are not zero yet.

    Returns bool, True exactly K times.
    """
    score = torch.rand(W.shape, generator=generator) + 1
    return mask_k_largest(torch.where(W != 0, score, 0.5 * (score - 1)), K)


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
    sparsity: float,
    scope: str,
    mask_of: Callable[[torch.Tensor, int], torch.Tensor],
) -> None:
    """Attach masks that keep a share of 1 - sparsity of all weights; mask_of(W, K) decides which.

    scope: `layer` keeps that share of each layer, `global` compares the weights of all layers with
    each other.
    """
    layers = [layer for _, layer in prunable_layers(model)]
    weights = [layer.weight.detach() for layer in layers]
    if scope == "layer":
        masks = [mask_of(W, kept(W.numel(), sparsity)) for W in weights]
    else:
        flat = torch.cat([W.flatten() for W in weights])
        parts = mask_of(flat, kept(flat.numel(), sparsity)).split([W.numel() for W in weights])
        masks = [part.view_as(W) for part, W in zip(parts, weights, strict=True)]
    for layer, mask in zip(layers, masks, strict=True):
        attach(layer, Pruned(mask))


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
        prune(model, self.sparsity, self.scope, mask_k_largest)
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
        prune(model, self.sparsity, self.scope, lambda W, K: mask_k_random(W, K, context.generator))
        return model

    def label(self) -> str:
        return f"random {100 * self.sparsity:.0f} %" + (
            " per layer" if self.scope == "layer" else ""
        )
