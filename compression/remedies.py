"""What might win lost accuracy back: a recipe each, whose effect is measured before it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .language import tr, tr_n
from .networks import refusals
from .recipe import Recipe, Step, layer_text, layer_values
from .result import Layer
from .sweep import replace_step
from .training import FineTune

PRUNINGS = ("magnitude_pruning", "random_pruning", "taylor_pruning", "activation_pruning")
LEVELS = ("codebook_quantization", "uniform_quantization")
LONGER = {1: 3, 3: 10}  # epochs of fine-tuning, and of more of it
MOST_LEVELS, MOST_Q = 256, 4096
MOSTLY = 0.5  # of the loss: a layer that gives back more is mended before anything is trained
WORTH = 0.05  # zeros of a layer that are worth sparing it
SAME = 0.02  # between the zeros that were asked for and those that are there


@dataclass(frozen=True)
class Remedy:
    """words: what a button says; recipe: what it does."""

    words: str
    recipe: Recipe


def remedies(
    recipe: Recipe, layers: Sequence[Layer], layer: str = "", share: float = 0.0
) -> list[Remedy]:
    """What is expected to help most comes first; only what can be run.

    layers: of the network that the recipe makes; layer: the one of the dense network that costs
    most, if one does; share: of the loss, 0..1, that it alone gives back.
    """
    there = [*_spared(recipe, layers, layer), *_finer(recipe, layers, layer)] if layer else []
    trained = [*_trained(recipe)]
    first, second = (there, trained) if share > MOSTLY else (trained, there)
    found = {r.recipe.digest: r for r in [*first, *second, *_milder(recipe)]}
    return [r for r in found.values() if not refusals(r.recipe)]


def _places(recipe: Recipe, names: Sequence[str]) -> list[int]:
    return [i for i, step in enumerate(recipe.steps) if step.name in names]


def fine_tune_words(epochs: int) -> str:
    """What a button says: `Fine-tune 3 epochs`."""
    return tr_n("Fine-tune {n} epoch", "Fine-tune {n} epochs", epochs)


def _trained(recipe: Recipe) -> Iterator[Remedy]:
    """Fine-tuning; longer where it is the last step already."""
    if recipe == recipe.dense:
        return
    last = recipe.steps[-1]
    if not isinstance(last, FineTune):
        yield Remedy(fine_tune_words(1), recipe.then(FineTune(epochs=1)))
    elif last.epochs in LONGER:
        epochs = LONGER[last.epochs]
        longer = replace_step(recipe, len(recipe.steps) - 1, last.changed(epochs=epochs))
        yield Remedy(fine_tune_words(epochs), longer)


def _names(recipe: Recipe, place: int, layers: Sequence[Layer], layer: str) -> list[str]:
    """What a layer of the dense network is called there: both halves where it has been split."""
    if not any(step.name == "low_rank" for step in recipe.steps[:place]):
        return [layer]
    halves = [x.name for x in layers if x.name.startswith(f"{layer}.")]
    return halves or [layer]


def _sparsities(step: Step, layers: Sequence[Layer]) -> dict[str, float]:
    """Sparsities by layer that keep every layer as this step makes it, when one of them is changed:
    those of its own, and what comparing all weights with each other has come to.
    """
    asked, scope, text = (getattr(step, knob) for knob in ("sparsity", "scope", "layers"))
    own = layer_values(text)
    others = [x for x in layers if x.name not in own]
    weights = sum(x.weights for x in others)
    if scope == "layer" or not asked or not weights:
        return own
    zeros = 1 - sum(x.nonzero for x in others) / weights
    if abs(zeros - asked) > SAME:  # other steps have made zeros too
        return own
    return {x.name: min(0.99, round(1 - x.nonzero / x.weights, 2)) for x in others} | own


def _spared(recipe: Recipe, layers: Sequence[Layer], layer: str) -> Iterator[Remedy]:
    """The layer not pruned, and pruned half as much."""
    for words, factor in (
        (tr("Spare {layer}", layer=layer), 0.0),
        (tr("Prune {layer} half as much", layer=layer), 0.5),
    ):
        changed, most = recipe, 0.0
        for place in _places(recipe, PRUNINGS):
            step = changed.steps[place]
            values = _sparsities(step, layers)
            for name in _names(recipe, place, layers, layer):
                now = values.get(name, float(getattr(step, "sparsity")))  # noqa: B009
                values[name], most = round(factor * now, 2), max(most, now)
            changed = replace_step(changed, place, step.changed(layers=layer_text(values)))
        if most >= WORTH:
            yield Remedy(words, changed)


def _finer(recipe: Recipe, layers: Sequence[Layer], layer: str) -> Iterator[Remedy]:
    """Four times as many levels in the layer."""
    for place in _places(recipe, LEVELS)[-1:]:
        step = recipe.steps[place]
        own: dict[str, float] = layer_values(getattr(step, "layers"))  # noqa: B009
        names = _names(recipe, place, layers, layer)
        now = min(own.get(name, getattr(step, "levels")) for name in names)  # noqa: B009
        more = min(MOST_LEVELS, 4 * int(now))
        if more > now > 0:
            text = layer_text(own | dict.fromkeys(names, more))
            finer = replace_step(recipe, place, step.changed(layers=text))
            yield Remedy(tr("{n} levels in {layer}", n=more, layer=layer), finer)


Knobs = Mapping[str, Any]
Turned = tuple[str, dict[str, float | str]]  # words, and the knobs that are turned


def _less_pruned(k: Knobs) -> list[Turned]:
    """Twice as many weights stay."""
    less = max(0.0, round(1 - 2 * (1 - k["sparsity"]), 2))
    return [(tr("Prune {share:.0f} %", share=100 * less), dict(sparsity=less))]


def _more_levels(k: Knobs) -> list[Turned]:
    levels = min(MOST_LEVELS, 2 * k["levels"])
    return [(tr("{n} levels", n=levels), dict(levels=levels))]


def _more_of_m(k: Knobs) -> list[Turned]:
    n = min(k["m"], k["n"] + 1)
    return [(tr("{n} of {m} weights stay", n=n, m=k["m"]), dict(n=n))]


def _larger(k: Knobs) -> list[Turned]:
    width = min(1.0, round(round(1.5 * k["width"] / 0.05) * 0.05, 2))
    return [(tr("Student of {width:.0f} %", width=100 * width), dict(width=width))]


def _fewer_channels(k: Knobs) -> list[Turned]:
    words = tr("Take {share:.0f} % of the channels", share=50 * k["ratio"])
    return [(words, dict(ratio=round(k["ratio"] / 2, 2)))]


def _higher_rank(k: Knobs) -> list[Turned]:
    share = min(1.0, 2 * k["share"])
    return [(tr("Rank {share:.0f} %", share=100 * share), dict(share=share))]


MILDER: dict[str, Callable[[Knobs], list[Turned]]] = {
    **dict.fromkeys((*PRUNINGS, "gradual_pruning"), _less_pruned),
    "codebook_quantization": _more_levels,
    "uniform_quantization": lambda k: [
        (tr("Levels per channel"), dict(per="channel")),
        *_more_levels(k),
    ],
    "fixed_point_quantization": lambda k: [
        (f"Q {min(MOST_Q, 4 * k['Q'])}", dict(Q=min(MOST_Q, 4 * k["Q"])))
    ],
    "activation_quantization": lambda k: [(tr("Inputs of 8 bits"), dict(bits=8))],
    "n_m_pruning": _more_of_m,
    "channel_pruning": _fewer_channels,
    "low_rank": _higher_rank,
    "distill": _larger,
}


def _milder(recipe: Recipe) -> Iterator[Remedy]:
    """Each step turned back a little, for all layers; the last step first."""
    for place in reversed(range(len(recipe.dense.steps), len(recipe.steps))):
        step = recipe.steps[place]
        if step.name in MILDER:
            for words, knobs in MILDER[step.name](vars(step)):
                milder = replace_step(recipe, place, step.changed(**knobs))
                if milder != recipe:
                    yield Remedy(words, milder)
