"""Training, live: accuracy by epoch of several students, loss and accuracy of one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from .. import units
from ..language import tr
from ..result import Epoch
from .look import DASH, SHAPES, Drawing, Palette, blank, percent_axis, put_label, y_window


class Track(NamedTuple):
    """Validation accuracy after each epoch of one training.

    family: its colour; dashed: a reference.
    """

    name: str
    family: str
    dashed: bool
    history: Sequence[Epoch]


def draw_training(
    tracks: list[Track], teacher: float | None, epochs: int, p: Palette, height: int, title: str
) -> go.Figure:
    """Accuracy by epoch, live; axes are fixed, so that nothing jumps. teacher: percent."""
    figure = blank(p, height, title, tr("validation, after each epoch"), r=20)
    values = [100 * e.accuracy for t in tracks for e in t.history] + (
        [teacher] if teacher is not None else []
    )
    top = max(values, default=100.0)
    low, high, step = y_window(top, min(values, default=0.0))
    if teacher is not None:
        figure.add_hline(y=teacher, line=dict(color=p.marks["dense"], width=1.6, dash=DASH))
        put_label(
            figure,
            p,
            epochs,
            teacher,
            tr("teacher {accuracy:.1f} %", accuracy=teacher),
            p.words["dense"],
            xanchor="right",
            yshift=11,
        )
    for t in tracks:
        if not t.history:
            continue
        color = p.marks[t.family]
        xs, ys = [e.epoch for e in t.history], [100 * e.accuracy for e in t.history]
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines+markers",
            name=t.name,
            line=dict(color=color, width=2.4, dash=DASH if t.dashed else "solid"),
            marker=dict(
                size=9,
                symbol=SHAPES[t.family],
                color=p.ground if t.dashed else color,
                line=dict(color=color, width=2),
            ),
            customdata=[[e.loss, units.size(e.bytes)] for e in t.history],
            hovertemplate=tr(
                "{name}, epoch %{{x}}<br>%{{y:.2f}} %, loss %{{customdata[0]:.3f}},"
                " %{{customdata[1]}}",
                name=t.name,
            )
            + "<extra></extra>",
        )
    _end_labels(figure, p, [t for t in tracks if t.history], high - low, height)
    figure.update_layout(
        xaxis=dict(
            range=[0.7, epochs + 0.3 + 0.5 * epochs],
            tickvals=list(range(1, epochs + 1, max(1, epochs // 8))),
            title=dict(text=tr("epoch"), font=dict(size=13, color=p.soft)),
        ),
        yaxis=percent_axis(low, high, step),
        margin=dict(b=46),
    )
    return figure.figure()


def _end_labels(figure: Drawing, p: Palette, tracks: list[Track], span: float, height: int) -> None:
    """Names at the lines' ends, pushed apart where they would lie on each other."""
    pixel = span / (height - 80)
    at = float("inf")
    for t in sorted(tracks, key=lambda t: -t.history[-1].accuracy):
        y = 100 * t.history[-1].accuracy
        at = min(y, at - 34 * pixel)
        put_label(
            figure,
            p,
            t.history[-1].epoch,
            at,
            f"{t.name}<br>{y:.1f} %",
            p.words[t.family],
            xanchor="left",
            xshift=10,
            bgcolor="rgba(0,0,0,0)",
        )


SHRINKS = 1.1  # the largest file by the smallest, from which on the bytes are drawn


def draw_losses(history: Sequence[Epoch], epochs: int, p: Palette, height: int) -> go.Figure:
    """Accuracy of one running training, and its loss, or the bytes of its file where these become
    fewer, side by side on fixed axes.
    """
    sizes = [e.bytes for e in history]
    shrinks = bool(sizes) and max(sizes) > SHRINKS * min(sizes)
    rest = (
        tr("the file shrinks, validation accuracy rises")
        if shrinks
        else tr("loss falls, validation accuracy rises")
    )
    values = [float(e.bytes) if shrinks else e.loss for e in history]
    words = [
        units.size(e.bytes) if shrinks else tr("loss {loss:.4f}", loss=e.loss) for e in history
    ]
    figure = blank(p, height, tr("Training"), rest, l=40, r=44, b=28)
    xs = [e.epoch for e in history]
    orange, blue = p.marks["pruned"], p.marks["quantized"]
    figure.add_scatter(
        x=xs,
        y=values,
        mode="lines+markers",
        line=dict(color=orange, width=2.4),
        customdata=words,
        hovertemplate=tr("epoch %{x}, %{customdata}") + "<extra></extra>",
        name="bytes" if shrinks else "loss",
    )
    figure.add_scatter(
        x=xs,
        y=[100 * e.accuracy for e in history],
        mode="lines+markers",
        yaxis="y2",
        name="accuracy",
        line=dict(color=blue, width=2.4),
        marker=dict(symbol="square", size=7),
        hovertemplate=tr("epoch %{x}, %{y:.2f} %") + "<extra></extra>",
    )
    most = max(values, default=1.0)
    figure.update_layout(
        xaxis=dict(range=[0.5, epochs + 0.5], dtick=max(1, epochs // 8), tick0=1),
        yaxis=dict(range=[0, most * 1.15], nticks=4, tickfont=dict(color=p.words["pruned"])),
        yaxis2=dict(
            overlaying="y",
            side="right",
            range=[0, 104],
            dtick=50,
            ticksuffix=" %",
            showgrid=False,
            fixedrange=True,
            tickfont=dict(size=13, color=p.words["quantized"]),
        ),
    )
    return figure.figure()
