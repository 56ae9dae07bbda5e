"""Looking at a setting: estimates that tighten, and end in what a run stores."""

import ctypes
import dataclasses
import gc
import os
import time

import numpy as np
import psutil
import pytest

from compression import pipeline
from compression.baselines import baseline
from compression.errors import JobError
from compression.estimates import FIRST_SHOWN
from compression.live import Ask, Live
from compression.pipeline import run
from compression.recipe import Recipe, parse_step
from compression.result import Preview, Result

DENSE = baseline("lenet_300_100", "digits")
MNIST = baseline("lenet_300_100", "mnist")
STEPS = [
    ["magnitude_pruning:sparsity=0.9"],
    ["random_pruning:sparsity=0.5,scope=layer"],
    ["magnitude_pruning:sparsity=0.7", "codebook_quantization:levels=5"],
    ["uniform_quantization:levels=6,per=channel", "magnitude_pruning:sparsity=0.4"],
    ["distill:width=0.5,epochs=0", "fixed_point_quantization:Q=8"],
    [],
]


def then(dense: Recipe, *steps: str) -> Recipe:
    return dense.then(*map(parse_step, steps))


@pytest.fixture
def live(store) -> Live:
    return Live(store)


@pytest.mark.parametrize("steps", STEPS, ids=" ".join)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_look_ends_in_what_a_run_of_its_own_gives(live, store, tmp_path, steps, split):
    ask = Ask(then(DENSE, *steps), split)
    first = live.advance(ask, "estimate")
    exact = live.advance(ask, "exact")
    assert isinstance(first, Preview) and isinstance(exact, Preview) and exact.estimate.exact
    stored = live.advance(ask, "stored")
    assert isinstance(stored, Result) and store.get(ask.recipe.digest, split) == stored
    if not steps:  # the loss that ships was measured on another machine
        assert exact.loss == pytest.approx(stored.accuracy(split).loss, rel=1e-5)
        exact = dataclasses.replace(exact, score=stored.accuracy(split))
    assert exact.score == stored.accuracy(split)
    assert exact.weighed and first.weighed == (first.score is not None)
    assert exact.cost == dataclasses.replace(stored.cost, zip_bytes=None)
    assert exact.baseline == first.baseline == stored.baseline and exact.ratio == stored.ratio
    assert first.cost.nonzero_weights == stored.cost.nonzero_weights
    assert first.cost.bytes == pytest.approx(stored.cost.bytes, rel=0.15)
    assert sum(p.bytes for p in first.cost.parts) == first.cost.bytes
    other = type(store)(f"sqlite:///{tmp_path / 'other.sqlite'}", str(tmp_path / "other"))
    alone = run(ask.recipe, other, split=split)
    other.engine.dispose()
    assert alone.cost == stored.cost and alone.file_digest == stored.file_digest
    assert alone.accuracy(split) == stored.accuracy(split)


def test_what_was_looked_at_before_changes_no_number(live, tmp_path, store):
    """Sorted weights, partitions and near settings are used again: only time may tell."""
    recipes = [
        then(MNIST, *p, *q)
        for p in ([], ["magnitude_pruning:sparsity=0.9"], ["random_pruning:sparsity=0.6"])
        for q in (
            ["codebook_quantization:levels=33"],
            ["codebook_quantization:levels=16"],
            ["uniform_quantization:levels=16"],
            ["codebook_quantization:levels=17,rate=1"],
        )
    ]
    together = [live.advance(Ask(r), "exact") for r in [*recipes, *recipes[::-1]]]
    for recipe, found in zip(recipes, together, strict=False):
        alone = Live(store).advance(Ask(recipe), "exact")
        assert (alone.cost, alone.score) == (found.cost, found.score)


def test_estimates_tighten_and_cover_the_score(live):
    widths, covered = [], []
    for sparsity in (0.85, 0.9, 0.93, 0.95, 0.97, 0.98):
        ask = Ask(then(MNIST, f"magnitude_pruning:sparsity={sparsity}"))
        seen = [live.advance(ask, "estimate")]
        assert seen[0].estimate.seen == FIRST_SHOWN
        while not seen[-1].estimate.exact:
            live._look(ask).see_more()
            seen.append(live._look(ask).preview())
        assert [p.estimate.seen for p in seen] == sorted({p.estimate.seen for p in seen})
        truth = seen[-1].score.value
        for preview in seen:
            e = preview.estimate
            assert preview.metric.low <= e.low <= e.value <= e.high <= preview.metric.high
            covered.append(e.low <= truth <= e.high)
        widths.append([p.estimate.high - p.estimate.low for p in seen])
    assert np.mean(covered) > 0.9 and all(w[0] > w[-1] == 0 for w in widths)


def test_a_near_setting_that_was_coded_makes_the_estimate_of_the_size_better(live):
    live.advance(Ask(then(MNIST, "magnitude_pruning:sparsity=0.94")), "exact")
    ask = Ask(then(MNIST, "magnitude_pruning:sparsity=0.95"))
    about, exact = live.advance(ask, "estimate").cost, live.advance(ask, "exact").cost
    assert about.bytes == pytest.approx(exact.bytes, rel=0.02)


def test_a_near_setting_scored_in_full_narrows_the_estimate(store):
    near, far = Live(store), Live(store)
    widths = []
    for lab, first in ((near, 0.94), (far, 0.3)):
        lab.advance(Ask(then(MNIST, f"magnitude_pruning:sparsity={first}")), "exact")
        e = lab.advance(Ask(then(MNIST, "magnitude_pruning:sparsity=0.95")), "estimate").estimate
        widths.append(e.high - e.low)
    assert widths[0] < 0.85 * widths[1]


def test_time_is_kept(live):
    net = baseline("net", "mnist")
    live.advance(Ask(net), "exact")
    ask = Ask(then(net, "magnitude_pruning:sparsity=0.9"))
    found = live.advance(ask, "exact", until=time.perf_counter())
    assert FIRST_SHOWN <= found.estimate.seen < found.estimate.total and found.score is None


def test_a_look_does_not_train(live):
    with pytest.raises(JobError, match="has to be trained first"):
        live.advance(Ask(then(DENSE, "fine_tune:epochs=1")), "estimate")


def test_a_file_that_gives_other_weights_back_is_scored_itself(live, store, monkeypatch):
    ask = Ask(then(DENSE, "magnitude_pruning:sparsity=0.5"))
    honest = live.advance(ask, "exact")
    other = pipeline.build_up(then(DENSE, "magnitude_pruning:sparsity=0.99"), store, live.memory)
    written = pipeline.storage.write(other.compressed)
    monkeypatch.setattr(pipeline.storage, "write", lambda compressed: written)
    live.memory.files.clear()
    stored = live.advance(ask, "stored")
    assert stored.validation.value < honest.score.value - 0.3


def test_settings_that_wait_too_long_are_begun_again(live):
    asks = [Ask(then(MNIST, f"magnitude_pruning:sparsity={0.1 + i / 100}")) for i in range(80)]
    first = [live.advance(a, "estimate") for a in asks]
    assert asks[0].key not in live._open and asks[-1].key in live._open
    again = live.advance(asks[0], "exact")
    assert again.score is not None and again.weighed and not first[0].weighed
    assert again.score == Live(live.store).advance(asks[0], "exact").score


def give_back_free_memory() -> None:
    """So that what the allocator holds in store does not count."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


@pytest.mark.slow
def test_memory_is_bounded_over_two_thousand_moves(store):
    live, process = Live(store), psutil.Process()
    steps = [
        (f"magnitude_pruning:sparsity={s / 100}", f"codebook_quantization:levels={levels}")
        for levels in range(2, 34)
        for s in range(20, 92)
    ]
    sizes = []
    for i, pair in enumerate(steps[:2_000]):
        live.advance(Ask(then(MNIST, *pair)), "exact" if i % 20 == 0 else "estimate")
        if i in (999, 1_999):
            give_back_free_memory()
            sizes.append(process.memory_info().rss)
    assert sizes[1] < sizes[0] + 60e6
