"""How long one image takes in ONNX Runtime, with one thread: what a smaller shape is worth.

Zeros are not faster, so a time belongs to an architecture: networks of one shape share it.
"""

from __future__ import annotations

import statistics
from functools import partial

import numpy as np
from cachetools import LRUCache

from .networks import Architecture
from .onnx_export import onnx_model, onnx_session
from .pipeline import Memory, build_up
from .recipe import Recipe
from .store import Store
from .timing import block

LEAST, SECONDS = 50, 0.4  # runs, and how long
_known: LRUCache[tuple[Architecture, str], float] = LRUCache(256)  # of this process and machine


def latency_ms(recipe: Recipe, store: Store) -> float:
    """Median milliseconds for one image of a recipe's network, in floats. The training of the
    recipe must be stored.
    """
    model = build_up(recipe, store, Memory()).model
    shape = model.architecture, recipe.dataset
    if shape not in _known:
        _known[shape] = measured_ms(onnx_model(model, recipe.dataset, {}), model.architecture.shape)
    return _known[shape]


def measured_ms(model: bytes, shape: tuple[int, ...]) -> float:
    """Median of many runs behind a few that are not counted. model: ONNX; shape: of an image."""
    images = np.zeros((1, *shape), np.uint8)
    run = partial(onnx_session(model).run, ["logits"], {"images": images})
    return statistics.median(block(run, SECONDS, LEAST))
