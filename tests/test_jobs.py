"""The two lanes, on real workers in processes of their own."""

import dataclasses
import os
import signal
import time
from collections.abc import Callable

import pytest

from compression.baselines import baseline
from compression.errors import JobError
from compression.jobs import Ask, DaskEngine, InlineEngine, Job
from compression.jobs.engine import LOOKING
from compression.recipe import Recipe, parse_step
from compression.result import Preview, Result
from compression.settings import Settings
from compression.store import Store

pytestmark = pytest.mark.alone
DENSE = baseline("lenet_300_100", "digits")


def pruned(sparsity: float, *more: str) -> Recipe:
    first = parse_step(f"magnitude_pruning:sparsity={sparsity}")
    return DENSE.then(first, *map(parse_step, more))


def tuned(sparsity: float, epochs: int = 1) -> Recipe:
    return pruned(sparsity, f"fine_tune:epochs={epochs}")


def stored(engine: DaskEngine, ask: Ask, seconds: float = 30) -> Result:
    """The result, when it is there."""
    until(lambda: engine.result(ask) is not None, seconds)
    found = engine.result(ask)
    assert found is not None
    return found


def until(true: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Workers with a store of their own; they inherit the environment."""
    folder = tmp_path_factory.mktemp("jobs")
    names = {
        "COMPRESSION_STORE": f"sqlite:///{folder / 's.sqlite'}",
        "COMPRESSION_FILES": f"{folder}/f",
    }
    before = {k: os.environ.get(k) for k in names}
    os.environ.update(names)
    limits = Settings(
        store=names["COMPRESSION_STORE"], files=names["COMPRESSION_FILES"], batch_workers=1
    )
    made = DaskEngine(Store(limits.store, limits.files), limits)
    until(lambda: made.ready, 60)
    yield made
    made.close()
    for key, value in before.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value


def test_a_deleted_run_is_not_measured_again_for_who_passed_it_a_moment_ago(engine):
    mine, curve, theirs = Ask(pruned(0.31)), Ask(pruned(0.32)), Ask(pruned(0.33))
    engine.want("anna", [mine, curve])
    until(lambda: engine.store.get(mine.recipe.digest) and engine.store.get(curve.recipe.digest))
    until(lambda: not engine.storing("anna"))
    for ask in (curve, mine):
        engine.delete(ask.recipe.digest)
    engine.want("ben", [theirs])
    until(lambda: engine.store.get(theirs.recipe.digest))
    until(lambda: not engine.storing("ben"))
    assert not engine.storing("anna")
    assert engine.store.get(mine.recipe.digest) is None
    assert engine.store.get(curve.recipe.digest) is None
    engine.want("anna", [mine])
    until(lambda: engine.store.get(mine.recipe.digest))  # when it is asked for again, it is


def test_the_live_lane_answers_and_the_store_keeps_the_answer(engine):
    ask = Ask(pruned(0.5))
    engine.want("anna", [ask])
    seen = engine.wait(ask, 30)
    assert seen is not None and seen.recipe == ask.recipe
    result = stored(engine, ask)
    assert result.recipe == ask.recipe and result.test is None
    assert engine.store.get(ask.recipe.digest) == result
    assert seen.cost.bytes == result.cost.bytes


def test_a_preview_tightens_until_it_is_the_stored_result(engine):
    ask = Ask(baseline("net", "mnist").then(parse_step("magnitude_pruning:sparsity=0.93")))
    seen: list[Preview] = []
    engine.want("anna", [ask])
    while engine.result(ask) is None:
        found = engine.wait(ask, 30)
        if isinstance(found, Preview) and (not seen or found is not seen[-1]):
            seen.append(found)
        time.sleep(0.002)
    assert seen and [p.estimate.seen for p in seen] == sorted(p.estimate.seen for p in seen)
    result = engine.known(ask)
    assert isinstance(result, Result) and ask.key not in engine._previews
    for p in seen:
        assert p.estimate.seen >= 250 and (p.score is None) == (not p.estimate.exact)
        exact = dataclasses.replace(result.cost, zip_bytes=None)
        assert p.cost == exact if p.weighed else p.cost.bytes == pytest.approx(exact.bytes, rel=0.1)
        assert p.weighed or p.score is None
    assert seen[-1].score in (None, result.validation)


def test_the_live_lane_does_not_train(engine):
    ask = Ask(tuned(0.51))
    engine.want("anna", [ask])
    assert engine.wait(ask, 30) is None
    assert "has to be trained first" in engine.failure(ask)


def test_a_setting_that_the_hand_has_left_is_not_computed(engine):
    left = [Ask(pruned(s / 100)) for s in range(20, 40)]
    now = Ask(pruned(0.6))
    engine.want("anna", left)
    engine.want("anna", [now])
    assert engine.wait(now, 30) is not None
    time.sleep(0.3)
    assert sum(engine.known(a) is not None for a in left) < len(left)
    assert sum(engine.result(a) is not None for a in left) <= 2


def test_people_take_turns(engine):
    greedy = [Ask(pruned(0.4 + s / 100)) for s in range(1, 10)] + [
        Ask(pruned(0.7 + s / 100)) for s in range(1, 10)
    ]
    modest = Ask(pruned(0.92))
    engine.want("greedy", greedy)
    engine.want("modest", [modest])
    assert stored(engine, modest) is not None
    done = sum(engine.result(a) is not None for a in greedy)
    assert done <= 6, "a turn each: to look, to code the file, to score, to store"


def test_who_waits_for_a_figure_comes_before_who_waits_for_curves(engine):
    engine.want("curves", [Ask(pruned(0.2 + s / 100)) for s in range(60)])
    for i in range(5):
        ask = Ask(pruned(0.9 + i / 100, "uniform_quantization:levels=9"))
        engine.want("hand", [ask])
        assert engine.wait(ask, 5) is not None


def test_thirty_people_with_one_link_cause_one_computation(engine, monkeypatch):
    answered: list[str] = []
    remember = engine._remember

    def counted(key, found):
        answered.append(key)
        return remember(key, found)

    monkeypatch.setattr(engine, "_remember", counted)
    ask = Ask(pruned(0.77, "codebook_quantization:levels=11"))
    for i in range(30):
        engine.want(f"student {i}", [ask])
    stored(engine, ask)
    engine.want("student 31", [ask])
    assert answered.count(ask.key) <= 5, "three goals, two asked for again"


def test_fifty_clicks_start_one_job_and_all_see_it_end(engine):
    recipe = tuned(0.8)
    jobs = {id(engine.submit(recipe, f"person {i}")) for i in range(50)}
    assert len(jobs) == 1
    job = engine.jobs[recipe.digest]
    until(lambda: not job.live)
    assert job.state == "done", job.error
    assert [e.epoch for e in job.history] == [1]
    result = engine.store.get(recipe.digest, "test")
    assert result is not None and [e for e in result.history if e.step == 2] == job.history
    assert engine.store.file(recipe.digest) is not None


def test_progress_comes_within_a_second_and_names_the_time_left(engine):
    recipe = tuned(0.81, epochs=100)
    job = engine.submit(recipe, "anna")
    until(lambda: job.progress is not None, 3)
    assert job.progress is not None and job.progress.seconds_left > 0
    until(lambda: len(job.history) > 1)
    assert job.history[0].bytes > 0 and 0 < job.history[0].accuracy <= 1
    engine.cancel(recipe.digest, "anna")
    until(lambda: not job.live)


def test_cancel_stops_within_a_second_and_keeps_nothing(engine):
    recipe = tuned(0.82, epochs=100)
    job = engine.submit(recipe, "anna")
    until(lambda: job.state == "running")
    start = time.monotonic()
    assert engine.cancel(recipe.digest, "anna")
    until(lambda: not job.live)
    assert time.monotonic() - start < 1.5 and job.state == "cancelled"
    assert engine.store.get(recipe.digest) is None and not engine.store.has_checkpoint(
        recipe.digest
    )


def test_cancel_leaves_the_job_to_others_who_look_at_it(engine):
    recipe = tuned(0.83, epochs=60)
    job = engine.submit(recipe, "anna")
    engine.submit(recipe, "bert")
    assert not engine.cancel(recipe.digest, "anna")
    assert job.live and engine.jobs_of("anna") == [] and engine.jobs_of("bert") == [job]
    assert engine.cancel(recipe.digest, "bert")
    until(lambda: not job.live)


def test_a_job_that_waits_is_cancelled_at_once(engine):
    first, second = engine.submit(tuned(0.84, 100), "anna"), engine.submit(tuned(0.85, 100), "anna")
    until(lambda: first.state == "running")
    assert engine.place(second) == 1
    engine.cancel(second.digest, "anna")
    assert second.state == "cancelled"
    engine.cancel(first.digest, "anna")
    until(lambda: not first.live)


def test_training_does_not_delay_a_slider(engine):
    job = engine.submit(tuned(0.86, epochs=100), "anna")
    until(lambda: job.state == "running")
    ask = Ask(pruned(0.33))
    engine.want("anna", [ask])
    assert engine.wait(ask, 5) is not None and job.live
    engine.cancel(job.digest, "anna")
    until(lambda: not job.live)


def kill(engine: DaskEngine, lane: str) -> None:
    """The processes of this lane, as the system does when memory is short."""
    workers = engine._client.run(os.getpid)
    lanes = engine._client.scheduler_info(n_workers=-1)["workers"]
    for address, pid in workers.items():
        if lane in lanes[address]["resources"]:
            os.kill(pid, signal.SIGKILL)


def test_a_job_outlives_its_worker_and_each_epoch_is_there_once(engine):
    recipe = tuned(0.87, epochs=60)
    job = engine.submit(recipe, "anna")
    until(lambda: job.state == "running" and job.history)
    kill(engine, "batch")
    until(lambda: job.starts == 1, 60)
    until(lambda: not job.live, 240)
    assert job.state == "done", job.error
    assert [e.epoch for e in job.history] == list(range(1, 61))
    result = engine.store.get(recipe.digest, "test")
    assert [e for e in result.history if e.step == 2] == job.history


def test_a_job_whose_workers_die_is_a_message_and_the_next_press_runs_again(engine):
    job = engine.submit(tuned(0.88, epochs=100), "anna")
    for starts in (1, 2):
        until(lambda: job.state == "running" and job.progress, 120)
        kill(engine, "batch")
        until(lambda n=starts: job.starts == n, 60)
    assert job.state == "failed" and "worker died, and so did the next" in job.error
    again = engine.submit(tuned(0.88), "anna")
    until(lambda: not again.live, 60)
    assert again.state == "done", again.error


def test_a_job_that_was_cancelled_is_not_run_again_when_its_worker_dies(engine):
    job = engine.submit(tuned(0.89, epochs=100), "anna")
    until(lambda: job.state == "running")
    kill(engine, "batch")
    engine.cancel(job.digest, "anna")
    until(lambda: not job.live)
    assert job.state == "cancelled"


def test_a_live_worker_that_dies_is_replaced_and_asked_again(engine):
    asks = [Ask(pruned(0.4 + i / 100, "codebook_quantization:levels=61")) for i in range(30)]
    engine.want("anna", asks)
    kill(engine, "live")

    def answered() -> bool:
        engine.want("anna", asks)  # as a page does while it waits
        return all(engine.known(a) for a in asks)

    until(answered, 60)
    assert not any(engine.failure(a) for a in asks)


def test_a_failing_job_says_why(engine):
    other = Recipe("lenet5", "digits", DENSE.steps)
    job = engine.submit(other, "anna")
    until(lambda: not job.live)
    assert job.state == "failed" and "16×16" in job.error


def test_file_of_a_live_setting_is_the_one_that_was_measured(engine):
    from compression.storage import file_digest

    ask = Ask(pruned(0.5))
    engine.want("anna", [ask])
    result = stored(engine, ask)
    data = engine.file(ask.recipe)
    assert len(data) == result.cost.bytes and file_digest(data) == result.file_digest


@pytest.fixture
def inline(tmp_path):
    address, files = f"sqlite:///{tmp_path / 'i.sqlite'}", str(tmp_path / "i")
    limits = Settings(
        store=address, files=files, engine="inline", queue_per_person=2, queue_total=3
    )
    return InlineEngine(Store(address, files), limits)


def test_the_queue_has_limits_for_one_and_for_all(inline):
    for i, owner in enumerate(["anna", "anna", "bert"]):
        job = Job(pruned(0.1 + i / 10))
        job.seen[owner] = time.time()
        inline.jobs[job.digest] = job
    with pytest.raises(JobError, match="2 of your jobs"):
        inline.submit(tuned(0.5), "anna")
    with pytest.raises(JobError, match="queue is full: 3"):
        inline.submit(tuned(0.5), "carl")


def test_who_is_gone_does_not_hold_a_job(inline):
    job = Job(pruned(0.1))
    job.seen |= {"gone": time.time() - LOOKING - 1, "anna": time.time()}
    inline.jobs[job.digest] = job
    assert inline.cancel(job.digest, "anna") and job.state == "cancelled"


def test_the_inline_engine_runs_and_remembers(inline):
    job = inline.submit(tuned(0.9), "anna")
    assert job.state == "done" and job.history
    assert inline.result(Ask(job.recipe, "test")) is not None
