"""Accuracy against file size, with the moving point; and accuracy against one slider."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from .. import units
from ..language import marked, tr
from ..result import Preview, Result
from .look import (
    DASH,
    Drawing,
    Palette,
    blank,
    interval,
    percent_axis,
    put_label,
    rgba,
    size_axis,
    y_window,
)


class Spot(NamedTuple):
    """One network. accuracy, low, high: percent; estimated: not all images are seen yet;
    about: the file is not coded yet.
    """

    bytes: int
    accuracy: float
    low: float
    high: float
    text: str = ""
    estimated: bool = False
    about: bool = False


class Hero(NamedTuple):
    """point: the setting of the moment, None while it is computed; trail: settings before it,
    oldest first; curve, random: along a slider, by this method and by its reference; front: of all
    stored runs of this network; names: of curve and random, in the reader's language but for the
    default.
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
    random_name: str = marked("random<br>pruning")
    curve_family: str = "pruned"


def spot(found: Result | Preview, split: str) -> Spot:
    """A result, or what is known of it so far, as a point of a plot."""
    if isinstance(found, Preview):
        m, estimated = found.metric, not found.estimate.exact
    else:
        m, estimated = (found.accuracy(split) or found.validation).metric, False
    values = 100 * m.value, 100 * m.low, 100 * m.high
    return Spot(found.cost.bytes, *values, found.recipe.label, estimated, not found.weighed)


def _symbols(spots: Sequence[Spot], symbol: str = "circle") -> list[str]:
    """Marker of each spot: open where it is an estimate."""
    return [f"{symbol}-open" if s.estimated else symbol for s in spots]


def draw_hero(d: Hero, p: Palette, height: int) -> go.Figure:
    """Accuracy against file size with the moving point."""
    figure = blank(p, height, tr("Accuracy against file size"), tr("95 % intervals"))
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

    color, violet, grey = p.marks[d.curve_family], p.marks["combined"], p.marks["dense"]
    if len(d.curve) > 1:
        xs = [s.bytes for s in d.curve]
        figure.add_scatter(
            x=xs + xs[::-1],
            y=[s.high for s in d.curve] + [s.low for s in d.curve][::-1],
            fill="toself",
            fillcolor=rgba(color, 0.13),
            line=dict(width=0),
            hoverinfo="skip",
            mode="lines",
            name="interval",
        )
    line(
        d.random,
        d.random_name.replace("<br>", " "),
        mode="lines",
        line=dict(color=grey, width=1.6, dash=DASH),
    )
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
        line=dict(color=color, width=3),
        marker=dict(size=7, color=color, symbol=_symbols(d.curve)),
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
        hovertemplate=tr("dense, fp32 file")
        + f"<br>{units.size(d.dense_bytes)}, %{{y:.2f}} %<extra></extra>",
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
            marker=dict(
                size=17,
                color=violet,
                symbol=_symbols([s]),
                line=dict(color=violet if s.estimated else p.ground, width=2.5),
            ),
            error_y=interval(
                [(s.accuracy, s.low, s.high)],
                rgba(violet, 0.45) if s.estimated else violet,
                7 if s.estimated else 2,
                0 if s.estimated else 5,
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
            f"<b>{units.size(s.bytes, s.about)}, {'≈ ' * s.estimated}{s.accuracy:.1f} %</b>",
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
        tr("dense, {size}", size=units.size(d.dense_bytes)),
        p.words["dense"],
        xanchor="right",
        xshift=10,
        yshift=-18,
    )
    _curve_labels(figure, p, d, low, high, narrow)
    figure.update_layout(xaxis=size_axis(left, right), yaxis=percent_axis(low, high, step))
    return figure.figure()


def _curve_labels(
    figure: Drawing, p: Palette, d: Hero, low: float, high: float, narrow: bool
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
        (d.curve, d.curve_name, d.curve_family, "left", 0.25),
        (d.random, tr(d.random_name), "dense", "left", 0.45),
        (
            _apart(d.front, d.curve) if narrow else [],
            tr("front of<br>all runs"),
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
    """Accuracy against one knob. xs: its values; here: its value now, None: off.

    own, reference: what is known of this method and of what it is compared with; at: this setting,
    if known; dense: percent; by_levels: the knob is the number of levels, else the prune ratio.
    """

    xs: list[float]
    own: list[Spot]
    reference_xs: list[float]
    reference: list[Spot]
    reference_name: str
    here: float | None
    at: Spot | None
    by_levels: bool = False


def draw_curve(d: Curve, p: Palette, height: int) -> go.Figure:
    """Accuracy against the prune ratio, or against the number of levels on a logarithmic axis."""
    figure = blank(p, height, "", l=40, b=28, t=8)
    grey, violet = p.marks["dense"], p.marks["combined"]
    color = p.marks["quantized" if d.by_levels else "pruned"]
    hover = (
        tr("%{x:.0f} levels, %{text}%{y:.2f} %")
        if d.by_levels
        else tr("%{x:.0f} % zeros, %{text}%{y:.2f} %")
    )

    def line(xs: list[float], spots: list[Spot], name: str, **style: object) -> None:
        figure.add_scatter(
            x=xs,
            y=[s.accuracy for s in spots],
            text=["≈ " * s.estimated for s in spots],
            hovertemplate=f"{hover}<extra></extra>",
            name=name,
            **style,
        )

    dashed = dict(color=grey, width=1.6, dash=DASH)
    line(d.reference_xs, d.reference, d.reference_name, mode="lines", line=dashed)
    marker = dict(size=6, symbol=_symbols(d.own))
    solid = dict(color=color, width=2.4)
    line(d.xs, d.own, "this method", mode="lines+markers", line=solid, marker=marker)
    if d.here is not None:
        figure.add_vline(x=d.here, line=dict(color=violet, width=1.6, dash="2px,3px"))
    if d.at is not None and d.here is not None:
        edge = dict(color=violet if d.at.estimated else p.ground, width=2)
        marker = dict(size=12, color=violet, symbol=_symbols([d.at]), line=edge)
        line([d.here], [d.at], "this setting", mode="markers", marker=marker)
    middle = [
        (x, s.accuracy)
        for x, s in zip(d.reference_xs, d.reference, strict=True)
        if 30 < s.accuracy < 75
    ]
    if middle:
        x, y = middle[0]
        at = math.log10(x) if d.by_levels else x
        put_label(figure, p, at, y, d.reference_name, p.words["dense"], xanchor="right", xshift=-8)
    if d.by_levels:
        ticks = [2, 4, 8, 16, 32, 64, 128, 256]
        axis: dict[str, object] = dict(type="log", range=[math.log10(1.8), math.log10(285)])
        axis |= dict(tickvals=ticks, ticktext=[str(n) for n in ticks])
    else:
        ticks = [0, 25, 50, 75, 100]
        axis = dict(range=[-3, 103], tickvals=ticks, ticktext=["0", "25", "50", "75", "100 %"])
    figure.update_layout(xaxis=axis, yaxis=percent_axis(0, 106, 50))
    return figure.figure()
