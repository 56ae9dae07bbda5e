"""Settings of each layer for a number of bytes, from how much each layer forgives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .recipe import Recipe, layer_text
from .result import Preview, Result
from .sweep import replace_step

HALVINGS = 60


class Option(NamedTuple):
    """One setting of one layer. bytes: of the layer in the file; loss: by how much the mean
    cross-entropy rises when only this layer has it.
    """

    value: float
    bytes: int
    loss: float


def option(layer: str, value: float, found: Preview | Result, untouched: float) -> Option | None:
    """What is known of a recipe in which only this layer was touched. untouched: loss without."""
    loss = found.loss if isinstance(found, Preview) else found.validation.loss
    if loss is None:
        return None
    size = sum(part.bytes for part in found.cost.parts if part.layer == layer)
    return Option(value, size, max(0.0, loss - untouched))


def choose(options: Mapping[str, Sequence[Option]], budget: int) -> dict[str, Option] | None:
    """One option per layer whose bytes add up to the budget at most, with the least sum of losses
    that one price per byte for all layers gives; what is left over is spent where it helps most.
    None where even the smallest options are too large.
    """
    smallest = {name: min(own, key=lambda o: (o.bytes, o.loss)) for name, own in options.items()}
    if _bytes(smallest) > budget:
        return None

    def at(price: float) -> dict[str, Option]:
        return {
            name: min(own, key=lambda o: (o.loss + price * o.bytes, o.bytes))
            for name, own in options.items()
        }

    low, high = 0.0, 1.0
    if _bytes(at(low)) <= budget:
        return at(low)
    while _bytes(at(high)) > budget and high < 1e12:
        high *= 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _bytes(at(middle)) <= budget else (middle, high)
    best = at(high) if _bytes(at(high)) <= budget else smallest
    return _spend_rest(dict(best), options, budget - _bytes(best))


def _spend_rest(
    best: dict[str, Option], options: Mapping[str, Sequence[Option]], left: int
) -> dict[str, Option]:
    """Better options that still fit, the one that saves most loss first."""
    while True:
        better = [
            (best[name].loss - o.loss, name, o)
            for name, own in options.items()
            for o in own
            if o.loss < best[name].loss and o.bytes - best[name].bytes <= left
        ]
        if not better:
            return best
        _, name, chosen = max(better, key=lambda found: found[0])
        left -= chosen.bytes - best[name].bytes
        best[name] = chosen


def _bytes(chosen: Mapping[str, Option]) -> int:
    return sum(o.bytes for o in chosen.values())


def with_layers(recipe: Recipe, place: int, chosen: Mapping[str, Option]) -> Recipe:
    """The recipe whose step at this place has these values, layer by layer."""
    text = layer_text({name: o.value for name, o in chosen.items()})
    return replace_step(recipe, place, recipe.steps[place].changed(layers=text))
