"""The store: what was put in comes out, or a clear word why not; nothing finished gets lost."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from compression.baselines import baseline, shipped
from compression.errors import InvalidInput, StoreError
from compression.pipeline import run
from compression.pruning import MagnitudePruning
from compression.result import Part
from compression.settings import ROOT, Settings, settings
from compression.store import Shelf, Store, read_zoo, write_zoo

from .helpers import made_result

DENSE = baseline("lenet_300_100", "digits")
PRUNED = DENSE.then(MagnitudePruning(sparsity=0.9))
NET = baseline("net", "digits").then(MagnitudePruning(sparsity=0.5))
ANSWERS = {"validation": np.arange(180) % 10, "test": np.arange(360) % 7}


def again(store: Store) -> Store:
    """Another process would open it like this."""
    return Store(store.database, store.address)


def on_disk(store: Store, name: str) -> Path:
    (found,) = Path(store.address).rglob(name)
    return found


# runs


def test_a_result_comes_back_as_it_was(store):
    parts = (Part("file", "header", 19), Part("fc1", "weights", 981))
    result = made_result(PRUNED, sizes=(5_000, 1_000), parts=parts)
    store.put(result, ANSWERS, kept=True)
    for opened in (store, again(store)):
        assert opened.get(PRUNED.digest, "test") == result
        assert opened.get(PRUNED.digest) == result


def test_the_answers_come_back_by_split(store):
    store.put(made_result(PRUNED), ANSWERS, kept=False)
    for split, classes in ANSWERS.items():
        back = again(store).predictions(PRUNED.digest, split)
        assert back.dtype == np.uint8 and np.array_equal(back, classes)
    assert store.predictions(PRUNED.digest, "train") is None


def test_what_is_not_there_is_none(store):
    assert store.get(PRUNED.digest) is None and store.predictions(PRUNED.digest, "test") is None
    assert store.file(PRUNED.digest) is None and store.checkpoint(PRUNED.digest) is None
    assert not store.has_checkpoint(PRUNED.digest)


def test_a_result_without_a_test_score_does_not_answer_for_the_test_split(store):
    store.put(made_result(PRUNED, tested=False), {}, kept=False)
    assert store.get(PRUNED.digest, "validation") is not None
    assert store.get(PRUNED.digest, "test") is None


def test_a_richer_result_is_not_replaced_by_a_poorer_one(store):
    rich = made_result(PRUNED, correct=90)
    store.put(rich, ANSWERS, kept=False)
    store.put(made_result(PRUNED, correct=90, tested=False), {}, kept=False)
    assert store.get(PRUNED.digest, "test") == rich
    assert store.predictions(PRUNED.digest, "test") is not None


def test_a_poorer_result_is_replaced_by_a_richer_one(store):
    store.put(made_result(PRUNED, tested=False), {}, kept=False)
    rich = made_result(PRUNED)
    store.put(rich, ANSWERS, kept=False)
    assert store.get(PRUNED.digest, "test") == rich


def _zoo(store, dataset: str) -> list[str]:
    """Digests of the shipped networks, in the order of their names."""
    found = [e.result.recipe for e in store.zoo.values() if e.result.recipe.dataset == dataset]
    return [r.digest for r in sorted(found, key=lambda r: r.model)]


def test_a_kept_run_stays_kept(store):
    store.put(made_result(PRUNED), {}, kept=False)
    store.put(made_result(NET), {}, kept=False)
    assert [r.digest for r in store.runs("digits", kept=True)] == _zoo(store, "digits")
    store.put(made_result(PRUNED), {}, kept=True)
    store.put(made_result(PRUNED), {}, kept=False)
    kept = [r.digest for r in store.runs("digits", kept=True)]
    assert PRUNED.digest in kept and NET.digest not in kept


def test_runs_are_those_of_the_data_set_newest_first_with_the_shipped_ones_behind(store):
    zoo = _zoo(store, "digits")
    assert set(zoo) == {r.digest for r in shipped(dataset="digits")}
    seen = []
    for recipe in (PRUNED, NET, PRUNED):
        store.put(made_result(recipe), {}, kept=True)
        seen.append([r.digest for r in store.runs("digits")])
    store.put(made_result(replace(NET, dataset="mnist")), {}, kept=True)
    one, two = PRUNED.digest, NET.digest
    assert seen == [[one, *zoo], [two, one, *zoo], [one, two, *zoo]]
    assert [r.digest for r in store.runs("digits", model="net")] == [
        NET.digest,
        shipped("net", "digits")[0].digest,
    ]
    assert len(store.runs("mnist")) == 1 + len(_zoo(store, "mnist")) > 3


def test_the_stamp_changes_whenever_a_run_does(store):
    stamps = [store.stamp()]
    for recipe in (PRUNED, NET, PRUNED):
        store.put(made_result(recipe), {}, kept=False)
        stamps.append(store.stamp())
    assert len(set(stamps)) == 4 and stamps[0] == (0, 0.0, 0.0, 0)
    assert store.stamp() == stamps[-1]


# files


def test_files_and_checkpoints_come_back(store):
    store.put_file(PRUNED.digest, b"NNZ of it")
    store.put_checkpoint(PRUNED.digest, b"safetensors of it")
    for opened in (store, again(store)):
        assert opened.file(PRUNED.digest) == b"NNZ of it"
        assert opened.checkpoint(PRUNED.digest) == b"safetensors of it"
        assert opened.has_checkpoint(PRUNED.digest) and not opened.has_checkpoint(NET.digest)
    store.put_file(PRUNED.digest, b"another")
    assert store.file(PRUNED.digest) == b"another"


def test_nothing_half_written_is_left_beside_the_files(store):
    store.put_file(PRUNED.digest, bytes(10_000))
    names = [p.name for p in Path(store.address).rglob("*") if p.is_file()]
    assert names == [f"{PRUNED.digest}.nnz"]


@pytest.mark.parametrize("damage", [b"", b"NNZ of iT", b"NNZ of it and more"])
def test_a_damaged_file_is_a_store_error(store, damage):
    store.put_file(PRUNED.digest, b"NNZ of it")
    on_disk(store, "*.nnz").write_bytes(damage)
    with pytest.raises(StoreError, match=f"{PRUNED.digest}.nnz is damaged: its checksum is not"):
        store.file(PRUNED.digest)


def test_a_file_that_has_gone_is_a_store_error(store):
    store.put_checkpoint(PRUNED.digest, b"safetensors of it")
    on_disk(store, "*.safetensors").unlink()
    with pytest.raises(StoreError, match="is in the store's list, but can't be read"):
        store.checkpoint(PRUNED.digest)


def test_a_file_that_is_not_in_the_list_is_not_there(store):
    """A process killed between writing and listing leaves such a file: it counts as not written."""
    store.put_file(PRUNED.digest, b"NNZ of it")
    path = on_disk(store, "*.nnz")
    other = Path(store.address) / NET.digest[:2] / f"{NET.digest}.nnz"
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(path.read_bytes())
    assert store.file(NET.digest) is None


def test_files_that_can_not_be_written_are_a_store_error(store, tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    with pytest.raises(StoreError, match=f"{PRUNED.digest}.nnz can't be written"):
        Store(store.database, str(blocked)).put_file(PRUNED.digest, b"x")


def test_files_may_lie_at_any_address_that_fsspec_knows(tmp_path):
    far = Store(f"sqlite:///{tmp_path / 's.sqlite'}", "memory://compression-test")
    far.put_file(PRUNED.digest, b"NNZ of it")
    assert Store(far.database, far.address).file(PRUNED.digest) == b"NNZ of it"


# the shipped networks


def test_every_baseline_is_shipped(store):
    assert {r.digest for r in shipped()} == set(store.zoo)
    for recipe in shipped():
        result = store.get(recipe.digest, "test")
        assert result.recipe == recipe and result.test is not None
        assert store.has_checkpoint(recipe.digest)
        assert len(store.predictions(recipe.digest, "test")) == result.test.total


def test_a_damaged_shipped_checkpoint_is_a_store_error(store, tmp_path):
    entry = store.zoo[DENSE.digest]
    folder = tmp_path / "zoo"
    write_zoo(entry.result, entry.predictions, b"checkpoint", folder)
    own = Store(store.database, store.address, folder)
    assert own.checkpoint(DENSE.digest) == b"checkpoint"
    next(folder.glob("*.safetensors")).write_bytes(b"checkpoInt")
    with pytest.raises(StoreError, match="lenet_300_100-digits.safetensors is damaged"):
        own.checkpoint(DENSE.digest)


def test_a_network_put_among_the_shipped_ones_comes_back(store, tmp_path):
    entry = store.zoo[DENSE.digest]
    write_zoo(entry.result, entry.predictions, b"x", tmp_path)
    again = read_zoo(tmp_path)[DENSE.digest]
    assert again.result == entry.result
    for split in ("validation", "test"):
        assert np.array_equal(again.predictions[split], entry.predictions[split])


# opening


@pytest.mark.parametrize(
    "address",
    ["nonsense", "nonsense://x/y", "sqlite:///{folder}", "sqlite:///{file}/below.sqlite"],
)
def test_a_database_that_can_not_be_opened_is_a_store_error(tmp_path, address):
    file = tmp_path / "file"
    file.write_text("not a database, but long enough to be taken for one" * 100)
    store = Store(address.format(folder=tmp_path, file=file), str(tmp_path))
    with pytest.raises(StoreError, match="^the store can't be opened: "):
        store.stamp()


def test_a_file_that_is_not_a_database_is_a_store_error(tmp_path):
    file = tmp_path / "file"
    file.write_text("not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StoreError, match="the store can't be opened: .*not a database"):
        Store(f"sqlite:///{file}", str(tmp_path)).stamp()
    assert file.read_text().startswith("not a database"), "somebody's file is not overwritten"


def test_folders_on_the_way_to_the_database_are_made(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'a' / 'b' / 's.sqlite'}", str(tmp_path / "f"))
    assert store.stamp() == (0, 0.0, 0.0, 0)


def test_making_a_store_opens_nothing(tmp_path):
    Store(f"sqlite:///{tmp_path / 'a' / 's.sqlite'}", str(tmp_path / "files"))
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_where_the_settings_say(tmp_path):
    Store().put_file(PRUNED.digest, b"x")
    assert (tmp_path / "store.sqlite").exists() and (tmp_path / "files").is_dir()


# two at once

WRITER = """
import sys
import numpy as np
from compression.store import Store
from tests.helpers import made_result
from tests.test_store import PRUNED, NET

store = Store(sys.argv[1], sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for i in range(25):
    for recipe in (PRUNED, NET):
        store.put(made_result(recipe, tested=i % 2 == 0), {"test": np.full(360, 3)}, kept=i == 7)
        store.put_file(recipe.digest, b"the same bytes" * 1_000)
        store.put_checkpoint(recipe.digest, bytes(50_000))
"""


def test_two_processes_writing_the_same_runs_leave_one_good_one_of_each(store):
    store.stamp()  # the database is there
    writers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WRITER, store.database, store.address],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for _ in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout.readline() == "ready\n", writer.stderr.read()
        for writer in writers:  # both are there: now they begin
            writer.stdin.write("\n")
            writer.stdin.flush()
        said = [writer.communicate(timeout=60)[1] for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    assert said == ["", ""] and [writer.returncode for writer in writers] == [0, 0]
    for recipe in (PRUNED, NET):
        assert store.get(recipe.digest, "test") == made_result(recipe)
        assert (store.predictions(recipe.digest, "test") == 3).all()
        assert store.file(recipe.digest) == b"the same bytes" * 1_000
        assert store.checkpoint(recipe.digest) == bytes(50_000)
    assert store.stamp()[0] == 2
    assert {r.digest for r in store.runs("digits", kept=True)} >= {PRUNED.digest, NET.digest}
    files = [p for p in Path(store.address).rglob("*") if p.is_file()]
    assert len(files) == 4, "no part of a file is left"
    with store.engine.connect() as c:
        assert c.execute(sa.text("PRAGMA integrity_check")).scalar() == "ok"


# settings


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("BATCH_WORKERS", "0", "COMPRESSION_BATCH_WORKERS: .*greater than or equal to 1"),
        ("BATCH_WORKERS", "65", "COMPRESSION_BATCH_WORKERS: .*less than or equal to 64"),
        ("BATCH_WORKERS", "many", "COMPRESSION_BATCH_WORKERS: .*valid integer"),
        ("LIVE_WORKERS", "17", "COMPRESSION_LIVE_WORKERS: "),
        ("QUEUE_PER_PERSON", "0", "COMPRESSION_QUEUE_PER_PERSON: "),
        ("QUEUE_TOTAL", "-3", "COMPRESSION_QUEUE_TOTAL: "),
        ("ENGINE", "ray", "COMPRESSION_ENGINE: .*'dask' or 'inline'"),
        (
            "SCHEDULER",
            "tls://host:8786",
            "COMPRESSION_SCHEDULER names a cluster, but COMPRESSION_STORE is a local SQLite file",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_named_with_the_reason(monkeypatch, name, value, said):
    monkeypatch.setenv(f"COMPRESSION_{name}", value)
    with pytest.raises(InvalidInput, match=f"^{said}"):
        settings()


def test_a_cluster_with_a_database_server_is_accepted(monkeypatch):
    monkeypatch.setenv("COMPRESSION_SCHEDULER", "tls://host:8786")
    monkeypatch.setenv("COMPRESSION_STORE", "postgresql://host/lab")
    assert settings().scheduler == "tls://host:8786"


def test_settings_come_from_the_environment_and_are_read_once(monkeypatch):
    monkeypatch.setenv("COMPRESSION_QUEUE_TOTAL", "7")
    assert settings().queue_total == 7
    monkeypatch.setenv("COMPRESSION_QUEUE_TOTAL", "8")
    assert settings().queue_total == 7
    monkeypatch.setenv("COMPRESSION_SOMETHING_ELSE", "8")
    assert Settings().queue_total == 8


def test_runs_that_cannot_be_read_are_left_out_and_the_others_stay(store, caplog):
    good, old = made_result(PRUNED), made_result(NET)
    store.put(good, {}, kept=True)
    store.put(old, {}, kept=True)
    with store.engine.begin() as c:
        c.execute(sa.text("update runs set result = '{}' where digest = :d"), {"d": old.digest})
    found = [r.digest for r in store.runs("digits") if r.digest not in store.zoo]
    assert found == [good.digest]
    assert store.get(old.digest) is None
    assert "left out" in caplog.text


def test_many_results_are_fetched_at_once_and_only_those_of_the_split(store):
    dense = baseline("lenet_300_100", "digits")
    recipes = [dense.then(MagnitudePruning(sparsity=s)) for s in (0.2, 0.5)]
    both = run(recipes[0], store, split="test")
    one = run(recipes[1], store, split="validation")
    digests = [r.digest for r in (dense, *recipes)] + ["0" * 16]
    assert store.get_many(digests) == {
        dense.digest: store.get(dense.digest),
        both.digest: both,
        one.digest: one,
    }
    assert set(store.get_many(digests, "test")) == {dense.digest, both.digest}
    assert store.get_many([]) == {}


def test_a_shelf_sees_what_is_new_and_reads_nothing_twice(store, monkeypatch):
    monkeypatch.setattr("compression.store.SHELF_SECONDS", 0)
    dense = baseline("lenet_300_100", "digits")
    shelf = Shelf(store, "digits")
    assert shelf.results() == store.runs("digits")
    read: list[int] = []
    runs = store.runs
    monkeypatch.setattr(
        store, "runs", lambda *a, **k: read.append(len(found := runs(*a, **k))) or found
    )
    for i, sparsity in enumerate((0.2, 0.5, 0.8)):
        new = run(dense.then(MagnitudePruning(sparsity=sparsity)), store)
        assert shelf.results("lenet_300_100")[0] == new
        assert len(shelf.results()) == len(runs("digits")) and i < len(read)
    shelf.results()
    assert {r.digest for r in shelf.results("net")} == {baseline("net", "digits").digest}
    assert len(read) == 3 and max(read) <= len(store.zoo) + 2
