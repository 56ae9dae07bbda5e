"""Families of recipes: what differs, what stays, and in which order they are asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compression.baselines import baseline
from compression.pruning import MagnitudePruning, RandomPruning
from compression.quantization import CodebookQuantization, FixedPointQuantization
from compression.sweep import (
    CURVE_LEVELS,
    CURVE_SPARSITIES,
    coarse_to_fine,
    coordinates,
    levels_curve,
    replace_step,
    sparsity_curve,
)

DENSE = baseline("lenet_300_100", "digits")
PRUNE, SHARE = MagnitudePruning(sparsity=0.8, scope="layer"), CodebookQuantization(levels=16)


def test_a_step_is_replaced_at_its_place():
    recipe = DENSE.then(PRUNE, SHARE)
    other = replace_step(recipe, 1, RandomPruning())
    assert other == DENSE.then(RandomPruning(), SHARE)
    assert recipe == DENSE.then(PRUNE, SHARE), "the first recipe stays"
    assert replace_step(recipe, 2, PRUNE) == DENSE.then(PRUNE, PRUNE)


def test_a_curve_has_21_sparsities_from_0_to_99_percent():
    assert len(CURVE_SPARSITIES) == 21 == len(set(CURVE_SPARSITIES))
    assert CURVE_SPARSITIES[0] == 0 and CURVE_SPARSITIES[-1] == 0.99
    assert list(CURVE_SPARSITIES) == sorted(CURVE_SPARSITIES)


def test_a_curve_differs_in_the_sparsity_alone():
    curve = sparsity_curve(DENSE.then(PRUNE, SHARE), 1, PRUNE)
    assert [x for x, _ in curve] == list(CURVE_SPARSITIES)
    for sparsity, recipe in curve[1:]:
        assert recipe == DENSE.then(MagnitudePruning(sparsity=sparsity, scope="layer"), SHARE)
    assert len({recipe.digest for _, recipe in curve}) == 21


def test_a_curve_begins_with_the_network_that_has_no_such_step():
    recipe = DENSE.then(PRUNE, SHARE)
    for step in (PRUNE, RandomPruning()):
        assert sparsity_curve(recipe, 1, step)[0] == (0, DENSE.then(SHARE))


def test_a_curve_of_another_method_takes_the_place_of_the_first():
    curve = sparsity_curve(DENSE.then(PRUNE, SHARE), 1, RandomPruning(scope="layer"))
    assert curve[3][1] == DENSE.then(RandomPruning(sparsity=0.15, scope="layer"), SHARE)


def test_the_setting_of_the_moment_lies_on_its_own_curve():
    recipe = DENSE.then(PRUNE, SHARE)
    assert recipe.digest in {r.digest for _, r in sparsity_curve(recipe, 1, PRUNE)}


def test_coarse_to_fine_begins_with_the_ends():
    assert coarse_to_fine(9) == [0, 8, 4, 2, 6, 1, 3, 5, 7]
    assert coarse_to_fine(21)[:7] == [0, 20, 4, 8, 12, 16, 2]


@pytest.mark.parametrize("n, order", [(0, []), (1, [0]), (2, [0, 1]), (3, [0, 2, 1])])
def test_coarse_to_fine_of_few_points(n, order):
    assert coarse_to_fine(n) == order


@given(st.integers(0, 200))
def test_coarse_to_fine_asks_for_every_point_once(n):
    assert sorted(coarse_to_fine(n)) == list(range(n))


def test_the_levels_curve_changes_one_knob_at_21_numbers():
    dense = baseline("net", "digits")
    recipe = dense.then(MagnitudePruning(sparsity=0.5), CodebookQuantization(levels=9))
    curve = levels_curve(recipe, len(dense.steps) + 1, CodebookQuantization(rate=1), "levels")
    assert [n for n, _ in curve] == list(CURVE_LEVELS) and len(CURVE_LEVELS) == 21
    for n, r in curve:
        assert r.steps[-1] == CodebookQuantization(levels=int(n), rate=1)
        assert r.steps[:-1] == recipe.steps[:-1]
    by_q = levels_curve(recipe, len(recipe.steps) - 1, FixedPointQuantization(), "Q")
    assert [r.steps[-1].Q for _, r in by_q] == list(CURVE_LEVELS)


def test_near_recipes_have_near_coordinates_and_others_live_elsewhere():
    dense = baseline("net", "digits")

    def at(sparsity: float, levels: int, **more):
        steps = MagnitudePruning(sparsity=sparsity, **more), CodebookQuantization(levels=levels)
        return coordinates(dense.then(*steps))

    words, here = at(0.5, 16)
    for other, apart in ((at(0.55, 16), 0.05 / 0.99), (at(0.5, 32), 1 / 7), (at(0.5, 16), 0)):
        assert other[0] == words
        assert sum(abs(x - y) for x, y in zip(here, other[1], strict=True)) == pytest.approx(apart)
    elsewhere = [
        at(0.5, 16, scope="layer"),
        coordinates(dense),
        coordinates(baseline("net", "mnist")),
    ]
    assert all(found[0] != words for found in elsewhere)
