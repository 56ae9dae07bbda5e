"""Few values for biases and norms, which take a large share of a small file as floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from .language import tr
from .models import attach, fix_norm, small_tensors
from .quantization import Grid, uniform_grid
from .recipe import Step, knob, register
from .training import Context


def bias_grid(values: torch.Tensor, bits: int) -> Grid:
    """2**bits - 1 levels, symmetric around zero, of least squared error.

    values: float32 (N,). The step is exact in float16 where that has one so small: the file stores
    it in two bytes.
    """
    grid = uniform_grid(values, 2**bits - 1, "symmetric", "mse", "tensor")
    half = grid.step.half().float()
    step = torch.where((half > 0) & half.isfinite(), half, grid.step)
    return Grid(step, grid.low, grid.levels, grid.stride)


def quantize_biases(model: nn.Module, bits: int) -> nn.Module:
    """Attach levels to all biases, and to the scales and shifts of norms; batch norms become those
    first, and stay them. Returns the model.
    """
    for layer, part in small_tensors(model):
        if isinstance(layer, nn.BatchNorm2d) and part == "bias":
            fix_norm(layer)
    for layer, part in small_tensors(model):
        attach(layer, bias_grid(getattr(layer, part).detach(), bits), part)
    return model


@register
@dataclass(frozen=True, kw_only=True)
class BiasQuantization(Step):
    """Evenly spaced levels for biases, and for the scales and shifts of norms.

    Batch norms stay the scale and shift that they have come to, also in training.
    """

    name: ClassVar[str] = "bias_quantization"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "quantized"
    reference: ClassVar[str] = "uniform levels, as in Jacob et al., 2018, arXiv:1712.05877"

    bits: int = knob(
        5, low=2, high=8, grain=1, help="of a bias before coding; 5: 15 steps each way"
    )

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        return quantize_biases(model, self.bits)

    def label(self) -> str:
        return tr("biases {bits} bits", bits=self.bits)
