"""How much single weights matter, measured on CALIBRATION training images: by the loss, or by what
comes in.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from .inference import one_thread
from .models import prunable_layers
from .training import Context

BATCH = 50  # images whose gradient is taken at once
Scores = dict[str, torch.Tensor]  # by layer, of its weight's shape, at least 0


def taylor_scores(model: nn.Module, context: Context) -> Scores:
    """|W * gradient of the loss|, summed over batches: by how much the loss would change without
    the weight, to first order [Molchanov et al., 2019, arXiv:1906.10771].
    """
    layers = dict(prunable_layers(model))
    scores = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}
    images = context.data.calibration()
    labels = context.data.train.labels[: len(images)]
    was_training = model.training
    model.eval()
    with one_thread(), parametrize.cached():
        for chosen in torch.arange(len(images)).split(BATCH):
            weights = [layer.weight for layer in layers.values()]
            loss = F.cross_entropy(model(context.data.to_input(images[chosen])), labels[chosen])
            slopes = torch.autograd.grad(loss, weights)
            for score, W, slope in zip(scores.values(), weights, slopes, strict=True):
                score += (W * slope).detach().abs()
    model.train(was_training)
    return {name: score.detach() for name, score in scores.items()}


def activation_scores(model: nn.Module, context: Context) -> Scores:
    """|W| times the size of what the weight is multiplied with: the root of the summed squares of
    its input unit or channel [Sun et al., 2024, arXiv:2306.11695].
    """
    norms = input_squares(model, context)
    scores = {}
    for name, layer in prunable_layers(model):
        norm = norms[name].sqrt()
        if isinstance(layer, nn.Conv2d):
            norm = norm[:, None, None, None] if layer.groups > 1 else norm[:, None, None]
        scores[name] = layer.weight.detach().abs() * norm
    return scores


def input_squares(model: nn.Module, context: Context) -> dict[str, torch.Tensor]:
    """Squares of each layer's input, summed per unit or channel over all images and places."""
    found: dict[str, torch.Tensor] = {}

    def see(name: str, layer: nn.Module, x: torch.Tensor) -> None:
        channel = 1 if isinstance(layer, nn.Conv2d) else x.dim() - 1
        others = [axis for axis in range(x.dim()) if axis != channel]
        found[name] = found.get(name, torch.zeros(())) + x.square().sum(others)

    look_at_inputs(model, context, see)
    return found


def look_at_inputs(
    model: nn.Module, context: Context, see: Callable[[str, nn.Module, torch.Tensor], None]
) -> None:
    """Run the calibration images through the network, as it is in evaluation; `see` gets each
    layer's name, the layer and its input, batch by batch.
    """
    hooks = [
        layer.register_forward_pre_hook(
            lambda _, inputs, name=name, layer=layer: see(name, layer, inputs[0])
        )
        for name, layer in prunable_layers(model)
    ]
    was_training = model.training
    model.eval()
    try:
        with one_thread(), torch.no_grad(), parametrize.cached():
            for images in context.data.calibration().split(BATCH):
                model(context.data.to_input(images))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
