"""All runs of a data set, with the front of each method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from .. import units
from ..pareto import front
from ..result import Result
from .hero import Spot, spot
from .look import (
    FAMILIES,
    SHAPES,
    Drawing,
    Palette,
    blank,
    percent_axis,
    put_label,
    rgba,
    size_axis,
    y_window,
)


class Run(NamedTuple):
    """One stored run in the trade-off plot.

    accuracy: percent; price: what the next smaller or larger front point costs.
    """

    digest: str
    network: str
    family: str
    label: str
    bytes: int
    accuracy: float
    low: float
    high: float
    reference: bool
    on_front: bool
    price: str


def runs_data(results: Sequence[Result], split: str) -> list[Run]:
    """Stored results as points, with the front of all but the references and, for its points, the
    price of the next one.
    """
    scored = [r for r in results if r.accuracy(split)]
    spots = [spot(r, split) for r in scored]
    fair = [i for i, r in enumerate(scored) if not is_reference(r)]
    chosen = [fair[i] for i in front([(spots[i].bytes, spots[i].accuracy) for i in fair])]
    price = {}
    for smaller, larger in zip(chosen, chosen[1:], strict=False):
        a, b = spots[smaller], spots[larger]
        price[larger] = (
            f"next smaller saves {units.size(b.bytes - a.bytes)} for"
            f" {b.accuracy - a.accuracy:.2f} pt"
        )
    return [
        Run(
            r.digest,
            r.recipe.model,
            r.recipe.family,
            r.recipe.label,
            s.bytes,
            s.accuracy,
            s.low,
            s.high,
            is_reference(r),
            i in chosen,
            price.get(i, "the smallest of the front" if i in chosen else ""),
        )
        for i, (r, s) in enumerate(zip(scored, spots, strict=True))
    ]


def is_reference(result: Result) -> bool:
    """Whether a run is there to compare with: random pruning, or a student without its teacher."""
    return any(
        s.name == "random_pruning" or getattr(s, "alpha", 1) == 0 for s in result.recipe.steps
    )


def draw_runs(
    runs: list[Run],
    dense: Sequence[Spot],
    chosen: str | None,
    p: Palette,
    height: int,
    fronts_only: bool = False,
) -> go.Figure:
    """Accuracy against file size of all runs: a front per method, the rest pale. customdata: the
    run's digest.
    """
    figure = blank(p, height, "Accuracy against file size", "line: front, pale: dominated", r=24)
    if not runs:
        return figure.figure()
    top = max([*(r.accuracy for r in runs), *(s.accuracy for s in dense)])
    lower_third = sorted(r.accuracy for r in runs if not r.reference or len(runs) < 3)[
        len(runs) // 9 :
    ][:1]
    low, high, step = y_window(top, max(top - 10.9, *lower_third, 0.0))
    left = min(r.bytes for r in runs) / 1.5
    right = max([*(r.bytes for r in runs), *(s.bytes for s in dense)]) * 1.6
    for family in FAMILIES:
        mine = [r for r in runs if r.family == family and not r.reference]
        best = [mine[i] for i in front([(r.bytes, r.accuracy) for r in mine])]
        color = p.marks[family]
        if not fronts_only:
            rest = [r for r in runs if r.family == family and r not in best]
            _runs_trace(
                figure,
                rest,
                f"{family}, dominated",
                mode="markers",
                marker=dict(
                    symbol=[f"{SHAPES[family]}{'-open' if r.reference else ''}" for r in rest],
                    size=9,
                    color=rgba(color, 0.28),
                ),
            )
        _runs_trace(
            figure,
            best,
            family,
            mode="lines+markers",
            line=dict(color=color, width=1.8, shape="hv"),
            marker=dict(symbol=SHAPES[family], size=11 if family == "combined" else 9, color=color),
        )
        inside = [r for r in best if low < r.accuracy < high]
        if inside:
            put_label(
                figure,
                p,
                math.log10(inside[0].bytes),
                inside[0].accuracy,
                f"<b>{family}</b>",
                p.words[family],
                yshift=-15,
                xanchor="left",
                xshift=-8,
            )
    for s in dense:
        figure.add_scatter(
            x=[s.bytes],
            y=[s.accuracy],
            mode="markers",
            marker=dict(size=12, color=p.marks["dense"]),
            name="dense",
            hovertemplate=f"{s.text}, fp32 file<br>%{{y:.2f}} %<extra></extra>",
        )
    for at in (r for r in runs if r.digest == chosen):
        figure.add_scatter(
            x=[at.bytes],
            y=[at.accuracy],
            mode="markers",
            hoverinfo="skip",
            name="chosen",
            marker=dict(
                size=21, symbol="circle-open", color=p.marks["combined"], line=dict(width=2.5)
            ),
            error_y=dict(
                type="data",
                symmetric=False,
                array=[at.high - at.accuracy],
                arrayminus=[at.accuracy - at.low],
                color=p.marks["combined"],
                thickness=2,
                width=5,
            ),
        )
    figure.update_layout(xaxis=size_axis(left, right), yaxis=percent_axis(low, high, step))
    return figure.figure()


def _runs_trace(figure: Drawing, runs: list[Run], name: str, **style: object) -> None:
    figure.add_scatter(
        x=[r.bytes for r in runs],
        y=[r.accuracy for r in runs],
        name=name,
        customdata=[[r.digest, r.label, units.size(r.bytes), r.price, r.network] for r in runs],
        hovertemplate=(
            "<b>%{customdata[1]}</b> (%{customdata[4]})<br>%{customdata[2]}, %{y:.2f}"
            " %<br>%{customdata[3]}<extra></extra>"
        ),
        **style,
    )
