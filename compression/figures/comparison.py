"""Runs against a base: by class, by confusion, by image, by layer, and on worse images.

Every run has a letter and the colour of its method; the base is grey, and dashed where it is a
line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from .. import units
from ..result import Change, Metric
from .look import DASH, SHAPES, Drawing, Palette, blank, put_label, rgba

LINE = 17.0  # pixels between two labels, one below the other


class Tag(NamedTuple):
    """How a run is named in a plot. letter: `A`, ...; empty for the base."""

    letter: str
    family: str
    label: str


def _color(tag: Tag, p: Palette, words: bool = False) -> str:
    return (p.words if words else p.marks)[tag.family if tag.letter else "dense"]


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places moved apart as little as it takes to leave the gap between any two, in their order,
    and none outside of low..high if they fit in there.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[tuple[list[int], float]] = []  # members, middle
    for i in order:
        members, middle = [i], places[i]
        while groups and middle - groups[-1][1] < gap * (len(groups[-1][0]) + len(members)) / 2:
            members = groups.pop()[0] + members
            middle = sum(places[j] for j in members) / len(members)
        groups.append((members, middle))
    moved = [0.0] * len(places)
    for members, middle in groups:
        for k, i in enumerate(members):
            moved[i] = middle + gap * (k - (len(members) - 1) / 2)
    most, least = high, low
    for i in reversed(order):
        moved[i] = min(moved[i], most)
        most = moved[i] - gap
    for i in order:
        moved[i] = max(moved[i], least)
        least = moved[i] + gap
    return moved


# classes


class ClassRow(NamedTuple):
    """A class in one run. change: of the share of its images that are right; hurt: beyond chance,
    all classes looked at; p_value: corrected for that.
    """

    name: str
    change: Change
    p_value: float
    hurt: bool


class Classes(NamedTuple):
    """The change of every class in the run one looks at, and in the others, in points.

    others: for each run its tag and its points by class.
    """

    tag: Tag
    rows: Sequence[ClassRow]
    others: Sequence[tuple[Tag, Sequence[float]]]
    chosen: int | None


def draw_classes(data: Classes, p: Palette, height: int) -> go.Figure:
    """A bar for each class with its interval: full where the loss is beyond chance. customdata: the
    place of the class.
    """
    names = [r.name for r in data.rows]
    room = 16 + 7 * max(map(len, names))
    figure = blank(p, height, "Points by class", "95 %; full: beyond chance", l=room, r=48, b=26)
    color = _color(data.tag, p)
    values = [100 * r.change.difference for r in data.rows]
    figure.add_bar(
        name="classes",
        orientation="h",
        y=list(range(len(names))),
        x=values,
        width=0.56,
        marker=dict(
            color=[color if r.hurt else rgba(color, 0.32) for r in data.rows],
            line=dict(color=color, width=[2 if i == data.chosen else 0 for i in range(len(names))]),
        ),
        error_x=dict(
            type="data",
            symmetric=False,
            array=[100 * (r.change.high - r.change.difference) for r in data.rows],
            arrayminus=[100 * (r.change.difference - r.change.low) for r in data.rows],
            color=p.soft,
            thickness=1.4,
            width=3,
        ),
        customdata=list(range(len(names))),
        hovertext=[_class_words(r) for r in data.rows],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    for tag, points in data.others:
        figure.add_scatter(
            name=f"run {tag.letter}",
            x=list(points),
            y=list(range(len(names))),
            mode="markers",
            marker=dict(
                symbol=f"{SHAPES[tag.family]}-open", size=8, color=rgba(_color(tag, p), 0.6)
            ),
            hovertemplate=f"{tag.letter}, {tag.label}: %{{x:+.1f}} pt<extra></extra>",
        )
    lows = [100 * r.change.low for r in data.rows] + [x for _, xs in data.others for x in xs]
    highs = [100 * r.change.high for r in data.rows] + [x for _, xs in data.others for x in xs]
    low, high = min([*lows, -0.5]), max([*highs, 0.5])
    for i, r in enumerate(data.rows):
        figure.add_annotation(
            x=1,
            xref="paper",
            xanchor="left",
            xshift=4,
            y=i,
            showarrow=False,
            text=_points(r.change.difference),
            font=dict(size=13, color=p.words[data.tag.family] if r.hurt else p.soft),
        )
    figure.update_layout(
        xaxis=dict(range=[1.05 * low, 1.05 * high], nticks=5, zeroline=True, zerolinecolor=p.soft),
        yaxis=dict(
            tickvals=list(range(len(names))),
            ticktext=[f"<b>{n}</b>" if i == data.chosen else n for i, n in enumerate(names)],
            range=[len(names) - 0.5, -0.5],
            showgrid=False,
            tickfont=dict(size=13, color=p.text),
        ),
    )
    return figure.figure()


def _points(difference: float) -> str:
    """A change of a share in points, without their unit."""
    return units.points(difference).removesuffix(f"{units.NBSP}pt")


def _class_words(r: ClassRow) -> str:
    c = r.change
    return (
        f"<b>{r.name}</b> {units.points(c.difference)} ({100 * c.low:+.1f} to {100 * c.high:+.1f})"
        f"<br>p = {r.p_value:.2g}, corrected for all classes"
    )


class Confusion(NamedTuple):
    """How many more images of a class (row) got an answer (column) than from the base."""

    tag: Tag
    names: Sequence[str]
    change: np.ndarray
    chosen: int | None


def draw_confusion(data: Confusion, p: Palette, height: int) -> go.Figure:
    """A heat map with signs: the method's colour where the run says it more often, grey where the
    base did.
    """
    n, longest = len(data.names), max(map(len, data.names))
    room, words = 16 + 7 * longest, longest > 2
    figure = blank(
        p, height, "Answers, more or fewer", "images", l=room, r=6, t=34, b=62 if words else 42
    )
    most = max(1, int(np.abs(data.change).max()))
    cells = [[_cell(int(v)) for v in row] for row in data.change]
    color = _color(data.tag, p)
    shares = np.sign(data.change) * np.sqrt(np.abs(data.change) / most)
    figure.add_heatmap(
        name="confusion",
        z=shares.round(3).tolist(),
        zmin=-1,
        zmax=1,
        colorscale=[
            [0, rgba(p.marks["dense"], 0.8)],
            [0.5, rgba(p.marks["dense"], 0.04)],
            [0.5, rgba(color, 0.04)],
            [1, color],
        ],
        showscale=False,
        xgap=1,
        ygap=1,
        customdata=[
            [f"{a} called {b}: {data.change[i, j]:+d} images" for j, b in enumerate(data.names)]
            for i, a in enumerate(data.names)
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    for i, row in enumerate(cells):
        for j, text in enumerate(row):
            if text:
                dark = abs(shares[i, j]) > 0.6
                figure.add_annotation(
                    x=j,
                    y=i,
                    text=f"<b>{text}</b>" if i == j else text,
                    showarrow=False,
                    # four characters fit into a cell of a phone only if they are small
                    font=dict(size=13 if len(text) < 4 else 11, color=p.ground if dark else p.text),
                )
    names = [f"<b>{m}</b>" if i == data.chosen else m for i, m in enumerate(data.names)]
    figure.update_layout(
        xaxis=dict(
            tickvals=list(range(n)),
            ticktext=list(data.names),
            tickangle=-40 if words else 0,
            range=[-0.5, n - 0.5],
            showgrid=False,
            title=dict(text="" if words else "answer", standoff=4, font=dict(size=13)),
        ),
        yaxis=dict(tickvals=list(range(n)), ticktext=names, range=[n - 0.5, -0.5], showgrid=False),
    )
    return figure.figure()


def _cell(value: int) -> str:
    return "" if not value else f"{'+' if value > 0 else units.MINUS}{abs(value)}"


# images


class Shares(NamedTuple):
    """Share that the true label gets from the base and from the run, for some images.

    verdict: `lost`, `won` or empty; hover: a line each; places: of the images in their split.
    """

    tag: Tag
    base: Sequence[float]
    run: Sequence[float]
    verdict: Sequence[str]
    hover: Sequence[str]
    places: Sequence[int]
    rest: str


def draw_shares(data: Shares, p: Palette, height: int) -> go.Figure:
    """A point per image: below the diagonal the run is less sure of the truth. customdata: the
    image's place.
    """
    figure = blank(p, height, "Share of the true label", data.rest, l=52, r=12, b=40)
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line=dict(color=p.soft, width=1.2, dash=DASH),
        hoverinfo="skip",
        name="equal",
    )
    for verdict, name, symbol, color in (
        ("", "same verdict", "circle", rgba(p.marks["dense"], 0.4)),
        ("won", "won", "circle-open", p.marks["dense"]),
        ("lost", "lost", "circle", _color(data.tag, p)),
    ):
        mine = [i for i, v in enumerate(data.verdict) if v == verdict]
        figure.add_scatter(
            name=name,
            x=[round(100 * data.base[i], 1) for i in mine],
            y=[round(100 * data.run[i], 1) for i in mine],
            mode="markers",
            marker=dict(symbol=symbol, size=7 if verdict else 5, color=color),
            customdata=[data.places[i] for i in mine],
            text=[data.hover[i] for i in mine],
            hovertemplate="%{text}<extra></extra>",
        )
    for text, x, y, color in (
        (f"lost: {sum(v == 'lost' for v in data.verdict)}", 97, 6, _color(data.tag, p, True)),
        (f"won: {sum(v == 'won' for v in data.verdict)}", 3, 96, p.words["dense"]),
    ):
        put_label(figure, p, x, y, f"<b>{text}</b>", color, xanchor="right" if x > 50 else "left")
    percent = dict(range=[-2, 102], tickvals=[0, 50, 100], ticktext=["0", "50", "100 %"])
    soft = dict(size=13, color=p.soft)
    figure.update_layout(
        xaxis=percent | dict(title=dict(text="base", standoff=2, font=soft)),
        yaxis=percent | dict(title=dict(text=data.tag.letter, standoff=4, font=soft)),
    )
    return figure.figure()


class Reliability(NamedTuple):
    """A network's certainty against how often it is right, bin by bin. error: 0..1."""

    tag: Tag
    certainty: Sequence[float]
    accuracy: Sequence[float]
    images: Sequence[int]
    error: float


def draw_reliability(networks: Sequence[Reliability], p: Palette, height: int) -> go.Figure:
    """On the diagonal, certainty says the truth; below it the network is too sure. The base is
    dashed.
    """
    figure = blank(p, height, "Is it as right as it is sure?", "", l=52, r=12, b=40)
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line=dict(color=p.soft, width=1.2, dash="2px,3px"),
        hoverinfo="skip",
        name="calibrated",
    )
    for n in networks:
        there = [i for i, count in enumerate(n.images) if count]
        color = _color(n.tag, p)
        figure.add_scatter(
            name=n.tag.letter or "base",
            x=[100 * n.certainty[i] for i in there],
            y=[100 * n.accuracy[i] for i in there],
            mode="lines+markers",
            line=dict(color=color, width=1.8, dash=None if n.tag.letter else DASH),
            marker=dict(size=6, color=color, symbol=SHAPES[n.tag.family]),
            customdata=[n.images[i] for i in there],
            hovertemplate="sure %{x:.0f} %, right %{y:.0f} %: %{customdata} images<extra></extra>",
        )
    for place, n in enumerate(reversed(networks)):
        put_label(
            figure,
            p,
            98,
            2,
            f"<b>{n.tag.letter or 'base'}</b> ECE {units.percent(n.error)}",
            _color(n.tag, p, True),
            xanchor="right",
            yanchor="bottom",
            yshift=LINE * place,
        )
    percent = dict(range=[-2, 102], tickvals=[0, 50, 100], ticktext=["0", "50", "100 %"])
    soft = dict(size=13, color=p.soft)
    figure.update_layout(
        xaxis=percent | dict(title=dict(text="sure", standoff=2, font=soft)),
        yaxis=percent | dict(title=dict(text="right", standoff=4, font=soft)),
    )
    return figure.figure()


# layers


class Drifts(NamedTuple):
    """One quantity by layer: for each run a value, None where it can't be compared.

    title, rest: of the plot; ticks: what follows the numbers on the axis.
    """

    title: str
    rest: str
    layers: Sequence[str]
    runs: Sequence[tuple[Tag, Sequence[float | None]]]
    window: tuple[float, float]
    ticks: str
    digits: int


def drift_height(layers: int) -> int:
    """Pixels: rows are wide apart where there are few."""
    return 102 + round(layers * min(48, max(25, 260 / layers)))


def draw_drift(data: Drifts, p: Palette) -> go.Figure:
    """A row for each layer, from input to output; a point for each run, joined from row to row."""
    room = 16 + 7 * max(map(len, data.layers))
    height = drift_height(len(data.layers))
    figure = blank(p, height, data.title, "", l=room, r=16, t=72, b=30)
    figure.add_annotation(
        x=0,
        y=1,
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="bottom",
        xshift=-room - 1,
        yshift=26,
        showarrow=False,
        font=dict(size=13, color=p.soft),
        text=data.rest,
    )
    low, high = data.window
    heads = []
    for tag, values in data.runs:
        there = [(v, i) for i, v in enumerate(values) if v is not None]
        if not there:
            continue
        color = _color(tag, p)
        figure.add_scatter(
            name=f"run {tag.letter}",
            x=[v for v, _ in there],
            y=[i for _, i in there],
            mode="lines+markers",
            line=dict(color=rgba(color, 0.5), width=1.6),
            marker=dict(symbol=SHAPES[tag.family], size=9, color=color),
            customdata=[data.layers[i] for _, i in there],
            hovertemplate=f"{tag.letter}, %{{customdata}}: %{{x:.{data.digits}f}}{data.ticks}"
            "<extra></extra>",
        )
        heads.append((tag, there[0][0]))
    places = spread([x for _, x in heads], 0.035 * (high - low), low, high)
    for (tag, _), x in zip(heads, places, strict=True):
        put_label(
            figure,
            p,
            x,
            1,
            f"<b>{tag.letter}</b>",
            _color(tag, p, True),
            yref="paper",
            yanchor="bottom",
            yshift=2,
        )
    figure.update_layout(
        xaxis=dict(range=[low, high], nticks=6, ticksuffix=data.ticks, showticksuffix="last"),
        yaxis=dict(
            tickvals=list(range(len(data.layers))),
            ticktext=list(data.layers),
            range=[len(data.layers) - 0.5, -0.5],
            tickfont=dict(size=13, color=p.text),
        ),
    )
    return figure.figure()


# worse images


class Panel(NamedTuple):
    """One corruption. words: of each strength, `0` first; lines: for the base and each run, its
    accuracy at each strength, None while it is not known.
    """

    title: str
    words: Sequence[str]
    lines: Sequence[tuple[Tag, Sequence[Metric | None]]]


TOP = 101.0  # percent, where the axis of accuracy ends
ACROSS, DOWN = ((0.0, 0.43), (0.57, 1.0)), ((0.57, 0.97), (0.0, 0.4))


def draw_robustness(panels: Sequence[Panel], p: Palette, height: int) -> go.Figure:
    """Four small plots on one scale: accuracy by strength; the base dashed, letters at the ends."""
    figure = blank(p, height, "", "", l=44, r=34, t=10, b=26)
    values = [100 * m.low for n in panels for _, line in n.lines for m in line if m]
    low = 10 * math.floor(min([*values, 90.0]) / 10)
    rows = math.ceil(len(panels) / 2)
    for i, panel in enumerate(panels):
        suffix = "" if i == 0 else str(i + 1)
        down = DOWN[i // 2] if rows > 1 else (0.0, 0.97)
        _panel(figure, panel, p, suffix, down, low, (down[1] - down[0]) * (height - 36))
        axis = dict(showgrid=True, gridcolor=p.grid, zeroline=False, fixedrange=True, tickangle=0)
        axis |= dict(tickfont=dict(size=13, color=p.soft), ticks="", ticklabelstandoff=4)
        step = 2 if low >= 90 else 5 if low >= 80 else 10 if low >= 50 else 20
        layout = {
            f"xaxis{suffix}": axis
            | dict(
                domain=ACROSS[i % 2],
                anchor=f"y{suffix}",
                range=[-0.15, len(panel.words) - 0.75],
                tickvals=list(range(len(panel.words))),
                ticktext=list(panel.words),
                showgrid=False,
            ),
            f"yaxis{suffix}": axis
            | dict(
                domain=down,
                anchor=f"x{suffix}",
                range=[low, TOP],
                dtick=step,
                ticksuffix=" %",
                showticksuffix="last",
            ),
        }
        figure.update_layout(**layout)
    return figure.figure()


def _panel(
    figure: Drawing,
    panel: Panel,
    p: Palette,
    suffix: str,
    down: tuple[float, float],
    low: float,
    pixels: float,
) -> None:
    axes = dict(xaxis=f"x{suffix}", yaxis=f"y{suffix}")
    figure.add_scatter(x=[None], y=[None], hoverinfo="skip", **axes)  # without a trace, no axes
    ends = []
    for tag, line in panel.lines:
        there = [(i, m) for i, m in enumerate(line) if m is not None]
        if not there:
            continue
        color = _color(tag, p)
        figure.add_scatter(
            name=f"{panel.title}, {tag.letter or 'base'}",
            x=[i for i, _ in there],
            y=[100 * m.value for _, m in there],
            mode="lines+markers",
            line=dict(color=color, width=1.8, dash=None if tag.letter else DASH),
            marker=dict(symbol=SHAPES[tag.family], size=7, color=color),
            error_y=dict(
                type="data",
                symmetric=False,
                array=[100 * (m.high - m.value) for _, m in there],
                arrayminus=[100 * (m.value - m.low) for _, m in there],
                color=rgba(color, 0.5),
                thickness=1.2,
                width=0,
            ),
            text=[panel.words[i] for i, _ in there],
            hovertemplate=f"{tag.letter or 'base'}, %{{text}}: %{{y:.1f}} %<extra></extra>",
            **axes,
        )
        ends.append((tag, there[-1][0], 100 * there[-1][1].value))
    gap = LINE * (TOP - low) / pixels
    for (tag, x, _), y in zip(ends, spread([y for *_, y in ends], gap, low, TOP), strict=True):
        put_label(
            figure,
            p,
            x,
            y,
            f"<b>{tag.letter or 'base'}</b>",
            _color(tag, p, True),
            xref=axes["xaxis"],
            yref=axes["yaxis"],
            xanchor="left",
            xshift=7,
        )
    figure.add_annotation(
        x=ACROSS[0][0] if suffix in ("", "3") else ACROSS[1][0],
        y=down[1],
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="bottom",
        yshift=3,
        showarrow=False,
        font=dict(size=13, color=p.text),
        text=f"<b>{panel.title}</b>",
    )
