"""Which units stand and fall together: a channel of a residual stream is a row of some layers and a
column of others. The groups are those of Torch-Pruning [Fang et al., 2023, arXiv:2301.12900].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import nn
from torch_pruning.dependency import DependencyGraph  # type: ignore[import-untyped]

from .models import NORMS, Chain, attach, attached_parts, build, stored, tensor_shapes
from .networks import Architecture

OUTPUTS, INPUTS = 0, 1


class Member(NamedTuple):
    """A layer's part in a group. axis: OUTPUTS or INPUTS; block: numbers along it for each unit."""

    layer: str
    axis: int
    block: int


@dataclass(frozen=True)
class Group:
    """place: in `Architecture.hidden`; units: how many there are."""

    place: int
    units: int
    members: tuple[Member, ...]


@lru_cache(maxsize=64)
def groups(a: Architecture) -> tuple[Group, ...]:
    """The groups of a network's hidden units, in the order of `Architecture.hidden`."""
    model = build(a).eval()
    names = {module: name for name, module in model.named_modules()}
    graph = DependencyGraph().build_dependency(model, torch.zeros(2, *a.shape))
    owners, found = _owners(a), {}
    for traced in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]):
        members = {}
        for dependency, _ in traced:
            layer = dependency.target.module
            if isinstance(layer, nn.Conv2d | nn.Linear | NORMS):
                inwards = dependency.handler.__name__ == "prune_in_channels"
                axis = INPUTS if inwards and not _is_depthwise(layer) else OUTPUTS
                members[names[layer], axis] = _length(layer, axis)
        place = next((owners[n] for n, axis in members if axis == OUTPUTS and n in owners), None)
        if place is not None:
            units = a.hidden[place]
            parts = (Member(n, axis, length // units) for (n, axis), length in members.items())
            found[place] = Group(place, units, tuple(parts))
    return tuple(found[place] for place in sorted(found))


def _is_depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups > 1


def _length(layer: nn.Module, axis: int) -> int:
    return layer.weight.shape[axis]  # type: ignore[index, return-value]


def _owners(a: Architecture) -> dict[str, int]:
    """The place in `hidden` that says how many outputs a layer has, by its name."""
    before, owners = tensor_shapes(a), {}
    for place, units in enumerate(a.hidden):
        hidden = (*a.hidden[:place], units + 1, *a.hidden[place + 1 :])
        for name, shape in tensor_shapes(replace(a, hidden=hidden)).items():
            layer, part = name.rsplit(".", 1)
            if part == "weight" and shape[0] != before[name][0]:
                owners[layer] = place
    return owners


def narrow(model: Chain, keep: Mapping[int, torch.Tensor], attached: bool) -> Chain:
    """The network with a part of its hidden units.

    keep: by place in `Architecture.hidden`, which units stay, int64 in the order they will have;
    attached: whether masks and levels come along, else the weights as they are used become
    plain.
    """
    a = model.architecture
    hidden = tuple(len(keep[i]) if i in keep else n for i, n in enumerate(a.hidden))
    made = build(replace(a, hidden=hidden))
    chosen: dict[str, dict[int, torch.Tensor]] = {}
    for group in groups(a):
        if group.place in keep:
            for layer, axis, block in group.members:
                places = keep[group.place][:, None] * block + torch.arange(block)
                chosen.setdefault(layer, {})[axis] = places.flatten()
    olds = dict(model.named_modules())
    with torch.no_grad():
        for name, layer in made.named_modules():
            for part, tensor in [*layer._parameters.items(), *layer._buffers.items()]:
                if tensor is not None:
                    old = stored(olds[name], part) if attached else getattr(olds[name], part)
                    tensor.copy_(_cut(old, chosen.get(name, {})))
    for name, _, part, found in attached_parts(model) if attached else ():
        for attachment in found:
            state = {
                key: _cut(value, chosen.get(name, {})) if value.dim() > 1 else value
                for key, value in attachment.state_dict().items()
            }
            attach(made.get_submodule(name), type(attachment).from_state(state), part)
    return made.train(model.training)


def _cut(tensor: torch.Tensor, places: Mapping[int, torch.Tensor]) -> torch.Tensor:
    for axis, chosen in places.items():
        if axis < tensor.dim() and tensor.shape[axis] > 1:
            tensor = tensor.index_select(axis, chosen)
    return tensor
