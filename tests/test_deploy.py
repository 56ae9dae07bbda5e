"""What docs/deploy.md promises of a cluster, by its own commands: a scheduler and workers with TLS,
PostgreSQL, and one of them killed in the middle of a job.
"""

import importlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dask
import pytest

from compression.baselines import baseline
from compression.goals import Goal
from compression.grid import Axis, Sweep
from compression.jobs import Ask, DaskEngine
from compression.pipeline import run
from compression.recipe import parse_step, parse_steps
from compression.search import Search
from compression.settings import ROOT, Settings
from compression.store import Store

from .elsewhere import Postgres, Process, answers, block, free_port, postgres, settings_of, until
from .helpers import made_result

pytestmark = [pytest.mark.slow, pytest.mark.alone]
DENSE = baseline("lenet_300_100", "digits")


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    """The certificates, by the page's commands."""
    folder = tmp_path_factory.mktemp("keys")
    subprocess.run(
        ["bash", "-euc", block("Keys", "sh")], cwd=folder, check=True, capture_output=True
    )
    return folder


def test_the_certificates_hold_before_a_strict_reader(keys):
    for machine in ("scheduler", "www", "worker1", "worker2"):
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.crt", f"{machine}.crt"]
        subprocess.run(command, cwd=keys, check=True, capture_output=True)


@pytest.fixture
def shared(database, keys, monkeypatch) -> dict[str, str]:
    """The page's settings of the lab's own machine."""
    found = settings_of("www", keys, database)
    for name, value in found.items():
        if name.startswith("COMPRESSION_"):
            monkeypatch.setenv(name, value)
    return found


SOLVE = """
import sys
from compression.goals import Goal
from compression.search import solve
from compression.store import Store
goal = Goal(dataset="digits", models=("lenet_300_100",), most_points=2.0, epochs=0, seconds=6)
seen = []
solve(goal, Store(), listen=lambda spent, found: seen.append(found.recipe.digest))
print(*seen)
"""


def test_two_processes_share_one_search_from_the_first_moment_on(shared):
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", SOLVE], cwd=ROOT, env=os.environ | shared,
            stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    told = [p.communicate(timeout=240)[0].split() for p in begun]
    assert all(p.returncode == 0 for p in begun) and all(told)
    goal = Goal(dataset="digits", models=("lenet_300_100",), most_points=2.0, epochs=0, seconds=6)
    search = Search(goal, Store())
    known = {t.recipe.digest for t in search.found()}
    search.study._storage._backend.engine.dispose()
    assert known == set(told[0]) | set(told[1])


@dataclass
class Cluster:
    """Its processes, by what they are; engine: a lab's."""

    address: str
    scheduler: Process
    workers: dict[str, Process]
    engine: DaskEngine

    def holder(self, key: str) -> str | None:
        """The name of the worker that a job is with."""
        client = self.engine._client
        info = client.scheduler_info(n_workers=-1)["workers"]
        for address, tasks in client.processing().items():
            if any(key in str(task) for task in tasks):
                return info[address]["name"]
        return None


@pytest.fixture
def cluster(shared, database, keys, tmp_path, monkeypatch) -> Iterator[Cluster]:
    """The scheduler, two workers that train and one that answers, by the page's commands."""
    port = free_port()

    def here(command: str) -> str:
        return command.replace("scheduler.lab.example:8786", f"127.0.0.1:{port}").replace(
            "--port 8786", f"--port {port}"
        )

    env = settings_of("scheduler", keys, database)
    scheduler = Process(here(block("Start it", "sh", 0)), tmp_path / "scheduler.log", env)
    workers = {}
    for line in block("Start it", "sh", 1).splitlines():
        name = line.split("--name ")[1].split()[0]
        env = settings_of("worker2" if name == "batch-2" else "worker1", keys, database)
        workers[name] = Process(here(line), tmp_path / f"{name}.log", env)
    monkeypatch.setenv("COMPRESSION_SCHEDULER", f"tls://127.0.0.1:{port}")
    ours = {k: v for k, v in shared.items() if k.startswith("DASK_")}
    importlib.import_module("distributed")  # its defaults
    config = dask.config.merge(dask.config.config, dask.config.collect_env(ours))
    with dask.config.set(config):
        engine = DaskEngine(Store(), Settings())
        made = Cluster(f"tls://127.0.0.1:{port}", scheduler, workers, engine)
        try:
            until(lambda: engine.ready, "the lab finds the scheduler")
            until(lambda: len(_workers(engine)) == 3, "all workers are there")
            yield made
        finally:
            engine.close()
            for thread in threading.enumerate():  # they may hold a connection still
                if thread.name in ("engine", "supervisor"):
                    thread.join(20)
            engine.store.engine.dispose()
            for process in (*workers.values(), scheduler):
                process.kill()


def _workers(engine: DaskEngine) -> dict[str, dict]:
    client = engine._client
    return client.scheduler_info(n_workers=-1)["workers"] if client else {}


def _names(engine: DaskEngine) -> set[str]:
    return {w["name"] for w in _workers(engine).values()}


def tuned_twice(*sparsities: float) -> tuple:
    steps = []
    for share, epochs in zip(sparsities, (3, 40), strict=True):
        steps += [f"magnitude_pruning:sparsity={share}", f"fine_tune:epochs={epochs}"]
    return tuple(map(parse_step, steps))


def test_a_job_outlives_its_machine_and_gives_the_same_file(cluster, store):
    engine, recipe = cluster.engine, DENSE.then(*tuned_twice(0.5, 0.8))
    engine.supervisor.start()
    axes = (Axis(0, "sparsity", (0.3, 0.4, 0.6, 0.7)),)
    sweep = Sweep(
        "digits", ("lenet_300_100",), parse_steps("magnitude_pruning~fine_tune:epochs=2"), axes
    )
    job = engine.submit(recipe, "anna")
    engine.supervisor.campaigns.start(sweep)
    until(lambda: not job.live or any(e.step == 4 for e in job.history), "it trains again")
    assert job.live, job.error
    first, place = recipe.prefix(3), engine.store._path(f"{recipe.prefix(3).digest}.safetensors")[1]
    assert engine.store.has_checkpoint(first.digest)
    written = Path(place).stat().st_mtime_ns
    died = cluster.holder(job.run_id)
    assert died in ("batch-1", "batch-2")
    cluster.workers[died].kill()
    ask = Ask(DENSE.then(parse_step("magnitude_pruning:sparsity=0.37")))
    engine.want("anna", [ask])
    assert engine.wait(ask, 60) is not None, "sliders answer meanwhile"
    until(lambda: not job.live, "the job ends")
    assert job.state == "done" and job.starts == 1, job.error
    assert Path(place).stat().st_mtime_ns == written, "it went on behind the first training"
    alone = run(recipe, store)
    there = engine.store.get(recipe.digest, "test")
    assert there.file_digest == alone.file_digest and there.test == alone.test
    assert engine.store.file(recipe.digest) == store.file(recipe.digest)
    until(lambda: not engine.supervisor.campaigns.running(), "the sweep ends")
    assert engine.supervisor.campaigns.get(sweep.digest).state == "done"
    recipes, _ = sweep.recipes()
    assert len(engine.store.get_many([r.digest for r in recipes], "test")) == 4


def test_who_has_no_certificate_is_not_let_in_and_nobody_keeps_runs_elsewhere(cluster, tmp_path):
    some = ssl.create_default_context()
    some.check_hostname, some.verify_mode = False, ssl.CERT_NONE
    host, port = cluster.address.removeprefix("tls://").split(":")
    with socket.create_connection((host, int(port)), 10) as bare, pytest.raises(OSError):
        with some.wrap_socket(bare) as connection:  # with TLS 1.3 the "no" comes with the answer
            connection.sendall(b"x" * 64)
            if not connection.recv(64):
                raise ConnectionResetError
    known = cluster.workers["batch-1"]
    other = Process(
        known.command.replace("batch-1", "batch-9"),
        tmp_path / "batch-9.log",
        known.more | {"COMPRESSION_FILES": str(tmp_path / "elsewhere")},
    )
    try:
        until(lambda: "this worker would keep its runs in" in other.log, "it is refused")
        until(lambda: "batch-9" not in _names(cluster.engine), "it leaves")
        assert _names(cluster.engine) == set(cluster.workers)
    finally:
        other.kill()


def test_the_lab_finds_a_scheduler_that_restarts_and_runs_again_what_ran(cluster):
    engine, recipe = cluster.engine, DENSE.then(*tuned_twice(0.4, 0.9))
    job = engine.submit(recipe, "anna")
    until(lambda: job.history, "it trains")
    for process in (cluster.scheduler, *cluster.workers.values()):
        process.kill()
    time.sleep(15)  # longer than the lab waits for the same one
    for process in (cluster.scheduler, *cluster.workers.values()):
        process.start()
    until(lambda: not job.live, "the job ends")
    assert job.state == "done", job.error
    assert [(e.step, e.epoch) for e in job.history if e.step == 4] == [
        (4, i + 1) for i in range(40)
    ]


def test_the_lab_itself_works_with_the_cluster(cluster, shared):
    command = block("Start it", "sh", 2).replace("8501", str(port := free_port()))
    command = command.replace("tls://scheduler.lab.example:8786", cluster.address)
    lab = Process(command, cluster.scheduler.log_file.with_name("lab.log"), shared)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/_stcore/health"), "it starts")
        assert answers(f"http://127.0.0.1:{port}/_stcore/script-health-check")
    finally:
        lab.kill(signal.SIGTERM)
    assert "Traceback" not in lab.log


def test_a_backup_brings_everything_back(shared, database, keys, tmp_path):
    store, recipe = Store(), DENSE.then(parse_step("magnitude_pruning:sparsity=0.45"))
    result = run(recipe, store)
    file = store.file(recipe.digest)

    def here(command: str, name: str, files: Path) -> str:
        command = command.replace("db.lab.example:5432/lab", f"127.0.0.1:{database.port}/{name}")
        return command.replace("/srv/lab/files", str(files))

    path = f"{database.bin}:{os.environ['PATH']}"
    run_sh = partial(subprocess.run, cwd=tmp_path, env=os.environ | {"PATH": path}, check=True)
    run_sh(["bash", "-euc", here(block("Backup", "sh", 0), "lab", keys / "files")])
    database.sql("CREATE DATABASE again OWNER lab;")
    (tmp_path / "again").mkdir()
    run_sh(["bash", "-euc", here(block("Backup", "sh", 1), "again", tmp_path / "again")])
    back = Store(store.database.removesuffix("/lab") + "/again", str(tmp_path / "again"))
    assert back.get(recipe.digest, "test") == result and back.file(recipe.digest) == file
    for one in (store, back):
        one.engine.dispose()


def test_writers_at_once_leave_the_fuller_result(shared):
    stores = [Store() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for turn in range(10):
            one = DENSE.then(parse_step(f"magnitude_pruning:sparsity=0.{51 + turn}"))
            put = [made_result(one, tested=i == 0) for i in range(4)]
            list(pool.map(lambda s, r: s.put(r, {}, kept=False), stores, put))
            assert stores[0].get(one.digest, "test") is not None
    for one in stores:
        one.engine.dispose()
