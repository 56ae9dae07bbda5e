"""A layer from inside: which weights stay, its filters, and what each layer forgives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from .. import units
from ..language import marked, tr
from .look import DASH, Palette, blank, letters, put_head, put_label, rgba

MOST_DRAWN = 64  # levels that are drawn as lines
GAP = 1  # cells between two filters


class Histogram(NamedTuple):
    """Which weights of a layer stay. edges: (bins + 1,); before, after: (bins,); threshold: size of
    the smallest weight that stays, or None; levels: ascending; zeros: share set to zero.
    """

    name: str
    weights: int
    edges: Sequence[float]
    before: Sequence[int]
    after: Sequence[int]
    threshold: float | None
    levels: Sequence[float]
    zeros: float


def draw_histogram(data: Histogram, p: Palette, height: int) -> go.Figure:
    """Counts on a logarithmic axis; grey: set to zero; lines: threshold and levels."""
    title = tr("{name}: which weights stay", name=data.name)
    figure = blank(p, height, title, l=46, r=10, t=52, b=28)
    text = tr("{n} weights, count on a log scale", n=units.quantity(data.weights))
    put_head(figure, text, 46, SECOND, size=13, color=p.soft)
    edges = list(data.edges)
    centres = [(a + b) / 2 for a, b in zip(edges, edges[1:], strict=False)]
    gone = [b - a for a, b in zip(data.after, data.before, strict=True)]
    width = edges[1] - edges[0]
    for counts, color, name, words in (
        (data.after, p.marks["pruned"], "stay", tr("%{x:.3f}: %{y} stay")),
        (gone, rgba(p.marks["dense"], 0.35), "set to zero", tr("%{x:.3f}: %{y} set to zero")),
    ):
        figure.add_bar(
            x=centres,
            y=[n or None for n in counts],
            width=width,
            marker=dict(color=color),
            name=name,
            hovertemplate=f"{words}<extra></extra>",
        )
    top = max(max(data.before), 10)
    high = math.log10(top) + 0.75
    for value in data.levels if len(data.levels) <= MOST_DRAWN else ():
        figure.add_scatter(
            x=[value, value],
            y=[10 ** (high - 0.28), 10**high],
            mode="lines",
            line=dict(color=p.marks["quantized"], width=2),
            hovertemplate=tr("level {value:.4f}", value=value) + "<extra></extra>",
        )
    if data.threshold is not None:
        for side in (-data.threshold, data.threshold):
            figure.add_vline(side, line=dict(color=p.words["pruned"], width=1.6, dash=DASH))
        put_label(
            figure,
            p,
            data.threshold,
            high - 0.5,
            f"t = {data.threshold:.3g}",
            p.words["pruned"],
            xanchor="left",
            xshift=4,
        )
    if data.levels:
        words = tr("{n} levels", n=len(data.levels))
        put_label(figure, p, edges[0], high - 0.5, words, p.words["quantized"], xanchor="left")
    if data.zeros > 0:
        put_label(
            figure,
            p,
            0,
            0.45,
            tr("<b>{share:.0f} %</b><br>set to zero", share=100 * data.zeros),
            p.text,
            align="center",
        )
    exponents = range(0, math.ceil(math.log10(top)) + 1)
    figure.update_layout(
        barmode="stack",
        bargap=0.0,
        yaxis=dict(
            type="log",
            range=[0, high],
            tickvals=[10**e for e in exponents],
            ticktext=[_power(e) for e in exponents],
        ),
        xaxis=dict(range=[edges[0], edges[-1]], showgrid=False, nticks=5),
    )
    return figure.figure()


def _power(exponent: int) -> str:
    """`1`, `10`, `100`, `1 k`: a power of ten in few characters."""
    return f"{10 ** (exponent % 3)}{['', ' k', ' M'][exponent // 3]}"


SECOND = 8  # pixels above the plot where its second line is


class Pictures(NamedTuple):
    """A matrix of cells to be shown as grey levels. values: (rows, columns), 0 to 1 or NaN for
    nothing; gone: bool, the cells that are set to zero; caption: below the title.
    """

    title: str
    caption: str
    values: np.ndarray
    gone: np.ndarray


def filters_data(name: str, before: np.ndarray, after: np.ndarray, columns: int = 4) -> Pictures:
    """Filters (n, height, width), side by side: strong weights dark, those set to zero marked."""
    n, high, wide = before.shape
    rows = math.ceil(n / columns)
    values = np.full((rows * (high + GAP) - GAP, columns * (wide + GAP) - GAP), np.nan)
    gone = np.zeros(values.shape, bool)
    for i in range(n):
        top, left = (i // columns) * (high + GAP), (i % columns) * (wide + GAP)
        place = slice(top, top + high), slice(left, left + wide)
        size = np.abs(after[i]) if after[i].any() else np.abs(before[i])
        values[place] = size / (size.max() or 1)
        gone[place] = after[i] == 0
    empty = int((after.reshape(n, -1) == 0).all(1).sum())
    stays = 100 * float((after != 0).mean())
    caption = tr("orange: zero; {stays:.0f} % stay", stays=stays)
    if empty:
        caption = tr("{caption}, {n} filters are empty", caption=caption, n=empty)
    return Pictures(tr("{name}: {n} filters", name=name, n=n), caption, values, gone)


def mask_data(name: str, shares: np.ndarray, shape: Sequence[int]) -> Pictures:
    """The mask of a weight matrix: how much of each cell stays."""
    size = " × ".join(map(str, shape))
    caption = tr("{size}; dark: weights stay", size=size)
    return Pictures(tr("{name}: mask", name=name), caption, shares, shares == 0)


def draw_pictures(data: Pictures, p: Palette, height: int) -> go.Figure:
    """Cells in grey, those set to zero in pale orange."""
    figure = blank(p, height, data.title, l=4, r=4, t=52, b=6)
    put_head(figure, data.caption, 4, SECOND, size=13, color=p.soft)
    shown = np.where(data.gone, np.nan, data.values)
    zeros = np.where(data.gone & ~np.isnan(data.values), 1.0, np.nan)
    for cells, low, top in (
        (shown, rgba(p.marks["dense"], 0.12), p.marks["dense"]),
        (zeros, rgba(p.marks["pruned"], 0.3), rgba(p.marks["pruned"], 0.3)),
    ):
        figure.add_heatmap(
            z=_plain(cells),
            zmin=0,
            zmax=1,
            colorscale=[[0, low], [1, top]],
            showscale=False,
            xgap=1 if max(cells.shape) <= 64 else 0,
            ygap=1 if max(cells.shape) <= 64 else 0,
            hoverinfo="skip",
        )
    figure.square_cells()
    return figure.figure()


def _plain(cells: np.ndarray) -> list[list[float | None]]:
    return [[None if math.isnan(v) else round(float(v), 3) for v in row] for row in cells]


class Forgiveness(NamedTuple):
    """Points lost when one layer has each value. rows: layers; lost: points or None while it is not
    known; exact: whether all images are seen; knob: `sparsity` or `levels`.
    """

    rows: Sequence[str]
    values: Sequence[float]
    lost: Sequence[Sequence[float | None]]
    exact: Sequence[Sequence[bool]]
    knob: str
    alone: bool


TOUCHED = {  # by whether it is pruned, and alone
    (True, True): marked("only this layer pruned"),
    (True, False): marked("all but this layer pruned"),
    (False, True): marked("only this layer with few levels"),
    (False, False): marked("all but this layer with few levels"),
}


def draw_forgiveness(data: Forgiveness, p: Palette, height: int) -> go.Figure:
    """A heat map: a row for each layer, from nothing lost to a lot. Pale italics: estimates."""
    rows = [_short(name) for name in data.rows]
    room = min(150, 12 + 7 * max(map(letters, rows), default=4))
    figure = blank(p, height, tr("Points lost, layer by layer"), l=room, r=6, t=52, b=44)
    what = tr(TOUCHED[data.knob == "sparsity", data.alone])
    pale = any(
        v is not None and not e
        for r, x in zip(data.lost, data.exact, strict=True)
        for v, e in zip(r, x, strict=True)
    )
    note = tr("{what}; pale: estimates", what=what) if pale else tr("{what}, validation", what=what)
    put_head(figure, note, room, SECOND, size=13, color=p.soft)
    family = "pruned" if data.knob == "sparsity" else "quantized"
    most = max([5.0, *(v for row in data.lost for v in row if v is not None)])
    shades = [[_shade(v, most) for v in row] for row in data.lost]
    figure.add_heatmap(
        z=shades,
        zmin=0,
        zmax=1,
        colorscale=[[0, rgba(p.marks[family], 0.04)], [1, p.marks[family]]],
        showscale=False,
        xgap=2,
        ygap=2,
        hoverinfo="skip",
    )
    for y, row in enumerate(data.lost):
        for x, value in enumerate(row):
            exact = data.exact[y][x]
            text = "·" if value is None else _points(value)
            dark = value is not None and (_shade(value, most) or 0) > 0.55
            colour = p.ground if dark else p.text if exact else p.soft
            figure.add_annotation(
                x=x,
                y=y,
                text=text if exact else f"<i>{text}</i>",
                showarrow=False,
                font=dict(size=13, color=colour),
            )
    percent = data.knob == "sparsity"
    words = [f"{100 * v:.0f}" if percent else f"{v:g}" for v in data.values]
    if percent and words:
        words[-1] += " %"
    figure.update_layout(
        xaxis=dict(
            tickvals=list(range(len(words))),
            ticktext=words,
            range=[-0.5, len(words) - 0.5],
            showgrid=False,
            title=dict(
                text=tr("prune ratio") if percent else tr("levels"),
                font=dict(size=13, color=p.soft),
                standoff=4,
            ),
        ),
        yaxis=dict(
            tickvals=list(range(len(data.rows))),
            ticktext=rows,
            range=[len(rows) - 0.5, -0.5],
            showgrid=False,
            tickfont=dict(color=p.text),
        ),
    )
    return figure.figure()


def _shade(value: float | None, most: float) -> float | None:
    """0 to 1, with more room for small losses."""
    return None if value is None else math.sqrt(max(0.0, value) / most)


def _points(value: float) -> str:
    """Points lost in few characters; with a minus where they were won."""
    number = f"{abs(value):.0f}" if abs(value) >= 9.95 else f"{abs(value):.1f}"
    return "0" if number == "0.0" else f"{units.MINUS if value < 0 else ''}{number}"


def _short(name: str) -> str:
    """A layer's name in a narrow column: `1_1.conv1` for `block1_1.conv1`."""
    return name.replace("block", "").replace("attention", "att").replace(".heads", "")
