"""Quantization of what flows through the network: static int8, simulated as ONNX Runtime runs it.

Batch norms become part of their convolutions; weights get 255 evenly spaced levels per output
(int8, symmetric), the input of each layer the range that it had on calibration images (uint8).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn

from .importance import look_at_inputs
from .language import tr
from .models import (
    Chain,
    InputRange,
    attach,
    attachments,
    build,
    carry,
    prunable_layers,
    scale_and_shift,
)
from .networks import Architecture
from .pruning import Pruned
from .quantization import int8_already, uniform_grid
from .recipe import Step, choice, knob, register
from .training import Context

WEIGHT_LEVELS = 255  # -127 to 127
SAMPLE = 20_000  # numbers of a batch that the percentile looks at
PERCENTILE = 0.999


def input_range(low: float, high: float, bits: int) -> tuple[float, float]:
    """(step, zero) of unsigned numbers that cover low to high, and 0 exactly: zero is a whole
    number, 0 to 2**bits - 1.
    """
    low, high, most = min(low, 0.0), max(high, 0.0), 2**bits - 1
    step = (high - low) / most or 1.0
    return step, float(round(-low / step))


def fold_norms(model: Chain, bits: int) -> Chain:
    """The network with its batch norms in the convolutions before them, and with ranges (not set
    yet) at the input of each layer. Pruned weights stay pruned, biases keep their levels; those of
    weights are gone.
    """
    made = build(replace(model.architecture, activation_bits=bits))
    new, norms = dict(made.named_modules()), _norms(model)
    with torch.no_grad():
        for name, layer in model.named_modules():
            if isinstance(layer, nn.LayerNorm):
                for part in ("weight", "bias"):
                    getattr(new[name], part).copy_(getattr(layer, part))
                    carry(layer, new[name], part)
        for name, layer in prunable_layers(model):
            W = layer.weight
            bias = torch.zeros(len(W)) if layer.bias is None else layer.bias
            if name in norms:
                scale, shift = scale_and_shift(norms[name])
                W, bias = W * scale.view(-1, *[1] * (W.dim() - 1)), bias * scale + shift
            own = new[name]
            assert isinstance(own, nn.Linear | nn.Conv2d)
            own.weight.copy_(W)
            if own.bias is not None:
                own.bias.copy_(bias)
                carry(norms.get(name, layer), own, "bias")
            if any(isinstance(a, Pruned) for a in attachments(layer)):
                attach(own, Pruned(layer.weight != 0))
    return made.train(model.training)


def _norms(model: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """The batch norm behind a convolution, by the convolution's name."""
    found = {}
    for path, chain in model.named_modules():
        if isinstance(chain, nn.Sequential):
            for (name, layer), (_, norm) in pairwise(chain.named_children()):
                if isinstance(norm, nn.BatchNorm2d):
                    inner = ".second" if isinstance(layer, nn.Sequential) else ""
                    found[f"{path}.{name}{inner}".lstrip(".")] = norm
    return found


@register
@dataclass(frozen=True, kw_only=True)
class ActivationQuantization(Step):
    """Static int8: weights with 255 levels per output, inputs of layers as whole numbers too."""

    name: ClassVar[str] = "activation_quantization"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "quantized"
    reference: ClassVar[str] = "Jacob et al., 2018, arXiv:1712.05877; static quantization of ONNX"

    bits: int = knob(8, low=2, high=8, grain=1, help="of each layer's input; weights have 8")
    range: str = choice(
        "minmax",
        options=("minmax", "percentile"),
        help="of the inputs of calibration images: all of them, or 99.9 % of them",
    )

    def why_not(self, a: Architecture, before: tuple[Step, ...] = ()) -> str:
        return int8_already(self, before)

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        assert isinstance(model, Chain)
        ranges = context.once(f"ranges of inputs, {self.range}", lambda: self._look(model, context))
        made = fold_norms(model, self.bits)
        for name, layer in prunable_layers(made):
            given = layer.input
            assert isinstance(given, InputRange)
            step, zero = input_range(*ranges[name], self.bits)
            given.step.fill_(step)
            given.zero.fill_(zero)
            W = layer.weight.detach()
            attach(layer, uniform_grid(W, WEIGHT_LEVELS, "symmetric", "minmax", "channel"))
        return made

    def _look(self, model: nn.Module, context: Context) -> dict[str, tuple[float, float]]:
        """Lowest and highest input of each layer."""
        seen: dict[str, list[torch.Tensor]] = {}

        def see(name: str, layer: nn.Module, x: torch.Tensor) -> None:
            flat = x.flatten()
            if self.range == "minmax":
                flat = torch.stack([flat.min(), flat.max()])
            seen.setdefault(name, []).append(flat[:: max(1, len(flat) // SAMPLE)].clone())

        look_at_inputs(model, context, see)
        found = {}
        for name, parts in seen.items():
            values = torch.cat(parts).sort().values
            cut = int((1 - PERCENTILE) / 2 * len(values)) if self.range == "percentile" else 0
            found[name] = float(values[cut]), float(values[-1 - cut])
        return found

    def label(self) -> str:
        return "int8" if self.bits == 8 else tr("int8, activations {bits} bits", bits=self.bits)
