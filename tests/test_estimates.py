"""Accuracy from a few images: the formulas by hand, then what must hold for whatever is drawn."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compression.estimates import FIRST_SHOWN, SCHEDULE, Estimator, Prior, _rate, margins
from compression.evaluation import wilson
from compression.result import Estimate

SHOWN = [seen for seen in SCHEDULE if seen >= FIRST_SHOWN]


def made_network(seed: int, n: int = 5_000, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Labels and margins of a network that is right about 96 times of 100."""
    random = np.random.default_rng(seed)
    return random.integers(0, classes, n), random.normal(7, 4, n).astype(np.float32)


def made_setting(seed: int, labels: np.ndarray, before: np.ndarray, damage: float) -> np.ndarray:
    """Margins after compressing: all a bit smaller, one class more so, and noise. damage: 0..1."""
    random = np.random.default_rng(seed)
    unlucky = labels == random.integers(0, labels.max() + 1)
    noise = random.normal(0, 10 * damage, len(before))
    return before * (1 - damage / 2) - 15 * damage**2 * unlucky + noise


def follow(prior: Prior, right: np.ndarray, seed: int = 0) -> dict[int, Estimate]:
    """The estimates of one setting by images seen, to the end."""
    estimator, found = Estimator(prior, seed), {}
    for before, seen in pairwise((0, *SCHEDULE, len(right))):
        if len(right) <= before:
            break
        images = estimator.draw(seen - before)
        estimator.see(images, right[images])
        found[estimator.seen] = estimator.estimate()
    return found


def exact(right: np.ndarray) -> Estimate:
    share = right.sum() / len(right)
    return Estimate(share, share, share, len(right), len(right))


# by hand


def test_a_margin_is_the_logit_of_the_label_minus_the_largest_other():
    logits = np.array([[3, 1, 2], [3, 1, 2], [5, 5, 0], [-1, -4, -2]], np.float32)
    before = logits.copy()
    found = margins(logits, np.array([0, 2, 1, 1]))
    assert found.dtype == np.float32 and found.tolist() == [1, -1, 0, -3]
    assert np.array_equal(logits, before), "what is looked at stays"


def test_a_margin_that_is_no_number_counts_as_a_close_call():
    logits = np.array([[math.nan, 1], [1, math.nan], [2, math.inf], [4, 1]], np.float32)
    assert margins(logits, np.array([0, 0, 0, 0])).tolist() == [0, 0, 0, 3]


def test_infinite_logits_are_no_warning():
    logits = np.array([[math.inf, math.inf], [3e38, -3e38]], np.float32)
    assert margins(logits, np.array([0, 0])).tolist() == [0, 0]


def test_the_features_are_a_constant_the_class_and_the_scaled_margin():
    prior = Prior(np.array([1, 0, 1, 0]), np.array([4.0, -2.0, 0.0, 2.0], np.float32))
    u = np.array([2, -1, 0, 1])  # the mean size of a margin is 2
    assert prior.features[:, :3].tolist() == [[1, 0, 1], [1, 1, 0], [1, 0, 1], [1, 1, 0]]
    assert prior.features[:, 3:] == pytest.approx(np.stack([u, np.arcsinh(5 * u)], 1))
    assert prior.penalties.tolist() == [0.01, 1, 1, 0.1, 0.01]
    assert prior.order.tolist() == [1, 2, 3, 0]


def test_half_of_the_first_draw_is_even_and_half_goes_to_close_calls():
    prior = Prior(np.zeros(4, int), np.array([4.0, -2.0, 0.0, 2.0], np.float32))
    k = np.array([1 / 21, 1 / 11, 1, 1 / 11])
    assert prior.weights == pytest.approx(1 / 8 + k / (2 * k.sum()))


def test_a_near_setting_comes_first_and_the_dense_network_stays_a_feature():
    labels, dense = np.array([1, 0, 1]), np.array([1.0, -1.0, 4.0])
    prior, near = Prior(labels, dense), np.array([3.0, 0.0, -3.0])
    both, alone = prior.beside(near), Prior(labels, near)
    assert np.array_equal(both.features[:, :-1], alone.features)
    assert both.features[:, -1] == pytest.approx(np.arcsinh(5 * dense / 2))
    assert both.penalties.tolist() == [*alone.penalties, 0.1]
    assert np.array_equal(both.weights, alone.weights) and both.order.tolist() == [2, 1, 0]
    assert np.array_equal(prior.features, Prior(labels, dense).features), "the first one stays"


@pytest.mark.parametrize("n, rate", [(1, 0.125), (2, 0.25), (3, 0.5)])
def test_chances_above_one_are_cut_and_the_rest_is_raised(n, rate):
    assert _rate(np.array([1.0, 4.0, 1.0, 2.0]), n) == pytest.approx(rate)


@given(st.lists(st.floats(0.005, 0.6), min_size=2, max_size=60), st.data())
def test_chances_sum_to_the_number_drawn(weights, data):
    n = data.draw(st.integers(1, len(weights) - 1))
    chances = np.minimum(1, _rate(np.array(weights), n) * np.array(weights))
    assert chances.sum() == pytest.approx(n)


def test_an_image_is_drawn_as_often_as_its_weight_says():
    labels, before = made_network(0, n=40)
    prior, times, draws = Prior(labels, before), np.zeros(40), 4_000
    for seed in range(draws):
        times[Estimator(prior, seed).draw(12)] += 1
    chances = np.minimum(1, _rate(prior.weights, 12) * prior.weights)
    assert chances.max() > 2 * chances.min()
    assert np.abs(times / draws - chances).max() < 4 * math.sqrt(0.25 / draws)


def as_written(prior: Prior, batches: list[np.ndarray], right: np.ndarray) -> tuple[float, float]:
    """T and V (right answers) after these batches, by the formulas, slowly."""
    N, x, penalties = len(right), prior.features, prior.penalties
    missed, b, seen = np.ones(N), np.zeros(len(penalties)), np.zeros(N, bool)
    p, w = np.zeros(N), prior.weights
    for images in batches:
        low, high = 0.0, 1e6
        for _ in range(100):
            r = (low + high) / 2
            enough = np.minimum(1, r * w[~seen]).sum() > len(images)
            low, high = (low, r) if enough else (r, high)
        missed *= 1 - np.minimum(1, r * w)
        seen[images] = True
        for _ in range(50):
            p = 1 / (1 + np.exp(-x[seen] @ b))
            curve = (x[seen].T * (p * (1 - p))) @ x[seen] + np.diag(penalties)
            step = np.linalg.solve(curve, x[seen].T @ (right[seen] - p) - penalties * b)
            b += step * min(1, 1 / np.abs(step).max())
        p = 1 / (1 + np.exp(-x @ b))
        w = np.sqrt(p * (1 - p)) + 0.005
    P = 1 - missed
    errors = (right - p)[seen]
    T = p.sum() + (errors / P[seen]).sum()
    V = max((p * (1 - p) * missed / P).sum(), (errors**2 * missed[seen] / P[seen] ** 2).sum())
    return T, V


@pytest.mark.parametrize("damage, surprises", [(0.1, 0), (0.3, 0), (0.8, 0), (0.1, 0.06)])
@pytest.mark.parametrize("near", [False, True])
def test_the_estimate_is_that_of_the_formulas(damage, surprises, near, seed):
    labels, before = made_network(seed, n=600)
    right = made_setting(seed, labels, before, damage) > 0
    right ^= np.random.default_rng(seed).random(600) < surprises  # where nobody would look
    prior = Prior(labels, before)
    if near:
        prior = prior.beside(made_setting(seed, labels, before, 0.9 * damage))
    estimator, batches = Estimator(prior, seed), []
    for n in (100, 150, 250):
        batches.append(estimator.draw(n))
        estimator.see(batches[-1], right[batches[-1]])
        T, V = as_written(prior, batches, right)
        found, half = estimator.estimate(), 1.96 * math.sqrt(V)
        least = right[np.concatenate(batches)].sum()
        most = least + len(right) - estimator.seen
        assert found.value * 600 == pytest.approx(np.clip(T, least, most), abs=0.2)
        assert found.low * 600 == pytest.approx(np.clip(T - half - 0.5, least, most), abs=0.7)
        assert found.high * 600 == pytest.approx(np.clip(T + half + 0.5, least, most), abs=0.7)


# whatever is drawn


@given(
    n=st.integers(2, 700),
    classes=st.integers(1, 5),
    damage=st.floats(0, 1),
    batches=st.lists(st.integers(1, 300), min_size=1, max_size=6),
    seed=st.integers(0, 99),
)
def test_images_are_drawn_once_and_the_interval_allows_what_is_possible(
    n, classes, damage, batches, seed
):
    labels, before = made_network(seed, n, classes)
    right = made_setting(seed, labels, before, damage) > 0
    estimator, seen = Estimator(Prior(labels, before), seed), np.zeros(n, bool)
    for wanted in batches:
        images = estimator.draw(wanted)
        assert images.dtype == np.int64 and len(images) == min(wanted, n - seen.sum())
        assert not seen[images].any() and len(set(images.tolist())) == len(images)
        seen[images] = True
        estimator.see(images, right[images])
        found, good = estimator.estimate(), int(right[seen].sum())
        assert (found.seen, found.total, found.exact) == (seen.sum(), n, seen.all())
        assert good / n <= found.low <= found.value <= found.high <= (good + (~seen).sum()) / n
        assert found.low * n == pytest.approx(round(found.low * n))
        assert found.high * n == pytest.approx(round(found.high * n))
        if found.exact:
            assert found == exact(right)
            break


@pytest.mark.parametrize("n", [1, 99, 100, 101, 180, 5_000])
def test_it_ends_in_the_exact_count(n, seed):
    labels, before = made_network(seed, n)
    right = made_setting(seed, labels, before, 0.5) > 0
    found = follow(Prior(labels, before), right)
    assert list(found) == [seen for seen in SCHEDULE if seen < n] + [n]
    assert found[n] == exact(right)
    assert not any(e.exact for seen, e in found.items() if seen < n)


def test_what_was_drawn_and_not_seen_does_not_count(seed):
    labels, before = made_network(seed)
    first, again = (Estimator(Prior(labels, before), seed) for _ in range(2))
    images = first.draw(250)
    again.draw(4_000)
    again.draw(250)
    for estimator in (first, again):
        estimator.see(images, before[images] > 1)
    assert first.estimate() == again.estimate()


def test_the_last_batch_is_all_that_is_left_in_order(seed):
    labels, before = made_network(seed, 180)
    estimator = Estimator(Prior(labels, before), seed)
    first = estimator.draw(100)
    estimator.see(first, before[first] > 0)
    assert estimator.draw(100).tolist() == sorted(set(range(180)) - set(first.tolist()))


def test_a_seed_gives_the_same_images_whatever_else_was_looked_at(seed):
    labels, before = made_network(seed)
    prior, right = Prior(labels, before), made_setting(seed, labels, before, 0.3) > 0
    alone = follow(prior, right, seed=1)
    follow(prior, ~right, seed=2)
    assert follow(prior, right, seed=1) == alone
    assert follow(Prior(labels, before), right, seed=1) == alone
    first, second = (Estimator(prior, s).draw(100) for s in (1, 2))
    assert not np.array_equal(first, second)


def test_later_images_are_those_that_could_be_either(seed):
    labels, before = made_network(seed)
    estimator = Estimator(Prior(labels, before), seed)
    for n in (100, 150):
        images = estimator.draw(n)
        estimator.see(images, before[images] > 1)  # as the dense network, but for close calls
    close, far = np.abs(before - 1) < 1, np.abs(before - 1) > 5
    drawn = np.bincount(estimator.draw(250), minlength=len(before))
    assert drawn[close].mean() > 4 * drawn[far].mean()


# at the edges


@pytest.mark.parametrize("share", [0, 1])
def test_all_right_and_all_wrong(share, seed):
    labels, before = made_network(seed)
    right = np.full(len(labels), bool(share))
    for found in follow(Prior(labels, before), right).values():
        assert found.low <= share <= found.high
        assert abs(found.value - share) < 0.01


def test_margins_that_say_nothing_make_a_plain_sample(seed):
    labels, before = made_network(seed)
    prior = Prior(labels, margins(np.full((len(labels), 10), np.nan, np.float32), labels))
    assert prior.weights == pytest.approx(1 / len(labels))
    right = before > 0
    found, plain = follow(prior, right)[250], wilson(round(250 * right.mean()), 250)
    assert abs(found.value - right.mean()) < 2 * plain.half_width
    assert (found.high - found.low) / 2 == pytest.approx(plain.half_width, rel=0.5)


def test_one_class_only(seed):
    labels, before = made_network(seed, classes=1)
    right = made_setting(seed, labels, before, 0.3) > 0
    found = follow(Prior(labels, before), right)[1_000]
    assert found.low <= right.mean() <= found.high < found.low + 0.06


# how good it is


@dataclass(frozen=True)
class Simulated:
    """truth, changed: shares; dense, near: estimates by images seen, one dict per prior."""

    truth: float
    changed: float
    dense: dict[int, Estimate]
    near: dict[int, Estimate]

    def width(self, prior: str = "dense", seen: int = 250) -> float:
        found = getattr(self, prior)[seen]
        return found.high - found.low

    def holds(self, prior: str, seen: int) -> bool:
        found = getattr(self, prior)[seen]
        return found.low <= self.truth <= found.high

    def plain_width(self) -> float:
        """Of Wilson's interval of 250 plain images."""
        return 2 * wilson(round(250 * self.truth), 250).half_width


@pytest.fixture(scope="module")
def simulated() -> list[Simulated]:
    """300 settings, from hardly touched to broken, with the estimates from both priors."""
    rows = []
    for i in range(300):
        labels, before = made_network(i)
        random = np.random.default_rng(i)
        damage = 10 ** random.uniform(-2, 0)
        after = made_setting(i, labels, before, damage)
        prior, right = Prior(labels, before), after > 0
        near = prior.beside(after + random.normal(0, 2 * damage, len(after)))
        estimates = follow(prior, right, i), follow(near, right, i)
        rows.append(Simulated(right.mean(), (right != (before > 0)).mean(), *estimates))
    return rows


@pytest.mark.parametrize("prior", ["dense", "near"])
@pytest.mark.parametrize("seen", SHOWN)
def test_the_intervals_hold_at_every_stage_shown(simulated, prior, seen):
    held = [row.holds(prior, seen) for row in simulated if row.changed]
    assert len(held) > 290 and np.mean(held) >= 0.95


def test_the_estimate_is_right_on_average(simulated):
    errors = np.array([row.dense[250].value - row.truth for row in simulated])
    assert abs(errors.mean()) < 3 * errors.std() / math.sqrt(len(errors))


def test_where_few_changed_it_is_much_narrower_than_a_plain_sample(simulated):
    few = [row for row in simulated if row.changed < 0.01]
    assert len(few) > 50
    assert np.mean([r.width() for r in few]) < np.mean([r.plain_width() for r in few]) / 4


def test_where_most_changed_it_is_no_wider_than_a_plain_sample(simulated):
    many = [row for row in simulated if row.changed > 0.15]
    assert len(many) > 50
    assert np.mean([r.width() for r in many]) < np.mean([r.plain_width() for r in many])


def test_a_near_setting_makes_it_narrower(simulated):
    some = [row for row in simulated if row.changed > 0.01]
    dense, near = (np.mean([row.width(prior) for row in some]) for prior in ("dense", "near"))
    assert near < 0.85 * dense


def test_it_narrows_with_every_batch(simulated):
    widths = [np.mean([row.width(seen=seen) for row in simulated]) for seen in SHOWN]
    assert widths == sorted(widths, reverse=True) and widths[-1] < widths[0] / 5
