"""What a network says of one image, and what it looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from .. import units
from .look import Palette, blank, letters, put_label, rgba

LEAST = 0.05  # log odds: what hurts less is drawn pale


class Ten(NamedTuple):
    """shares: of each class, percent; place: the answer; label: the truth, or None."""

    names: Sequence[str]
    shares: Sequence[float]
    place: int
    label: int | None
    family: str


def draw_ten(data: Ten, p: Palette, height: int) -> go.Figure:
    """A bar for each class; the answer in the network's colour."""
    longest = max(map(letters, data.names))
    figure = blank(p, height, "", l=14 + 7 * longest, r=52, t=4, b=4)
    color = p.marks[data.family]
    ys = list(range(len(data.names)))
    figure.add_bar(
        name="shares",
        orientation="h",
        x=list(data.shares),
        y=ys,
        width=0.66,
        marker=dict(color=[color if i == data.place else rgba(color, 0.4) for i in ys]),
        hovertemplate="%{x:.2f} %<extra></extra>",
    )
    for i, share in enumerate(data.shares):
        if share >= 0.5:
            words = units.percent(share / 100, 0 if share >= 9.95 else 1)
            put_label(
                figure,
                p,
                1,
                i,
                f"<b>{words}</b>" if i == data.place else words,
                p.words[data.family] if i == data.place else p.soft,
                xref="paper",
                xanchor="left",
                xshift=6,
                bgcolor="rgba(0,0,0,0)",
            )
    names = [f"<b>{n}</b>" if i == data.label else n for i, n in enumerate(data.names)]
    figure.update_layout(
        xaxis=dict(range=[0, 100], visible=False),
        yaxis=dict(
            range=[len(ys) - 0.5, -0.5],
            tickvals=ys,
            ticktext=names,
            showgrid=False,
            tickfont=dict(size=13, color=p.text),
        ),
    )
    return figure.figure()


class Sight(NamedTuple):
    """image: uint8 (height, width) or (height, width, 3); looked: (height, width), above 0 where
    covering it hurts the answer.
    """

    image: np.ndarray
    looked: np.ndarray
    family: str


def draw_sight(data: Sight, p: Palette, height: int) -> go.Figure:
    """The image in pale grey, and over it in the network's colour what it looks at."""
    figure = blank(p, height, "", l=2, r=2, t=2, b=2)
    grey = data.image if data.image.ndim == 2 else data.image.mean(2)
    ink, color = p.marks["dense"], p.marks[data.family]
    look = dict(showscale=False, hoverinfo="skip", zmin=0, zmax=1)
    figure.add_heatmap(
        z=(grey / 255).round(3).tolist(),
        colorscale=[[0, rgba(ink, 0.04)], [1, rgba(ink, 0.38)]],
        **look,
    )
    strength = np.clip(data.looked / max(float(data.looked.max()), LEAST), 0, 1)
    figure.add_heatmap(
        z=strength.round(3).tolist(),
        colorscale=[[0, rgba(color, 0.0)], [0.25, rgba(color, 0.25)], [1, rgba(color, 0.92)]],
        **look,
    )
    figure.square_cells()
    return figure.figure()
