"""Scoring: intervals and tests by hand and against scipy; measuring leaves no mark."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from compression.data import Split
from compression.evaluation import accuracy, change, mcnemar, predict, wilson
from compression.inference import one_thread
from compression.models import build

from .helpers import applied, bits_of


@pytest.mark.parametrize(
    "correct, total, low, high",
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
        (1, 1, 0.2065, 1.0),
        (9_890, 10_000, 0.9868, 0.9909),
    ],
)
def test_wilson_by_hand(correct, total, low, high):
    m = wilson(correct, total)
    assert m.value == correct / total
    assert (round(m.low, 4), round(m.high, 4)) == (low, high)
    assert m.half_width == pytest.approx((high - low) / 2, abs=1e-4)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_that_of_scipy(counts):
    theirs = binomtest(*counts).proportion_ci(0.95, "wilson")
    ours = wilson(*counts)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert 0 <= ours.low <= ours.value + 1e-12 and ours.value - 1e-12 <= ours.high <= 1


@pytest.mark.parametrize(
    "lost, won", [*product([0, 1, 2, 5, 9], repeat=2), (40, 61), (100, 100), (3, 400), (1_500, 900)]
)
def test_mcnemar_is_the_exact_binomial_test(lost, won):
    expected = binomtest(min(lost, won), lost + won, 0.5).pvalue if lost + won else 1.0
    assert mcnemar(lost, won) == pytest.approx(expected, rel=1e-8)
    assert mcnemar(lost, won) == mcnemar(won, lost) <= 1


def verdicts(both: int, lost: int, won: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    before = [True] * (both + lost) + [False] * (won + neither)
    after = [True] * both + [False] * lost + [True] * won + [False] * neither
    return np.array(before), np.array(after)


def test_a_change_is_below_zero_where_images_were_lost():
    worse, better = change(*verdicts(80, 12, 3, 5)), change(*verdicts(80, 3, 12, 5))
    assert worse.difference == pytest.approx(-0.09) and better.difference == pytest.approx(0.09)
    assert worse.low < -0.09 < worse.high < 0 < better.low < better.high
    assert worse.p_value == better.p_value == pytest.approx(binomtest(3, 15).pvalue)
    assert not worse.within_noise and not better.within_noise


def test_the_interval_of_a_change_by_hand():
    found = change(*verdicts(80, 12, 3, 5))
    half = 1.959964 * math.sqrt(15 - 81 / 100) / 100
    assert (found.low, found.high) == pytest.approx((-0.09 - half, -0.09 + half), abs=1e-7)


def test_as_many_lost_as_won_is_within_the_noise():
    found = change(*verdicts(90, 4, 4, 2))
    assert found.difference == 0 and found.p_value == 1 and found.within_noise
    assert found.low == -found.high < 0


def test_nothing_changed_is_no_change():
    same = np.array([True, False, True])
    assert vars(change(same, same)) == dict(difference=0, low=0, high=0, p_value=1.0)


def test_the_classes_add_up_to_the_whole(seed):
    chance = np.random.default_rng(seed)
    labels, answers = chance.integers(0, 10, (2, 500))
    split = Split(torch.zeros(500, 1, 1, 1), torch.from_numpy(labels))
    score = accuracy(answers.astype(np.uint8), split)
    assert sum(c for c, _ in score.by_class) == score.correct == int((answers == labels).sum())
    assert sum(t for _, t in score.by_class) == score.total == 500
    assert score.by_class[3] == (
        int(((answers == 3) & (labels == 3)).sum()),
        int((labels == 3).sum()),
    )
    assert score.value == score.correct / 500 and score.change is None


def test_a_score_is_compared_with_the_answers_of_the_same_images():
    split = Split(torch.zeros(4, 1, 1, 1), torch.tensor([0, 1, 2, 0]))
    score = accuracy(np.array([0, 1, 0, 1]), split, before=np.array([0, 1, 2, 0]))
    assert score.change is not None and score.change.difference == -0.5


# answering


def test_the_answers_are_those_of_the_plain_network(dense, digits):
    with torch.no_grad():
        expected = dense.eval()(digits.to_input(digits.test.images)).argmax(1)
    answers = predict(dense, digits, digits.test)
    assert answers.dtype == np.uint8 and np.array_equal(answers, expected.numpy())


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_no_mark(dense, digits, context, training):
    network = applied(dense, context, "magnitude_pruning", "codebook_quantization").train(training)
    before, random_state = bits_of(network), torch.get_rng_state()
    threads, grads = torch.get_num_threads(), torch.is_grad_enabled()
    images = digits.test.images.clone()
    first = predict(network, digits, digits.test)
    assert network.training is training and all(m.training is training for m in network.modules())
    assert bits_of(network) == before and torch.equal(digits.test.images, images)
    assert torch.get_num_threads() == threads and torch.is_grad_enabled() == grads
    assert torch.equal(torch.get_rng_state(), random_state)
    assert np.array_equal(predict(network, digits, digits.test), first)


def test_one_thread_gives_the_threads_back_after_an_error():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError), one_thread():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_logits_that_are_no_numbers_answer_class_0(dense, digits):
    with torch.no_grad():
        dense.fc3.weight.fill_(math.nan)
    assert not predict(dense, digits, digits.test).any()


def test_one_logit_that_is_no_number_is_not_the_answer(dense, digits):
    with torch.no_grad():
        dense.fc3.bias[7] = math.nan
    answers = predict(dense, digits, digits.test)
    assert not (answers == 7).any() and len(np.unique(answers)) == 9


def test_an_untrained_network_is_about_as_right_as_chance(digits, dense, seed):
    right = predict(build(dense.architecture, seed), digits, digits.test)
    assert (right == digits.test.labels.numpy()).mean() < 0.4
