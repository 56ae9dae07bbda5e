"""Accuracy of runs and their base on worse images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from ..language import tr
from ..result import Metric
from .look import DASH, SHAPES, Drawing, Palette, blank, interval, put_label, rgba
from .tags import LINE, Tag, color_of, spread


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
        color, letter = color_of(tag, p), tag.letter or tr("base")
        figure.add_scatter(
            name=f"{panel.title}, {tag.letter or 'base'}",
            x=[i for i, _ in there],
            y=[100 * m.value for _, m in there],
            mode="lines+markers",
            line=dict(color=color, width=1.8, dash=None if tag.letter else DASH),
            marker=dict(symbol=SHAPES[tag.family], size=7, color=color),
            error_y=interval(
                [(100 * m.value, 100 * m.low, 100 * m.high) for _, m in there],
                rgba(color, 0.5),
            ),
            text=[panel.words[i] for i, _ in there],
            hovertemplate=f"{letter}, %{{text}}: %{{y:.1f}} %<extra></extra>",
            **axes,
        )
        ends.append((tag, letter, there[-1][0], 100 * there[-1][1].value))
    gap = LINE * (TOP - low) / pixels
    for (tag, letter, x, _), y in zip(
        ends, spread([y for *_, y in ends], gap, low, TOP), strict=True
    ):
        put_label(
            figure,
            p,
            x,
            y,
            f"<b>{letter}</b>",
            color_of(tag, p, True),
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
