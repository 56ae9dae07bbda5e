"""Channel pruning: whole units go, tensors become smaller, and so do file and multiply-adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from .groups import Group, groups, narrow
from .importance import taylor_scores
from .language import tr
from .models import Chain, prunable_layers
from .networks import Architecture
from .recipe import Step, choice, kept, knob, register
from .training import Context

CRITERIA = ("magnitude", "taylor", "random")


def unit_scores(group: Group, scores: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """What each unit of a group is worth: the scores of all weights that go with it, added up.

    scores: by layer, of its weight's shape. Returns float32 (units,).
    """
    total = torch.zeros(group.units)
    for layer, axis, block in group.members:
        if layer in scores:
            along = scores[layer].movedim(axis, 0).flatten(1).sum(1)
            total += along.reshape(group.units, block).sum(1)
    return total


def too_late(before: tuple[Step, ...], what: str) -> str:
    """Why shapes can't change any more behind these steps, or an empty string."""
    for step in before:
        if step.name == what == "low_rank":
            return tr("low_rank can be done once: the layers are split already")
        if step.name == "activation_quantization":
            return tr(
                "{step} has to come before activation_quantization, whose ranges are those of"
                " the network as it was measured",
                step=what,
            )
        if step.name == "low_rank":
            return tr(
                "{step} has to come before low_rank, which splits layers of their final size",
                step=what,
            )
    return ""


@register
@dataclass(frozen=True, kw_only=True)
class ChannelPruning(Step):
    """Take whole channels, hidden units and attention heads out: a smaller network of its kind."""

    name: ClassVar[str] = "channel_pruning"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "pruned"
    reference: ClassVar[str] = "DepGraph: Fang et al., 2023, arXiv:2301.12900"

    ratio: float = knob(
        0.5, low=0.0, high=0.95, grain=0.01, help="share of each group's channels that go"
    )
    criterion: str = choice(
        "magnitude",
        options=CRITERIA,
        help="squared weights, effect on the loss of training images, or chance",
    )

    def why_not(self, a: Architecture, before: tuple[Step, ...] = ()) -> str:
        return too_late(before, self.name)

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        assert isinstance(model, Chain)
        scores = self._scores(model, context)
        keep = {}
        for group in groups(model.architecture):
            worth = unit_scores(group, scores)
            best = worth.argsort(descending=True, stable=True)[: kept(group.units, self.ratio)]
            keep[group.place] = best.sort().values
        return narrow(model, keep, attached=True)

    def _scores(self, model: nn.Module, context: Context) -> Mapping[str, torch.Tensor]:
        if self.criterion == "taylor":
            return context.once("Taylor scores", lambda: taylor_scores(model, context))
        weights = {name: layer.weight.detach() for name, layer in prunable_layers(model)}
        if self.criterion == "magnitude":
            return {name: W.square() for name, W in weights.items()}
        return {
            name: torch.rand(W.shape, generator=context.generator) for name, W in weights.items()
        }

    def label(self) -> str:
        label = tr("channels −{share:.0f} %", share=100 * self.ratio)
        if self.criterion == "magnitude":
            return label
        return tr("{label} by {criterion}", label=label, criterion=tr(self.criterion))
