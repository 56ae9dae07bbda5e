"""Intervals of estimates hold the full score as often as they say, on a real network."""

import pytest

from benchmarks import coverage


@pytest.mark.slow
def test_at_least_95_of_100_intervals_hold_the_score_at_every_stage_shown():
    found = coverage.measure("lenet_300_100")
    assert 0.95 <= found["coverage"] <= 1
    assert 0 < found["rms_points"] < 1.5, "one image in 250 is 0.4 points"


def test_cells_are_means_of_their_outcomes():
    outcomes = [
        coverage.Outcome("net", "dense", 250, 0.1, covered, error, half)
        for covered, error, half in ((True, 3.0, 1.0), (False, -4.0, 3.0))
    ]
    cell = coverage.cell(outcomes)
    assert (cell.outcomes, cell.coverage, cell.half_width) == (2, 0.5, 2.0)
    assert cell.rms == pytest.approx(12.5**0.5)
