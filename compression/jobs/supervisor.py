"""Works off sweeps and searches: a few jobs of each in the batch lane, behind what people wait for.

It keeps nothing to itself: what is done lies in the store and in the study, so another server, or
this one after a restart, goes on where it stands.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import TYPE_CHECKING, Protocol

from ..campaigns import Campaign, Campaigns
from ..errors import CompressionError
from ..goals import Goal, answer, tried
from ..grid import Sweep
from ..language import tr
from ..recipe import Recipe
from ..search import found_for, next_of, told

if TYPE_CHECKING:
    from .engine import Engine, Job

log = logging.getLogger(__name__)
TICK = 0.3  # seconds between two rounds while something is running
IDLE = 1.0  # and while nothing is
NOTED = 3.0  # seconds of work after which the time that was spent is noted
TRIES = 2  # starts of a run whose worker dies


class _Work(Protocol):
    """What is done for one campaign. advance: one round without waiting; True: all is done."""

    def advance(self, spent: float, room: int) -> bool: ...

    @property
    def jobs(self) -> list[Job]: ...


class Supervisor:
    """The one of an engine. `start` calls `step` again and again, in the background."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.campaigns = engine, Campaigns(engine.store)
        self._name = uuid.uuid4().hex
        self._works: dict[str, _Work] = {}
        self._spent: dict[str, float] = {}  # seconds that are not noted yet
        self._last, self._turn = time.monotonic(), 0
        self._lock = threading.Lock()
        self._closed, self._alone = threading.Event(), False

    def start(self) -> None:
        """Work in the background until `close`."""
        self._alone = True
        threading.Thread(target=self._run, name="supervisor", daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            busy = False
            try:
                busy = self.engine.ready and self.step()
            except Exception:  # the database may be away for a while; this thread must live
                if not self._closed.is_set():
                    log.exception("sweeps and searches pause")
                    self._closed.wait(10)
            if busy:
                self.engine.wait_for_change(TICK)
            else:
                self._closed.wait(IDLE)

    def nudge(self) -> None:
        """One round, where nothing works in the background: a page that is looked at does it."""
        if not self._alone:
            self.step()

    def step(self) -> bool:
        """One round for all running campaigns. Returns whether there are any."""
        if not self._lock.acquire(blocking=False):
            return True
        try:
            now = time.monotonic()
            passed, self._last = now - self._last, now
            running = self.campaigns.claim(self._name) if self.campaigns.running() else []
            self._let_go({c.digest for c in running})
            self._turn += 1
            first = self._turn % max(1, len(running))  # each is the first in its turn
            for campaign in running[first:] + running[:first]:
                self._advance(campaign, passed)
            return bool(running)
        finally:
            self._lock.release()

    def _advance(self, campaign: Campaign, passed: float) -> None:
        digest = campaign.digest
        work = self._works.get(digest)
        if work is None:
            sweep = isinstance(campaign.content, Sweep)
            work = (_SweepWork if sweep else _GoalWork)(campaign, self.engine)
            self._works[digest] = work
            self._spent[digest] = 0.0
        if any(job.state == "running" for job in work.jobs):
            self._spent[digest] += passed
        spent = campaign.spent + self._spent[digest]
        try:
            done = work.advance(spent, self._room())
        except CompressionError as e:
            done = False
            self.campaigns.fail(digest, e)
        if done:
            self.campaigns.note(digest, state="done")
        if done or self._spent[digest] >= NOTED:
            self.campaigns.note(digest, spent=spent)
            self._spent[digest] = 0.0

    def _room(self) -> int:
        """How many more jobs may be put into the batch lane now: none where a person waits."""
        ours = sum(job.live for work in self._works.values() for job in work.jobs)
        queued = sum(job.state == "queued" for job in list(self.engine.jobs.values()))
        ours_queued = sum(j.state == "queued" for w in self._works.values() for j in w.jobs)
        if queued > ours_queued:
            return 0
        return self.engine.limits.batch_workers + 1 - ours

    def _let_go(self, running: set[str]) -> None:
        """Stop the jobs of campaigns that were stopped, and forget those that ended."""
        for digest in set(self._works) - running:
            for job in self._works.pop(digest).jobs:
                self.engine.cancel(job.digest, owner_of(digest))
            spent = self._spent.pop(digest, 0.0)
            before = self.campaigns.get(digest)
            if spent and before:
                self.campaigns.note(digest, spent=before.spent + spent)


def owner_of(digest: str) -> str:
    """The name under which a campaign's jobs run."""
    return f"campaign {digest}"


class _Jobs:
    """The jobs of one campaign that are under way, and how often each recipe was started."""

    def __init__(self, campaign: Campaign, engine: Engine, split: str, keep: bool) -> None:
        self._engine, self._owner = engine, owner_of(campaign.digest)
        self._split, self._keep = split, keep
        self.open: dict[str, Job] = {}
        self._starts: dict[str, int] = {}

    def start(self, recipe: Recipe) -> None:
        self._starts[recipe.digest] = self._starts.get(recipe.digest, 0) + 1
        self.open[recipe.digest] = self._engine.submit(
            recipe, self._owner, split=self._split, keep=self._keep, counted=False
        )

    def ended(self) -> list[Job]:
        """Those that have ended since the last look. One whose worker died is started again."""
        done = []
        for digest, job in list(self.open.items()):
            if job.live:
                self._engine.look(digest, self._owner)
                continue
            del self.open[digest]
            if job.state == "failed" and self._starts[digest] < TRIES:
                self.start(job.recipe)
            else:
                done.append(job)
        return done


class _SweepWork:
    """All recipes of a sweep that are not stored yet, in their order."""

    def __init__(self, campaign: Campaign, engine: Engine) -> None:
        assert isinstance(campaign.content, Sweep)
        self._jobs = _Jobs(campaign, engine, "test", keep=True)
        recipes, _ = campaign.content.recipes()
        there = engine.store.get_many([r.digest for r in recipes], "test")
        self._todo = [r for r in recipes if r.digest not in there]
        self._failed: list[Job] = []

    @property
    def jobs(self) -> list[Job]:
        return list(self._jobs.open.values())

    def advance(self, spent: float, room: int) -> bool:
        self._failed += [job for job in self._jobs.ended() if job.state != "done"]
        for _ in range(min(room, len(self._todo))):
            self._jobs.start(self._todo.pop(0))
        if self._todo or self._jobs.open:
            return False
        if self._failed:
            first = self._failed[0]
            raise CompressionError(
                "{n} runs ended without a result; the first: {recipe.label}: {reason}",
                n=len(self._failed),
                recipe=first.recipe,
                reason=lambda: first.error or tr("cancelled"),
            )
        return True


class _GoalWork:
    """Trials of a search until its time is over; then its answer is scored on the test images."""

    def __init__(self, campaign: Campaign, engine: Engine) -> None:
        assert isinstance(campaign.content, Goal)
        self._goal, self._engine = campaign.content, engine
        self._trials = _Jobs(campaign, engine, "validation", keep=False)
        self._final = _Jobs(campaign, engine, "test", keep=True)
        self._numbers: dict[str, int] = {}  # of trials, by the digests of their recipes
        self._begun: dict[str, float] = {}
        self._asked = False

    @property
    def jobs(self) -> list[Job]:
        return [*self._trials.open.values(), *self._final.open.values()]

    def advance(self, spent: float, room: int) -> bool:
        for job in self._trials.ended():
            self._tell(job)
        while room > 0 and spent < self._goal.seconds:
            busy = frozenset(self._numbers.values())
            number, recipe = self._engine.call(next_of, self._goal, spent, busy)
            self._numbers[recipe.digest] = number
            self._begun[recipe.digest] = time.monotonic()
            self._trials.start(recipe)
            room -= 1
        if self._trials.open or spent < self._goal.seconds:
            return False
        self._final.ended()
        if not self._asked:
            self._asked = True
            best = answer(self._goal, self._engine.call(found_for, self._goal))
            for one in filter(None, (best.best, best.runner_up)):
                self._final.start(one.recipe)
        return not self._final.open

    def _tell(self, job: Job) -> None:
        number = self._numbers.pop(job.digest)
        seconds = time.monotonic() - self._begun.pop(job.digest)
        result = self._engine.store.get(job.digest) if job.state == "done" else None
        found = tried(result, seconds) if result else None
        self._engine.call(told, self._goal, number, found)
