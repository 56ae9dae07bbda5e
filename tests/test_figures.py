"""The plots: their data add up, and each can be drawn, with much, little or nothing."""

import dataclasses
import json
import math
from itertools import product

import plotly.graph_objects as go
import pytest

from compression import figures, units
from compression.baselines import baseline
from compression.distillation import Distill
from compression.figures import (
    DARK,
    LIGHT,
    Bar,
    Curve,
    Hero,
    LayerBytes,
    Spot,
    Track,
)
from compression.figures.look import letters
from compression.figures.recipes import LONGEST, steps_height
from compression.language import speaking
from compression.pipeline import run
from compression.pruning import MagnitudePruning
from compression.quantization import CodebookQuantization
from compression.recipe import Recipe
from compression.result import Epoch, Part, Result
from compression.training import FineTune

from .helpers import made_result

DENSE = baseline("lenet_300_100", "digits")
PRUNE, SHARE = MagnitudePruning(sparsity=0.9), CodebookQuantization(levels=16)
THEMES = pytest.mark.parametrize("p", [LIGHT, DARK], ids=["light", "dark"])
HEIGHT = 300


def traces(figure) -> dict[str, object]:
    """Traces of a figure by name, all of its properties checked by plotly, which drawing skips."""
    figure = go.Figure(json.loads(figure.to_json()))
    assert figure.layout.height == HEIGHT
    return {t.name: t for t in figure.data}


def texts(figure) -> str:
    return " ".join(a.text for a in figure.layout.annotations)


def spots(n: int, size: int = 1_000, top: float = 97.0) -> list[Spot]:
    return [Spot(size * (i + 1), top - 5 / (i + 1), 80.0, 99.0, f"point {i}") for i in range(n)]


# where the bytes went


def adds_up(bars: list[Bar]) -> None:
    """The first bar starts at nothing, each begins where the one before ended, the last is the
    file from nothing to where the steps ended.
    """
    first, *moves, last = bars
    assert first.start == 0 and last.start == 0
    at = first.end
    for bar in moves:
        assert bar.start == at != bar.end
        at = bar.end
    assert at == last.end


@pytest.mark.parametrize(
    "steps, sizes",
    [
        ((PRUNE,), (35_000, 9_000)),
        ((PRUNE, SHARE), (35_000, 9_000, 2_500)),
        ((SHARE, PRUNE), (35_000, 6_000, 2_600)),
        ((PRUNE, FineTune(), SHARE), (35_000, 9_000, 9_100, 2_500)),
        ((Distill(), PRUNE, SHARE), (35_000, 20_000, 9_000, 2_500)),
        ((FineTune(), PRUNE), (35_000, 36_000, 9_000)),
        ((PRUNE, PRUNE), (35_000, 9_000, 9_000)),
        ((), (35_000,)),
        ((), (40_000,)),
    ],
    ids=str,
)
def test_the_waterfall_adds_up_exactly(steps, sizes):
    result = made_result(DENSE.then(*steps), sizes[-1], sizes=sizes)
    bars = figures.waterfall(result)
    adds_up(bars)
    assert bars[0].end == result.baseline.fp32_bytes == 40_000
    assert bars[-1].end == result.cost.bytes
    lost = sum(b.start - b.end for b in bars[1:-1])
    assert lost == 40_000 - result.cost.bytes


def test_the_waterfall_names_its_bars_by_what_was_done():
    result = made_result(
        DENSE.then(PRUNE, FineTune(), SHARE), 2_500, sizes=(35_000, 9_000, 9_100, 2_500)
    )
    bars = figures.waterfall(result)
    assert [b.label for b in bars] == ["dense", "coding", "pruning", "tuning", "levels", "file"]
    assert [b.family for b in bars[2:5]] == ["pruned", "dense", "quantized"]
    signs = [b.text[0] for b in bars[1:-1]]
    assert signs == [units.MINUS, units.MINUS, "+", units.MINUS]
    assert bars[2].text == f"{units.MINUS}26.0{units.NBSP}kB"


def test_what_a_step_saves_is_marked_until_the_file_is_weighed(monkeypatch):
    result = made_result(DENSE.then(PRUNE), 9_000, sizes=(35_000, 9_000))
    monkeypatch.setattr(Result, "weighed", False)
    texts = [b.text for b in figures.waterfall(result)]
    assert texts[2] == f"≈ {units.MINUS}26.0{units.NBSP}kB" and "≈" not in texts[0]


def test_a_recipe_that_trains_after_pruning_has_no_bar_for_coding_alone():
    start = Recipe("lenet_300_100", "digits", (PRUNE, FineTune()))
    bars = figures.waterfall(made_result(start, 5_000, sizes=(6_000, 5_000)))
    adds_up(bars)
    assert [b.label for b in bars] == ["dense", "pruning", "tuning", "file"]


@pytest.mark.parametrize(
    "steps", [(), (PRUNE,), (SHARE, PRUNE), (Distill(width=0.3, epochs=1), PRUNE)]
)
def test_bars_and_rows_of_a_real_run_add_up(store, steps):
    result = run(DENSE.then(*steps), store, split="validation", keep=False)
    adds_up(figures.waterfall(result))
    rows = figures.layer_bytes(result)
    assert sum(r.weights + r.tables + r.bias for r in rows) == result.cost.bytes
    assert [r.layer for r in rows] == ["file", "fc1", "fc2", "fc3"]
    width = next((s.width for s in steps if isinstance(s, Distill)), 1)
    assert [r.bias for r in rows] == [0, round(1_200 * width), round(400 * width), 40]


def test_the_rows_of_the_layers_hold_every_part_once():
    parts = (
        Part("file", "header", 19),
        Part("fc1", "tables", 30),
        Part("fc1", "codebook", 32),
        Part("fc1", "weights", 700),
        Part("fc1", "bias", 120),
        Part("fc2", "weights", 99),
    )
    rows = figures.layer_bytes(made_result(DENSE, 1_000, parts=parts))
    assert rows == [
        LayerBytes("file", 0, 19, 0),
        LayerBytes("fc1", 700, 62, 120),
        LayerBytes("fc2", 99, 0, 0),
    ]
    assert sum(sum(r[1:]) for r in rows) == 1_000 == sum(p.bytes for p in parts)


@THEMES
def test_the_waterfall_is_drawn_bar_by_bar(p):
    result = made_result(
        DENSE.then(PRUNE, PRUNE, SHARE), 2_000, sizes=(35_000, 9_000, 5_000, 2_000)
    )
    bars = figures.waterfall(result)
    figure = figures.draw_waterfall(bars, p, HEIGHT)
    traces(figure)
    (drawn,) = figure.data
    assert len(set(drawn.y)) == len(bars), "two prunings do not share a row"
    assert list(drawn.x) == [abs(b.end - b.start) for b in bars]
    assert list(drawn.base) == [min(b.start, b.end) for b in bars]
    assert list(drawn.marker.color) == [p.marks[b.family] for b in bars]


@THEMES
def test_the_shortest_waterfall_is_drawn(p):
    traces(figures.draw_waterfall(figures.waterfall(made_result(DENSE, sizes=(1_000,))), p, HEIGHT))


@THEMES
def test_the_layers_are_drawn_with_their_parts(p):
    rows = [LayerBytes("file", 0, 19, 0), LayerBytes("fc1", 700, 62, 120)]
    figure = figures.draw_layer_bytes(rows, p, HEIGHT)
    found = traces(figure)
    assert list(found["weights"].x) == [0, 700] and list(found["bias"].x) == [0, 120]
    assert list(figure.layout.xaxis.range) == [0, 882]
    assert units.size(882) in texts(figure)
    traces(figures.draw_layer_bytes(rows[:1], p, HEIGHT))


@THEMES
def test_the_four_sizes_are_those_of_the_result(p):
    bars = figures.four_sizes(made_result(DENSE.then(PRUNE), 5_000))
    assert [(b.label, b.bytes) for b in bars] == [
        ("fp32 file", 40_000),
        ("zip of it", 30_000),
        ("nominal", 20_000),
        (".nnz file", 5_000),
    ]
    figure = figures.draw_sizes(bars, p, HEIGHT)
    traces(figure)
    assert list(figure.data[0].x) == [40_000, 30_000, 20_000, 5_000]
    traces(figures.draw_sizes(bars[:1], p, HEIGHT))


# accuracy against size


def hero(point: bool = True, trail: int = 3, curve: int = 21, front: int = 4, **more) -> Hero:
    dense = Spot(160_000, 97.0, 95.0, 98.5, "dense")
    here = Spot(8_000, 96.0, 94.0, 97.7, "here") if point else None
    values = dict(
        family="combined",
        dense=dense,
        dense_bytes=200_000,
        point=here,
        trail=spots(trail),
        curve=spots(curve),
        random=spots(curve, top=80.0),
        front=spots(front),
        curve_name="this method",
    )
    return Hero(**{**values, **more})


@THEMES
@pytest.mark.parametrize(
    "point, trail, curve, front", list(product([True, False], [0, 1, 5], [0, 1, 2, 21], [0, 1, 4]))
)
def test_the_hero_is_drawn_with_much_and_with_little(p, point, trail, curve, front):
    figure = figures.draw_hero(hero(point, trail, curve, front), p, HEIGHT)
    found = traces(figure)
    assert ("this setting" in found) is point and ("last moves" in found) is bool(trail)
    assert ("interval" in found) is (curve > 1)
    assert list(found["dense"].x) == [200_000]
    low, high = figure.layout.xaxis.range
    assert 10**low < 8_000 < 200_000 < 10**high


@THEMES
@pytest.mark.parametrize("accuracy", [97.5, 96.0, 90.0, 55.0, 10.0, 0.0])
def test_the_point_lies_inside_the_window_wherever_it_is(p, accuracy):
    d = hero(point=True)._replace(point=Spot(8_000, accuracy, accuracy, accuracy, "here"))
    figure = figures.draw_hero(d, p, HEIGHT)
    found = traces(figure)
    low, high = figure.layout.yaxis.range
    assert low <= accuracy <= high and low <= 97 <= high
    assert list(found["this setting"].y) == [accuracy]
    assert f"{accuracy:.1f} %" in texts(figure)


@pytest.mark.parametrize("size", [150, 999, 12_345, 10**6, 10**8])
def test_the_size_axis_holds_every_size_and_names_its_units(size):
    d = hero()._replace(point=Spot(size, 96, 95, 97, ""), dense_bytes=max(200_000, 3 * size))
    axis = figures.draw_hero(d, LIGHT, HEIGHT).layout.xaxis
    low, high = axis.range
    assert axis.type == "log" and 10**low < size < 10**high
    assert 2 <= len(axis.tickvals) == len(axis.ticktext) <= 12
    assert all(low <= math.log10(t) <= high for t in axis.tickvals)
    assert axis.ticktext[0].endswith("B")


@THEMES
@pytest.mark.parametrize("by_levels", [False, True])
@pytest.mark.parametrize(
    "n, random, at", [(0, 0, None), (1, 0, 95.0), (21, 21, 95.0), (5, 9, None)]
)
def test_the_curve_is_drawn_with_much_and_with_little(p, n, random, at, by_levels):
    xs, others = ([2.0 + 5 * i for i in range(k)] for k in (n, random))
    here = Spot(8_000, at, at, at) if at else None
    d = Curve(xs, spots(n), others, spots(random, top=80.0), "chance", 60.0, here, by_levels)
    found = traces(figures.draw_curve(d, p, HEIGHT))
    assert list(found["this method"].x) == xs and list(found["chance"].x) == others
    assert ("this setting" in found) is (at is not None)


@THEMES
def test_estimates_are_drawn_open_and_wide(p):
    estimated = [s._replace(estimated=i % 2 == 0) for i, s in enumerate(spots(4))]
    here = Spot(8_000, 96.0, 90.0, 99.0, "here", estimated=True)
    d = hero()._replace(curve=estimated, point=here)
    found = traces(figures.draw_hero(d, p, HEIGHT))
    assert list(found["this method"].marker.symbol) == ["circle-open", "circle"] * 2
    exact = traces(figures.draw_hero(hero(), p, HEIGHT))["this setting"]
    assert found["this setting"].marker.symbol == ("circle-open",) != exact.marker.symbol
    assert found["this setting"].error_y.thickness > exact.error_y.thickness
    assert "≈ 96.0 %" in texts(figures.draw_hero(d, p, HEIGHT))
    curve = Curve([1.0, 2.0, 3.0, 4.0], estimated, [], [], "random", 3.0, here)
    small = traces(figures.draw_curve(curve, p, HEIGHT))
    assert list(small["this method"].marker.symbol) == ["circle-open", "circle"] * 2


# training


def epochs(n: int, start: float = 0.5) -> list[Epoch]:
    return [
        Epoch(0, i + 1, n, 2 / (i + 1), start + 0.4 * i / max(n, 1), 9_000, 1.5 * i)
        for i in range(n)
    ]


@THEMES
@pytest.mark.parametrize("teacher", [None, 97.5])
@pytest.mark.parametrize("lengths", [[], [0], [1], [5], [5, 0], [5, 3, 1], [100]])
def test_trainings_are_drawn_from_their_first_epoch_on(p, teacher, lengths):
    tracks = [
        Track(f"track {i}", "distilled" if i == 0 else "dense", i > 0, epochs(n, 0.5 + 0.01 * i))
        for i, n in enumerate(lengths)
    ]
    most = max(lengths, default=0) or 4
    figure = figures.draw_training(tracks, teacher, most, p, HEIGHT, "Students")
    found = traces(figure)
    assert list(found) == [f"track {i}" for i, n in enumerate(lengths) if n]
    assert len(figure.layout.xaxis.tickvals) <= 16
    assert ("teacher 97.5 %" in texts(figure)) is (teacher is not None)


def test_a_reference_is_dashed_and_a_method_is_not():
    tracks = [Track("a", "distilled", False, epochs(3)), Track("b", "dense", True, epochs(3))]
    found = traces(figures.draw_training(tracks, None, 3, LIGHT, HEIGHT, "Students"))
    assert found["a"].line.dash == "solid" and found["b"].line.dash == figures.DASH


@THEMES
@pytest.mark.parametrize("n", [0, 1, 10])
def test_losses_are_drawn_from_their_first_epoch_on(p, n):
    figure = figures.draw_losses(epochs(n), 10, p, HEIGHT)
    found = traces(figure)
    assert len(found["loss"].x) == len(found["accuracy"].x) == n
    assert list(figure.layout.xaxis.range) == [0.5, 10.5], "the axis does not grow with the line"


def test_where_the_file_shrinks_while_it_trains_its_bytes_are_drawn():
    history = [dataclasses.replace(e, bytes=9_000 - 1_000 * e.epoch) for e in epochs(3)]
    figure = figures.draw_losses(history, 10, LIGHT, HEIGHT)
    assert list(traces(figure)["bytes"].y) == [8_000, 7_000, 6_000]
    assert "the file shrinks" in texts(figure)


def test_a_spot_is_the_score_on_the_split_or_else_on_validation():
    result = made_result(DENSE.then(PRUNE), 9_000, 95, tested=False)
    spot = figures.spot(result, "test")
    assert spot == figures.spot(result, "validation")
    assert (spot.bytes, spot.accuracy, spot.text) == (9_000, 95, "prune 90 %")
    assert spot.low < 95 < spot.high


# colours


@pytest.mark.parametrize("p", [LIGHT, DARK], ids=["light", "dark"])
def test_every_family_has_a_colour_and_a_shape_of_its_own(p):
    assert set(p.marks) == set(p.words) == set(figures.SHAPES) == {"dense", *figures.FAMILIES}
    assert len(set(p.marks.values())) == len(p.marks)


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("p", [LIGHT, DARK], ids=["light", "dark"])
def test_words_and_marks_stand_out_from_the_ground(p):
    def contrast(color: str) -> float:
        one, other = sorted([luminance(color), luminance(p.ground)])
        return (other + 0.05) / (one + 0.05)

    assert all(contrast(c) >= 4.5 for c in (*p.words.values(), p.text, p.soft))
    assert all(contrast(c) >= 3 for c in p.marks.values())


def test_the_palette_follows_the_theme():
    assert figures.palette("dark") is DARK
    assert figures.palette("light") is figures.palette(None) is LIGHT


# languages


def test_a_chinese_character_is_as_wide_as_two_letters():
    assert letters("prune 90 %") == 10 and letters("裁剪 90 %") == 9 and letters("") == 0


def test_words_of_a_step_are_cut_by_their_width():
    for label in ("prune 90 % of all the weights", "先把权重裁剪掉百分之九十，再量化"):
        bar = figures.StepBar(label, "pruned", 2_000, 1_000, None)
        figure = figures.draw_steps([bar], None, LIGHT)
        assert figure.layout.height == steps_height([bar])
        (shown,) = [t for t in texts(figure).split("<b>") if "…" in t]
        assert letters(shown.split("…")[0]) in (LONGEST - 2, LONGEST - 1)


def test_a_plot_speaks_the_readers_language_and_its_traces_keep_their_names():
    english = traces(figures.draw_hero(hero(), LIGHT, HEIGHT))
    with speaking("zh"):
        figure = figures.draw_hero(hero(), LIGHT, HEIGHT)
    assert "准确率" in texts(figure) and "Accuracy" not in texts(figure)
    assert list(traces(figure)) == list(english)
