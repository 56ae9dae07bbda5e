"""What a network costs: counts by the lab's conventions. One multiply-add is one MAC; biases are
not counted as MACs.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from safetensors.torch import save
from torch import nn

from .blocks import Attention, attention_macs
from .models import build, effective_state, empty, prunable_layers, tensor_shapes
from .networks import Architecture


@dataclass(frozen=True)
class Counts:
    """params: all numbers; weights: matrices of the layers, no biases; macs: for one image."""

    params: int
    nonzero_params: int
    weights: int
    nonzero_weights: int
    macs: int
    nonzero_macs: int


def count(a: Architecture, nonzero: Mapping[str, int]) -> Counts:
    """Counts of a network. nonzero: how many numbers of each of its tensors are not zero."""
    sizes, places, free = sizes_of(a), output_places(a), attention_macs_of(a)
    return Counts(
        params=sum(sizes.values()),
        nonzero_params=sum(nonzero.values()),
        weights=sum(sizes[f"{name}.weight"] for name in places),
        nonzero_weights=sum(nonzero[f"{name}.weight"] for name in places),
        macs=free + sum(sizes[f"{name}.weight"] * n for name, n in places.items()),
        nonzero_macs=free + sum(nonzero[f"{name}.weight"] * n for name, n in places.items()),
    )


@lru_cache(maxsize=64)
def sizes_of(a: Architecture) -> dict[str, int]:
    """How many numbers each tensor of a network has. Do not change it."""
    return {name: math.prod(shape) for name, shape in tensor_shapes(a).items()}


@lru_cache(maxsize=64)
def output_places(a: Architecture) -> dict[str, int]:
    """How often each weight of a layer is used for one image: height*width of a convolution's
    output, the number of tokens for linear layers that see tokens, 1 for others. Do not change it.
    """
    shapes = output_shapes(a)
    return {
        name: math.prod(shapes[name][1:]) if isinstance(layer, nn.Conv2d) else _tokens(shapes[name])
        for name, layer in prunable_layers(empty(a))
    }


@lru_cache(maxsize=64)
def output_shapes(a: Architecture) -> dict[str, tuple[int, ...]]:
    """Shape of what each module of a network gives for one image. Do not change it."""
    model = empty(a)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in model.named_modules():
        layer.register_forward_hook(
            lambda _, __, out, name=name: shapes.__setitem__(name, tuple(out.shape[1:]))
        )
    model.eval()(torch.zeros(1, *a.shape, device="meta"))
    return shapes


@lru_cache(maxsize=64)
def attention_macs_of(a: Architecture) -> int:
    """Multiply-adds for one image that are not with a weight: those between tokens."""
    shapes = output_shapes(a)
    return sum(
        attention_macs(_tokens(shapes[name]), shapes[f"{name}.q"][-1])
        for name, layer in empty(a).named_modules()
        if isinstance(layer, Attention)
    )


def _tokens(shape: tuple[int, ...]) -> int:
    return math.prod(shape[:-1])


def framework_file(model: nn.Module) -> bytes:
    """The fp32 file that one would ship without compression: safetensors of all tensors, dense."""
    return save({name: value.contiguous() for name, value in effective_state(model).items()})


@lru_cache(maxsize=64)
def framework_bytes(a: Architecture) -> int:
    """Length of that file, which is the same for all weights of an architecture."""
    return len(framework_file(build(a)))


def zip_size(data: bytes) -> int:
    """Length in bytes of a zip file that holds this data, deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.safetensors", data)
    return len(buffer.getvalue())
