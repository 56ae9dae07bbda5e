"""What happened inside: each layer of a compressed network, before and after."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import nn

from . import storage
from .inference import frozen_weights
from .models import Chain, attachments, prunable_layers, stored
from .pipeline import Memory, build_up, check
from .pruning import Pruned
from .recipe import Recipe
from .result import Part
from .store import Store

BINS = 61  # of a histogram: an odd number, so that zero lies in the middle of one
MOST_LEVELS = 256  # different values that are listed
CELLS = 48  # rows and columns of a mask's picture at most
FILTERS = 24  # pictures of the first layer's filters at most


@dataclass(frozen=True)
class LayerView:
    """One layer. shape: of its weight; bytes: in the file; coded: those of its weights; entropy:
    bytes that these would take by their order-0 entropy; sqnr_db: power of the weights by power of
    what changed, infinite where nothing did; threshold: size of the smallest weight that stays,
    None where weights were not pruned by their size; levels: the values that non-zero weights take,
    none where they are too many.

    edges: (BINS + 1,); before, after: int (BINS,), how many weights of these values there are
    without masks and levels, and how many of those stay; mask: float (rows, columns), the share of
    weights that stay in each cell; filters, filters_after: float (n, height, width), weights of
    single filters, none where they are no pictures.
    """

    name: str
    shape: tuple[int, ...]
    nonzero: int
    bytes: int
    coded: int
    entropy: int
    sqnr_db: float
    threshold: float | None
    levels: tuple[float, ...]
    edges: np.ndarray
    before: np.ndarray
    after: np.ndarray
    mask: np.ndarray
    filters: np.ndarray
    filters_after: np.ndarray

    @property
    def weights(self) -> int:
        return math.prod(self.shape)

    @property
    def bits(self) -> float:
        """Bits per weight: 8 * bytes / weights."""
        return 8 * self.bytes / self.weights

    @property
    def learned(self) -> float | None:
        """How far the coder is from the order-0 entropy, as a share of it: below 0 it saved bytes.

        None where there was nothing to code.
        """
        return self.coded / self.entropy - 1 if self.entropy else None


def layer_views(recipe: Recipe, store: Store) -> tuple[LayerView, ...]:
    """Every layer with weights, from input to output. The recipe's training must be stored."""
    check(recipe)
    made = build_up(recipe, store, Memory())
    _, parts = storage.write(made.compressed)
    entropy = {t.name: t.entropy_bits() for t in made.compressed.tensors}
    with frozen_weights():
        return tuple(
            _view(
                name,
                layer,
                [part for part in parts if part.layer == name],
                math.ceil(entropy[f"{name}.weight"] / 8),
                made.model,
            )
            for name, layer in prunable_layers(made.model)
        )


def _view(
    name: str, layer: nn.Linear | nn.Conv2d, parts: list[Part], entropy: int, model: Chain
) -> LayerView:
    before = stored(layer).detach().numpy()
    after = layer.weight.detach().numpy()
    largest = float(np.abs(before).max()) or 1.0
    edges = np.linspace(-largest, largest, BINS + 1)
    stays = after != 0
    values = np.unique(after[stays])
    power, noise = float((before**2).sum()), float(((before - after) ** 2).sum())
    return LayerView(
        name,
        tuple(before.shape),
        int(stays.sum()),
        sum(part.bytes for part in parts),
        sum(part.bytes for part in parts if part.part == storage.WHERE["weight"]),
        entropy,
        10 * math.log10(power / noise) if noise and power else math.inf,
        _threshold(before, stays)
        if any(isinstance(a, Pruned) for a in attachments(layer))
        else None,
        tuple(map(float, values)) if len(values) <= MOST_LEVELS else (),
        edges,
        np.histogram(before, edges)[0],
        np.histogram(before[stays], edges)[0],
        _shares(stays.reshape(len(stays), -1)),
        _pictures(before, layer, model),
        _pictures(after, layer, model),
    )


def _threshold(weights: np.ndarray, stays: np.ndarray) -> float | None:
    """The size that parts what stays from what goes; None where another rule than size did."""
    least = np.abs(weights[stays]).min(initial=np.inf)
    parts = np.isfinite(least) and np.abs(weights[~stays]).max(initial=0.0) <= least
    return float(least) if parts else None


def _shares(stays: np.ndarray) -> np.ndarray:
    """Mean over cells of a matrix of bools, CELLS rows and columns at most."""
    rows, columns = (np.linspace(0, n, min(n, CELLS) + 1).astype(int)[:-1] for n in stays.shape)
    sums = np.add.reduceat(np.add.reduceat(stays.astype(float), rows, 0), columns, 1)
    high, wide = (
        np.diff(np.append(cut, n)) for cut, n in zip((rows, columns), stays.shape, strict=True)
    )
    return sums / (high[:, None] * wide)


def _pictures(weight: np.ndarray, layer: nn.Module, model: Chain) -> np.ndarray:
    """The first filters as pictures: kernels of a convolution, or what the first layer's units see
    of the image.
    """
    _, height, width = model.architecture.shape
    if weight.ndim == 4 and weight.shape[-1] > 1:
        return weight[:FILTERS].mean(1) if weight.shape[1] == 3 else weight[:FILTERS, 0]
    if weight.ndim == 2 and weight.shape[1] == height * width:
        return weight[:FILTERS].reshape(-1, height, width)
    return np.zeros((0, 1, 1), np.float32)
