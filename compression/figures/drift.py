"""Layers of runs against those of their base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from .look import SHAPES, Palette, blank, letters, put_head, put_label, rgba
from .tags import Tag, color_of, spread


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
    room = 16 + 7 * max(map(letters, data.layers))
    height = drift_height(len(data.layers))
    figure = blank(p, height, data.title, "", l=room, r=16, t=72, b=30)
    put_head(figure, data.rest, room, 26, size=13, color=p.soft)
    low, high = data.window
    heads = []
    for tag, values in data.runs:
        there = [(v, i) for i, v in enumerate(values) if v is not None]
        if not there:
            continue
        color = color_of(tag, p)
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
            color_of(tag, p, True),
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
