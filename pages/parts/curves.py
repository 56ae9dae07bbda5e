"""The recipes along one slider: by the chosen method, and by what it is compared with."""

from __future__ import annotations

from typing import Any, NamedTuple

from compression.language import marked
from compression.pruning import MagnitudePruning
from compression.quantization import (
    CodebookQuantization,
    FixedPointQuantization,
    UniformQuantization,
)
from compression.recipe import Recipe
from compression.sweep import coarse_to_fine, levels_curve, sparsity_curve

from . import controls

Points = list[tuple[float, Recipe]]
LEVELS = (CodebookQuantization, UniformQuantization, FixedPointQuantization)


class Curve(NamedTuple):
    """(knob, recipe) of both lines; reference: empty where the method is its own reference."""

    own: Points
    reference: Points
    reference_name: str

    @property
    def recipes(self) -> list[Recipe]:
        """All of them, in an order that shows the shape of both lines early."""
        order = coarse_to_fine(len(self.own))
        both = [(self.own[i], self.reference[i : i + 1]) for i in order]
        return [recipe for own, other in both for _, recipe in (own, *other)]


def along_sparsity(setting: controls.Setting, base: Recipe) -> Curve:
    """The prune ratio moves, the levels stay; against random pruning. base: without fine-tuning."""
    place = _place(base, controls.PRUNING_STEPS)
    if place is None:
        place = len(base.dense.steps) + len(setting.student_steps())
        base = base.prefix(place).then(MagnitudePruning(), *base.steps[place:])
    method, chance = (controls.PRUNINGS[k][1] for k in (setting.pruning, "random"))
    reference = [] if method == chance else sparsity_curve(base, place, chance)
    return Curve(sparsity_curve(base, place, method), reference, marked("random"))


def along_levels(setting: controls.Setting, base: Recipe) -> Curve:
    """The number of levels moves, the prune ratio stays; against evenly spaced levels."""
    place = _place(base, LEVELS)
    if place is None:
        place, base = len(base.steps), base.then(UniformQuantization())
    method, even = (controls.QUANTIZERS[k][1] for k in (setting.quantizer, "uniform"))
    if isinstance(method, FixedPointQuantization):  # Q is not a number of levels
        return Curve(levels_curve(base, place, method, "Q"), [], marked("uniform"))
    reference = [] if method == even else levels_curve(base, place, even, "levels")
    return Curve(levels_curve(base, place, method, "levels"), reference, marked("uniform"))


def _place(recipe: Recipe, kinds: Any) -> int | None:
    """Place of the first step of one of these kinds (a class, a union or a tuple of them)."""
    return next((i for i, s in enumerate(recipe.steps) if isinstance(s, kinds)), None)
