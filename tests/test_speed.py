"""Speed beside the dense network: what is measured, what is stored, and who waits for whom."""

import dataclasses
import json
from functools import partial

import pytest
import sqlalchemy as sa
import torch

from compression import speed
from compression.__main__ import main
from compression.baselines import baseline
from compression.errors import Cancelled
from compression.jobs import InlineEngine, Job
from compression.machine import this_machine
from compression.recipe import Recipe, parse_steps
from compression.speed import Pace, Speed, measure, put, stored
from compression.store import Store
from compression.timing import Others, Turns, block, spread, take_turns

DENSE = baseline("lenet_300_100", "digits")
QUICK = Pace(turns=2, seconds=0.001, tries=1)
THREADS = {1, this_machine().cores}


def recipe(steps: str = "channel_pruning:ratio=0.5") -> Recipe:
    return DENSE.then(*parse_steps(steps))


@pytest.fixture
def found(store) -> Speed:
    return measure(recipe(), store, pace=QUICK)


def test_the_middle_half_lies_between_the_quartiles():
    assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == (3.0, 2.0, 4.0)
    assert spread([7.0]) == (7.0, 7.0, 7.0)


def test_how_many_times_faster_is_asked_turn_by_turn():
    dense, cut = [[10.0, 10.0], [40.0], [10.0]], [[5.0], [10.0], [5.0, 5.0]]
    turns = Turns([dense, cut], 0.0)
    assert turns.faster(1) == (2.0, 2.0, 3.0)  # 2, 4 and 2 times
    assert turns.faster(0) == (1.0, 1.0, 1.0)
    assert turns.runs(1) == 4 and turns.ms(1).median == 5.0


def test_things_take_turns_and_who_begins_changes():
    order: list[str] = []
    things = [lambda: order.append("a"), lambda: order.append("b")]
    take_turns(things, turns=2, seconds=0.0)
    firsts = [x for x, before in zip(order, ["", *order], strict=False) if x != before]
    assert "".join(firsts) == "aba"  # a, then b; then b, which was the last, and a


def test_a_block_has_the_runs_that_it_must_have_and_one_before_them():
    runs: list[int] = []
    assert len(block(lambda: runs.append(1), seconds=0.0, least=3)) == 3
    assert len(runs) == 4


def test_our_own_work_is_not_that_of_others():
    with Others() as others:
        sum(range(2_000_000))
    assert 0 <= others.cores <= this_machine().cores


def test_every_engine_kind_batch_and_number_of_threads_is_measured(found):
    kinds = [("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("torch", "fp32")]
    cells = {(*kind, batch, n) for kind in kinds for batch in (1, 256) for n in THREADS}
    assert {(t.engine, t.kind, t.batch, t.threads) for t in found.timings} == cells
    assert {(t.engine, t.batch, t.threads) for t in found.dense} == {(e, *c) for e, _, *c in cells}
    for t in found.timings:
        assert 0 < t.low_ms <= t.median_ms <= t.high_ms and t.runs >= 2
        assert 0 < t.faster_low <= t.faster <= t.faster_high
        assert found.beside(t).kind == "fp32"
    assert all(t.faster == 1 for t in found.dense)
    assert found.timing("onnxruntime", "int8", 256, 1) in found.timings


def test_a_measurement_is_kept_with_machine_and_versions(found, store):
    assert stored(store, found.digest) == found
    assert found.digest == recipe().digest and found.machine == this_machine()
    assert {"onnxruntime", "torch", "python"} <= set(found.versions)
    assert stored(store, DENSE.digest) is None


def test_whole_numbers_are_not_timed_in_torch_which_simulates_them(store):
    found = measure(recipe("activation_quantization"), store, pace=QUICK)
    assert {(t.engine, t.kind) for t in found.timings} == {("onnxruntime", "int8")}
    assert found.timing("onnxruntime", "fp32", 1, 1) is None


def test_measuring_leaves_torch_with_its_threads(store):
    before = torch.get_num_threads()
    measure(recipe(), store, pace=QUICK)
    assert torch.get_num_threads() == before


def test_what_is_stopped_keeps_nothing(store):
    asked = iter([False, False, False])
    with pytest.raises(Cancelled):
        measure(recipe(), store, pace=QUICK, stopped=lambda: next(asked, True))
    assert stored(store, recipe().digest) is None


def test_where_others_are_busy_it_is_measured_again_and_the_quietest_counts(store, monkeypatch):
    busy = iter([1.0, 0.5, 0.1] * 100)

    def made_up(things, *more):
        return Turns([[[1.0]] for _ in things], next(busy))

    monkeypatch.setattr(speed, "take_turns", made_up)
    found = measure(recipe(), store, pace=Pace(tries=2))
    assert found.timings[0].others == 0.5, "the second of two tries"
    assert found.dense[1].others == 0.1, "quiet enough at once"


def test_the_newest_measurement_counts_and_each_machine_has_its_own(found, store):
    other = dataclasses.replace(
        found, machine=dataclasses.replace(found.machine, cores=99), when=found.when + 1
    )
    put(store, other)
    assert stored(store, found.digest) == other
    again = dataclasses.replace(found, when=found.when + 2)
    put(store, again)
    assert stored(store, found.digest) == again
    with store.engine.begin() as c:
        rows = c.execute(sa.select(sa.func.count()).select_from(speed._speeds))
        assert rows.scalar_one() == 2, "in place of the first"
        c.execute(sa.update(speed._speeds).values(content="{}"))
    assert stored(store, found.digest) is None, "what another version wrote is left out"


class Held(InlineEngine):
    """Notes what may start, and runs nothing."""

    def _start(self, job: Job) -> None:
        job.state = "running"

    def end(self, job: Job) -> None:
        job.state = "done"
        self._ended(job)


@pytest.fixture
def held(store) -> Held:
    return Held(store)


def states(*jobs: Job) -> str:
    return " ".join(job.state for job in jobs)


def test_a_measurement_waits_for_jobs_before_it_and_those_behind_it_wait(held):
    first = held.submit(recipe(), "anna")
    alone = held.measure(recipe(), "bert")
    behind = held.submit(recipe("magnitude_pruning"), "carl")
    assert states(first, alone, behind) == "running queued queued"
    assert held.place(alone) == 1 and held.place(behind) == 2
    held.end(first)
    assert states(alone, behind) == "running queued"
    held.end(alone)
    assert states(behind) == "running"


def test_thirty_people_who_ask_are_one_measurement(held):
    jobs = {id(held.measure(recipe(), f"person {i}")) for i in range(30)}
    assert len(jobs) == 1 and len(held.jobs) == 1


def test_a_measurement_that_is_cancelled_while_it_waits_lets_others_start(held):
    first = held.submit(recipe(), "anna")
    alone = held.measure(recipe(), "bert")
    behind = held.submit(recipe("magnitude_pruning"), "carl")
    assert held.cancel(alone.key, "bert")
    assert states(first, alone, behind) == "running cancelled running"


def test_an_engine_measures_and_the_store_has_it(store, monkeypatch):
    monkeypatch.setattr("compression.jobs.engine.measure", partial(measure, pace=QUICK))
    engine = InlineEngine(store)
    job = engine.measure(recipe(), "anna")
    assert job.state == "done" and job.progress and job.progress.done > 0
    assert stored(store, recipe().digest) is not None
    assert engine.measure(recipe(), "anna") is not job, "asked again, it is measured again"


def test_the_command_line_measures_and_prints_what_is_stored(monkeypatch, capsys):
    monkeypatch.setattr("compression.speed.measure", partial(measure, pace=QUICK))
    words = ["speed", "--model", "lenet_300_100", "--dataset", "digits"]
    words += ["--step", "channel_pruning:ratio=0.5"]
    assert main([*words, "--json"]) == 0
    printed = Speed.from_dict(json.loads(capsys.readouterr().out))
    assert printed == stored(Store(), recipe().digest)
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.count("torch, eager") == 2 * len(THREADS) and "cores busy meanwhile" in out
