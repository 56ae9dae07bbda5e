"""The Pareto front and the hypervolume, by hand and against their definitions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compression.pareto import front, fronts, hypervolume, neighbours

points = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 8)), max_size=30)


def test_the_front_by_hand():
    results = [(100, 0.99), (50, 0.95), (60, 0.94), (10, 0.5), (50, 0.9), (200, 0.99)]
    assert front(results) == [3, 1, 0]


def test_no_points_have_no_front_and_one_is_its_own():
    assert front([]) == []
    assert front([(5, 0.1)]) == [0]


def test_of_equal_points_the_first_counts():
    assert front([(5, 0.5), (5, 0.5), (4, 0.1), (4, 0.1)]) == [2, 0]


def test_the_most_accurate_of_equal_size_and_the_smallest_of_equal_accuracy_are_kept():
    assert front([(5, 0.4), (5, 0.6), (5, 0.5)]) == [1]
    assert front([(7, 0.5), (5, 0.5), (6, 0.5)]) == [1]


@given(points)
def test_the_front_is_what_nothing_dominates(points):
    def beaten(i: int) -> bool:
        size, accuracy = points[i]
        return any(
            s <= size and a >= accuracy and ((s, a) != (size, accuracy) or j < i)
            for j, (s, a) in enumerate(points)
            if j != i
        )

    assert sorted(front(points)) == [i for i in range(len(points)) if not beaten(i)]


@given(points)
def test_along_the_front_size_and_accuracy_both_rise(points):
    chosen = [points[i] for i in front(points)]
    for before, after in zip(chosen, chosen[1:], strict=False):
        assert before[0] < after[0] and before[1] < after[1]


senses = st.tuples(st.booleans(), st.booleans())


@given(points, senses)
def test_turning_an_axis_over_turns_its_sense_over(points, lower):
    sign = [1 if lower[0] else -1, -1 if lower[1] else 1]
    turned = [(sign[0] * x, sign[1] * y) for x, y in points]
    assert front(points, lower) == front(turned)


def test_a_front_of_two_things_of_which_more_is_better():
    ratio_and_accuracy = [(1, 0.99), (40, 0.98), (30, 0.97), (100, 0.5)]
    assert front(ratio_and_accuracy, (False, False)) == [3, 1, 0]


def test_each_group_has_its_own_front():
    points = [(5, 0.9), (4, 0.8), (6, 0.7), (9, 0.95), (7, 0.6)]
    assert fronts(points, ["a", "a", "b", "b", "b"]) == {"a": [1, 0], "b": [2, 3]}


def test_the_neighbours_of_a_front_point_are_those_beside_it():
    assert neighbours([3, 1, 0]) == {3: (None, 1), 1: (3, 0), 0: (1, None)}
    assert neighbours([7]) == {7: (None, None)} and neighbours([]) == {}


# hypervolume


def test_a_staircase_by_hand():
    # against (10, 0): 10 - 2 wide up to 1, 10 - 4 wide from 1 to 3, 10 - 7 wide from 3 to 4
    stairs = [(2, 1), (4, 3), (7, 4)]
    assert hypervolume(stairs, (10, 0)) == 8 * 1 + 6 * 2 + 3 * 1
    assert hypervolume([*stairs, (5, 2), (8, 4), (4, 3)], (10, 0)) == 23, "dominated adds nothing"


@pytest.mark.parametrize("n", [1, 2, 5, 100])
def test_the_closed_form_of_n_even_steps(n):
    """Points (k/n, k/n) for k = 0..n-1 against (1, 0): the area under n - 1 even steps."""
    area = hypervolume([(k / n, k / n) for k in range(n)], (1, 0))
    assert area == pytest.approx(sum((n - k) / n for k in range(1, n)) / n)
    assert area == pytest.approx((n - 1) / (2 * n))


def test_what_lies_beyond_the_reference_does_not_count():
    assert hypervolume([(11, 5), (3, -1), (10, 4), (3, 0)], (10, 0)) == 0.0
    assert hypervolume([(11, 5), (3, -1), (8, 4)], (10, 0)) == 8
    assert hypervolume([], (10, 0)) == 0.0


def test_a_tenth_of_the_bytes_at_the_reference_plus_ten_points_is_ten():
    one = [(math.log10(100_000), 98.0)]
    assert hypervolume(one, (math.log10(1_000_000), 88.0)) == pytest.approx(10)


@given(points, senses)
def test_the_hypervolume_is_the_number_of_cells_that_some_point_dominates(points, lower):
    """Counted on the grid of whole numbers, whatever the senses of the two axes."""
    sign = [1 if lower[0] else -1, -1 if lower[1] else 1]
    turned = [(sign[0] * x, sign[1] * y) for x, y in points]
    cells = sum(
        any(px <= x and py >= y + 1 for px, py in points) for x in range(1, 10) for y in range(0, 9)
    )
    assert hypervolume(turned, (sign[0] * 10, 0), lower) == cells


@given(points, st.tuples(st.integers(1, 12), st.integers(0, 8)))
def test_one_more_point_never_takes_area_away(points, more):
    assert hypervolume([*points, more], (13, 0)) >= hypervolume(points, (13, 0))
