"""What a network costs: counts by the lab's conventions. One multiply-add is one MAC; biases are
not counted as MACs.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import torch
from safetensors.torch import save
from torch import nn

from .models import Chain, effective_state, prunable_layers


@dataclass(frozen=True)
class Counts:
    """params: all numbers; weights: matrices of the layers, no biases; macs: for one image."""

    params: int
    nonzero_params: int
    weights: int
    nonzero_weights: int
    macs: int
    nonzero_macs: int


def count(model: Chain) -> Counts:
    """Counts of a network, masks and levels applied."""
    state = effective_state(model)
    nonzero = {name: int(torch.count_nonzero(value)) for name, value in state.items()}
    places = output_places(model)
    weights = {name: state[f"{name}.weight"].numel() for name in places}
    return Counts(
        params=sum(value.numel() for value in state.values()),
        nonzero_params=sum(nonzero.values()),
        weights=sum(weights.values()),
        nonzero_weights=sum(nonzero[f"{name}.weight"] for name in places),
        macs=sum(weights[name] * n for name, n in places.items()),
        nonzero_macs=sum(nonzero[f"{name}.weight"] * n for name, n in places.items()),
    )


def output_places(model: Chain) -> dict[str, int]:
    """How often each weight of a layer is used for one image: height*width of a convolution's
    output, 1 for linear.
    """
    places: dict[str, int] = {}
    hooks = [
        layer.register_forward_hook(
            lambda _, __, out, name=name: places.__setitem__(
                name, out.shape[2:].numel() if out.dim() == 4 else 1
            )
        )
        for name, layer in prunable_layers(model)
    ]
    try:
        with torch.inference_mode():
            model(torch.zeros(1, *model.architecture.shape))
    finally:
        for hook in hooks:
            hook.remove()
    return places


def framework_file(model: nn.Module) -> bytes:
    """The fp32 file that one would ship without compression: safetensors of all tensors, dense."""
    return save({name: value.contiguous() for name, value in effective_state(model).items()})


def zip_size(data: bytes) -> int:
    """Length in bytes of a zip file that holds this data, deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.safetensors", data)
    return len(buffer.getvalue())
