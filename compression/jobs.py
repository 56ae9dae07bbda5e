"""Running things: the live lane answers sliders, the batch lane trains. Only this module knows
dask.

Live: a page says what it wants now (`want`); that replaces what it wanted before, so a setting that
the hand has left
is never computed. People take turns; among one's wishes the first is the most urgent.
Batch: `submit` starts a job, one per recipe digest; whoever asks the same question attaches to it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import Cancelled, CompressionError, JobError
from .pipeline import Progress, compare, missing_training, nnz_file, run
from .recipe import Recipe
from .result import Change, Epoch, Result
from .settings import Settings, settings
from .store import Store

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

log = logging.getLogger(__name__)
REMEMBERED = 4_000  # results in the memory of the web process
PATIENCE = 10.0  # seconds after which somebody who does not ask any more is taken for gone
LOOKING = 3.0  # seconds since the last look at a job within which somebody still looks at it
EVENT_EVERY = 0.4  # seconds between two progress events of a job
WORKER_DIED = "its worker died; nothing finished was lost, press again to run it again"


@dataclass(frozen=True)
class Ask:
    """What a slider wants to know: a recipe without training to do, scored on this split."""

    recipe: Recipe
    split: str = "validation"

    @property
    def key(self) -> str:
        return f"{self.recipe.digest}/{self.split}"


@dataclass
class Job:
    """A run in the batch lane, as this process sees it.

    state: queued, running, done, cancelled or failed.
    """

    recipe: Recipe
    state: str = "queued"
    error: str = ""
    progress: Progress | None = None
    history: list[Epoch] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)  # owner -> when they last looked
    created: float = field(default_factory=time.time)
    run_id: str = ""  # of this start of it: its topic and stop event on the cluster
    future: Any = None

    @property
    def digest(self) -> str:
        return self.recipe.digest

    @property
    def live(self) -> bool:
        return self.state in ("queued", "running")

    def put(self, event: dict[str, Any]) -> None:
        """Take one event of the worker. Called from the engine's thread."""
        kind = event["kind"]
        if kind == "progress":
            self.state = "running" if self.live else self.state
            epoch = Epoch(**event["epoch"]) if event["epoch"] else None
            self.progress = Progress(**{**event["progress"], "epoch": epoch})
            if epoch:
                self.history.append(epoch)
        elif self.live:
            self.state, self.error = kind, event.get("error", "")


def progress_event(p: Progress) -> dict[str, Any]:
    """Plain values, so that an event passes any wire."""
    values = {k: v for k, v in asdict(p).items() if k != "epoch"}
    return {"kind": "progress", "progress": values, "epoch": asdict(p.epoch) if p.epoch else None}


class Engine(ABC):
    """submit, cancel, jobs for the batch lane; want, wait for the live lane."""

    def __init__(self, store: Store, limits: Settings | None = None) -> None:
        self.store, self.limits = store, limits or settings()
        self.jobs: dict[str, Job] = {}
        self._results: OrderedDict[str, Result] = OrderedDict()
        self._failures: OrderedDict[str, str] = OrderedDict()
        self._changed = threading.Condition(threading.RLock())

    # results --------------------------------------------------------------------------------------
    # -------------

    def result(self, ask: Ask) -> Result | None:
        """The result if it is known, from memory or from the store."""
        with self._changed:
            found = self._results.get(ask.key)
            if found is not None:
                self._results.move_to_end(ask.key)
                return found
        found = self.store.get(ask.recipe.digest, ask.split)
        if found is not None:
            self._remember(ask, found)
        return found

    def failure(self, ask: Ask) -> str:
        """Why this could not be computed, or an empty string."""
        return self._failures.get(ask.key, "")

    def wait(self, ask: Ask, seconds: float) -> Result | None:
        """The result, if it comes within so many seconds."""
        end = time.monotonic() + seconds
        with self._changed:
            while not (found := self._results.get(ask.key)) and ask.key not in self._failures:
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
        return found or self.result(ask)

    def _remember(self, ask: Ask, result: Result) -> None:
        with self._changed:
            self._results[ask.key] = result
            while len(self._results) > REMEMBERED:
                self._results.popitem(last=False)
            self._changed.notify_all()

    def _note_failure(self, ask: Ask, error: str) -> None:
        with self._changed:
            self._failures[ask.key] = error
            while len(self._failures) > REMEMBERED:
                self._failures.popitem(last=False)
            self._changed.notify_all()

    # batch lane -----------------------------------------------------------------------------------
    # -------------

    def submit(self, recipe: Recipe, owner: str) -> Job:
        """Start a job, or attach to the one that runs already.

        Raises JobError when too many are waiting.
        """
        with self._changed:
            job = self.jobs.get(recipe.digest)
            if job is None or not job.live:
                waiting = [j for j in self.jobs.values() if j.live]
                if sum(owner in j.seen for j in waiting) >= self.limits.queue_per_person:
                    raise JobError(
                        f"{self.limits.queue_per_person} of your jobs are running or waiting;"
                        " cancel one, or wait for it"
                    )
                if len(waiting) >= self.limits.queue_total:
                    raise JobError(
                        f"the queue is full: {self.limits.queue_total} jobs of all people together;"
                        " try again later"
                    )
                job = self.jobs[recipe.digest] = Job(recipe)
                self._forget_old_jobs()
                start = True
            else:
                start = False
            job.seen[owner] = time.time()
        if start:
            self._start(job)
        return job

    def look(self, digest: str, owner: str) -> Job | None:
        """The job of this digest; notes that its owner is there."""
        job = self.jobs.get(digest)
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

    def cancel(self, digest: str, owner: str) -> bool:
        """Stop a job and keep nothing of it.

        False: others look at it too, so it goes on without this person.
        """
        job = self.jobs.get(digest)
        if job is None or not job.live:
            return True
        job.seen.pop(owner, None)
        if any(time.time() - t < LOOKING for t in job.seen.values()):
            return False
        self._stop(job)
        return True

    def _forget_old_jobs(self) -> None:
        ended = [d for d, job in self.jobs.items() if not job.live]
        for digest in ended[:-200]:
            del self.jobs[digest]

    # what an engine adds
    # ---------------------------------------------------------------------------------------

    @abstractmethod
    def want(self, owner: str, asks: Sequence[Ask]) -> None:
        """What this person wants to know now, most urgent first; replaces earlier wishes."""

    @abstractmethod
    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function gives for the arguments and the store, from the live lane, now."""

    @abstractmethod
    def _start(self, job: Job) -> None: ...

    @abstractmethod
    def _stop(self, job: Job) -> None: ...

    def file(self, recipe: Recipe) -> bytes:
        """The .nnz file of a recipe whose training is stored."""
        return self._call(nnz_file, recipe)

    def compare(
        self, before: str, after: str, dataset: str, split: str = "validation"
    ) -> Change | None:
        """Paired difference of two stored runs, by their digests; None where one was not scored on
        the split.
        """
        return self._call(compare, before, after, dataset, split)

    @property
    def ready(self) -> bool:
        """Whether the workers are there."""
        return True

    @abstractmethod
    def close(self) -> None:
        """Stop the workers."""


class InlineEngine(Engine):
    """Everything at once, in the caller's thread: for tests and for looking closely."""

    def want(self, owner: str, asks: Sequence[Ask]) -> None:
        for ask in asks:
            if self.result(ask) is None and not self.failure(ask):
                try:
                    self._remember(ask, measure(ask, self.store))
                except CompressionError as e:
                    self._note_failure(ask, str(e))

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments, self.store)

    def _start(self, job: Job) -> None:
        stopped = lambda: job.state == "cancelled"  # noqa: E731
        try:
            run(
                job.recipe, self.store, listen=lambda p: job.put(progress_event(p)), stopped=stopped
            )
            job.put({"kind": "done"})
        except Cancelled:
            job.put({"kind": "cancelled"})
        except CompressionError as e:
            job.put({"kind": "failed", "error": str(e)})

    def _stop(self, job: Job) -> None:
        job.state = "cancelled"

    def close(self) -> None:
        return None


def measure(ask: Ask, store: Store) -> Result:
    """What the live lane does for one wish.

    Raises JobError for a recipe that would have to train.
    """
    if missing_training(ask.recipe, store):
        raise JobError(f"{ask.recipe.label}: has to be trained first, which the sliders do not do")
    return run(ask.recipe, store, split=ask.split, keep=False)


class DaskEngine(Engine):
    """Workers in processes of their own, or a cluster at the scheduler's address.

    Starts in the background.
    """

    def __init__(self, store: Store, limits: Settings | None = None) -> None:
        super().__init__(store, limits)
        self._client: Client | None = None
        self._cluster: SpecCluster | None = None
        self._wishes: OrderedDict[str, list[Ask]] = OrderedDict()
        self._asked: dict[str, float] = {}
        self._computing: set[str] = set()
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

    # workers --------------------------------------------------------------------------------------
    # -------------

    def _connect(self) -> None:
        import dask
        from distributed import Client

        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": (
                    0
                ),  # the default runs a job again, silently, when it died
                "distributed.comm.timeouts.connect": "10s",
                "distributed.worker.daemon": True,
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
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        self._lanes = any("live" in w["resources"] for w in workers)
        with self._changed:
            self._client = client
            waiting = [job for job in self.jobs.values() if job.live]
        if self._closed:
            return self.close()
        for job in waiting:
            self._start(job)
        self._dispatch()

    def _lane(self, name: str) -> dict[str, Any]:
        return {"resources": {name: 1}} if self._lanes else {}

    def close(self) -> None:
        self._closed = True
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

    # live lane ------------------------------------------------------------------------------------
    # -------------

    def want(self, owner: str, asks: Sequence[Ask]) -> None:
        open_ = [a for a in asks if a.key not in self._failures and self.result(a) is None]
        with self._changed:
            self._asked[owner] = time.monotonic()
            if open_:
                self._wishes[owner] = open_
            else:
                self._wishes.pop(owner, None)
        self._dispatch()

    def _next(self) -> Ask | None:
        """The first wish of the person whose turn it is, of all who are still there."""
        for owner in list(self._wishes):
            if time.monotonic() - self._asked[owner] > PATIENCE:
                del self._wishes[owner], self._asked[owner]
                continue
            asks = self._wishes[owner]
            while asks:
                ask = asks.pop(0)
                if ask.key not in self._computing and ask.key not in self._results:
                    self._wishes.move_to_end(owner)
                    return ask
            del self._wishes[owner]
        return None

    def _dispatch(self) -> None:
        client = self._client
        if client is None:
            return
        while True:
            with self._changed:
                if len(self._computing) >= self.limits.live_workers:
                    return
                ask = self._next()
                if ask is None:
                    return
                self._computing.add(ask.key)
            future = client.submit(
                _measure_on_worker,
                ask,
                key=f"live-{uuid.uuid4().hex}",
                pure=False,
                priority=10,
                **self._lane("live"),
            )
            future.add_done_callback(lambda f, ask=ask: self._arrived(ask, f))

    def _arrived(self, ask: Ask, future: Any) -> None:
        from distributed.client import ClosedClientError, FutureCancelledError

        try:
            if future.status == "finished":
                self._remember(ask, future.result(timeout=5))
            elif future.status == "error":
                error = future.exception(timeout=5)
                known = isinstance(error, CompressionError)
                self._note_failure(ask, str(error) if known else WORKER_DIED)
            future.release()
        except (ClosedClientError, FutureCancelledError):
            if self._closed:  # the server stops: nobody waits any more
                return
            self._note_failure(ask, WORKER_DIED)
        except (OSError, TimeoutError) as e:
            self._note_failure(ask, str(e))
        with self._changed:
            self._computing.discard(ask.key)
        self._dispatch()

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
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

    # batch lane -----------------------------------------------------------------------------------
    # -------------

    def _start(self, job: Job) -> None:
        client = self._client
        if client is None:
            return  # started as soon as the workers are there
        run_id = f"{job.digest}-{uuid.uuid4().hex[:8]}"
        job.run_id = run_id
        client.subscribe_topic(run_id, lambda event: self._event(job, event[1]))
        future = client.submit(
            _run_on_worker,
            job.recipe,
            run_id,
            key=f"batch-{run_id}",
            pure=False,
            fifo_timeout=0,  # first come, first served; dask would order calls of one moment by key
            **self._lane("batch"),
        )
        job.future = future
        future.add_done_callback(lambda f: self._ended(job, f))

    def _event(self, job: Job, event: dict[str, Any]) -> None:
        job.put(event)
        with self._changed:
            self._changed.notify_all()

    def _ended(self, job: Job, future: Any) -> None:
        if future.status == "error":
            self._event(job, {"kind": "failed", "error": WORKER_DIED})
        elif future.status == "cancelled":
            self._event(job, {"kind": "cancelled"})
        client = self._client
        if client is not None and future.status == "finished":
            self._event(job, future.result(timeout=5))  # the events may be late, the answer is not
            client.unsubscribe_topic(job.run_id)

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
            if "batch" in lanes and "live" not in lanes:
                os.nice(10)
            threading.Thread(target=_warm, daemon=True).start()

    return Warm()


def _warm() -> None:
    import torch

    from .data import load

    torch.set_num_threads(1)
    torch.optim.AdamW(torch.nn.Linear(1, 1).parameters(), lr=0.1)
    load("mnist")


_worker_store: Store | None = None
_worker_lock = threading.Lock()


def _store_on_worker() -> Store:
    global _worker_store
    with _worker_lock:
        if _worker_store is None:
            _worker_store = Store()
        return _worker_store


def _measure_on_worker(ask: Ask) -> Result:
    return measure(ask, _store_on_worker())


def _call_on_worker(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(*arguments, _store_on_worker())


def _run_on_worker(recipe: Recipe, run_id: str) -> dict[str, Any]:
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
            last["check"], stopping = now, stop.is_set()
        return stopping

    emit({"kind": "running"})
    try:
        run(recipe, _store_on_worker(), listen=listen, stopped=stopped)
        end: dict[str, Any] = {"kind": "done"}
    except Cancelled:
        end = {"kind": "cancelled"}
    except CompressionError as e:
        end = {"kind": "failed", "error": str(e)}
    except Exception as e:  # whatever it was, the person who waits must learn of it
        log.exception("job %s", recipe.digest)
        end = {"kind": "failed", "error": f"{type(e).__name__}: {e}"}
    emit(end)
    return end


def make_engine(store: Store) -> Engine:
    """The engine that the settings ask for."""
    return {"dask": DaskEngine, "inline": InlineEngine}[settings().engine](store)
