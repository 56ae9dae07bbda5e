"""The plots of the Compare page: what is in them, and that plotly takes every property."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as some

from compression import figures
from compression.evaluation import wilson
from compression.figures import DARK, LIGHT, Tag, spread
from compression.result import Change

A, B, BASE = Tag("A", "pruned", "p"), Tag("B", "combined", "c"), Tag("", "dense", "dense")
THEMES = pytest.mark.parametrize("p", [LIGHT, DARK], ids=["light", "dark"])
NAMES = ["coat", "shirt", "bag"]


def checked(figure: go.Figure) -> go.Figure:
    """All properties checked by plotly, which drawing skips."""
    return go.Figure(json.loads(figure.to_json()))


def traces(figure: go.Figure) -> dict[str, object]:
    return {t.name: t for t in checked(figure).data}


def texts(figure: go.Figure) -> list[str]:
    return [a.text for a in figure.layout.annotations]


# labels


def test_labels_move_apart_as_little_as_it_takes():
    assert spread([5.0, 5.0], 2, 0, 10) == [4.0, 6.0]
    assert spread([1.0, 9.0], 2, 0, 10) == [1.0, 9.0]
    assert spread([10.0, 9.5, 1.0], 2, 0, 10) == [10.0, 8.0, 1.0]
    assert spread([0.0, 0.0, 0.0], 2, 0, 10) == [0.0, 2.0, 4.0]
    assert spread([], 2, 0, 10) == []


@given(some.lists(some.floats(0, 100), min_size=1, max_size=9))
def test_labels_never_overlap_nor_leave_the_plot_nor_change_their_order(places):
    moved = spread(places, 10, 0, 100)
    ordered = sorted(moved)
    assert all(b - a >= 10 - 1e-9 for a, b in zip(ordered, ordered[1:], strict=False))
    assert min(moved) >= -1e-9 and max(moved) <= 100 + 1e-9
    assert sorted(range(len(places)), key=lambda i: (places[i], i)) == sorted(
        range(len(places)), key=lambda i: moved[i]
    )


# classes


def rows() -> list[figures.ClassRow]:
    losses = [(-0.2, 0.001, True), (-0.02, 0.9, False), (0.0, 1.0, False)]
    return [
        figures.ClassRow(name, Change(d, d - 0.05, d + 0.05, p), p, hurt)
        for name, (d, p, hurt) in zip(NAMES, losses, strict=True)
    ]


@THEMES
def test_classes_are_bars_that_carry_their_place_and_only_the_hurt_one_is_full(p):
    figure = figures.draw_classes(figures.Classes(A, rows(), [(B, [1.0, 2.0, 3.0])], 1), p, 300)
    bars = traces(figure)["classes"]
    assert list(bars.x) == pytest.approx([-20, -2, 0]) and list(bars.customdata) == [0, 1, 2]
    assert bars.marker.color[0] == p.marks["pruned"] and "rgba" in bars.marker.color[1]
    assert list(traces(figure)["run B"].x) == [1, 2, 3]
    assert "<b>shirt</b>" in figure.layout.yaxis.ticktext
    assert "−20.0" in texts(figure)


@THEMES
def test_confusions_say_their_sign_and_the_diagonal_is_bold(p):
    change = np.array([[-5, 5, 0], [0, 2, -2], [0, 0, 0]])
    figure = figures.draw_confusion(figures.Confusion(A, NAMES, change, None), p, 300)
    assert {"<b>−5</b>", "+5", "<b>+2</b>", "−2"} <= set(texts(figure))
    cells = traces(figure)["confusion"]
    assert cells.customdata[0][1] == "coat called shirt: +5 images"
    assert np.array_equal(np.sign(np.array(cells.z)), np.sign(change))


def test_no_change_at_all_can_be_drawn():
    figure = figures.draw_confusion(
        figures.Confusion(A, NAMES, np.zeros((3, 3), int), 0), LIGHT, 300
    )
    assert not [t for t in texts(figure) if t.strip("<b>/")[:1] in "+−"]
    still = [figures.ClassRow(n, Change(0, 0, 0, 1), 1.0, False) for n in NAMES]
    checked(figures.draw_classes(figures.Classes(A, still, [], None), LIGHT, 300))


# images


@THEMES
def test_flipped_images_are_traces_of_their_own(p):
    data = figures.Shares(
        A, [0.9, 0.2, 0.5], [0.1, 0.8, 0.4], ["lost", "won", ""], ["a", "b", "c"], [7, 8, 9], ""
    )
    found = traces(figures.draw_shares(data, p, 250))
    assert list(found["lost"].x) == [90] and list(found["lost"].y) == [10]
    assert list(found["won"].customdata) == [8] and list(found["same verdict"].customdata) == [9]


@THEMES
def test_reliability_leaves_out_empty_bins_and_names_the_error(p):
    nan = float("nan")
    data = figures.Reliability(A, [0.1, nan, 0.9], [0.2, nan, 0.8], [3, 0, 5], 0.123)
    base = data._replace(tag=BASE, error=0.01)
    figure = figures.draw_reliability([base, data], p, 250)
    assert list(traces(figure)["A"].x) == [10, 90]
    assert traces(figure)["base"].line.dash and not traces(figure)["A"].line.dash
    assert any("ECE 12.3" in t for t in texts(figure))


# layers and worse images


@THEMES
def test_a_layer_that_can_not_be_compared_has_no_point(p):
    runs = [(A, [10.0, None, 30.0]), (B, [None, None, None])]
    data = figures.Drifts("Change", "of what", ["x", "y", "z"], runs, (0.0, 40.0), " %", 1)
    figure = figures.draw_drift(data, p)
    assert list(traces(figure)["run A"].y) == [0, 2] and "run B" not in traces(figure)
    assert "<b>A</b>" in texts(figure) and "<b>B</b>" not in texts(figure)
    assert figure.layout.height == figures.drift_height(3)


@THEMES
def test_worse_images_are_four_plots_on_one_scale_with_letters_at_the_ends(p):
    line = [wilson(90, 100), wilson(60, 100), None]
    panels = [
        figures.Panel(title, ["0", "1", "2"], [(BASE, line), (A, line)])
        for title in ("Noise", "Blur", "Rotation", "Brightness")
    ]
    figure = figures.draw_robustness(panels, p, 470)
    found = traces(figure)
    assert list(found["Blur, A"].y) == pytest.approx([90, 60])
    assert found["Blur, base"].line.dash and found["Blur, A"].yaxis == "y2"
    ranges = {tuple(figure.layout[f"yaxis{n}"].range) for n in ("", "2", "3", "4")}
    assert ranges == {(50, 101)}
    assert texts(figure).count("<b>A</b>") == texts(figure).count("<b>base</b>") == 4


def test_panels_are_drawn_before_anything_is_known():
    panels = [figures.Panel("Noise", ["0", "1"], [(BASE, [None, None])])] * 4
    assert len(checked(figures.draw_robustness(panels, LIGHT, 470)).data) == 4
