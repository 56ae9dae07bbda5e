"""What people say of runs, and runs that go: what is deleted is gone for everybody."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from compression.baselines import baseline
from compression.distillation import Distill
from compression.errors import InvalidInput, JobError, StoreError
from compression.jobs import Ask, Job
from compression.jobs.engine import InlineEngine
from compression.labels import NOTHING, Label
from compression.pruning import MagnitudePruning
from compression.quantization import CodebookQuantization
from compression.store import Shelf, Store
from compression.training import FineTune

from .helpers import made_result

DENSE = baseline("lenet_300_100", "digits")
PRUNED = DENSE.then(MagnitudePruning(sparsity=0.9))
TUNED = PRUNED.then(FineTune(epochs=1))
ANSWERS = {"validation": np.arange(180) % 10}


def again(store: Store) -> Store:
    """Another process would open it like this."""
    return Store(store.database, store.address)


def files(store: Store) -> list[str]:
    return sorted(p.name for p in Path(store.address).rglob("*") if p.is_file())


# labels


def test_a_label_comes_back_as_it_was_and_can_be_taken_back(store):
    said = Label("best of Tuesday", "two\nlines", True)
    store.put(made_result(PRUNED), {}, kept=True)
    store.put_label(PRUNED.digest, said)
    assert again(store).labels() == {PRUNED.digest: said}
    store.put_label(PRUNED.digest, replace(said, starred=False))
    assert store.labels()[PRUNED.digest].starred is False
    store.put_label(PRUNED.digest, NOTHING)
    assert store.labels() == {}


def test_a_label_outlives_a_fuller_result_of_its_run(store):
    store.put(made_result(PRUNED, tested=False), {}, kept=False)
    store.put_label(PRUNED.digest, Label("mine"))
    store.put(made_result(PRUNED), {}, kept=True)
    assert store.labels()[PRUNED.digest].name == "mine"


def test_a_shipped_network_can_be_labelled_and_an_unknown_run_can_not(store):
    store.put_label(DENSE.digest, Label(starred=True))
    assert store.labels() == {DENSE.digest: Label(starred=True)}
    with pytest.raises(StoreError, match=f"run {PRUNED.digest} is not in the store"):
        store.put_label(PRUNED.digest, Label("x"))


def test_spaces_around_a_name_are_no_part_of_it():
    assert Label("  mine ", " why \n") == Label("mine", "why")
    assert Label("   ") == NOTHING


@pytest.mark.parametrize(
    "wrong, said",
    [
        (dict(name="x" * 61), "name has at most 60 characters, got 61"),
        (dict(note="x" * 2_001), "note has at most 2,000 characters, got 2,001"),
        (dict(name="two\nlines"), r"name must be readable text, got '\\n'"),
        (dict(note="bell\a"), r"note must be readable text, got '\\x07'"),
        (dict(name=7), "name must be text, got int"),
        (dict(starred=1), "starred or not, got 1"),
    ],
)
def test_a_label_that_is_wrong_says_why(wrong, said):
    with pytest.raises(InvalidInput, match=said):
        Label(**wrong)
    assert Label("x" * 60, "y" * 2_000)


# deleting


def test_a_deleted_run_leaves_nothing_behind(store):
    for recipe in (TUNED, PRUNED):
        store.put(made_result(recipe), ANSWERS, kept=True)
        store.put_label(recipe.digest, Label("mine"))
        store.put_file(recipe.digest, b"NNZ")
    store.put_checkpoint(TUNED.digest, b"weights")
    store.delete(TUNED.digest)
    for opened in (store, again(store)):
        assert opened.get(TUNED.digest) is None and opened.file(TUNED.digest) is None
        assert opened.predictions(TUNED.digest, "validation") is None
        assert not opened.has_checkpoint(TUNED.digest)
        assert list(opened.labels()) == [PRUNED.digest], "that of the other run stays"
        assert opened.get(PRUNED.digest) and opened.file(PRUNED.digest) == b"NNZ"
    assert files(store) == [f"{PRUNED.digest}.nnz"]


def test_a_checkpoint_stays_while_another_run_starts_from_it(store):
    child = TUNED.then(CodebookQuantization(levels=8))
    for recipe in (TUNED, child):
        store.put(made_result(recipe), {}, kept=True)
    store.put_checkpoint(TUNED.digest, b"weights")
    store.delete(TUNED.digest)
    assert store.get(TUNED.digest) is None and store.checkpoint(TUNED.digest) == b"weights"


@pytest.mark.parametrize(
    "other",
    [
        replace(TUNED, seed=1).then(CodebookQuantization()),  # starts from that of its own seed
        PRUNED.then(FineTune(epochs=2), CodebookQuantization()),
        PRUNED,
    ],
)
def test_a_checkpoint_goes_when_the_other_runs_start_elsewhere(store, other):
    for recipe in (TUNED, other):
        store.put(made_result(recipe), {}, kept=True)
    store.put_checkpoint(TUNED.digest, b"weights")
    store.delete(TUNED.digest)
    assert not store.has_checkpoint(TUNED.digest) and files(store) == []


def test_shipped_networks_and_unknown_runs_cannot_be_deleted(store):
    with pytest.raises(InvalidInput, match="a shipped network can't be deleted"):
        store.delete(DENSE.digest)
    with pytest.raises(StoreError, match=f"run {PRUNED.digest} is not in the store"):
        store.delete(PRUNED.digest)
    assert store.get(DENSE.digest) is not None


def test_a_file_that_is_missing_already_is_no_obstacle(store):
    store.put(made_result(PRUNED), {}, kept=True)
    store.put_file(PRUNED.digest, b"NNZ")
    next(Path(store.address).rglob("*.nnz")).unlink()
    store.delete(PRUNED.digest)
    assert store.file(PRUNED.digest) is None


def test_two_readers_both_forget_what_one_of_them_deleted(store, monkeypatch):
    monkeypatch.setattr("compression.store.SHELF_SECONDS", -1)
    other = again(store)
    shelves = [Shelf(store, "digits"), Shelf(other, "digits")]
    store.put(made_result(PRUNED), {}, kept=True)
    store.put(made_result(TUNED), {}, kept=True)

    def seen() -> list[set[str]]:
        return [{r.digest for r in s.results()} & {PRUNED.digest, TUNED.digest} for s in shelves]

    assert seen() == [{PRUNED.digest, TUNED.digest}] * 2
    other.delete(TUNED.digest)
    assert seen() == [{PRUNED.digest}] * 2
    store.put(made_result(TUNED, 2_000), {}, kept=True)
    assert seen() == [{PRUNED.digest, TUNED.digest}] * 2, "it was run again"
    store.delete(TUNED.digest)
    other.put(made_result(PRUNED, 3_000), {}, kept=True)
    assert seen() == [{PRUNED.digest}] * 2, "one gone and one changed between two looks"


def test_a_shelf_can_be_told_to_look_again_at_once(store, monkeypatch):
    monkeypatch.setattr("compression.store.SHELF_SECONDS", 1_000)
    shelf = Shelf(store, "digits")
    store.put(made_result(PRUNED), {}, kept=True)
    assert PRUNED.digest in {r.digest for r in shelf.results()}
    store.delete(PRUNED.digest)
    assert PRUNED.digest in {r.digest for r in shelf.results()}, "it looked a moment ago"
    shelf.look_again()
    assert PRUNED.digest not in {r.digest for r in shelf.results()}


def test_the_stamp_changes_when_a_run_is_deleted(store):
    store.put(made_result(PRUNED), {}, kept=False)
    store.put(made_result(TUNED), {}, kept=False)
    before = store.stamp()
    store.delete(PRUNED.digest)
    assert store.stamp() != before and store.deleted() == {PRUNED.digest}
    store.put(made_result(PRUNED), {}, kept=False)
    assert store.deleted() == set()


def test_engines_forget_what_was_deleted_here_or_elsewhere(store, monkeypatch):
    monkeypatch.setattr("compression.jobs.engine.DELETED_SECONDS", -1)
    one, two = InlineEngine(store), InlineEngine(again(store))
    for recipe in (PRUNED, TUNED):
        store.put(made_result(recipe), ANSWERS, kept=True)
        assert one.result(Ask(recipe)) and two.result(Ask(recipe)), "both have it in memory"
    one.delete(PRUNED.digest)
    assert one.result(Ask(PRUNED)) is None and two.result(Ask(PRUNED)) is None
    assert one.result(Ask(TUNED)) and two.result(Ask(TUNED))


def test_a_deleted_setting_can_be_measured_again(store):
    engine = InlineEngine(store)
    engine.want("me", [Ask(PRUNED)])
    before = engine.result(Ask(PRUNED))
    engine.delete(PRUNED.digest)
    assert engine.result(Ask(PRUNED)) is None
    engine.want("me", [Ask(PRUNED)])
    after = engine.result(Ask(PRUNED))
    assert before is not None and after is not None
    assert replace(after, seconds=0) == replace(before, seconds=0)
    assert store.get(PRUNED.digest) is not None


def test_a_run_is_not_deleted_while_it_is_run(store):
    engine = InlineEngine(store)
    store.put(made_result(TUNED), {}, kept=True)
    engine.jobs[TUNED.digest] = Job(TUNED)
    with pytest.raises(JobError, match="cancel that first"):
        engine.delete(TUNED.digest)
    assert store.get(TUNED.digest) is not None


def test_a_database_of_the_version_before_opens_and_learns_the_new_tables(store):
    store.put(made_result(PRUNED), {}, kept=True)
    with store.engine.begin() as c:
        for name in ("labels", "deleted"):
            c.execute(sa.text(f"drop table {name}"))
    opened = again(store)
    opened.put_label(PRUNED.digest, Label("mine"))
    assert opened.get(PRUNED.digest) and opened.labels()[PRUNED.digest].name == "mine"
    opened.delete(PRUNED.digest)
    assert opened.deleted() == {PRUNED.digest}


@pytest.mark.parametrize("damage", ["{}", "no json", '{"recipe": 7}'])
def test_a_run_whose_row_is_damaged_can_be_deleted_and_stops_no_other(store, damage):
    student = DENSE.then(Distill())
    for recipe in (PRUNED, student):
        store.put(made_result(recipe), {}, kept=True)
        store.put_checkpoint(recipe.digest, b"weights")
    with store.engine.begin() as c:
        change = sa.text("update runs set result = :t where digest = :d")
        c.execute(change, {"t": damage, "d": PRUNED.digest})
    store.delete(student.digest)
    store.delete(PRUNED.digest)
    assert store.deleted() == {PRUNED.digest, student.digest} and files(store) == []
