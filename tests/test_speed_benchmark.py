"""The benchmark of speed: which recipes it times, and what it says of them."""

import json

import pytest

from benchmarks import speed
from benchmarks.speed import Cell, Row, cut, reaches, rows, table
from compression.baselines import baseline
from compression.channels import ChannelPruning
from compression.networks import NETWORKS
from compression.presets import PRESETS
from compression.speed import Pace
from compression.units import NBSP


def row(single: float, many: float, points: float = 0.1, test_points: float = 0.1) -> Row:
    cells = [Cell(1, 1, single, single, single, 1.0, single, 0.0)]
    cells += [Cell(256, 1, many, many, many, 10.0, 10 * many, 0.0)]
    return Row("net", "dense", "", 1_000, 0.99, points, 0.99, test_points, True, tuple(cells))


@pytest.mark.parametrize("model", NETWORKS)
def test_each_network_is_cut_to_half_and_to_what_the_preset_says(model):
    dense, *cuts = cut(model, "mnist").values()
    ratios = [step.ratio for r in cuts for step in r.steps if isinstance(step, ChannelPruning)]
    offered = PRESETS[speed.PRESET].steps(model)[0]
    assert dense == baseline(model, "mnist") and isinstance(offered, ChannelPruning)
    assert ratios == list(dict.fromkeys([0.5, offered.ratio]))


def test_the_aim_is_both_times_and_both_splits():
    assert reaches(row(2.0, 3.0))
    assert not reaches(row(1.9, 9.0)) and not reaches(row(9.0, 2.9))
    assert not reaches(row(9.0, 9.0, points=0.21))
    assert not reaches(row(9.0, 9.0, test_points=0.21))


def test_the_table_says_times_with_quartiles_and_marks_the_preset():
    lines = table([row(2.0, 3.0)]).splitlines()
    assert lines[0].endswith("| 1 × 1 thread | 256 × 1 thread |")
    assert "**dense**" in lines[2] and "2.00 (2.00 to 2.00)" in lines[2] and "+0.10" in lines[2]
    assert NBSP not in lines[2]


@pytest.mark.slow
def test_dense_half_int8_and_both_are_trained_scored_and_timed(store):
    found = rows("lenet_300_100", "digits", store, Pace(turns=2, seconds=0.001, tries=1))
    names = [r.what for r in found]
    assert names[:4] == ["dense", "int8", "half of the channels", "half of the channels, int8"]
    assert found[0].points == found[0].test_points == 0
    assert found[0].bytes > found[2].bytes > found[3].bytes
    assert [r.what for r in found if r.preset] == names[-1:], "what the lab offers is among them"
    assert all(len(r.cells) == len(found[0].cells) for r in found)
    assert json.dumps([speed.asdict(r) for r in found])
