"""Repeats over seeds: which runs are one operating point, and how surely its mean is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from compression.baselines import baseline
from compression.pruning import MagnitudePruning
from compression.repeats import T95, mean, quantile, repeats

from .helpers import made_result

DENSE = baseline("lenet_300_100", "digits")
PRUNED = DENSE.then(MagnitudePruning(sparsity=0.9))


def test_runs_equal_but_for_the_seed_are_one_point():
    other = DENSE.then(MagnitudePruning(sparsity=0.8))
    runs = [made_result(replace(PRUNED, seed=s)) for s in (2, 0, 1)]
    runs.insert(1, made_result(replace(other, seed=2)))
    found = [[r.recipe.seed for r in point] for point in repeats(runs)]
    assert found == [[0, 1, 2], [2]], "in the order of the points, each by seed"
    assert repeats([]) == []


def test_another_network_or_width_is_another_point():
    runs = [PRUNED, replace(PRUNED, model="net", seed=1), replace(PRUNED, width=0.5, seed=1)]
    assert len(repeats(map(made_result, runs))) == 3


def test_the_interval_by_hand():
    """97, 98, 99: mean 98, deviation 1, so 98 +- 4.3027 / sqrt(3)."""
    found = mean([97, 98, 99])
    assert (found.value, found.n) == (98, 3)
    assert found.high - 98 == pytest.approx(4.3027 / math.sqrt(3))
    assert 98 - found.low == pytest.approx(found.high - 98)


def test_one_run_alone_has_no_interval_and_equal_runs_one_of_no_width():
    assert mean([5.0]).value == 5 and math.isnan(mean([5.0]).low)
    assert mean([5.0, 5.0]) == (5, 5, 5, 2)


@pytest.mark.parametrize("freedom", [*range(1, len(T95) + 1), 31, 50, 200, 5_000])
def test_the_quantile_is_that_of_scipy(freedom):
    assert quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=2e-4)


def test_the_interval_holds_the_truth_19_times_in_20(seed):
    draws = np.random.default_rng(seed).normal(90, 2, (2_000, 4))
    held = sum(m.low <= 90 <= m.high for m in (mean(list(d)) for d in draws))
    assert 0.935 < held / 2_000 < 0.965
