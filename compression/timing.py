"""How long something takes, on a machine that does other things too: what is compared takes turns,
so that a busy moment hits all of it, and what other programs did meanwhile is noted beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]

Run = Callable[[], object]
WARM_UP = 0.2  # share of a block's seconds before it counts: caches fill, threads wake up
REST = 0.005  # seconds between two blocks: the threads of an engine look out for work for a while


class Spread(NamedTuple):
    """The middle of some numbers, and the half of them around it: median and quartiles."""

    median: float
    low: float
    high: float


class Turns(NamedTuple):
    """Milliseconds of several things that took turns. blocks: a list of runs by thing and turn;
    others: cores that other programs kept busy meanwhile, on average.
    """

    blocks: list[list[list[float]]]
    others: float

    def ms(self, thing: int) -> Spread:
        return spread([t for block in self.blocks[thing] for t in block])

    def runs(self, thing: int) -> int:
        return sum(map(len, self.blocks[thing]))

    def faster(self, thing: int, than: int = 0) -> Spread:
        """How many times, turn by turn."""
        pairs = zip(self.blocks[than], self.blocks[thing], strict=True)
        return spread([statistics.median(a) / statistics.median(b) for a, b in pairs])


def spread(values: Sequence[float]) -> Spread:
    """Of one number or more."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def block(run: Run, seconds: float, least: int = 1, most: int = 2_000) -> list[float]:
    """Milliseconds of each run, one after the other for so long; some before them do not count."""
    until = time.perf_counter() + WARM_UP * seconds
    run()
    while time.perf_counter() < until:
        run()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < least or (time.perf_counter() < until and len(times) < most):
        start = time.perf_counter()
        run()
        times.append(1_000 * (time.perf_counter() - start))
    return times


def take_turns(
    things: Sequence[Run],
    turns: int,
    seconds: float,
    between: Callable[[], None] = lambda: None,
) -> Turns:
    """Each thing for so many seconds a turn, in an order that moves on by one from turn to turn.

    between: called before each block; what it raises ends everything.
    """
    blocks: list[list[list[float]]] = [[] for _ in things]
    with Others() as others:
        for turn in range(turns):
            for i in range(len(things)):
                between()
                time.sleep(REST)
                thing = (turn + i) % len(things)
                blocks[thing].append(block(things[thing], seconds))
    return Turns(blocks, others.cores)


class Others:
    """What other programs do in the meantime. cores: how many they keep busy, on average."""

    def __enter__(self) -> Others:
        self.cores = 0.0
        self._start = time.perf_counter(), _all_seconds(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        then, all_then, mine_then = self._start
        passed = max(1e-3, time.perf_counter() - then)
        mine = time.process_time() - mine_then
        self.cores = max(0.0, (_all_seconds() - all_then - mine) / passed)


def _all_seconds() -> float:
    """Seconds of work of all cores, since the machine started; time that other virtual machines
    took from this one among them.
    """
    t = psutil.cpu_times()
    idle = t.idle + getattr(t, "iowait", 0.0)
    return sum(t) - idle - getattr(t, "guest", 0.0) - getattr(t, "guest_nice", 0.0)
