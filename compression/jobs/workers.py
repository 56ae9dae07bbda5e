"""The workers of the dask engine: how ours are started, what each does first, what runs there."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, CompressionError, StoreError
from ..language import in_all
from ..live import Ask, Goal, Live
from ..pipeline import Progress
from ..result import Preview, Result
from ..settings import Settings
from ..store import Store
from .engine import Failure, progress_event

if TYPE_CHECKING:
    from distributed import SpecCluster

log = logging.getLogger(__name__)
EVENT_EVERY = 0.4  # seconds between two progress events of a job
LEAVES_AFTER = 0.5  # seconds: a worker that is refused must have registered before it can leave


def local_cluster(limits: Settings) -> SpecCluster:
    from distributed import Nanny, Scheduler, SpecCluster

    def worker(lane: str) -> dict[str, Any]:
        options = {
            "nthreads": 1,
            "resources": {lane: 1},
            "memory_limit": 0,
            "host": "127.0.0.1",
            "silence_logs": logging.ERROR,
        }
        return {
            "cls": Nanny,
            "options": {
                **options,
                "dashboard": False,
                "dashboard_address": "127.0.0.1:0",
                "death_timeout": 300,  # a busy machine starts one slowly
                "env": {
                    "MALLOC_ARENA_MAX": "2"
                },  # threads that score would keep heaps of their own
            },
        }

    lanes = {f"live-{i}": worker("live") for i in range(limits.live_workers)}
    lanes |= {f"batch-{i}": worker("batch") for i in range(limits.batch_workers)}
    scheduler = {
        "cls": Scheduler,
        "options": {
            "host": "127.0.0.1",
            "port": 0,
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",
        },
    }
    return SpecCluster(scheduler=scheduler, workers=lanes, silence_logs=logging.ERROR, name="lab")


def warm_plugin(home: str) -> Any:
    """What every worker does first. home: of the lab's store; a worker with another one is refused
    and leaves, since nobody would find what it stores. Empty: workers of our own, which have our
    settings.
    """
    from distributed import WorkerPlugin

    class Warm(WorkerPlugin):
        """Torch and the first optimizer cost seconds: pay them before the first click. Training
        yields to sliders.
        """

        name = "warm"

        def setup(self, worker: Any) -> None:
            if home and Store().home != home:
                leave = partial(worker.close_gracefully, restart=False, reason="another store")
                worker.loop.call_later(LEAVES_AFTER, leave)
                raise StoreError(
                    "this worker would keep its runs in {theirs}, but the lab looks for them in"
                    " {home}: give both the same COMPRESSION_STORE and COMPRESSION_FILES",
                    theirs=Store().home,
                    home=home,
                )
            lanes = worker.state.available_resources
            _be_nice(9 if "live" in lanes else 19)  # the page first, then sliders, then training
            threading.Thread(target=_warm, daemon=True).start()

    return Warm()


def _be_nice(value: int) -> None:
    """Take this priority, however often that is said: each lab that connects says it again."""
    if sys.platform != "win32":
        now = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, max(now, value))


def _warm() -> None:
    import torch

    from ..data import load

    torch.set_num_threads(1)
    torch.optim.AdamW(torch.nn.Linear(1, 1).parameters(), lr=0.1)
    load("mnist")


_worker_live: Live | None = None
_worker_store: Store | None = None
_worker_lock = threading.Lock()


def _store_on_worker() -> Store:
    global _worker_store
    with _worker_lock:
        if _worker_store is None:
            _worker_store = Store()
        return _worker_store


def look_on_worker(
    tasks: list[tuple[Ask, Goal]], moment: float
) -> dict[str, Result | Preview | Failure]:
    """As many of the tasks as fit into a moment, at least the first."""
    global _worker_live
    if _worker_live is None:
        _worker_live = Live(_store_on_worker())
    until = time.perf_counter() + moment
    found: dict[str, Result | Preview | Failure] = {}
    for ask, goal in tasks:
        try:
            found[ask.key] = _worker_live.advance(ask, goal, until)
        except CompressionError as e:
            found[ask.key] = in_all(e.__str__)
        if time.perf_counter() > until:
            break
    return found


def call_on_worker(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(*arguments, _store_on_worker())


def work_on_worker(work: Callable[..., object], run_id: str) -> dict[str, Any]:
    """The body of a job. A failure is an event too; its last event is also what it returns."""
    from distributed import Event, get_worker

    worker, stop = get_worker(), Event(f"stop-{run_id}")
    emit: Callable[[dict[str, Any]], None] = lambda event: worker.log_event(run_id, event)  # noqa: E731
    last = {"event": 0.0, "check": 0.0}
    stopping = False

    def listen(p: Progress) -> None:
        now = time.monotonic()
        if p.epoch or now - last["event"] >= EVENT_EVERY:
            last["event"] = now
            emit(progress_event(p))

    def stopped() -> bool:
        nonlocal stopping
        now = time.monotonic()
        if not stopping and now - last["check"] >= 0.1:  # asking takes 0.6 ms
            last["check"] = now
            try:
                stopping = stop.is_set()
            except (AttributeError, OSError):  # the scheduler is gone: so is who waits
                stopping = True
        return stopping

    emit({"kind": "running"})
    try:
        work(_store_on_worker(), listen=listen, stopped=stopped)
        end: dict[str, Any] = {"kind": "done"}
    except Cancelled:
        end = {"kind": "cancelled"}
    except CompressionError as e:
        end = {"kind": "failed", "error": in_all(e.__str__)}
    except Exception as e:  # whatever it was, the person who waits must learn of it
        log.exception("job %s", run_id)
        end = {"kind": "failed", "error": f"{type(e).__name__}: {e}"}
    emit(end)
    return end
