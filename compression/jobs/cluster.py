"""The engine on dask.distributed: workers outside the web process, in two lanes. Only this module
knows dask.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, get_args

from cachetools import TTLCache

from ..errors import Cancelled, CompressionError, JobError
from ..live import Ask, Goal, Live
from ..pipeline import Progress
from ..result import Preview, Result
from ..settings import Settings
from ..store import Store
from .engine import REMEMBERED, Engine, Job, progress_event

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

log = logging.getLogger(__name__)
PATIENCE = 10.0  # seconds after which somebody who does not ask any more is taken for gone
EVENT_EVERY = 0.4  # seconds between two progress events of a job
MOMENT = 0.03  # seconds of work in one call of the live lane: so long a new setting may wait
# from so many people on a call may be longer, and the next one waits at the worker already
CROWD = 4
CROWD_MOMENT = 0.05
REST = 0.4  # seconds that a hand must rest before its curves are worked on, and anything is stored
BUNDLE = 24  # asks in one call, at most
DEATH_SECONDS = 5.0  # after which what a dying worker was asked is asked again
WORKER_DIED = "its worker died; nothing finished was lost, press again to run it again"
ASKED_AGAIN = "its worker died; it is asked again in a few seconds, by itself"
GOALS: tuple[Goal, ...] = get_args(Goal)
# what is done for a person, in this order: (the setting itself or its curves, the goal); all but
# the first two only while the hand rests
PHASES: tuple[tuple[bool, Goal], ...] = (
    (True, "estimate"),
    (True, "exact"),
    (False, "estimate"),
    (False, "exact"),
    (True, "stored"),
    (False, "stored"),
)


class DaskEngine(Engine):
    """Workers in processes of their own, or a cluster at the scheduler's address.

    Starts in the background.
    """

    def __init__(self, store: Store, limits: Settings | None = None) -> None:
        super().__init__(store, limits)
        self._client: Client | None = None
        self._cluster: SpecCluster | None = None
        self._wishes: OrderedDict[str, list[Ask]] = OrderedDict()
        self._asked: dict[str, float] = {}  # when each person was here last
        self._moved: dict[str, float] = {}  # when each person's setting changed last
        self._live: list[str | None] = [None]  # addresses of live workers; None: any
        self._calls: Counter[int] = Counter()  # how many are under way at each of them
        self._timer: threading.Timer | None = None
        self._under_way: set[str] = set()  # keys of what they work on
        self._deaths: TTLCache[str, str] = TTLCache(REMEMBERED, DEATH_SECONDS)
        self._lanes = True  # whether workers say which lane they belong to
        self._closed = False
        self.trouble = ""
        from distributed.gc import enable_gc_diagnosis

        # now, while nothing is being collected: dask does it in the middle of a collection, and
        # trips
        enable_gc_diagnosis()
        threading.Thread(target=self._connect, name="engine", daemon=True).start()

    @property
    def ready(self) -> bool:
        return self._client is not None

    def storing(self, owner: str) -> bool:
        with self._changed:
            gone = time.monotonic() - self._asked.get(owner, 0.0) > PATIENCE
            return not gone and any(self._level(a.key) < 3 for a in self._wishes.get(owner, []))

    @property
    def watchers(self) -> int:
        now = time.monotonic()
        with self._changed:
            return sum(now - t < PATIENCE for t in self._asked.values())

    # workers

    def _connect(self) -> None:
        import dask
        from distributed import Client

        environ = "distributed.nanny.pre-spawn-environ"
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": (
                    0
                ),  # the default runs a job again, silently, when it died
                "distributed.comm.timeouts.connect": "10s",
                "distributed.worker.daemon": True,
                # dask's default gives every tensor back to the system: scoring takes twice as long
                f"{environ}.MALLOC_TRIM_THRESHOLD_": 1 << 30,
                f"{environ}.MALLOC_MMAP_THRESHOLD_": 1 << 30,
                f"{environ}.MALLOC_ARENA_MAX": 2,
            }
        )
        logging.getLogger("distributed").setLevel(logging.ERROR)
        try:
            if not self.limits.scheduler:
                self._cluster = _local_cluster(self.limits)
            client = Client(
                self.limits.scheduler or self._cluster, set_as_default=False, timeout="10s"
            )
            client.register_plugin(_warm_plugin())
        except (OSError, TimeoutError, ValueError) as e:
            self.trouble = f"the workers can't be reached: {e}"
            log.error(self.trouble)
            return
        with self._changed:
            self._client = client
            self._find_lanes()
        if self._closed:
            return self.close()
        self._start_due()
        self._dispatch()

    def _find_lanes(self) -> None:
        """Who answers sliders. Several workers each take a part of the asks, always the same."""
        assert self._client is not None
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        live = sorted(address for address, w in workers.items() if "live" in w["resources"])
        self._lanes = bool(live)
        self._live = list(live) if len(live) > 1 else [None]

    def _lane(self, name: str) -> dict[str, Any]:
        return {"resources": {name: 1}} if self._lanes else {}

    def close(self) -> None:
        self._closed = True
        self.supervisor.close()
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what runs now ends in the air
        client, cluster = self._client, self._cluster
        self._client = None
        try:
            if client is not None:
                client.close(timeout=2)
            if cluster is not None:
                cluster.close(timeout=5)
        except (OSError, TimeoutError, RuntimeError) as e:
            log.warning("closing the workers: %s", e)

    # live lane

    def want(self, owner: str, asks: Sequence[Ask]) -> None:
        self._look_up(asks)
        with self._changed:
            before, now = self._wishes.get(owner), time.monotonic()
            if before is None or before[0].key != asks[0].key:
                self._moved[owner] = now
                self._wake_up()
            self._wishes[owner] = list(asks)
            self._asked[owner] = now
        self._dispatch()

    def delete(self, digest: str) -> None:
        with self._changed:  # who passed it a moment ago does not want it back
            for owner, asks in list(self._wishes.items()):
                left = [a for a in asks if a.recipe.digest != digest]
                if left:
                    self._wishes[owner] = left
                else:
                    del self._wishes[owner], self._asked[owner], self._moved[owner]
        super().delete(digest)

    def _wake_up(self) -> None:
        """Look again when the hands of this moment have rested, whoever asks in between."""
        if self._timer is None and not self._closed:
            self._timer = threading.Timer(REST, self._rested)
            self._timer.daemon = True
            self._timer.start()

    def _rested(self) -> None:
        with self._changed:
            self._timer = None
            if any(time.monotonic() - moved < REST for moved in self._moved.values()):
                self._wake_up()
        self._dispatch()

    def failure(self, ask: Ask) -> str:
        return super().failure(ask) or self._deaths.get(ask.key, "")

    def _level(self, key: str) -> int:
        """How far an ask is: 0 unknown, 1 estimated, 2 scored in full, 3 stored (or hopeless)."""
        if key in self._results or key in self._failures or key in self._deaths:
            return 3
        preview = self._previews.get(key)
        return 0 if preview is None else 1 + preview.estimate.exact

    def _tasks(self, lane: int) -> list[tuple[Ask, Goal]]:
        """What a live worker does next, the most urgent first.

        First everybody's own setting, who has waited longest first; then their curves, in turns;
        then what remains to be stored. What several want is done once.
        """
        now = time.monotonic()
        for owner in list(self._wishes):
            if now - self._asked[owner] > PATIENCE:
                del self._wishes[owner], self._asked[owner], self._moved[owner]
        waiting = sorted(self._wishes, key=self._moved.__getitem__)
        tasks: dict[tuple[str, Goal], Ask] = {}
        for i, (own, goal) in enumerate(PHASES):
            if i == 2:
                waiting = [o for o in self._wishes if now - self._moved[o] >= REST]
            lists = [self._wishes[o][:1] if own else self._wishes[o][1:] for o in waiting]
            for turn in zip_longest(*lists):
                for ask in filter(None, turn):
                    mine = int(ask.recipe.digest[:4], 16) % len(self._live) == lane
                    open_ = self._level(ask.key) <= GOALS.index(goal)
                    if mine and open_ and ask.key not in self._under_way:
                        tasks[ask.key, goal] = ask
                if len(tasks) >= BUNDLE:
                    return [(ask, goal) for (_, goal), ask in tasks.items()]
        return [(ask, goal) for (_, goal), ask in tasks.items()]

    def _dispatch(self) -> None:
        client = self._client
        if client is None:
            return
        for lane, address in enumerate(self._live):
            with self._changed:
                crowd = len(self._wishes) >= CROWD
                if self._calls[lane] > crowd:
                    continue
                tasks = self._tasks(lane)
                if not tasks:
                    continue
                self._calls[lane] += 1
                self._under_way |= {ask.key for ask, _ in tasks}
            future = client.submit(
                _look_on_worker,
                tasks,
                CROWD_MOMENT if crowd else MOMENT,
                key=f"live-{uuid.uuid4().hex}",
                pure=False,
                priority=10,
                workers=address,
                **self._lane("live"),
            )
            future.add_done_callback(partial(self._arrived, lane, tasks))

    def _arrived(self, lane: int, tasks: list[tuple[Ask, Goal]], future: Any) -> None:
        from distributed.client import ClosedClientError, FutureCancelledError

        found: dict[str, Result | Preview | str] = {}
        trouble = ""
        try:
            if future.status == "finished":
                found = future.result(timeout=5)
            elif future.status == "error":
                trouble = ASKED_AGAIN
            future.release()
        except (ClosedClientError, FutureCancelledError):
            if self._closed:  # the server stops: nobody waits any more
                return
            trouble = ASKED_AGAIN
        except (OSError, TimeoutError) as e:
            trouble = str(e)
        for key, what in found.items():
            self._remember(key, what)
        with self._changed:
            if trouble:
                log.error("the live lane: %s", trouble)
                self._find_lanes()
                self._deaths.update({ask.key: trouble for ask, _ in tasks})
            for owner, asks in list(self._wishes.items()):  # who was served goes to the end
                if any(a.key in found for a in asks):
                    self._wishes.move_to_end(owner)
            self._calls[lane] -= 1
            self._under_way -= {ask.key for ask, _ in tasks}
            self._changed.notify_all()
        self._dispatch()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        client = self._client
        if client is None:
            raise JobError("the workers are still starting; try again in a few seconds")
        future = client.submit(
            _call_on_worker,
            function,
            arguments,
            key=f"call-{uuid.uuid4().hex}",
            pure=False,
            priority=20,
            **self._lane("live"),
        )
        return future.result(timeout=60)

    # batch lane

    def _start(self, job: Job) -> None:
        client = self._client
        if client is None:
            return  # the server stops
        run_id = f"{job.key}-{uuid.uuid4().hex[:8]}"
        job.run_id = run_id
        client.subscribe_topic(run_id, lambda event: self._event(job, event[1]))
        future = client.submit(
            _work_on_worker,
            job.work,
            run_id,
            key=f"batch-{run_id}",
            pure=False,
            fifo_timeout=0,  # first come, first served; dask would order calls of one moment by key
            **self._lane("batch"),
        )
        job.future = future
        future.add_done_callback(lambda f: self._finished(job, f))

    def _event(self, job: Job, event: dict[str, Any]) -> None:
        job.put(event)
        with self._changed:
            self._changed.notify_all()

    def _finished(self, job: Job, future: Any) -> None:
        if future.status == "error":
            self._event(job, {"kind": "failed", "error": WORKER_DIED})
        elif future.status == "cancelled":
            self._event(job, {"kind": "cancelled"})
        client = self._client
        if client is not None and future.status == "finished":
            self._event(job, future.result(timeout=5))  # the events may be late, the answer is not
            client.unsubscribe_topic(job.run_id)
        self._ended(job)

    def _stop(self, job: Job) -> None:
        from distributed import Event

        client = self._client
        if client is None or not job.run_id:
            job.state = "cancelled"
            return
        if job.state == "queued":
            job.put({"kind": "cancelled"})
            job.future.cancel()
        Event(f"stop-{job.run_id}", client=client).set()


def _local_cluster(limits: Settings) -> SpecCluster:
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
                "death_timeout": 30,
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


def _warm_plugin() -> Any:
    from distributed import WorkerPlugin

    class Warm(WorkerPlugin):
        """Torch and the first optimizer cost seconds: pay them before the first click. Training
        yields to sliders.
        """

        name = "warm"

        def setup(self, worker: Any) -> None:
            lanes = worker.state.available_resources
            os.nice(9 if "live" in lanes else 19)  # the page first, then sliders, then training
            threading.Thread(target=_warm, daemon=True).start()

    return Warm()


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


def _look_on_worker(
    tasks: list[tuple[Ask, Goal]], moment: float
) -> dict[str, Result | Preview | str]:
    """As many of the tasks as fit into a moment, at least the first."""
    global _worker_live
    if _worker_live is None:
        _worker_live = Live(_store_on_worker())
    until = time.perf_counter() + moment
    found: dict[str, Result | Preview | str] = {}
    for ask, goal in tasks:
        try:
            found[ask.key] = _worker_live.advance(ask, goal, until)
        except CompressionError as e:
            found[ask.key] = str(e)
        if time.perf_counter() > until:
            break
    return found


def _call_on_worker(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(*arguments, _store_on_worker())


def _work_on_worker(work: Callable[..., object], run_id: str) -> dict[str, Any]:
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
        end = {"kind": "failed", "error": str(e)}
    except Exception as e:  # whatever it was, the person who waits must learn of it
        log.exception("job %s", run_id)
        end = {"kind": "failed", "error": f"{type(e).__name__}: {e}"}
    emit(end)
    return end
