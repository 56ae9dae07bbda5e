"""What every engine offers, and the one that needs no workers.

Live lane: a page says what it wants to know (`want`); that replaces what it wanted before, so a
setting that the hand has left is not worked on any more. Previews tighten until a result is stored.
Batch lane: `submit` starts a job, one per recipe digest; whoever asks the same question attaches to
it. `measure` starts one that times a network, and is alone in the lane while it does.
"""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from cachetools import LRUCache

from ..errors import Cancelled, CompressionError, JobError
from ..language import FIRST, as_read, in_all, speaking, tr
from ..layers import LayerView, layer_views
from ..live import Ask, Goal, Live
from ..pipeline import Progress, compare, nnz_file, run
from ..recipe import Recipe
from ..result import Change, Epoch, Preview, Result
from ..settings import Settings, settings
from ..speed import measure
from ..store import Store
from .supervisor import Supervisor

Failure = Mapping[str, str] | str  # why something failed, as `as_read` takes it
REMEMBERED = 4_000  # results, previews and failures each, in the memory of the web process
DELETED_SECONDS = 1.0  # between two looks at what others have deleted
LOOKING = 3.0  # seconds since the last look at a job within which somebody still looks at it


class _Said:
    """A field that takes a Failure, and is read in the language of whoever reads it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, job: Job | None, owner: type) -> str:
        return as_read(getattr(job, self._name)) if job else ""

    def __set__(self, job: Job, said: Failure) -> None:
        setattr(job, self._name, said)


@dataclass
class Job:
    """A run in the batch lane, or a measurement of speed, as this process sees it.

    state: queued, running, done, cancelled or failed; split, keep: as of `pipeline.run`; alone: it
    measures; given: it is no longer held back here; starts: that ended with the death of its
    worker; unwanted: it was cancelled; error: why it failed, or an empty string; heard: the last
    progress of the worker, in its English.
    """

    recipe: Recipe
    split: str = "test"
    keep: bool = True
    alone: bool = False
    given: bool = False
    starts: int = 0
    unwanted: bool = False
    state: str = "queued"
    error: _Said = _Said()
    heard: Progress | None = None
    history: list[Epoch] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)  # owner -> when they last looked
    created: float = field(default_factory=time.time)
    run_id: str = ""  # of this start of it: its topic and stop event on the cluster
    future: Any = None

    @property
    def digest(self) -> str:
        return self.recipe.digest

    @property
    def key(self) -> str:
        """Of a run its digest, so that everybody who asks for it attaches to it."""
        return speed_key(self.digest) if self.alone else self.digest

    @property
    def label(self) -> str:
        label = self.recipe.label
        return tr("speed of {label}", label=label) if self.alone else label

    @property
    def progress(self) -> Progress | None:
        """How far it is, its label as whoever reads says it."""
        p = self.heard
        if p is None:
            return None
        return replace(p, label=tr(p.label) if self.alone else self.recipe.steps[p.step].label())

    @property
    def work(self) -> Callable[..., object]:
        """What is done, given the store, `listen` and `stopped`."""
        if self.alone:
            return partial(measure, self.recipe)
        return partial(run, self.recipe, split=self.split, keep=self.keep)

    @property
    def live(self) -> bool:
        return self.state in ("queued", "running")

    def put(self, event: dict[str, Any]) -> None:
        """Take one event of the worker. Called from the engine's thread."""
        kind = event["kind"]
        if kind == "progress":
            self.state = "running" if self.live else self.state
            epoch = Epoch(**event["epoch"]) if event["epoch"] else None
            self.heard = Progress(**{**event["progress"], "epoch": epoch})
            if epoch:  # what a start that died had seen of them is seen again
                here = epoch.step, epoch.epoch
                before = [e for e in self.history if (e.step, e.epoch) < here]
                self.history = [*before, epoch]
        elif self.live:
            self.state, self.error = kind, event.get("error", "")


def speed_key(digest: str) -> str:
    """Of the job that measures a recipe's speed."""
    return f"{digest}-speed"


def progress_event(p: Progress) -> dict[str, Any]:
    """Plain values, so that an event passes any wire."""
    values = {k: v for k, v in asdict(p).items() if k != "epoch"}
    return {"kind": "progress", "progress": values, "epoch": asdict(p.epoch) if p.epoch else None}


class Engine(ABC):
    """submit, cancel, jobs for the batch lane; want, wait for the live lane."""

    def __init__(self, store: Store, limits: Settings | None = None) -> None:
        self.store, self.limits = store, limits or settings()
        self.jobs: dict[str, Job] = {}
        self._results: LRUCache[str, Result] = LRUCache(REMEMBERED)
        self._previews: LRUCache[str, Preview] = LRUCache(REMEMBERED)
        self._failures: LRUCache[str, Failure] = LRUCache(REMEMBERED)
        self._absent: LRUCache[str, bool] = LRUCache(10 * REMEMBERED)  # not in the store
        self._deleted_looked = -math.inf
        self._changed = threading.Condition(threading.RLock())
        self.supervisor = Supervisor(self)

    # what is known

    def result(self, ask: Ask) -> Result | None:
        """The result if it is stored. The store is asked once; later it comes from the lanes."""
        self._look_up([ask])
        with self._changed:
            return self._results.get(ask.key)

    def known(self, ask: Ask) -> Result | Preview | None:
        """The result, or else the best preview so far."""
        return self.result(ask) or self._previews.get(ask.key)

    def failure(self, ask: Ask) -> str:
        """Why this could not be computed, or an empty string."""
        return as_read(self._failures.get(ask.key, ""))

    def wait(self, ask: Ask, seconds: float) -> Result | Preview | None:
        """What is known, as soon as it is, within so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.known(ask) or self.failure(ask), seconds)
            return self.known(ask)

    def progress(self, asks: Sequence[Ask]) -> tuple[object, ...]:
        """How well these asks are known: when it changes, a page that shows them is to be redrawn.

        The first is the setting itself, of which it also matters whether it is stored.
        """
        with self._changed:
            return (asks[0].key in self._results, *(self._seen(a.key) for a in asks))

    def _seen(self, key: str) -> float:
        """Images that are seen for an ask; infinity for all of them."""
        preview = self._previews.get(key)
        if key in self._results or (preview and preview.estimate.exact):
            return math.inf
        return preview.estimate.seen if preview else 0

    def settled(self, asks: Sequence[Ask]) -> bool:
        """Whether nothing more is to come: all are scored in full, the first is stored too, or
        there is a reason why not.
        """
        with self._changed:
            first = asks[0].key in self._results or self.failure(asks[0])
            return bool(first) and all(
                self._seen(a.key) == math.inf or self.failure(a) for a in asks
            )

    def storing(self, owner: str) -> bool:
        """Whether settings that this person has passed are still to be stored."""
        return False

    @property
    def watchers(self) -> int:
        """People who wait for something just now."""
        return 0

    def _look_up(self, asks: Iterable[Ask]) -> None:
        """Fetch from the store what is there, in one query; what is not there is noted."""
        if time.monotonic() - self._deleted_looked > DELETED_SECONDS:
            self._deleted_looked = time.monotonic()
            self._forget(self.store.deleted())
        with self._changed:
            unseen = (a for a in asks if not (a.key in self._results or a.key in self._absent))
            new = [a for a in unseen if not a.layer]  # of single layers nothing is stored
        for split in {a.split for a in new}:
            found = self.store.get_many([a.recipe.digest for a in new if a.split == split], split)
            for ask in new:
                if ask.split != split:
                    continue
                if ask.recipe.digest in found:
                    self._remember(ask.key, found[ask.recipe.digest])
                else:
                    self._absent[ask.key] = True

    def _remember(self, key: str, found: Result | Preview | Failure) -> None:
        """Take what the live lane has found out: a result, a preview, or why there is none."""
        with self._changed:
            before = self._previews.get(key)
            if isinstance(found, Result):
                self._results[key] = found
                self._previews.pop(key, None)
            elif not isinstance(found, Preview):
                self._failures[key] = found
            elif before is None or found.estimate.seen >= before.estimate.seen:
                self._previews[key] = found
            self._changed.notify_all()

    def delete(self, digest: str) -> None:
        """Delete a stored run, see `Store.delete`. Raises JobError while it is being run."""
        job = self.jobs.get(digest)
        if job is not None and job.live:
            raise JobError("it is being run just now: cancel that first")
        self.store.delete(digest)
        self._forget([digest])

    def _forget(self, digests: Iterable[str]) -> None:
        """Let go of the results of runs that were deleted, here or by another process."""
        with self._changed:
            for key in (f"{d}/{split}" for d in digests for split in ("validation", "test")):
                self._results.pop(key, None)

    def _ended(self, job: Job) -> None:
        """A job has ended: what it stored may be new, and others may start."""
        with self._changed:
            for split in ("validation", "test"):
                self._absent.pop(f"{job.digest}/{split}", None)
            self._changed.notify_all()
        self._start_due()

    # batch lane

    def submit(
        self,
        recipe: Recipe,
        owner: str,
        *,
        split: str = "test",
        keep: bool = True,
        counted: bool = True,
    ) -> Job:
        """Start a job, or attach to the one that runs already.

        split, keep: as of `pipeline.run`; counted: False for those of a sweep or a search, which
        keeps few at once by itself. Raises JobError when too many are waiting.
        """
        return self._enter(Job(recipe, split, keep), owner, counted)

    def measure(self, recipe: Recipe, owner: str) -> Job:
        """Measure the speed of a recipe's network, whose training must be stored, or attach to the
        one who does. It waits for the jobs before it, and those behind it wait for it.
        """
        return self._enter(Job(recipe, alone=True), owner)

    def _enter(self, job: Job, owner: str, counted: bool = True) -> Job:
        with self._changed:
            there = self.jobs.get(job.key)
            if there is None or not there.live:
                waiting = [j for j in self.jobs.values() if j.live] if counted else []
                if sum(owner in j.seen for j in waiting) >= self.limits.queue_per_person:
                    raise JobError(
                        "{n} of your jobs are running or waiting; cancel one, or wait for it",
                        n=self.limits.queue_per_person,
                    )
                if len(waiting) >= self.limits.queue_total:
                    raise JobError(
                        "the queue is full: {n} jobs of all people together; try again later",
                        n=self.limits.queue_total,
                    )
                self.jobs.pop(job.key, None)  # it comes last, though it was there before
                there = self.jobs[job.key] = job
                self._forget_old_jobs()
            there.seen[owner] = time.time()
        self._start_due()
        return there

    def _start_due(self) -> None:
        """Start what need not wait any more: a job that measures waits for all before it, and all
        behind it wait for that.
        """
        due: list[Job] = []
        with self._changed:
            live = [job for job in self.jobs.values() if job.live] if self.ready else []
            for i, job in enumerate(live):
                if not job.given and (i == 0 or not job.alone):
                    job.given = True
                    due.append(job)
                if job.alone:
                    break
        for job in due:
            self._start(job)

    def look(self, key: str, owner: str) -> Job | None:
        """The job of this key; notes that its owner is there."""
        job = self.jobs.get(key)
        if job is not None and job.live:
            job.seen[owner] = time.time()
        return job

    def jobs_of(self, owner: str) -> list[Job]:
        """Running and waiting jobs that this person started or looked at, the oldest first."""
        mine = [job for job in list(self.jobs.values()) if job.live and owner in job.seen]
        return sorted(mine, key=lambda job: job.created)

    def place(self, job: Job) -> int:
        """How many jobs are before this one in the queue."""
        return sum(j.live and j.created < job.created for j in list(self.jobs.values()))

    def cancel(self, key: str, owner: str) -> bool:
        """Stop a job and keep nothing of it.

        False: others look at it too, so it goes on without this person.
        """
        job = self.jobs.get(key)
        if job is None or not job.live:
            return True
        job.seen.pop(owner, None)
        if any(time.time() - t < LOOKING for t in job.seen.values()):
            return False
        self._stop(job)
        self._start_due()
        return True

    def _forget_old_jobs(self) -> None:
        ended = [key for key, job in self.jobs.items() if not job.live]
        for key in ended[:-200]:
            del self.jobs[key]

    # what an engine adds

    @abstractmethod
    def want(self, owner: str, asks: Sequence[Ask]) -> None:
        """What this person wants to know now, most urgent first; replaces earlier wishes."""

    @abstractmethod
    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function of the library gives for the arguments and the store, which it takes
        last, from the live lane, now. Raises JobError while the workers start.
        """

    @abstractmethod
    def _start(self, job: Job) -> None: ...

    @abstractmethod
    def _stop(self, job: Job) -> None: ...

    def file(self, recipe: Recipe) -> bytes:
        """The .nnz file of a recipe whose training is stored."""
        return self.call(nnz_file, recipe)

    def layers(self, recipe: Recipe) -> tuple[LayerView, ...]:
        """Each layer of a recipe's network, from inside. Its training must be stored."""
        return self.call(layer_views, recipe)

    def wait_for_change(self, seconds: float) -> None:
        """Until a job or an ask has moved, at most so long."""
        with self._changed:
            self._changed.wait(seconds)

    def compare(
        self, before: str, after: str, dataset: str, split: str = "validation"
    ) -> Change | None:
        """Paired difference of two stored runs, by their digests; None where one was not scored on
        the split.
        """
        return self.call(compare, before, after, dataset, split)

    @property
    def ready(self) -> bool:
        """Whether the workers are there."""
        return True

    @abstractmethod
    def close(self) -> None:
        """Stop the workers."""


class InlineEngine(Engine):
    """Everything at once, in the caller's thread, and in English as workers do it: for tests and
    for looking closely.
    """

    def __init__(self, store: Store, limits: Settings | None = None) -> None:
        super().__init__(store, limits)
        self._live = Live(store)

    def want(self, owner: str, asks: Sequence[Ask]) -> None:
        self._look_up(asks)
        for i, ask in enumerate(asks):
            if not self.settled([ask] if i == 0 else [asks[0], ask]):
                try:
                    goal: Goal = "exact" if i else "stored"
                    with speaking(FIRST):
                        found = self._live.advance(ask, goal)
                    self._remember(ask.key, found)
                except CompressionError as e:
                    self._remember(ask.key, in_all(e.__str__))

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with speaking(FIRST):
            return function(*arguments, self.store)

    def _start(self, job: Job) -> None:
        def stopped() -> bool:
            return job.state == "cancelled"

        try:
            with speaking(FIRST):
                job.work(self.store, listen=lambda p: job.put(progress_event(p)), stopped=stopped)
            job.put({"kind": "done"})
        except Cancelled:
            job.put({"kind": "cancelled"})
        except CompressionError as e:
            job.put({"kind": "failed", "error": in_all(e.__str__)})
        self._ended(job)

    def _stop(self, job: Job) -> None:
        job.state = "cancelled"

    def close(self) -> None:
        return None
