"""The plot of speed: a bar for each kind of numbers, beside the dense network's line."""

import json
from typing import NamedTuple

import plotly.graph_objects as go
import pytest

from compression import figures, units
from compression.figures import DARK, LIGHT, SpeedBar


class Timed(NamedTuple):
    batch: int = 1
    threads: int = 1
    median_ms: float = 0.0556
    faster: float = 2.5
    faster_low: float = 2.25
    faster_high: float = 3.0


def bars() -> list[SpeedBar]:
    cells = [(1, 1), (1, 2), (256, 1)]
    return [
        figures.speed_bar(Timed(batch, threads), 0.14, kind, family)
        for batch, threads in cells
        for kind, family in (("floats", "pruned"), ("int8", "combined"))
    ]


def test_a_bar_says_its_batch_its_threads_and_its_numbers():
    first, *_, last = bars()
    assert first[:6] == ("1 image, 1 thread", "floats", 2.5, 2.25, 3.0, 0.0556)
    assert last.group == "256 images, 1 thread" and last.family == "combined"
    assert bars()[2].group == "1 image, 2 threads"


@pytest.mark.parametrize("p", [LIGHT, DARK], ids=["light", "dark"])
def test_bars_of_one_group_stand_together_and_whiskers_are_quartiles(p):
    drawn = figures.draw_speed(bars(), p, "Faster", "")
    figure = go.Figure(json.loads(drawn.to_json()))  # each property checked
    bar = figure.data[0]
    assert list(bar.y) == [1, 2, 4, 5, 7, 8], "a row for the name of each group"
    assert bar.error_x.array[0] == 0.5 and bar.error_x.arrayminus[0] == 0.25
    assert list(bar.marker.color[:2]) == [p.marks["pruned"], p.marks["combined"]]
    assert figure.layout.shapes[0].x0 == 1, "the dense network's line"
    low, high = figure.layout.xaxis.range
    assert low == 0 and high > 3


def test_what_is_slower_than_dense_still_shows_the_line():
    slow = figures.speed_bar(Timed(faster=0.4, faster_low=0.3, faster_high=0.5), 0.1, "int8",
                             "quantized")  # fmt: skip
    assert figures.draw_speed([slow], LIGHT, "", "").layout.xaxis.range[1] >= 2


def test_milliseconds_keep_three_digits_however_few_they_are():
    shown = [units.milliseconds(ms).replace("\u00a0", " ") for ms in (0.0556, 25.21, 1_300)]
    assert shown == ["0.0556 ms", "25.2 ms", "1.3 s"]
