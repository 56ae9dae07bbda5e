"""Families of recipes that differ in one knob: the curves of the pages."""

from __future__ import annotations

import dataclasses

from .recipe import Recipe, Step

CURVE_SPARSITIES = tuple(round(0.05 * i, 2) for i in range(20)) + (0.99,)


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


def coarse_to_fine(n: int) -> list[int]:
    """0..n-1 in an order that shows a curve's shape early: the ends, every fourth point, every
    second, all.
    """
    order = [0, n - 1, *range(0, n, 4), *range(0, n, 2), *range(n)]
    return list(dict.fromkeys(i for i in order if 0 <= i < n))
