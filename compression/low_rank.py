"""Low rank: a layer becomes two thin ones, the best of their size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import nn

from .channels import too_late
from .language import tr
from .models import NORMS, Chain, attached_parts, build, carry, copy_weights, prunable_layers
from .networks import Architecture
from .recipe import Step, knob, register
from .training import Context


def split(W: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A of (out, rank) and B of (rank, in) whose product is nearest to W in squared error [Eckart &
    Young, 1936]; both carry the root of the singular values. W: (out, in).
    """
    U, S, V = torch.linalg.svd(W.double(), full_matrices=False)
    root = S[:rank].sqrt()
    return (U[:, :rank] * root).float(), (root[:, None] * V[:rank]).float()


def rank_of(layer: nn.Linear | nn.Conv2d, share: float) -> int:
    """The rank that a layer gets: a share of the full one; 0 where two layers would not be smaller,
    and for depthwise convolutions, whose channels share nothing.
    """
    rows, columns = layer.weight.shape[0], layer.weight[0].numel()
    rank = max(1, round(share * min(rows, columns)))
    depthwise = isinstance(layer, nn.Conv2d) and layer.groups > 1
    return 0 if depthwise or rank * (rows + columns) >= rows * columns else rank


@register
@dataclass(frozen=True, kw_only=True)
class LowRank(Step):
    """Split layers into two thin ones by the singular values of their weights."""

    name: ClassVar[str] = "low_rank"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "pruned"
    reference: ClassVar[str] = "Denton et al., 2014, arXiv:1404.0736"

    share: float = knob(
        0.25, low=0.01, high=1.0, grain=0.01, help="share of each layer's full rank"
    )

    def why_not(self, a: Architecture, before: tuple[Step, ...] = ()) -> str:
        return too_late(before, self.name)

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        assert isinstance(model, Chain)
        ranks = tuple(rank_of(layer, self.share) for _, layer in prunable_layers(model))
        if not any(ranks):
            return model
        made = build(replace(model.architecture, ranks=ranks))
        copy_weights(model, made)
        with torch.no_grad():
            for (name, layer), rank in zip(prunable_layers(model), ranks, strict=True):
                if rank:
                    A, B = split(layer.weight.flatten(1), rank)
                    state = made.get_submodule(name).state_dict()  # the tensors themselves
                    state["second.weight"].copy_(A.view_as(state["second.weight"]))
                    state["first.weight"].copy_(B.view_as(state["first.weight"]))
                    if layer.bias is not None:
                        state["second.bias"].copy_(layer.bias)
        _carry_small(model, made)
        return made.train(model.training)

    def label(self) -> str:
        return tr("rank {share:.0f} %", share=100 * self.share)


def _carry_small(model: Chain, made: Chain) -> None:
    """The levels of biases and norms; the bias of a layer that was split is that of its second."""
    for name, layer, part, _ in attached_parts(model):
        if isinstance(layer, NORMS) or part == "bias":
            new = made.get_submodule(name)
            carry(
                layer, new.get_submodule("second") if isinstance(new, nn.Sequential) else new, part
            )
