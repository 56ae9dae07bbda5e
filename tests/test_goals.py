"""Goals: their limits, and which recipe is recommended."""

import pytest

from compression.baselines import baseline
from compression.errors import InvalidInput
from compression.goals import Goal, Tried, answer, excess, fits, goal_front
from compression.recipe import Recipe, parse_step

DENSE = baseline("lenet_300_100", "digits")


def goal(**more: object) -> Goal:
    return Goal(**{"dataset": "digits", "models": ("lenet_300_100",), **more})  # type: ignore[arg-type]


def pruned(sparsity: float, *more: str) -> Recipe:
    return DENSE.then(parse_step(f"magnitude_pruning:sparsity={sparsity}"), *map(parse_step, more))


def one(sparsity: float, size: int, points: float, macs: int = 1_000, *more: str) -> Tried:
    return Tried(pruned(sparsity, *more), size, macs, points, 0.0)


def test_a_goal_comes_back_from_json_and_more_time_is_the_same_goal():
    made = goal(most_bytes=40_000, most_points=0.5, seconds=60)
    assert Goal.from_dict(made.to_dict()) == made
    assert goal(seconds=60).digest == goal(seconds=600).digest != goal(seed=1).digest


@pytest.mark.parametrize(
    "knobs, sentence",
    [
        (dict(minimize="beauty"), "unknown goal.minimize 'beauty'"),
        (dict(most_points=None), "needs a limit on the points lost"),
        (dict(minimize="points"), "name the most bytes, multiply-adds"),
        (dict(most_points=float("nan")), "goal.most_points must lie in"),
        (dict(most_bytes=0), "goal.most_bytes must lie in"),
        (dict(seconds=10**9), "goal.seconds must lie in"),
        (dict(epochs=1.5), "goal.epochs must be a whole number"),
        (dict(models=()), "at least one network"),
    ],
)
def test_a_goal_that_makes_no_sense_is_refused(knobs, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        goal(**knobs)


def test_fields_from_outside_are_checked():
    with pytest.raises(InvalidInput, match="unknown field of a goal 'colour'"):
        Goal.from_dict({"dataset": "digits", "models": ["net"], "colour": 1})
    with pytest.raises(InvalidInput, match="not complete"):
        Goal.from_dict({"models": ["net"]})


def test_the_smallest_within_the_limit_is_recommended_and_the_limit_that_binds_is_named():
    found = [one(0.5, 900, 0.1), one(0.8, 500, 0.4), one(0.9, 300, 0.9), one(0.95, 200, 2.0)]
    best = answer(goal(most_points=1.0, most_bytes=1_000), found)
    assert best.best == found[2]
    assert best.binds == ("points", pytest.approx(0.9))
    assert best.further == found[3], "100 bytes less would lose 2 points"
    assert best.nearest is None


def test_the_limit_on_bytes_binds_when_the_most_accurate_is_wanted():
    found = [one(0.5, 990, 0.1), one(0.8, 500, 0.4), one(0.3, 2_000, 0.0)]
    best = answer(goal(minimize="points", most_points=None, most_bytes=1_000), found)
    assert best.best == found[0]
    assert best.binds == ("bytes", pytest.approx(0.99))
    assert best.further == found[2]


def test_the_runner_up_has_other_steps_where_there_are_any():
    same = [one(0.9, 300, 0.5), one(0.89, 310, 0.5)]
    assert answer(goal(), same).runner_up == same[1]
    other = one(0.5, 800, 0.2, 1_000, "codebook_quantization:levels=16")
    assert answer(goal(), [*same, other]).runner_up == other


def test_where_nothing_is_within_the_limits_the_nearest_is_named():
    found = [one(0.5, 900, 4.0), one(0.9, 300, 3.0)]
    best = answer(goal(most_points=1.0), found)
    assert best.best is None and best.runner_up is None and best.further is None
    assert best.nearest == found[1]
    assert excess(goal(most_points=1.0), found[1]) == pytest.approx(2.0)


def test_multiply_adds_can_be_minimized_and_limited():
    found = [one(0.5, 900, 0.1, 4_000), one(0.8, 950, 0.4, 1_000)]
    assert answer(goal(minimize="macs"), found).best == found[1]
    assert not fits(goal(most_macs=2_000), found[0]) and fits(goal(most_macs=2_000), found[1])


def test_a_limit_of_no_points_at_all_can_be_met():
    found = [one(0.5, 900, 0.0), one(0.9, 300, 0.1)]
    assert answer(goal(most_points=0.0), found).best == found[0]


def test_the_front_holds_what_nothing_beats():
    found = [one(0.5, 900, 0.1), one(0.6, 950, 0.2), one(0.9, 300, 0.9)]
    assert goal_front(goal(), found) == [found[2], found[0]]


def test_nothing_tried_gives_no_answer():
    assert answer(goal(), []) == answer(goal(), ())
    assert answer(goal(), []).best is None


def test_a_limit_in_milliseconds_binds_and_what_is_not_measured_is_beyond_it():
    quick, slow = one(0.5, 900, 0.1)._replace(ms=0.5), one(0.9, 300, 0.5)._replace(ms=2.0)
    best = answer(goal(most_ms=0.6), [quick, slow, one(0.95, 200, 0.5)])
    assert best.best == quick and best.binds == ("ms", pytest.approx(0.5 / 0.6))
    assert best.further is not None
