"""Fair references: runs that are there to compare with, so that a method shows what it adds.

One table. A new reference is one entry; a plot draws the front of each dashed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from .language import marked
from .recipe import Recipe, Step, make_step, steps


@dataclass(frozen=True)
class Reference:
    """title: what was done; shows: what the distance to it is worth; family: its colour; rival:
    also a method of its own, so that it may lie on a front.
    """

    title: str
    shows: str
    family: str
    fits: Callable[[Recipe], bool]
    rival: bool = False


def _random_pruning(recipe: Recipe) -> bool:
    return any(s.name == "random_pruning" for s in recipe.steps)


def _from_scratch(recipe: Recipe) -> bool:
    smaller = recipe.width < 1 and recipe.family == "dense"
    students = [s for s in recipe.steps if s.name != SQUEEZE]  # it starts from nothing anyway
    return smaller or any(_alone(s) and getattr(s, "initial", "") == "random" for s in students)


def _without_teacher(recipe: Recipe) -> bool:
    return any(_alone(s) for s in recipe.steps) and not _from_scratch(recipe)


def _alone(step: object) -> bool:
    """Whether this trains a student that hears nothing of its teacher."""
    silent = getattr(step, "alpha", 1) == 0 or getattr(step, "teacher", "") == "none"
    return silent and getattr(step, "hint", "none") == "none"


def _squeezed(recipe: Recipe, **knobs: object) -> bool:
    """Whether there is training for bytes with these knobs."""
    squeezed = [s for s in recipe.steps if s.name == SQUEEZE]
    return any(all(getattr(s, k) == v for k, v in knobs.items()) for s in squeezed)


SQUEEZE = "train_for_bytes"
# the whole network is pruned by size more and more, with levels: no teacher, no other images
_PLAIN = dict(width=1.0, widths="", rate=0.0, teacher="none", copies=0)


def _uniform(recipe: Recipe) -> bool:
    levels = [s for s in recipe.steps if s.family == "quantized"]
    return recipe.family == "quantized" and all(s.name == "uniform_quantization" for s in levels)


REFERENCES = {
    "random": Reference(
        marked("random pruning"),
        marked("what choosing the weights is worth"),
        "pruned",
        _random_pruning,
    ),
    "uniform": Reference(
        marked("uniform levels"),
        marked("what a codebook is worth"),
        "quantized",
        _uniform,
        rival=True,
    ),
    "plain": Reference(
        marked("as many bytes by pruning and levels alone"),
        marked("what narrowing, teacher, copies and prices are worth"),
        "pruned",
        lambda recipe: _squeezed(recipe, **_PLAIN),
    ),
    "undistorted": Reference(
        marked("without distorted copies"),
        marked("what distorted copies are worth"),
        "distilled",
        lambda recipe: _squeezed(recipe, copies=0) and not _without_teacher(recipe),
    ),
    "alone": Reference(
        marked("student without teacher"),
        marked("what the teacher is worth"),
        "distilled",
        _without_teacher,
    ),
    "scratch": Reference(
        marked("same size from scratch"),
        marked("what starting from a large network is worth"),
        "distilled",
        _from_scratch,
    ),
}


@lru_cache(maxsize=20_000)
def reference_of(recipe: Recipe) -> str:
    """Key of the reference that a recipe is one of, or an empty string."""
    return next((key for key, known in REFERENCES.items() if known.fits(recipe)), "")


def is_reference(recipe: Recipe) -> bool:
    """Whether a recipe is there to compare with only, and on no front but its own."""
    key = reference_of(recipe)
    return bool(key) and not REFERENCES[key].rival


# key of a reference -> the step in it, and the steps that this one stands in for
_INSTEAD = {
    "random": ("random_pruning", {"magnitude_pruning", "taylor_pruning", "activation_pruning"}),
    "uniform": ("uniform_quantization", {"codebook_quantization"}),
}


# key of a reference -> knobs of SQUEEZE that are turned for it: its bytes stay
_TURNED: dict[str, dict[str, Any]] = {
    "plain": _PLAIN,
    "undistorted": dict(copies=0),
    "alone": dict(teacher="none"),
}


def counterparts(recipe: Recipe) -> dict[str, Recipe]:
    """The same recipe with random pruning, with uniform levels, and with less than all of what
    training for bytes does, by the keys of REFERENCES: each as much as in the recipe, and only
    where it has a step for that.
    """
    swaps: dict[str, Callable[[Step], Step]] = {
        key: partial(_swapped, name, of) for key, (name, of) in _INSTEAD.items()
    }
    swaps |= {key: partial(_turned, knobs) for key, knobs in _TURNED.items()}
    found: dict[str, Recipe] = {}
    for key, swap in swaps.items():
        changed = tuple(map(swap, recipe.steps))
        if changed != recipe.steps:
            found[key] = dataclasses.replace(recipe, steps=changed)
    return found


def _swapped(name: str, of: set[str], step: Step) -> Step:
    return _as(name, step) if step.name in of else step


def _turned(knobs: dict[str, Any], step: Step) -> Step:
    return step.changed(**knobs) if step.name == SQUEEZE else step


def _as(name: str, step: Step) -> Step:
    """Another step with those knobs that both have."""
    other = steps()[name]
    own = {f.name: getattr(step, f.name) for f in dataclasses.fields(step)}
    return make_step(
        other, {f.name: own[f.name] for f in dataclasses.fields(other) if f.name in own}
    )
