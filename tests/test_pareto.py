"""The Pareto front, by hand and against its definition."""

from hypothesis import given
from hypothesis import strategies as st

from compression.pareto import front

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
