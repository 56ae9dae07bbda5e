"""Sweeps and searches are worked off, survive restarts, stop and go on."""

import time

import pytest

from compression import campaigns as module
from compression.campaigns import MOST_RUNNING, Campaigns
from compression.errors import JobError
from compression.goals import Goal, answer
from compression.grid import Axis, Sweep
from compression.jobs import InlineEngine, Job
from compression.jobs.supervisor import Supervisor
from compression.pace import Pace
from compression.recipe import parse_steps
from compression.search import found_for
from compression.store import Store

PRUNE = parse_steps("magnitude_pruning")


def sweep(*sparsities: float, **more: object) -> Sweep:
    axes = (Axis(0, "sparsity", sparsities),)
    return Sweep(**{"dataset": "digits", "models": ("lenet_300_100",), "steps": PRUNE,
                    "axes": axes, **more})  # type: ignore[arg-type]  # fmt: skip


def goal(**more: object) -> Goal:
    known = dict(dataset="digits", models=("lenet_300_100",), most_points=2.0, epochs=0, seconds=1)
    return Goal(**{**known, **more})  # type: ignore[arg-type]


class Counting(InlineEngine):
    """An inline engine that notes what it runs."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.ran: list[str] = []

    def _start(self, job: Job) -> None:
        self.ran.append(job.digest)
        super()._start(job)


@pytest.fixture
def engine(store) -> Counting:
    return Counting(store)


def work_off(engine: InlineEngine, rounds: int = 200) -> int:
    """Rounds until nothing is running."""
    for i in range(rounds):
        if not engine.supervisor.step():
            return i
    raise AssertionError("it does not end")


def test_a_sweep_ends_with_a_result_for_every_recipe_each_run_once(engine):
    wanted = sweep(0.3, 0.5, 0.7, 0.9)
    engine.supervisor.campaigns.start(wanted)
    work_off(engine)
    recipes, _ = wanted.recipes()
    assert sorted(engine.ran) == sorted(r.digest for r in recipes)
    results = engine.store.get_many(engine.ran, "test")
    assert len(results) == 4 and all(r.test for r in results.values())
    assert engine.supervisor.campaigns.get(wanted.digest).state == "done"


def test_what_is_stored_already_is_not_run_again(engine):
    engine.supervisor.campaigns.start(sweep(0.3, 0.5))
    work_off(engine)
    engine.ran.clear()
    engine.supervisor.campaigns.start(sweep(0.3, 0.5, 0.7))
    work_off(engine)
    assert len(engine.ran) == 1


def test_a_stopped_sweep_goes_on_where_it_stood(engine):
    wanted = sweep(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    engine.supervisor.campaigns.start(wanted)
    engine.supervisor.step()
    engine.supervisor.campaigns.stop(wanted.digest)
    assert not engine.supervisor.step()
    before = list(engine.ran)
    assert 0 < len(before) < 6
    engine.supervisor.campaigns.start(wanted)
    work_off(engine)
    assert len(engine.ran) == 6 and engine.ran[: len(before)] == before


def test_another_server_goes_on_when_one_is_gone_and_not_before(store, monkeypatch):
    wanted = sweep(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    first, second = Counting(store), Counting(Store(store.database, store.address))
    first.supervisor.campaigns.start(wanted)
    first.supervisor.step()
    second.supervisor.step()
    assert not second.ran, "the first one works on it"
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    time.sleep(0.01)
    second.supervisor.step()
    work_off(second)
    assert not set(first.ran) & set(second.ran)
    assert len(first.ran) + len(second.ran) == 6


def test_a_run_that_fails_twice_is_named_and_the_others_are_there(engine, monkeypatch):
    wanted, broken = sweep(0.3, 0.5), sweep(0.5).recipes()[0][0]

    def start(job: Job) -> None:
        engine.ran.append(job.digest)
        if job.digest == broken.digest:
            job.put({"kind": "failed", "error": "its worker died"})
        else:
            InlineEngine._start(engine, job)

    monkeypatch.setattr(engine, "_start", start)
    engine.supervisor.campaigns.start(wanted)
    work_off(engine)
    ended = engine.supervisor.campaigns.get(wanted.digest)
    assert ended.state == "failed" and "prune 50 %: its worker died" in ended.error
    assert engine.ran.count(broken.digest) == 2
    assert len(engine.store.get_many(engine.ran, "test")) == 1


def test_people_come_first(engine):
    """While somebody's job is queued, a sweep adds nothing to the queue."""
    waiting = Job(sweep(0.99).recipes()[0][0])
    engine.jobs[waiting.digest] = waiting
    engine.supervisor.campaigns.start(sweep(0.3, 0.5))
    engine.supervisor.step()
    assert not engine.ran
    waiting.state = "done"
    work_off(engine)
    assert len(engine.ran) == 2


def test_two_campaigns_take_turns(engine):
    one, two = sweep(0.1, 0.2, 0.3, 0.4), sweep(0.5, 0.6, 0.7, 0.8)
    for wanted in (one, two):
        engine.supervisor.campaigns.start(wanted)
    work_off(engine)
    first = {r.digest for r in one.recipes()[0]}
    early = engine.ran[:4]
    assert 0 < sum(d in first for d in early) < 4


def test_a_search_ends_with_an_answer_that_is_scored_on_test(engine, monkeypatch):
    wanted = goal(seconds=1)
    engine.supervisor.campaigns.start(wanted)
    for _ in range(12):
        engine.supervisor.step()
        time.sleep(0.01)
    found = engine.call(found_for, wanted)
    assert found and all(engine.store.get(t.recipe.digest).test is None for t in found)
    engine.supervisor.campaigns.note(wanted.digest, spent=2.0)  # its time is over
    work_off(engine)
    best = answer(wanted, engine.call(found_for, wanted))
    assert best.best is not None
    for one in filter(None, (best.best, best.runner_up)):
        assert engine.store.get(one.recipe.digest, "test").test is not None
    others = [t for t in engine.call(found_for, wanted) if t not in (best.best, best.runner_up)]
    assert others and all(engine.store.get(t.recipe.digest).test is None for t in others)
    assert engine.supervisor.campaigns.get(wanted.digest).state == "done"


def test_more_time_goes_on_with_the_same_search(engine):
    known = engine.supervisor.campaigns
    known.start(goal(seconds=1))
    known.note(goal().digest, spent=1.0, state="done")
    known.start(goal(seconds=60))
    there = known.all("digits")
    assert len(there) == 1 and there[0].content.seconds == 60 and there[0].spent == 1.0


def test_so_many_run_at_once_and_no_more(store):
    known = Campaigns(store)
    for i in range(MOST_RUNNING):
        known.start(sweep(0.1, 0.2 + 0.01 * i))
    with pytest.raises(JobError, match="are running; stop one"):
        known.start(sweep(0.9))
    known.start(sweep(0.1, 0.2))  # runs already: nothing changes
    known.stop(sweep(0.1, 0.2).digest)
    known.start(sweep(0.9))


def test_a_campaign_can_be_taken_off_the_list_and_foreign_ones_are_left_out(store):
    known = Campaigns(store)
    known.start(sweep(0.1, 0.2))
    known.start(goal())
    assert {type(c.content) for c in known.all("digits")} == {Sweep, Goal}
    known.note(sweep(0.1, 0.2).digest, content='{"of": "another version"}')
    assert [c.content for c in known.all("digits")] == [goal()]
    known.forget(goal().digest)
    assert not known.all("digits")


def test_the_supervisor_sleeps_where_nothing_runs(store):
    assert Supervisor(InlineEngine(store)).step() is False


def test_the_expected_time_counts_shared_training_once_and_stored_runs_not(store):
    steps = parse_steps("magnitude_pruning~fine_tune:epochs=2~codebook_quantization")
    wanted = Sweep("digits", ("net",), steps, (Axis(2, "levels", (4, 8, 16)),))
    recipes, _ = wanted.recipes()
    pace = Pace({"net": 10.0}, {"net": 1.0})
    assert pace.expected(recipes, store) == (3 * 1.0 + 2 * 10.0, 2)
    engine = InlineEngine(store)
    engine.submit(recipes[0], "me")
    assert pace.expected(recipes, store) == (2 * 1.0, 0)


def test_the_pace_is_the_median_of_what_was_measured(store):
    pace = Pace.of(store.runs("digits"))
    assert set(pace.epochs) >= {"lenet_300_100", "net", "resnet20"}
    shipped = next(r for r in store.runs("digits") if r.recipe.model == "net")
    whole = shipped.history[-1].seconds
    assert whole / 2 < 40 * pace.epochs["net"] < 2 * whole, "it was trained for 40 epochs"
    assert 0 < pace.runs["net"] < pace.epochs["net"], "scoring takes less than training"
    run = InlineEngine(store)
    run.submit(sweep(0.5).recipes()[0][0], "me")
    measured = next(r for r in store.runs("digits") if r.recipe.family == "pruned")
    assert Pace.of(store.runs("digits")).runs["lenet_300_100"] == measured.seconds
