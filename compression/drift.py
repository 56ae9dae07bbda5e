"""How far a network has moved from another one, layer by layer: its weights, and what its layers
give for the same images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from .data import load
from .inference import one_thread
from .language import marked, tr
from .models import Chain, behind, prunable_layers, scale_and_shift
from .pipeline import rebuilt
from .recipe import Recipe
from .store import Store

IMAGES = 500  # of the split that are looked at, the first ones
BATCH = 100


@dataclass(frozen=True)
class LayerDrift:
    """One layer of the base, against the run. Where something can't be compared it is None, and
    `reason` says why. why: the text of that; shapes: of the run's and the base's weights.

    sparsity: share of zeros in the run's layer; weights: ||W - W0|| / ||W0||, batch norms taken
    into the weights; sqnr_db: power of the base's outputs by power of what changed, infinite where
    nothing did; cosine: of the outputs, mean over images, -1..1.
    """

    name: str
    sparsity: float | None
    weights: float | None
    sqnr_db: float | None
    cosine: float | None
    why: str = ""
    shapes: tuple[str, str] = ("", "")

    @property
    def reason(self) -> str:
        run, base = self.shapes
        return tr(self.why, run=run, base=base)


def drift(base: Recipe, run: Recipe, split: str, store: Store) -> tuple[LayerDrift, ...]:
    """Every layer of the base, from input to output; both as their files give them back."""
    data = load(base.dataset)
    images = data.to_input(data.split(split).images[:IMAGES])
    return compare_layers(rebuilt(base, store), rebuilt(run, store), images)


def compare_layers(base: Chain, run: Chain, inputs: torch.Tensor) -> tuple[LayerDrift, ...]:
    """inputs: float32 (N, *shape), at least one."""
    names = [name for name, _ in prunable_layers(base)]
    if base.architecture.network != run.architecture.network:
        why = marked("another network: layers of one name are not the same")
        return tuple(LayerDrift(name, None, None, None, None, why) for name in names)
    outputs = _compare_outputs(base, run, names, inputs)
    return tuple(_layer(name, base, run, outputs.get(name)) for name in names)


def _layer(name: str, base: Chain, run: Chain, outputs: _Outputs | None) -> LayerDrift:
    mine, other = _find(base, name), _find(run, name)
    if mine is None or other is None:
        why = marked("the run has no such layer")
        return LayerDrift(name, None, None, None, None, why)
    parts = [layer.weight for _, layer in prunable_layers(other)]
    zeros = sum(int((W == 0).sum()) for W in parts) / sum(W.numel() for W in parts)
    W0, W = _weight(base, name), _weight(run, name)
    change, why = None, ""
    shapes = _shape(W), _shape(W0)
    if W0.shape == W.shape:
        norm = float(W0.norm())
        change = float((W - W0).norm()) / norm if norm else math.nan
    else:
        why = marked("its weights are {run}, the base's {base}")
    if outputs is None:
        return LayerDrift(name, zeros, change, None, None, why, shapes)
    return LayerDrift(name, zeros, change, outputs.sqnr_db, outputs.cosine, why, shapes)


def _shape(W: torch.Tensor) -> str:
    return " × ".join(map(str, W.shape))


def _find(model: nn.Module, name: str) -> nn.Module | None:
    """The layer of this name; where it is split into two, both of them."""
    return dict(model.named_modules()).get(name)


def _weight(model: Chain, name: str) -> torch.Tensor:
    """What a layer does to its input, batch norm behind it included: (outputs, inputs, ...)."""
    layer, norm = _find(model, name), _norm_behind(model, name)
    assert layer is not None
    parts = [part.weight.detach() for _, part in prunable_layers(layer)]
    W = parts[0]
    if len(parts) == 2:  # low rank: the product of both
        W = torch.einsum("or,r...->o...", parts[1].flatten(1), parts[0])
    if isinstance(norm, nn.BatchNorm2d):
        scale, _ = scale_and_shift(norm)
        W = W * scale.view(-1, *[1] * (W.dim() - 1))
    return W


def _norm_behind(model: nn.Module, name: str) -> nn.Module | None:
    """The batch norm behind a convolution, or what stands for it where it became a part of that."""
    found = behind(model, name)
    norm = model.get_submodule(found) if found else None
    return norm if isinstance(norm, nn.BatchNorm2d | nn.Identity) else None


class _Outputs(NamedTuple):
    """Comparison of a layer's outputs on all images."""

    sqnr_db: float
    cosine: float


class _Sums:
    """What is added up of one layer while images pass."""

    def __init__(self) -> None:
        self.power = self.noise = self.cosines = 0.0
        self.images = 0

    def add(self, a: torch.Tensor, b: torch.Tensor) -> None:
        """Outputs of the base and of the run, (N, ...) of the same shape."""
        a, b = a.flatten(1).double(), b.flatten(1).double()
        self.power += float((a * a).sum())
        self.noise += float(((a - b) ** 2).sum())
        norms = a.norm(dim=1) * b.norm(dim=1)
        same = (a == b).all(1)  # two outputs that are all zero point the same way
        cosines = torch.where(same, torch.ones_like(norms), (a * b).sum(1) / norms.clamp_min(1e-30))
        self.cosines += float(cosines.sum())
        self.images += len(a)

    def outputs(self) -> _Outputs:
        if not self.noise:
            sqnr = math.inf
        else:
            sqnr = 10 * math.log10(self.power / self.noise) if self.power else -math.inf
        return _Outputs(sqnr, self.cosines / self.images)


def _compare_outputs(
    base: Chain, run: Chain, names: list[str], inputs: torch.Tensor
) -> dict[str, _Outputs]:
    """By layer, where both have it and its outputs have one shape."""
    both = [name for name in names if _find(run, name) is not None]
    sums: dict[str, _Sums] = {name: _Sums() for name in both}
    with torch.inference_mode(), one_thread(), _heard(base, both) as a, _heard(run, both) as b:
        for batch in inputs.split(BATCH):
            base(batch)
            run(batch)
            for name in both:
                if a[name].shape == b[name].shape:
                    sums[name].add(a[name], b[name])
    return {name: s.outputs() for name, s in sums.items() if s.images}


@contextmanager
def _heard(model: Chain, names: list[str]) -> Iterator[dict[str, torch.Tensor]]:
    """What these layers gave last, batch norms behind them included, while this is open."""
    given: dict[str, torch.Tensor] = {}
    handles = []
    for name in names:
        layer = _norm_behind(model, name) or _find(model, name)
        assert layer is not None

        def hear(_: nn.Module, __: object, out: torch.Tensor, name: str = name) -> None:
            given[name] = out.clone()  # what comes behind may change it in place

        handles.append(layer.register_forward_hook(hear))
    try:
        yield given
    finally:
        for handle in handles:
            handle.remove()
