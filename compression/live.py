"""Looking at a setting: its bytes and an estimate at once, the full score a moment later, and a
stored run when one stays.

What is expensive is kept between settings: the network, its order by size, its answers, and the
margins of settings that were scored in full, which make the estimates of their neighbours better.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from cachetools import LRUCache

from . import storage
from .data import Split, load
from .errors import JobError
from .estimates import FIRST_SHOWN, SCHEDULE, Estimator, Prior, margins
from .evaluation import Seen, accuracy, answers, logits, losses, wilson
from .inference import Forward, frozen_weights, one_thread
from .pipeline import (
    Made,
    Memory,
    build_up,
    check,
    cost_of,
    run,
    start_network,
    start_of,
)
from .recipe import Recipe
from .restore import restored
from .result import Accuracy, Baseline, Cost, Estimate, Metric, Part, Preview, Result
from .store import Store
from .sweep import coordinates

Goal = Literal["estimate", "exact", "stored"]
SLICE = 0.03  # seconds that a batch may take behind the first estimate: others wait so long
MOST_AT_ONCE = 2_000  # images
NEAR = 0.06  # a neighbour: its knobs differ by so much of their range, as a prune ratio by 5 %


@dataclass(frozen=True)
class Ask:
    """What a slider wants to know: a recipe without training to do, scored on this split.

    layer: of the network, which has its dense weights again; accuracy then changes against the
    network of the recipe, and the cost is that network's. Never stored.
    """

    recipe: Recipe
    split: str = "validation"
    layer: str = ""

    @property
    def key(self) -> str:
        return "/".join(filter(None, (self.recipe.digest, self.split, self.layer)))


@dataclass
class _Base:
    """The stored network that settings start from, on one split.

    inputs: (N, *shape); prior: of that network's margins; dense_answers, baseline: of the dense
    network that results are compared with; scored: settings scored in full, with margins (N,);
    beside: what is known near some of them, by their digests.
    """

    split: Split
    inputs: torch.Tensor
    labels: np.ndarray
    prior: Prior
    dense_answers: np.ndarray | None
    baseline: Baseline
    scored: deque[tuple[Recipe, np.ndarray]] = field(default_factory=lambda: deque(maxlen=64))
    beside: LRUCache[str, Prior] = field(default_factory=lambda: LRUCache(8))

    def prior_of(self, recipe: Recipe) -> Prior:
        """What is known of a setting before one looks: best from a near one, scored in full."""
        words, here = coordinates(recipe)
        least, nearest = NEAR, None
        for other, found in self.scored:
            its_words, there = coordinates(other)
            if its_words == words:
                apart = sum(abs(x - y) for x, y in zip(here, there, strict=True))
                if apart <= least:
                    least, nearest = apart, (other.digest, found)
        if nearest is None:
            return self.prior
        digest, found = nearest
        if digest not in self.beside:
            self.beside[digest] = self.prior.beside(found)
        return self.beside[digest]


@dataclass
class _Look:
    """One setting while it is looked at.

    before: answers that its own are compared with, or None; forward: its network; margins, losses,
    answers: (N,), of the images seen; pace: seconds per image; score, loss: once all are seen, when
    of the others only the answers are needed still; weighed: whether the cost is that of the file,
    not an estimate.
    """

    ask: Ask
    base: _Base
    cost: Cost
    before: np.ndarray | None
    forward: Forward | None
    estimator: Estimator | None
    margins: np.ndarray | None
    losses: np.ndarray | None
    answers: np.ndarray
    pace: float = 0.0
    score: Accuracy | None = None
    loss: float = math.nan
    weighed: bool = False

    @property
    def seen(self) -> int:
        return self.estimator.seen if self.estimator else len(self.answers)

    def preview(self) -> Preview:
        known = self.ask.recipe, self.ask.split, self.cost, self.base.baseline
        if self.score is not None:
            m, n = self.score.metric, self.score.total
            exact = Estimate(m.value, m.value, m.value, n, n)
            return Preview(*known, exact, m, self.loss, self.score, self.weighed)
        assert self.estimator is not None and self.losses is not None
        e = self.estimator.estimate()
        low, high = (wilson(round(share * e.total), e.total) for share in (e.low, e.high))
        loss = self.estimator.mean(self.losses)
        return Preview(*known, e, Metric(e.value, low.low, high.high), loss, None, self.weighed)

    def see_more(self) -> None:
        """One batch: the next of the schedule, or as many images as a moment allows."""
        assert self.forward and self.estimator
        assert self.margins is not None and self.losses is not None
        start, seen, total = time.perf_counter(), self.seen, len(self.answers)
        n = next((planned for planned in SCHEDULE if planned > seen), total) - seen
        if seen >= FIRST_SHOWN:
            n = max(min(n, MOST_AT_ONCE), int(SLICE / self.pace))
            n = total if 2 * n > total - seen else n  # a short rest is not worth an estimate
        chosen = self.estimator.draw(n)
        found = self.forward(self.base.inputs, torch.from_numpy(chosen)).numpy()
        labels = self.base.labels[chosen]
        self.answers[chosen] = given = answers(found)
        self.margins[chosen] = margins(found, labels)
        self.losses[chosen] = losses(found, labels)
        self.estimator.see(chosen, given == labels)
        self.pace = (time.perf_counter() - start) / len(chosen)
        if self.seen == total:
            self.loss = float(self.losses.mean())
            self.score = accuracy(self.answers, self.base.split, self.before, self.loss)
            if not self.ask.layer:
                self.base.scored.append((self.ask.recipe, self.margins))
            self.forward = self.estimator = self.margins = self.losses = None


class Live:
    """Answers asks, in one process and one thread; what it keeps is bounded."""

    def __init__(self, store: Store) -> None:
        self.store, self.memory = store, Memory()
        self._bases: LRUCache[str, _Base] = LRUCache(8)
        self._open: LRUCache[str, _Look] = LRUCache(64)  # two megabytes each
        self._done: LRUCache[str, _Look] = LRUCache(2_000)

    def advance(self, ask: Ask, goal: Goal, until: float = math.inf) -> Preview | Result:
        """What is known of an ask after working on it until the goal is reached, or the time (of
        `perf_counter`) is over; the first estimate is always there.

        Raises JobError for a recipe that would have to train.
        """
        with one_thread():
            return self._advance(ask, goal, until)

    def _advance(self, ask: Ask, goal: Goal, until: float) -> Preview | Result:
        look = self._look(ask)
        while look.seen < FIRST_SHOWN and look.score is None:
            look.see_more()
        if not look.weighed and (goal != "estimate" or look.score is not None):
            self._weigh(look)
        while goal != "estimate" and look.score is None and time.perf_counter() < until:
            look.see_more()
        if look.score is not None and ask.key in self._open:
            self._done[ask.key] = self._open.pop(ask.key)
        if goal != "stored" or look.score is None or ask.layer:
            return look.preview()
        known = {ask.split: Seen(look.answers, look.loss)}
        return run(
            ask.recipe, self.store, split=ask.split, keep=False, memory=self.memory, answers=known
        )

    def _look(self, ask: Ask) -> _Look:
        look = self._done.get(ask.key) or self._open.get(ask.key)
        if look is None:
            look = self._open[ask.key] = self._new_look(ask)
        return look

    def _new_look(self, ask: Ask) -> _Look:
        check(ask.recipe)
        base = self._base(ask)
        made = build_up(ask.recipe, self.store, self.memory, exact=False)
        before = None if ask.recipe == ask.recipe.dense else base.dense_answers
        known = self._done.get(Ask(ask.recipe, ask.split).key)
        with frozen_weights():
            model = made.model
            if ask.layer:
                before = self._answers(ask)
                dense = start_network(ask.recipe.dense, self.store, self.memory).model
                model = restored(made.model, dense, ask.layer)
            forward = Forward(model)
            cost = (
                known.cost
                if known and ask.layer
                else cost_of(made.model, made, *self._about(ask.recipe, made), zip_bytes=None)
            )
        seed, n = int(ask.recipe.digest[:8], 16), len(base.split)
        estimator = Estimator(base.prior_of(ask.recipe), seed)
        empty = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.uint8)
        return _Look(ask, base, cost, before, forward, estimator, *empty)

    def _about(self, recipe: Recipe, made: Made) -> tuple[int, tuple[Part, ...]]:
        """About how long the file is, and its parts."""
        return storage.estimate(made.compressed, self.memory.ratios.of(recipe))

    def _weigh(self, look: _Look) -> None:
        """Write the file, to know how long it is."""
        recipe = look.ask.recipe
        made = build_up(recipe, self.store, self.memory)
        file, parts = self.memory.file(recipe, made.compressed)
        with frozen_weights():
            look.cost = cost_of(made.model, made, len(file), parts, zip_bytes=None)
        look.weighed = True

    def _answers(self, ask: Ask) -> np.ndarray:
        """What the recipe's own network answers; usually it has been looked at already."""
        found = self.store.predictions(ask.recipe.digest, ask.split)
        if found is not None:
            return found
        own = self._look(Ask(ask.recipe, ask.split))
        while own.score is None:
            own.see_more()
        return own.answers

    def _base(self, ask: Ask) -> _Base:
        dense, start = ask.recipe.dense, start_of(ask.recipe, self.store)
        if any(step.is_training for step in ask.recipe.steps[len(start.steps) :]):
            raise JobError(
                "{recipe.label}: has to be trained first, which the sliders do not do",
                recipe=ask.recipe,
            )
        key = f"{start.digest}/{dense.digest}/{ask.split}"
        if key not in self._bases:
            data = load(start.dataset)
            split = data.split(ask.split)
            labels = split.labels.numpy()
            network = start_network(start, self.store, self.memory).model
            prior = Prior(labels, margins(logits(network, data, split), labels))
            result = run(dense, self.store, split=ask.split, keep=False, memory=self.memory)
            before = self.store.predictions(dense.digest, ask.split)
            self._bases[key] = _Base(
                split, data.inputs(split), labels, prior, before, result.baseline
            )
        return self._bases[key]
