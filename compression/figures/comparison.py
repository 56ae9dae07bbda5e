"""Runs against a base, verdict by verdict: classes, confusions, images, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from .. import units
from ..language import tr
from ..result import Change
from .look import DASH, SHAPES, Palette, blank, interval, letters, put_label, rgba
from .tags import LINE, Tag, color_of


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
    room, rest = 16 + 7 * max(map(letters, names)), tr("95 %; full: beyond chance")
    figure = blank(p, height, tr("Points by class"), rest, l=room, r=48, b=26)
    color = color_of(data.tag, p)
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
        error_x=interval(
            [
                (100 * r.change.difference, 100 * r.change.low, 100 * r.change.high)
                for r in data.rows
            ],
            p.soft,
            1.4,
            3,
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
                symbol=f"{SHAPES[tag.family]}-open", size=8, color=rgba(color_of(tag, p), 0.6)
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
    return tr(
        "<b>{name}</b> {points} ({low:+.1f} to {high:+.1f})<br>p = {p:.2g}, corrected for all"
        " classes",
        name=r.name,
        points=units.points(c.difference),
        low=100 * c.low,
        high=100 * c.high,
        p=r.p_value,
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
    n, longest = len(data.names), max(map(letters, data.names))
    room, words = 16 + 7 * longest, longest > 2
    title, below = tr("Answers, more or fewer"), 62 if words else 42
    figure = blank(p, height, title, tr("images"), l=room, r=6, t=34, b=below)
    most = max(1, int(np.abs(data.change).max()))
    cells = [[_cell(int(v)) for v in row] for row in data.change]
    color = color_of(data.tag, p)
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
            [
                tr("{true} called {answer}: {n:+d} images", true=a, answer=b, n=data.change[i, j])
                for j, b in enumerate(data.names)
            ]
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
            title=dict(text="" if words else tr("answer"), standoff=4, font=dict(size=13)),
        ),
        yaxis=dict(tickvals=list(range(n)), ticktext=names, range=[n - 0.5, -0.5], showgrid=False),
    )
    return figure.figure()


def _cell(value: int) -> str:
    return "" if not value else f"{'+' if value > 0 else units.MINUS}{abs(value)}"


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
    figure = blank(p, height, tr("Share of the true label"), data.rest, l=52, r=12, b=40)
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
        ("lost", "lost", "circle", color_of(data.tag, p)),
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
    lost, won = (sum(v == word for v in data.verdict) for word in ("lost", "won"))
    for text, x, y, color in (
        (tr("lost: {n}", n=lost), 97, 6, color_of(data.tag, p, True)),
        (tr("won: {n}", n=won), 3, 96, p.words["dense"]),
    ):
        put_label(figure, p, x, y, f"<b>{text}</b>", color, xanchor="right" if x > 50 else "left")
    percent = dict(range=[-2, 102], tickvals=[0, 50, 100], ticktext=["0", "50", "100 %"])
    soft = dict(size=13, color=p.soft)
    figure.update_layout(
        xaxis=percent | dict(title=dict(text=tr("base"), standoff=2, font=soft)),
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
    figure = blank(p, height, tr("Is it as right as it is sure?"), "", l=52, r=12, b=40)
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
        color = color_of(n.tag, p)
        figure.add_scatter(
            name=n.tag.letter or "base",
            x=[100 * n.certainty[i] for i in there],
            y=[100 * n.accuracy[i] for i in there],
            mode="lines+markers",
            line=dict(color=color, width=1.8, dash=None if n.tag.letter else DASH),
            marker=dict(size=6, color=color, symbol=SHAPES[n.tag.family]),
            customdata=[n.images[i] for i in there],
            hovertemplate=tr("sure %{x:.0f} %, right %{y:.0f} %: %{customdata} images")
            + "<extra></extra>",
        )
    for place, n in enumerate(reversed(networks)):
        letter = n.tag.letter or tr("base")
        put_label(
            figure,
            p,
            98,
            2,
            f"<b>{letter}</b> ECE {units.percent(n.error)}",
            color_of(n.tag, p, True),
            xanchor="right",
            yanchor="bottom",
            yshift=LINE * place,
        )
    percent = dict(range=[-2, 102], tickvals=[0, 50, 100], ticktext=["0", "50", "100 %"])
    soft = dict(size=13, color=p.soft)
    figure.update_layout(
        xaxis=percent | dict(title=dict(text=tr("sure"), standoff=2, font=soft)),
        yaxis=percent | dict(title=dict(text=tr("right"), standoff=4, font=soft)),
    )
    return figure.figure()
