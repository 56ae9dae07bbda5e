"""What the coder will make of a setting that is not coded yet, by those that were: one look at a
setting has no time to code it.
"""

from __future__ import annotations

from collections import deque

from .recipe import Recipe
from .sweep import coordinates

REMEMBERED = 256
USUAL = {  # bytes of pruned, quantized weights by their order-0 entropy, on images of 28 x 28
    "lenet_300_100": 0.78,
    "lenet5": 0.9,
    "net": 0.8,
    "resnet20": 0.94,
    "mobilenet_mini": 0.98,
    "vit_mini": 1.0,
}


ON_DIGITS = 1.0  # 8 x 8 pixels have no border that is always empty


class Ratios:
    """Ratios of bytes to order-0 entropy (see `storage.coder_ratio`), by recipe."""

    def __init__(self) -> None:
        self._known: deque[tuple[Recipe, float]] = deque(maxlen=REMEMBERED)

    def learn(self, recipe: Recipe, ratio: float) -> None:
        self._known.append((recipe, ratio))

    def of(self, recipe: Recipe) -> float:
        """That of the nearest setting with the same steps, or what is usual for the network."""
        words, here = coordinates(recipe)
        least, found = float("inf"), _usual(recipe)
        for other, ratio in self._known:
            its_words, there = coordinates(other)
            if its_words == words:
                apart = sum(abs(x - y) for x, y in zip(here, there, strict=True))
                if apart < least:
                    least, found = apart, ratio
        return found


def _usual(recipe: Recipe) -> float:
    return ON_DIGITS if recipe.dataset == "digits" else USUAL[recipe.model]
