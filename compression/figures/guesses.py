"""A guess beside what was measured, and bars of what is measured one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from ..language import tr
from .look import Drawing, Palette, blank, interval, letters, put_label, rgba

ROW, NARROW_ROW = 34, 26  # pixels
MANY = 5  # bars from which on they are narrow
EDGE = 68  # pixels of the numbers behind the bars
BAR = 0.62


class Rung(NamedTuple):
    """One bar. value: None while it is not known; low, high: its 95 % interval, or the value;
    text: at its end, or why there is none; open: an estimate.
    """

    label: str
    family: str
    value: float | None
    text: str
    low: float | None = None
    high: float | None = None
    open: bool = False


class Ladder(NamedTuple):
    """Bars under each other. top: the end of the axis; unit: behind its last tick; guess: (place of
    a bar, value), or None.
    """

    title: str
    rest: str
    rungs: Sequence[Rung]
    top: float
    unit: str
    guess: tuple[int, float] | None = None


def ladder_height(rungs: int) -> int:
    """Pixels that so many bars take."""
    return 34 + 26 + (ROW if rungs < MANY else NARROW_ROW) * rungs


def draw_ladder(data: Ladder, p: Palette) -> go.Figure:
    """Bars with their numbers behind them; the guess is a diamond on its bar."""
    longest = max((letters(r.label) for r in data.rungs), default=0)
    room = 10 + 7 * longest if longest else 6
    height = ladder_height(len(data.rungs))
    edge = EDGE if any(r.text for r in data.rungs) else 26
    figure = blank(p, height, data.title, data.rest, l=room, r=edge, t=34, b=26)
    for y, rung in enumerate(data.rungs):
        _put_rung(figure, p, y, rung, data.top)
    if data.guess is not None:
        y, value = data.guess
        figure.add_scatter(
            name="your guess",
            x=[value],
            y=[y],
            mode="markers",
            marker=dict(
                symbol="diamond", size=15, color=p.ground, line=dict(color=p.text, width=2)
            ),
            hovertemplate=tr("your guess: %{x:.4g}") + "<extra></extra>",
        )
    ticks = [data.top * share for share in (0, 0.25, 0.5, 0.75, 1)]
    words = [f"{tick:g}" for tick in ticks]
    words[-1] += data.unit
    figure.update_layout(
        xaxis=dict(range=[0, data.top], tickvals=ticks, ticktext=words),
        yaxis=dict(
            range=[len(data.rungs) - 0.5, -0.5],
            showgrid=False,
            tickvals=list(range(len(data.rungs))),
            ticktext=[r.label for r in data.rungs],
            tickfont=dict(size=13, color=p.text),
        ),
    )
    return figure.figure()


def _put_rung(figure: Drawing, p: Palette, y: int, rung: Rung, top: float) -> None:
    color = p.marks[rung.family]
    figure.add_bar(
        name=f"room {y}",
        orientation="h",
        x=[top],
        y=[y],
        width=BAR,
        marker=dict(color=rgba(p.marks["dense"], 0.12)),
        hoverinfo="skip",
    )
    if rung.value is not None:
        bar = dict(color=rgba(color, 0.4) if rung.open else color)
        figure.add_bar(
            name=rung.label or "measured",
            orientation="h",
            x=[min(rung.value, top)],
            y=[y],
            width=BAR,
            marker=bar,
            hovertemplate=f"{rung.label} {rung.text}<extra></extra>",
        )
        if rung.low is not None and rung.high is not None:
            figure.add_scatter(
                x=[rung.value],
                y=[y],
                mode="markers",
                marker=dict(size=1, color=p.text),
                error_x=interval([(rung.value, rung.low, rung.high)], p.text, 1.4, 4),
                hoverinfo="skip",
            )
    if rung.value is None:
        put_label(figure, p, 0, y, rung.text, p.soft, xanchor="left", xshift=8,
                  bgcolor="rgba(0,0,0,0)")  # fmt: skip
    else:  # at the edge, where no guess can lie on it
        put_label(figure, p, 1, y, rung.text, p.text, xref="paper", xanchor="left", xshift=6,
                  bgcolor="rgba(0,0,0,0)")  # fmt: skip
    figure.update_layout(barmode="overlay")
