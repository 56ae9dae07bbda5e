"""Recipes in which single layers differ, for the Layers page; and how well something is known."""

from __future__ import annotations

from dataclasses import replace

from compression.language import marked, tr
from compression.pipeline import missing_training
from compression.pruning import MagnitudePruning
from compression.quantization import CodebookQuantization, UniformQuantization
from compression.recipe import Recipe, layer_text
from compression.result import Preview, Result
from compression.store import Store
from compression.sweep import replace_step

from . import controls

ALONE, OTHERS = marked("only this layer"), marked("all but this layer")
WITH_LEVELS = CodebookQuantization | UniformQuantization


def tried(
    setting: controls.Setting, recipe: Recipe, knob: str, store: Store
) -> tuple[Recipe, int | None]:
    """The recipe that single layers are tried in, and the place of the step that has them; None
    where the chosen method has no settings for single layers.
    """
    base = controls.untrained(recipe, missing_training(recipe, store))
    kinds = controls.PRUNING_STEPS if knob == "sparsity" else WITH_LEVELS
    place = next((i for i, s in enumerate(base.steps) if isinstance(s, kinds)), None)
    if place is not None:
        plain = base.steps[place].changed(layers="")
        return replace_step(base, place, plain), place
    if knob == "sparsity":
        place = len(base.dense.steps) + len(setting.student_steps())
        return base.prefix(place).then(MagnitudePruning(), *base.steps[place:]), place
    if setting.quantizer == "fixed" and setting.levels is not None:
        return base, None
    return base.then(CodebookQuantization()), len(base.steps)


def without(base: Recipe, place: int, knob: str, layers: list[str]) -> Recipe:
    """The recipe in which the step at this place touches no layer."""
    step = base.steps[place]
    if knob == "sparsity":
        return replace_step(base, place, step.changed(sparsity=0.0))
    return replace_step(base, place, step.changed(layers=layer_text(dict.fromkeys(layers, 0.0))))


def even(setting: controls.Setting, knob: str) -> Recipe:
    """The recipe with the same share, or number of levels, for every layer."""
    plain = replace(setting, tune=0, own_sparsities="", own_levels="")
    if knob == "sparsity" and plain.pruning == "magnitude":
        plain = replace(plain, pruning="layerwise")
    return plain.recipe()


def accuracy(found: Result | Preview) -> float:
    """Share of right answers on validation, as well as it is known."""
    return found.estimate.value if isinstance(found, Preview) else found.validation.value


def loss(found: Result | Preview) -> float | None:
    """Mean cross-entropy on validation, as well as it is known."""
    return found.loss if isinstance(found, Preview) else found.validation.loss


def is_exact(found: Result | Preview) -> bool:
    return not isinstance(found, Preview) or found.score is not None


def own_words(sparsity: float | None, levels: float | None) -> list[str]:
    """A layer's own settings: `36 %`, `8 levels`."""
    words = [] if sparsity is None else [f"{100 * sparsity:.0f} %"]
    if levels is None:
        return words
    return [*words, tr("{n:.0f} levels", n=levels) if levels else tr("no levels")]
