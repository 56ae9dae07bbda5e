"""The engine on dask.distributed: workers outside the web process, in two lanes. Only this module
and `workers` know dask.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, get_args

from cachetools import TTLCache

from ..errors import JobError
from ..language import as_read, marked
from ..live import Ask, Goal
from ..result import Preview, Result
from ..settings import Settings
from ..store import Store
from .engine import REMEMBERED, Engine, Failure, Job
from .workers import call_on_worker, local_cluster, look_on_worker, warm_plugin, work_on_worker

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

log = logging.getLogger(__name__)
PATIENCE = 10.0  # seconds after which somebody who does not ask any more is taken for gone
MOMENT = 0.03  # seconds of work in one call of the live lane: so long a new setting may wait
# from so many people on a call may be longer, and the next one waits at the worker already
CROWD = 4
CROWD_MOMENT = 0.05
REST = 0.4  # seconds that a hand must rest before its curves are worked on, and anything is stored
BUNDLE = 24  # asks in one call, at most
DEATH_SECONDS = 5.0  # after which what a dying worker was asked is asked again
STARTS = 2  # of a job whose worker dies; its finished trainings are stored, and not run again
LOOK_AGAIN = 2.0  # seconds between two looks at who is on a cluster that others start
WORKER_DIED = marked(
    "its worker died, and so did the next one; nothing finished was lost, press again to run it"
    " again"
)
ASKED_AGAIN = marked("its worker died; it is asked again in a few seconds, by itself")
GOALS: tuple[Goal, ...] = get_args(Goal)
# what is done for a person, in this order: (the setting itself or its curves, the goal); all but
# the first two only while the hand rests
PHASES: tuple[tuple[bool, Goal], ...] = (
    (True, "estimate"),
    (True, "exact"),
    (False, "estimate"),
    (True, "stored"),
    (False, "exact"),
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
        self._calls: Counter[str | None] = Counter()  # how many are under way at each of them
        self._pinned: dict[Any, str] = {}  # calls that wait for one worker, and its address
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
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    @property
    def ready(self) -> bool:
        client = self._client
        return client is not None and client.status != "closed"

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

    def _run(self) -> None:
        """Connect, and look again and again who is there; where others start the scheduler, it may
        come later, or come back.
        """
        first = True
        while not self._closed:
            try:
                if self.ready:
                    self._find_lanes()
                    self._dispatch()
                elif first or self.limits.scheduler:
                    self._connect()
            except Exception as e:  # the scheduler may go at any moment; this thread must live
                if not self._closed:
                    self._trouble(f"the workers can't be reached: {e}")
            first = False
            time.sleep(LOOK_AGAIN)

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
                self._cluster = local_cluster(self.limits)
            where = self.limits.scheduler or self._cluster
            client = Client(where, set_as_default=False, timeout="10s")
        except (OSError, TimeoutError, ValueError) as e:
            return self._trouble(f"the workers can't be reached: {e}")
        try:
            client.register_plugin(warm_plugin(self.store.home if self.limits.scheduler else ""))
        except Exception as e:  # whatever a worker raises
            client.close(timeout=2)
            return self._trouble(f"a worker refuses to work: {e}")
        with self._changed:
            self._client = client
            for job in self.jobs.values():  # what an earlier client had started is lost
                job.given = False
        self._find_lanes()
        if self._closed:
            return self.close()
        self._start_due()
        self._dispatch()

    def _trouble(self, words: str) -> None:
        if words and words != self.trouble:
            log.error(words)
        self.trouble = words

    def _find_lanes(self) -> None:
        """Who answers sliders. Several workers each take a part of the asks, always the same."""
        client = self._client
        if client is None or client.status != "running":
            return
        workers = client.scheduler_info(n_workers=-1)["workers"]
        lanes = {address: w["resources"] for address, w in workers.items()}
        live = sorted(address for address, lane in lanes.items() if "live" in lane)
        with self._changed:
            # where none says which lane it belongs to, all do everything
            self._lanes = not lanes or any(lanes.values())
            self._live = list(live) if len(live) > 1 else [None]
            gone = [call for call, address in self._pinned.items() if address not in lanes]
        for call in gone:  # dask would wait for just this worker for ever
            call.cancel()
        missing = [n for n in ("live", "batch") if not any(n in lane for lane in lanes.values())]
        nobody = f"no worker has the resource {' or '.join(missing)}" if missing else ""
        self._trouble(nobody if self._lanes else "")

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
        return super().failure(ask) or as_read(self._deaths.get(ask.key, ""))

    def _level(self, key: str) -> int:
        """How far an ask is: 0 unknown, 1 estimated, 2 scored in full, 3 stored (or hopeless)."""
        if key in self._results or key in self._failures or key in self._deaths:
            return 3
        preview = self._previews.get(key)
        return 0 if preview is None else 1 + preview.estimate.exact

    def _tasks(self, lane: int) -> list[tuple[Ask, Goal]]:
        """What a live worker does next, the most urgent first.

        First everybody's own setting, who has waited longest first; then their curves, in turns,
        and as soon as these are estimated what is to be stored. What several want is done once.
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
                if self._calls[address] > crowd:
                    continue
                tasks = self._tasks(lane)
                if not tasks:
                    continue
                self._calls[address] += 1
                self._under_way |= {ask.key for ask, _ in tasks}
            future = client.submit(
                look_on_worker,
                tasks,
                CROWD_MOMENT if crowd else MOMENT,
                key=f"live-{uuid.uuid4().hex}",
                pure=False,
                priority=10,
                workers=address,
                **self._lane("live"),
            )
            if address is not None:
                self._pinned[future] = address
            future.add_done_callback(partial(self._arrived, address, tasks))

    def _arrived(self, address: str | None, tasks: list[tuple[Ask, Goal]], future: Any) -> None:
        from distributed.client import ClosedClientError, FutureCancelledError

        found: dict[str, Result | Preview | Failure] = {}
        trouble = ""
        try:
            if future.status == "finished":
                found = future.result(timeout=5)
            else:  # it died, or its worker is gone
                trouble = _error(future) or ASKED_AGAIN
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
            self._pinned.pop(future, None)
            if trouble:
                log.error("the live lane: %s", trouble)
                self._deaths.update({ask.key: trouble for ask, _ in tasks})
            for owner, asks in list(self._wishes.items()):  # who was served goes to the end
                if any(a.key in found for a in asks):
                    self._wishes.move_to_end(owner)
            self._calls[address] -= 1
            self._under_way -= {ask.key for ask, _ in tasks}
            self._changed.notify_all()
        if trouble and self.ready:
            self._find_lanes()
        self._dispatch()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        from distributed import KilledWorker
        from distributed.client import ClosedClientError, FutureCancelledError

        for _ in range(STARTS):
            client = self._client
            if client is None:
                raise JobError("the workers are still starting; try again in a few seconds")
            future = client.submit(
                call_on_worker,
                function,
                arguments,
                key=f"call-{uuid.uuid4().hex}",
                pure=False,
                priority=20,
                **self._lane("live"),
            )
            try:
                return future.result(timeout=60)
            except (KilledWorker, ClosedClientError, FutureCancelledError):
                log.error("the live lane: %s", ASKED_AGAIN)
        raise JobError("the worker that was asked died, and so did the next one; try again")

    # batch lane

    def _start(self, job: Job) -> None:
        client = self._client
        if client is None:
            return  # the server stops
        job.run_id = run_id = f"{job.key}-{uuid.uuid4().hex[:8]}"
        client.subscribe_topic(run_id, lambda event: self._event(job, run_id, event[1]))
        job.future = future = client.submit(
            work_on_worker,
            job.work,
            run_id,
            key=f"batch-{run_id}",
            pure=False,
            fifo_timeout=0,  # first come, first served; dask would order calls of one moment by key
            **self._lane("batch"),
        )
        future.add_done_callback(lambda f: self._finished(job, run_id, f))

    def _event(self, job: Job, run_id: str, event: dict[str, Any]) -> None:
        if run_id == job.run_id:  # not of a start that was given up
            job.put(event)
        with self._changed:
            self._changed.notify_all()

    def _finished(self, job: Job, run_id: str, future: Any) -> None:
        client = self._client
        if client is not None and client.status == "running":
            client.unsubscribe_topic(run_id)
        if run_id != job.run_id or self._closed:
            return
        if future.status == "finished":  # its events may be late, the answer is not
            self._event(job, run_id, future.result(timeout=5))
        elif job.live:
            self._died(job, _error(future))
        self._ended(job)

    def _died(self, job: Job, error: str) -> None:
        """Its worker is gone, or the scheduler is. It goes on elsewhere, behind the last training
        that it finished. error: if it never got so far as to run.
        """
        job.starts += job.state == "running"  # one that waited for this worker did nothing to it
        if job.unwanted:
            job.put({"kind": "cancelled"})
        elif error or job.starts >= STARTS:
            job.put({"kind": "failed", "error": error or WORKER_DIED})
        else:
            log.error("the worker of %s died; it runs again", job.key)
            job.put({"kind": "queued"})
            job.given = False

    def _stop(self, job: Job) -> None:
        from distributed import Event

        client = self._client
        job.unwanted = True
        if client is None or not job.run_id:
            job.state = "cancelled"
            return
        if job.state == "queued":
            job.put({"kind": "cancelled"})
            job.future.cancel()
        Event(f"stop-{job.run_id}", client=client).set()


def _error(future: Any) -> str:
    """Why a call ended without an answer; empty where it was not its own fault."""
    from distributed import KilledWorker

    error = future.exception() if future.status == "error" else None
    fault = error is not None and not isinstance(error, KilledWorker)
    return f"{type(error).__name__}: {error}" if fault else ""
