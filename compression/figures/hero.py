"""Accuracy against file size, with the moving point; and accuracy against one slider."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from .. import units
from ..result import Result
from .look import DASH, Palette, blank, percent_axis, put_label, rgba, size_axis, y_window


class Spot(NamedTuple):
    """One measured network. accuracy, low, high: percent."""

    bytes: int
    accuracy: float
    low: float
    high: float
    text: str = ""


class Hero(NamedTuple):
    """point: the setting of the moment, None while it is computed; trail: settings before it,
    oldest first;
    curve, random: along the prune ratio; front: of all stored runs of this network; names: of curve
    and random.
    """

    family: str
    dense: Spot
    dense_bytes: int
    point: Spot | None
    trail: list[Spot]
    curve: list[Spot]
    random: list[Spot]
    front: list[Spot]
    curve_name: str


def spot(result: Result, split: str) -> Spot:
    """A result as a point of a plot."""
    accuracy = result.accuracy(split) or result.validation
    m = accuracy.metric
    return Spot(result.cost.bytes, 100 * m.value, 100 * m.low, 100 * m.high, result.recipe.label)


def draw_hero(d: Hero, p: Palette, height: int) -> go.Figure:
    """Accuracy against file size with the moving point."""
    figure = blank(p, height, "Accuracy against file size", "95 % intervals")
    here = d.point or (d.trail[-1] if d.trail else d.dense)
    low, high, step = y_window(d.dense.accuracy, here.accuracy, here.accuracy)
    narrow = step == 1.0
    smallest = min(
        [here.bytes, *(s.bytes for s in d.curve), *(s.bytes for s in d.front), d.dense_bytes / 60]
    )
    left, right = smallest / 1.35, d.dense_bytes * 1.5
    hover = "%{text}<br>%{x:.3s}B, %{y:.2f} %<extra></extra>"

    def line(spots: Sequence[Spot], name: str, **style: object) -> None:
        figure.add_scatter(
            x=[s.bytes for s in spots],
            y=[s.accuracy for s in spots],
            text=[s.text for s in spots],
            name=name,
            hovertemplate=hover,
            cliponaxis=True,
            **style,
        )

    pruned, violet, grey = p.marks["pruned"], p.marks["combined"], p.marks["dense"]
    if len(d.curve) > 1:
        xs = [s.bytes for s in d.curve]
        figure.add_scatter(
            x=xs + xs[::-1],
            y=[s.high for s in d.curve] + [s.low for s in d.curve][::-1],
            fill="toself",
            fillcolor=rgba(pruned, 0.13),
            line_width=0,
            hoverinfo="skip",
            mode="lines",
            name="interval",
        )
    line(d.random, "random pruning", mode="lines", line=dict(color=grey, width=1.6, dash=DASH))
    line(
        d.front,
        "front of all runs",
        mode="lines+markers",
        line=dict(color=rgba(violet, 0.5), width=1.6, shape="hv"),
        marker=dict(color=violet, size=8, symbol="star"),
    )
    line(
        d.curve,
        d.curve_name,
        mode="lines+markers",
        line=dict(color=pruned, width=3),
        marker=dict(size=7, color=pruned),
    )
    n = len(d.trail)
    if n:
        whole = [*d.trail, d.point] if d.point else d.trail
        line(
            whole,
            "last moves",
            mode="lines+markers",
            line=dict(color=rgba(violet, 0.35), width=1.6),
            marker=dict(
                size=[6 + 4 * (i + 1) / len(whole) for i in range(len(whole))],
                color=[rgba(violet, 0.25 + 0.45 * (i + 1) / len(whole)) for i in range(len(whole))],
            ),
        )
    figure.add_scatter(
        x=[d.dense_bytes],
        y=[d.dense.accuracy],
        mode="markers",
        marker=dict(size=12, color=grey),
        name="dense",
        hovertemplate=(
            f"dense, fp32 file<br>{units.size(d.dense_bytes)}, %{{y:.2f}} %<extra></extra>"
        ),
    )
    if d.point:
        s = d.point
        figure.add_scatter(
            x=[s.bytes],
            y=[s.accuracy],
            mode="markers",
            text=[s.text],
            hovertemplate=hover,
            name="this setting",
            marker=dict(size=17, color=violet, line=dict(color=p.ground, width=2.5)),
            error_y=dict(
                type="data",
                symmetric=False,
                array=[s.high - s.accuracy],
                arrayminus=[s.accuracy - s.low],
                color=violet,
                thickness=2,
                width=5,
            ),
        )
        at_left = math.log(s.bytes / left) < 0.35 * math.log(right / left)
        beside = (
            dict(xanchor="left", xshift=10, yshift=-17)
            if not narrow or at_left
            else dict(xanchor="right", xshift=-12, yshift=9)
        )
        put_label(
            figure,
            p,
            math.log10(s.bytes),
            s.accuracy,
            f"<b>{units.size(s.bytes)}, {s.accuracy:.1f} %</b>",
            p.words["combined"],
            font=dict(size=16, color=p.words["combined"]),
            bgcolor="rgba(0,0,0,0)",
            **beside,
        )
    put_label(
        figure,
        p,
        math.log10(d.dense_bytes),
        d.dense.accuracy,
        f"dense, {units.size(d.dense_bytes)}",
        p.words["dense"],
        xanchor="right",
        xshift=10,
        yshift=-18,
    )
    _curve_labels(figure, p, d, low, high, narrow)
    figure.update_layout(xaxis=size_axis(left, right), yaxis=percent_axis(low, high, step))
    return figure


def _curve_labels(
    figure: go.Figure, p: Palette, d: Hero, low: float, high: float, narrow: bool
) -> None:
    """Names beside the curves, each far from the label of the point and from the others."""
    taken = [d.point.accuracy] if d.point else []
    gap = 0.17 * (high - low)

    def place(spots: Sequence[Spot], aim: float) -> Spot | None:
        inside = [
            s for s in spots if low + 0.1 * (high - low) < s.accuracy < high - 0.12 * (high - low)
        ]
        free = [s for s in inside if all(abs(s.accuracy - t) > gap for t in taken)]
        found = min(free, key=lambda s: abs(s.accuracy - low - aim * (high - low)), default=None)
        taken.extend([found.accuracy] if found else [])
        return found

    names = [
        (d.curve, d.curve_name, "pruned", "left", 0.25),
        (d.random, "random<br>pruning", "dense", "left", 0.45),
        (
            _apart(d.front, d.curve) if narrow else [],
            "front of<br>all runs",
            "combined",
            "right",
            0.6,
        ),
    ]
    for spots, text, family, side, aim in names:
        at = place(spots, aim) if len(spots) > 2 else None
        if at is not None:
            put_label(
                figure,
                p,
                math.log10(at.bytes),
                at.accuracy,
                text,
                p.words[family],
                xanchor=side,
                align=side,
                xshift=10 if side == "left" else -10,
            )


def _apart(spots: Sequence[Spot], others: Sequence[Spot]) -> list[Spot]:
    """Those that do not lie on one of the others: at least a fifth larger or smaller."""
    return [s for s in spots if all(abs(math.log(s.bytes / o.bytes)) > 0.2 for o in others)]


class Curve(NamedTuple):
    """Accuracy in percent against a knob in percent.

    here: the knob's value now; at: its accuracy, if known.
    """

    xs: list[float]
    ys: list[float]
    random_xs: list[float]
    random_ys: list[float]
    here: float
    at: float | None
    dense: float


def draw_curve(d: Curve, p: Palette, height: int) -> go.Figure:
    """Accuracy against the prune ratio."""
    figure = blank(p, height, "Accuracy against prune ratio", l=40, b=28)
    grey, pruned, violet = p.marks["dense"], p.marks["pruned"], p.marks["combined"]
    hover = "%{x:.0f} % zeros, %{y:.2f} %<extra></extra>"
    figure.add_scatter(
        x=d.random_xs,
        y=d.random_ys,
        mode="lines",
        line=dict(color=grey, width=1.6, dash=DASH),
        hovertemplate=hover,
        name="random",
    )
    figure.add_scatter(
        x=d.xs,
        y=d.ys,
        mode="lines+markers",
        line=dict(color=pruned, width=2.4),
        marker=dict(size=6),
        hovertemplate=hover,
        name="this method",
    )
    figure.add_vline(x=d.here, line=dict(color=violet, width=1.6, dash="2px,3px"))
    if d.at is not None:
        figure.add_scatter(
            x=[d.here],
            y=[d.at],
            mode="markers",
            hovertemplate=hover,
            name="this setting",
            marker=dict(size=12, color=violet, line=dict(color=p.ground, width=2)),
        )
    inside = [(x, y) for x, y in zip(d.random_xs, d.random_ys, strict=True) if 30 < y < 75]
    if inside:
        put_label(figure, p, *inside[0], "random", p.words["dense"], xanchor="right", xshift=-8)
    figure.update_layout(
        xaxis=dict(
            range=[-3, 103],
            tickvals=[0, 25, 50, 75, 100],
            ticktext=["0", "25", "50", "75", "100 %"],
        ),
        yaxis=percent_axis(0, 106, 50),
    )
    return figure
