"""The figures of the lessons: a matrix that one can read, weights by size, and what rounding does
to them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from .. import units
from ..language import tr
from .look import DASH, SHAPES, Drawing, Palette, blank, percent_axis, put_label, rgba

GONE = 0.04  # share of its colour that a cell of zero has


class Matrix(NamedTuple):
    """A matrix with its numbers. values: (rows, columns), NaN for what nobody knows yet; family:
    its colour; cut: bool, cells that are taken out, drawn pale and struck; marked: bool, with a
    rim; digits: behind the point.
    """

    title: str
    rest: str
    values: np.ndarray
    family: str = "dense"
    cut: np.ndarray | None = None
    marked: np.ndarray | None = None
    digits: int = 2


def draw_matrix(data: Matrix, p: Palette, height: int) -> go.Figure:
    """The stronger the colour, the larger the number."""
    figure = blank(p, height, data.title, data.rest, l=2, r=2, t=34, b=2)
    values, color = data.values, p.marks[data.family]
    rows, columns = values.shape
    cut = np.zeros(values.shape, bool) if data.cut is None else data.cut
    most = np.nanmax(np.abs(values)) if np.isfinite(values).any() else 1.0
    shades = np.where(np.isnan(values) | cut, 0.0, np.abs(values) / (most or 1.0))
    figure.add_heatmap(
        z=[[round(float(s), 3) for s in row] for row in shades],
        zmin=0,
        zmax=1,
        colorscale=[[0, rgba(color, GONE)], [1, color]],
        showscale=False,
        xgap=3,
        ygap=3,
        hoverinfo="skip",
    )
    for y in range(rows):
        for x in range(columns):
            text, soft = _cell(values[y, x], data.digits, bool(cut[y, x]))
            ink = p.soft if soft else ink_on(color, GONE + (1 - GONE) * float(shades[y, x]), p)
            figure.add_annotation(
                x=x, y=y, text=text, showarrow=False, font=dict(size=13, color=ink)
            )
    if data.marked is not None:
        for y, x in np.argwhere(data.marked):
            _rim(figure, int(x), int(y), p.text)
    figure.update_layout(
        xaxis=dict(visible=False, range=[-0.5, columns - 0.5]),
        yaxis=dict(visible=False, range=[rows - 0.5, -0.5]),
    )
    return figure.figure()


def _cell(value: float, digits: int, cut: bool) -> tuple[str, bool]:
    """A number in few characters, and whether it is written softly."""
    if math.isnan(value):
        return "?", True
    text = "0" if value == 0 else f"{abs(value):.{digits}f}"
    text = f"{units.MINUS}{text}" if value < 0 and float(text) else text
    return (f"<s>{text}</s>" if cut else text), cut or value == 0


def ink_on(color: str, share: float, p: Palette) -> str:
    """The ink that reads best on a share of this colour, 0..1, over the page's ground."""
    lights = [_light(p.ground, p.ground, 0), _light(color, p.ground, share), _light(p.text, "", 1)]
    page, cell, text = (light + 0.05 for light in lights)
    on_page, on_text = max(page, cell) / min(page, cell), max(text, cell) / min(text, cell)
    return p.ground if on_page > on_text else p.text


def _light(color: str, ground: str, share: float) -> float:
    """Relative luminance, as WCAG defines it, of a share of a colour over the ground."""
    total = 0.0
    for i, weight in ((1, 0.2126), (3, 0.7152), (5, 0.0722)):
        top, below = int(color[i : i + 2], 16), int((ground or color)[i : i + 2], 16)
        v = (share * top + (1 - share) * below) / 255
        total += weight * (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4)
    return total


def _rim(figure: Drawing, x: int, y: int, color: str) -> None:
    ends = (x - 0.46, x + 0.46, x + 0.46, x - 0.46, x - 0.46)
    figure.add_scatter(
        x=list(ends),
        y=[y - 0.46, y - 0.46, y + 0.46, y + 0.46, y - 0.46],
        mode="lines",
        line=dict(color=color, width=2),
        hoverinfo="skip",
    )


class Ranking(NamedTuple):
    """Sizes of weights, the largest first. kept: how many stay, None while one guesses."""

    sizes: Sequence[float]
    kept: int | None
    threshold: float


def draw_ranking(data: Ranking, p: Palette, height: int) -> go.Figure:
    """A bar for each weight; those that stay in orange, the threshold dashed."""
    n = len(data.sizes)
    rest = "" if data.kept is None else tr("cut at K = {K}", K=data.kept)
    title = tr("All {n} weights, largest first", n=n)
    figure = blank(p, height, title, rest, l=34, r=6, t=34, b=24)
    orange, grey = p.marks["pruned"], rgba(p.marks["dense"], 0.5 if data.kept is None else 0.3)
    stay = 0 if data.kept is None else data.kept
    figure.add_bar(
        x=list(range(1, n + 1)),
        y=list(data.sizes),
        marker=dict(color=[orange if i < stay else grey for i in range(n)]),
        hovertemplate=tr("weight %{x}: %{y:.2f}") + "<extra></extra>",
    )
    if data.kept is not None:
        figure.add_hline(data.threshold, line=dict(color=p.words["pruned"], width=1.6, dash=DASH))
        put_label(
            figure,
            p,
            n + 0.5,
            data.threshold,
            f"t = {data.threshold:.2f}",
            p.words["pruned"],
            xanchor="right",
            yanchor="bottom",
        )
    ticks = sorted({1, n // 4, n // 2, 3 * n // 4, n})
    figure.update_layout(
        bargap=0.25,
        xaxis=dict(range=[0.3, n + 0.7], tickvals=ticks, showgrid=False),
        yaxis=dict(nticks=4, rangemode="tozero"),
    )
    return figure.figure()


class Rounded(NamedTuple):
    """Weights before and after round(W*Q)/Q. weights, levels: as many each; known: False while one
    guesses.
    """

    weights: Sequence[float]
    levels: Sequence[float]
    Q: float
    known: bool


def draw_number_line(data: Rounded, p: Palette, height: int) -> go.Figure:
    """Every weight above, and the level it goes to below."""
    different = sorted(set(data.levels))
    rest = tr("{n} levels in use", n=len(different)) if data.known else tr("guess first")
    figure = blank(p, height, tr("Each weight goes to a level"), rest, l=8, r=8, t=34, b=24)
    blue, grey = p.marks["quantized"], p.marks["dense"]
    if data.known:
        for w, level in zip(data.weights, data.levels, strict=True):
            figure.add_scatter(
                x=[w, level],
                y=[1, 0],
                mode="lines",
                line=dict(color=rgba(blue, 0.4), width=1.2),
                hoverinfo="skip",
            )
        counts = [sum(level == d for level in data.levels) for d in different]
        figure.add_scatter(
            x=different,
            y=[0] * len(different),
            mode="markers",
            marker=dict(color=blue, symbol="square", size=[6 + 2 * math.sqrt(n) for n in counts]),
            customdata=counts,
            hovertemplate=tr("level %{x:.3f}: %{customdata} weights") + "<extra></extra>",
        )
    figure.add_scatter(
        x=list(data.weights),
        y=[1] * len(data.weights),
        mode="markers",
        marker=dict(color=rgba(grey, 0.75), size=7),
        hovertemplate=tr("weight %{x:.2f}") + "<extra></extra>",
    )
    figure.update_layout(
        xaxis=dict(range=[-1.8, 1.5], dtick=0.5), yaxis=dict(visible=False, range=[-0.25, 1.25])
    )
    return figure.figure()


def draw_staircase(data: Rounded, p: Palette, height: int) -> go.Figure:
    """What rounding makes of every number, and how far that is from it."""
    most = 1 / (2 * data.Q)
    rest = tr("error at most 1/(2Q) = {most:.3g}", most=most) if data.known else tr("guess first")
    figure = blank(p, height, tr("The staircase"), rest, l=38, r=8, t=34, b=24)
    low, high = -1.8, 1.5
    diagonal = dict(color=rgba(p.marks["dense"], 0.7), width=1.6, dash=DASH)
    figure.add_scatter(
        x=[low, high], y=[low, high], mode="lines", line=diagonal, hoverinfo="skip", name="W"
    )
    if data.known:
        first, last = math.ceil(low * data.Q - 0.5), math.floor(high * data.Q + 0.5)
        xs = [x for n in range(first, last + 1) for x in ((n - 0.5) / data.Q, (n + 0.5) / data.Q)]
        ys = [n / data.Q for n in range(first, last + 1) for _ in range(2)]
        blue = p.marks["quantized"]
        stairs = dict(color=blue, width=2.4)
        figure.add_scatter(x=xs, y=ys, mode="lines", line=stairs, hoverinfo="skip", name="stairs")
        figure.add_scatter(
            x=list(data.weights),
            y=list(data.levels),
            mode="markers",
            marker=dict(color=blue, symbol="square", size=6),
            hovertemplate=tr("%{x:.2f} becomes %{y:.3f}") + "<extra></extra>",
        )
    figure.update_layout(
        xaxis=dict(range=[low, high], dtick=0.5), yaxis=dict(range=[low, high], dtick=1)
    )
    return figure.figure()


class Along(NamedTuple):
    """Accuracy along one knob. xs: its values; accuracies: percent, None while not known; open:
    whether each is an estimate; here: the knob's value now; ticks: of the axis, with their words.
    """

    title: str
    rest: str
    family: str
    xs: Sequence[float]
    accuracies: Sequence[float | None]
    open: Sequence[bool]
    here: float
    ticks: Sequence[float]
    words: Sequence[str]
    log: bool = False


def draw_along(data: Along, p: Palette, height: int) -> go.Figure:
    """A line of what is known, and where one is."""
    figure = blank(p, height, data.title, data.rest, l=44, r=20, t=34, b=26)
    color, symbol = p.marks[data.family], SHAPES[data.family]
    known = [
        (x, y, o) for x, y, o in zip(data.xs, data.accuracies, data.open, strict=True)
        if y is not None
    ]  # fmt: skip
    figure.add_scatter(
        name="accuracy",
        x=[x for x, _, _ in known],
        y=[y for _, y, _ in known],
        mode="lines+markers",
        line=dict(color=color, width=2.4),
        marker=dict(size=7, color=color, symbol=[symbol + "-open" * o for _, _, o in known]),
        hovertemplate="%{x:g}: %{y:.1f} %<extra></extra>",
    )
    figure.add_vline(data.here, line=dict(color=p.text, width=1.6, dash="2px,3px"))
    ends = min(*data.xs, data.here), max(*data.xs, data.here)
    if data.log:
        span = [math.log10(ends[0] / 1.1), math.log10(ends[1] * 1.1)]
    else:
        span = [ends[0] - 0.03 * (ends[1] - ends[0]), ends[1] + 0.03 * (ends[1] - ends[0])]
    figure.update_layout(
        xaxis=dict(
            type="log" if data.log else "linear",
            range=span,
            tickvals=list(data.ticks),
            ticktext=list(data.words),
        ),
        yaxis=percent_axis(0, 106, 25),
    )
    return figure.figure()


class Counts(NamedTuple):
    """How often each whole number occurs. numbers: ascending; counts: of each."""

    title: str
    rest: str
    numbers: Sequence[int]
    counts: Sequence[int]


def draw_counts(data: Counts, p: Palette, height: int) -> go.Figure:
    """A bar for each whole number, on a logarithmic axis."""
    figure = blank(p, height, data.title, data.rest, l=46, r=10, t=34, b=26)
    figure.add_bar(
        x=list(data.numbers),
        y=list(data.counts),
        marker=dict(color=p.marks["quantized"]),
        hovertemplate=tr("%{x}: %{y} weights") + "<extra></extra>",
    )
    top = math.ceil(math.log10(max([10, *data.counts])))
    words = ["1", "10", "100", "1 k", "10 k", "100 k", "1 M"]
    figure.update_layout(
        bargap=0.15,
        xaxis=dict(showgrid=False, nticks=12),
        yaxis=dict(
            type="log",
            range=[-0.2, top + 0.1],
            tickvals=[10**e for e in range(top + 1)],
            ticktext=words[: top + 1],
        ),
    )
    return figure.figure()
