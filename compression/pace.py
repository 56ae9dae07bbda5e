"""How long runs will take, judged by those that were made here and by the shipped ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from .networks import architecture_for
from .pipeline import start_of
from .recipe import Recipe
from .result import Result
from .store import Store

SCORED, TRAINED = 15_000, 55_000  # images that a run scores, and that an epoch sees
OF_TRAINING = 0.3  # time to score an image by that to train on it, until a run says it better


class Expected(NamedTuple):
    """What runs will take. epochs: of training among it."""

    seconds: float
    epochs: int


@dataclass(frozen=True)
class Pace:
    """Seconds by network: epochs: of training on all images; runs: of a run that trains nothing."""

    epochs: Mapping[str, float]
    runs: Mapping[str, float]

    @staticmethod
    def of(results: Iterable[Result]) -> Pace:
        """What is known from these results, of one data set."""
        epochs: dict[str, list[float]] = {}
        runs: dict[str, list[float]] = {}
        for r in results:
            epochs.setdefault(r.recipe.model, []).extend(
                e.seconds / e.epoch for e in r.history if e.step < len(r.recipe.dense.steps)
            )
            if not any(s.is_training for s in r.recipe.steps[len(r.recipe.dense.steps) :]):
                if r.recipe != r.recipe.dense:
                    runs.setdefault(r.recipe.model, []).append(r.seconds)
        known = {model: median(each) for model, each in epochs.items() if each}
        scoring = {m: s * OF_TRAINING * SCORED / TRAINED for m, s in known.items()}
        return Pace(known, scoring | {m: median(each) for m, each in runs.items()})

    def expected(self, recipes: Sequence[Recipe], store: Store) -> Expected:
        """Of all these runs in one process; training that several share counts once, what is stored
        counts nothing. A network of which nothing is known counts nothing either.
        """
        there = store.get_many([r.digest for r in recipes], "test")
        trained: dict[str, bool] = {}
        total, epochs = 0.0, 0
        for recipe in recipes:
            if recipe.digest in there:
                continue
            total += self.runs.get(recipe.model, 0.0)
            start = start_of(recipe, store)
            for n in range(len(start.steps), len(recipe.steps)):
                prefix, step = recipe.prefix(n + 1), recipe.steps[n]
                if step.is_training and not trained.setdefault(prefix.digest, False):
                    trained[prefix.digest] = True
                    epochs += getattr(step, "epochs", 1)
                    work = step.work(architecture_for(recipe.model, recipe.dataset, recipe.width))
                    total += self.epochs.get(recipe.model, 0.0) * work
        return Expected(total, epochs)
