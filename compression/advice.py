"""Where users go wrong: one sentence each, and the recipe that mends it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .classes import class_words, hurt_beyond
from .data import DATASETS
from .language import tr
from .networks import architecture_for
from .recipe import Recipe, Step
from .remedies import PRUNINGS, fine_tune_words, remedies
from .result import Preview, Result
from .sweep import replace_step
from .training import FineTune

NEAR_CHANCE = 1.5  # times the share that guessing gives
APART = 0.02  # between what was asked and what came, as a share
WHOLE_UNITS = 0.05  # the same for the units of a group, of which a few may be all there are
MUCH = 0.01  # accuracy lost that fine-tuning is worth
LEVELS = ("codebook_quantization", "uniform_quantization", "fixed_point_quantization")


@dataclass(frozen=True)
class Advice:
    """text: what is wrong; remedy: what a button says; recipe: what it does."""

    text: str
    remedy: str
    recipe: Recipe


def advice(recipe: Recipe, found: Result | Preview | None, classes: int) -> list[Advice]:
    """What to tell about a recipe and what is known of it, the most important first. classes: of
    the data set.
    """
    given = [*_order(recipe)]
    if found is not None:
        given = [
            *_chance(recipe, found, classes),
            *_zero_layers(recipe, found),
            *_hurt_class(recipe, found),
            *_channels(recipe, found),
            *_zeros(recipe, found),
            *given,
            *_untuned(recipe, found),
        ]
    return list({a.recipe.digest + a.text: a for a in given}.values())


def _places(recipe: Recipe, names: tuple[str, ...]) -> list[int]:
    return [i for i, step in enumerate(recipe.steps) if step.name in names]


def _tuned(recipe: Recipe, epochs: int) -> Recipe:
    return recipe.then(FineTune(epochs=epochs))


def _trains_behind(recipe: Recipe) -> bool:
    return any(step.is_training for step in recipe.steps[len(recipe.dense.steps) :])


def _value(found: Result | Preview) -> float:
    return found.estimate.value if isinstance(found, Preview) else found.validation.value


def _chance(recipe: Recipe, found: Result | Preview, classes: int) -> Iterator[Advice]:
    if _value(found) > NEAR_CHANCE / classes or recipe == recipe.dense:
        return
    text = tr(
        "It answers like chance: {right:.0f} % right with {classes} classes.",
        right=100 * _value(found),
        classes=classes,
    )
    if not _trains_behind(recipe):
        yield Advice(text, fine_tune_words(3), _tuned(recipe, 3))
    for place in _places(recipe, PRUNINGS)[:1]:
        step = recipe.steps[place]
        less = round(max(0.0, getattr(step, "sparsity") - 0.2), 2)  # noqa: B009
        milder = replace_step(recipe, place, step.changed(sparsity=less))
        yield Advice(text, tr("Prune {share:.0f} %", share=100 * less), milder)


def _zero_layers(recipe: Recipe, found: Result | Preview) -> Iterator[Advice]:
    empty = [layer.name for layer in found.cost.layers if not layer.nonzero]
    if not empty:
        return
    names = tr(" and ").join(empty)
    text = tr("{layers}: every weight is zero, so nothing gets through.", layers=names)
    for place in _places(recipe, PRUNINGS):
        step = recipe.steps[place]
        if getattr(step, "scope", "") == "global":
            even = replace_step(recipe, place, step.changed(scope="layer"))
            yield Advice(text, tr("Prune each layer alone"), even)
            return
    yield from _more_levels(recipe, text)


def _more_levels(recipe: Recipe, text: str) -> Iterator[Advice]:
    for place in _places(recipe, LEVELS):
        step = recipe.steps[place]
        knob, most = ("Q", 4096) if step.name.startswith("fixed") else ("levels", 256)
        more = min(most, 2 * getattr(step, knob))
        if more > getattr(step, knob):
            finer = replace_step(recipe, place, step.changed(**{knob: more}))
            words = f"Q {more}" if knob == "Q" else tr("{n} levels", n=more)
            yield Advice(text, words, finer)
            return


def _hurt_class(recipe: Recipe, found: Result | Preview) -> Iterator[Advice]:
    """A class that lost more than all images together: what a total does not show."""
    score = found.score if isinstance(found, Preview) else found.validation
    worse = hurt_beyond(score) if score else []
    for one in worse[:1]:
        assert score is not None and score.change is not None
        name = class_words(DATASETS[recipe.dataset].classes, one.place)
        lost = dict(name=f"{name[0].upper()}{name[1:]}", lost=-100 * one.change.difference)
        if score.change.within_noise or score.change.difference > 0:
            text = tr("{name} lost {lost:.1f} points although the total holds.", **lost)
        else:
            total = -100 * score.change.difference
            text = tr("{name} lost {lost:.1f} points, the total {total:.1f}.", **lost, total=total)
        for remedy in remedies(recipe, found.cost.layers)[:1]:
            yield Advice(text, remedy.words, remedy.recipe)


def _channels(recipe: Recipe, found: Result | Preview) -> Iterator[Advice]:
    """One channel pruning: asked against achieved, in the group where they differ most."""
    places = _places(recipe, ("channel_pruning",))
    others = _places(recipe, ("channel_pruning", "distill"))
    full = architecture_for(recipe.model, recipe.dataset, recipe.width).hidden
    if len(places) != 1 or len(others) != 1 or len(full) != len(found.cost.hidden):
        return
    step = recipe.steps[places[0]]
    asked = float(getattr(step, "ratio"))  # noqa: B009
    gone = [1 - now / units for now, units in zip(found.cost.hidden, full, strict=True)]
    worst = max(range(len(full)), key=lambda i: abs(gone[i] - asked))
    if abs(gone[worst] - asked) > WHOLE_UNITS:
        units, stay = full[worst], found.cost.hidden[worst]
        next_ = min(0.95, math.ceil(asked * units + 1e-9) / units)
        total = 1 - sum(found.cost.hidden) / sum(full)
        text = tr(
            "Asked for {asked:.0f} % of the channels, {gone:.0f} % went: {stay} of a group of"
            " {units} stay, since a group gives whole units only.",
            asked=100 * asked,
            gone=100 * total,
            stay=stay,
            units=units,
        )
        yield Advice(
            text,
            tr("Ask for {share:.0f} %", share=100 * next_),
            replace_step(recipe, places[0], step.changed(ratio=next_)),
        )


def _zeros(recipe: Recipe, found: Result | Preview) -> Iterator[Advice]:
    """Pruning and levels: many more zeros than were asked for come from rounding."""
    places = _places(recipe, PRUNINGS)
    if len(places) != 1 or not found.cost.weights or getattr(recipe.steps[places[0]], "layers"):  # noqa: B009
        return
    asked = float(getattr(recipe.steps[places[0]], "sparsity"))  # noqa: B009
    zeros = 1 - found.cost.nonzero_weights / found.cost.weights
    if zeros - asked > APART:
        text = tr(
            "Asked for {asked:.0f} % zeros, there are {zeros:.0f} %: the levels round small"
            " weights to zero as well.",
            asked=100 * asked,
            zeros=100 * zeros,
        )
        yield from _more_levels(recipe, text)


def _order(recipe: Recipe) -> Iterator[Advice]:
    for place, (step, behind) in enumerate(zip(recipe.steps, recipe.steps[1:], strict=False)):
        if step.name in LEVELS and behind.name in (*PRUNINGS, "n_m_pruning", "gradual_pruning"):
            yield Advice(
                tr("Levels before pruning are spent on weights that go afterwards."),
                tr("Prune first"),
                swapped(recipe, place),
            )


def swapped(recipe: Recipe, place: int) -> Recipe:
    """The recipe with the step at this place and the one behind it in the other order."""
    steps: list[Step] = list(recipe.steps)
    steps[place], steps[place + 1] = steps[place + 1], steps[place]
    return replace(recipe, steps=tuple(steps))


def _untuned(recipe: Recipe, found: Result | Preview) -> Iterator[Advice]:
    on_test = isinstance(found, Preview) and found.split == "test" and found.baseline.test
    base = on_test or found.baseline.validation
    if recipe == recipe.dense or _trains_behind(recipe) or base - _value(found) < MUCH:
        return
    points = 100 * (base - _value(found))
    text = tr("{points:.1f} points lost without training on.", points=points)
    yield Advice(text, fine_tune_words(1), _tuned(recipe, 1))
