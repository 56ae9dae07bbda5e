"""Why accuracy fell: points of each layer, or of each class, as bars with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from .. import units
from ..language import marked, tr
from ..result import Change, Preview
from .look import Drawing, Palette, blank, interval, letters, rgba

ROW, HEAD, FOOT = 20, 34, 4  # pixels of a row, above and below all of them
ROWS, FEW = 10, 6
LETTER, VALUE = 6.9, 62  # pixels of a name's letter, and of the number at the right


class PointsBar(NamedTuple):
    """Points of accuracy, with their 95 % interval. noise: it may well be nothing; estimated: not
    all images are seen yet.
    """

    name: str
    points: float
    low: float
    high: float
    noise: bool = False
    estimated: bool = False


def points_bar(name: str, change: Change, noise: bool) -> PointsBar:
    points, low, high = (100 * share for share in (change.difference, change.low, change.high))
    return PointsBar(name, points, low, high, noise)


def estimated_bar(name: str, found: Preview, accuracy: float) -> PointsBar:
    """Against an accuracy (0..1) that is known."""
    e = found.estimate
    points, low, high = (100 * (share - accuracy) for share in (e.value, e.low, e.high))
    return PointsBar(name, points, low, high, True, True)


def points_height(rows: int = ROWS) -> int:
    return HEAD + FOOT + rows * ROW


def draw_points(
    bars: Sequence[PointsBar], p: Palette, family: str, title: str, rest: str, more: str = ""
) -> go.Figure:
    """A row each, ROWS of them at most, in the order given; in the colour of the family where it is
    more than noise, open while it is estimated. more: a last line about what has no row.
    """
    left = round(LETTER * max((letters(b.name) for b in bars), default=0)) + 8
    figure = blank(p, points_height(), title, rest, l=left, r=VALUE, t=HEAD, b=FOOT)
    colors = [p.marks["dense" if b.noise else family] for b in bars]
    fill = [
        p.ground if b.estimated else rgba(c, 0.45) if b.noise else c
        for b, c in zip(bars, colors, strict=True)
    ]
    figure.add_bar(
        name="points",
        orientation="h",
        y=list(range(len(bars))),
        x=[b.points for b in bars],
        width=0.6,
        marker=dict(color=fill, line=dict(color=colors, width=1.4)),
        error_x=interval([(b.points, b.low, b.high) for b in bars], p.soft, 1.2, 2),
        hovertext=[_hover(b) for b in bars],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    for i, b in enumerate(bars):
        _words(figure, p, i, b, left)
    if more:
        _line(figure, p, len(bars), more, 0, -left + 2, "left", p.soft)
    low, high = min([0.0, *(b.low for b in bars)]), max([0.0, *(b.high for b in bars)])
    room = 0.04 * (high - low or 1)
    if bars:
        figure.add_vline(0, line=dict(color=p.axis, width=1.4))
    figure.update_layout(
        xaxis=dict(range=[low - room, high + room], visible=False),
        yaxis=dict(range=[max(FEW, len(bars) + bool(more)) - 0.5, -0.5], visible=False),
    )
    return figure.figure()


def _hover(b: PointsBar) -> str:
    values = dict(name=b.name, points=b.points, low=b.low, high=b.high)
    if b.noise and not b.estimated:
        words = marked("{name}: {points:+.2f} points ({low:+.2f} to {high:+.2f}), within noise")
    else:
        words = marked("{name}: {points:+.2f} points ({low:+.2f} to {high:+.2f})")
    return tr(words, **values)


def _words(figure: Drawing, p: Palette, i: int, b: PointsBar, left: int) -> None:
    """The name at the left, the number at the right."""
    color = p.soft if b.noise else p.text
    name = b.name if b.noise else f"<b>{b.name}</b>"
    _line(figure, p, i, name, 0, -left + 2, "left", color)
    text = f"{'≈ ' * b.estimated}{units.points(b.points / 100)}"
    _line(figure, p, i, text, 1, VALUE - 2, "right", color)


def _line(
    figure: Drawing, p: Palette, row: int, text: str, x: int, shift: float, side: str, color: str
) -> None:
    where = dict(xref="paper", x=x, xshift=shift, xanchor=side, y=row, yanchor="middle")
    figure.add_annotation(text=text, font=dict(size=13, color=color), showarrow=False, **where)
