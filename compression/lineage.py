"""Which run came from which: a run's parent is the stored run with the longest beginning of its
recipe, and what lies between them are the steps that made it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .language import tr
from .recipe import Recipe, Step

Key = tuple[object, ...]


class Node(NamedTuple):
    """A run in its tree. steps: from its parent to it; all of its recipe where it has none."""

    recipe: Recipe
    steps: tuple[Step, ...]

    @property
    def label(self) -> str:
        """What was done to the parent: `prune 90 %`; of a dense network `dense`."""
        if self.recipe.family == "dense":
            return self.recipe.label
        first = len(self.recipe.steps) - len(self.steps)
        done = self.recipe.steps[max(first, len(self.recipe.dense.steps)) :]
        return tr(", ").join(step.label() for step in done)


class Lineage:
    """The tree of these recipes."""

    def __init__(self, recipes: Iterable[Recipe]) -> None:
        self._there = {_key(r, len(r.steps)): r for r in recipes}

    def parent(self, recipe: Recipe) -> Recipe | None:
        """The stored run that this one goes on from; None where there is none."""
        lengths = range(len(recipe.steps) - 1, -1, -1)
        return next(filter(None, (self._there.get(_key(recipe, n)) for n in lengths)), None)

    def path(self, recipe: Recipe) -> list[Node]:
        """From the first of its line, the dense network as a rule, to the run itself."""
        parent = self.parent(recipe)
        if parent is None:
            return [Node(recipe, recipe.steps)]
        return [*self.path(parent), Node(recipe, recipe.steps[len(parent.steps) :])]

    def children(self, recipe: Recipe) -> list[Node]:
        """The runs whose parent this one is, in the order in which they were given."""
        mine, n = _key(recipe, len(recipe.steps)), len(recipe.steps)
        longer = (r for r in self._there.values() if len(r.steps) > n and _key(r, n) == mine)
        return [
            Node(r, r.steps[n:])
            for r in longer
            if not any(_key(r, between) in self._there for between in range(n + 1, len(r.steps)))
        ]


def _key(recipe: Recipe, n: int) -> Key:
    """What the recipe of the first n steps is, and no other one."""
    return recipe.steps[:n], recipe.model, recipe.dataset, recipe.width, recipe.seed
