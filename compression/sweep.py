"""Families of recipes that differ in one knob: the curves of the pages."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import lru_cache

from .recipe import Recipe, Step, layer_text

CURVE_SPARSITIES = tuple(round(0.05 * i, 2) for i in range(20)) + (0.99,)
CURVE_LEVELS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64, 96, 128, 192, 256)


def replace_step(recipe: Recipe, place: int, step: Step) -> Recipe:
    """The recipe with another step at this place (0 is the first)."""
    steps = (*recipe.steps[:place], step, *recipe.steps[place + 1 :])
    return dataclasses.replace(recipe, steps=steps)


def sparsity_curve(recipe: Recipe, place: int, step: Step) -> list[tuple[float, Recipe]]:
    """(sparsity, recipe) at 21 sparsities, 0 to 0.99: the step stands at this place and everything
    else stays; at 0 there is no such step.
    """
    without = dataclasses.replace(recipe, steps=recipe.steps[:place] + recipe.steps[place + 1 :])
    return [
        (s, replace_step(recipe, place, step.changed(sparsity=s)) if s else without)
        for s in CURVE_SPARSITIES
    ]


def levels_curve(recipe: Recipe, place: int, step: Step, knob: str) -> list[tuple[float, Recipe]]:
    """(levels, recipe) at 21 numbers of levels, 2 to 256: the step stands at this place, this knob
    of it says how many, and everything else stays.
    """
    return [(n, replace_step(recipe, place, step.changed(**{knob: n}))) for n in CURVE_LEVELS]


LAYER_SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
LAYER_LEVELS = (2, 3, 4, 6, 8, 16, 32)


def layer_curves(
    recipe: Recipe, place: int, knob: str, layers: Sequence[str], alone: bool
) -> dict[str, list[tuple[float, Recipe]]]:
    """(value, recipe) for each layer: how much it forgives.

    place: of a step with `layers` of their own; knob: `sparsity` or `levels`, whose values are
    tried; alone: only this layer is touched, else all but this one.
    """
    step = recipe.steps[place]
    values: Sequence[float] = LAYER_SPARSITIES if knob == "sparsity" else LAYER_LEVELS

    def touched(layer: str, value: float) -> Step:
        if not alone:
            knobs: dict[str, float | str] = {knob: value, "layers": layer_text({layer: 0})}
            return step.changed(**knobs)
        if knob == "sparsity":
            return step.changed(sparsity=0.0, layers=layer_text({layer: value}))
        others = {other: 0.0 for other in layers if other != layer}
        return step.changed(levels=value, layers=layer_text(others))

    return {
        layer: [(v, replace_step(recipe, place, touched(layer, v))) for v in values]
        for layer in layers
    }


def coarse_to_fine(n: int) -> list[int]:
    """0..n-1 in an order that shows a curve's shape early: the ends, every fourth point, every
    second, all.
    """
    order = [0, n - 1, *range(0, n, 4), *range(0, n, 2), *range(n)]
    return list(dict.fromkeys(i for i in order if 0 <= i < n))


@lru_cache(maxsize=4096)
def coordinates(recipe: Recipe) -> tuple[tuple[object, ...], tuple[float, ...]]:
    """What a recipe says in words, and in numbers: recipes of the same words lie in one space.

    Each number is a share of its knob's range (of the logarithm, where the range begins above 0).
    """
    words: list[object] = [recipe.model, recipe.dataset, recipe.width, recipe.seed]
    numbers = []
    for step in recipe.steps:
        words.append(step.name)
        for f in dataclasses.fields(step):
            value, meta = getattr(step, f.name), f.metadata
            if "options" in meta or "by_layer" in meta:
                words.append(value)
            elif meta["low"] > 0:
                numbers.append(math.log(value) / math.log(meta["high"] / meta["low"]))
            else:
                numbers.append(value / meta["high"])
    return tuple(words), tuple(numbers)
