"""The plane of all runs: several fronts in one plot, what is dominated pale, references dashed,
repeats over seeds faint around their mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ..language import tr
from ..metrics import MEASURES, PERCENT, Measure
from .look import (
    DASH,
    SHAPES,
    Drawing,
    Palette,
    blank,
    interval,
    letters,
    log_axis,
    percent_axis,
    put_label,
    rgba,
    y_window,
)
from .runs import Cloud, Front, Run

MANY = 1_000  # points from which on the graphics card draws the dominated ones
MOST = 0.7  # share of the runs that the window of the accuracy holds at least
WIDE, LETTER, LINE = 270, 7.0, 22  # pixels of a narrow plot, of a letter and of a line of text
TITLE = 60  # letters that fit above the plot on a phone


def draw_runs(
    d: Cloud, chosen: str | None, p: Palette, height: int, fronts_only: bool = False
) -> go.Figure:
    """One measure against another of all runs: fronts as lines, the rest pale, references dashed.
    customdata: the run's digest, its label, its network.
    """
    x, y = MEASURES[d.axes.x], MEASURES[d.axes.y]
    color = MEASURES[d.axes.color] if d.axes.color else None
    head = tr("{up} against {across}", up=tr(y.title), across=_low(tr(x.title)))
    if not d.runs:
        return blank(p, height, head).figure()
    y_axis = _y_axis(y, d)
    below = sum(r.y < y_axis["range"][0] for r in d.runs) if not y.unit.log else 0
    rest = tr("line: front, dashed: reference")
    if d.axes.size:
        rest = tr("size: {measure}", measure=_low(tr(MEASURES[d.axes.size].title)))
    elif below:
        rest = tr("{n} below the window", n=below)
    fits = letters(head) + letters(rest) < TITLE
    figure = blank(p, height, head, rest if fits else "", r=84 if color else 24)
    on_front = {i for front in d.fronts for i in front.members}
    sizes = _sizes(d)
    if color:
        figure.update_layout(coloraxis=_color_axis(d, color, p))
    if not fronts_only:
        for family in dict.fromkeys(r.family for r in d.runs):
            rest_of = [i for i, r in enumerate(d.runs) if r.family == family and i not in on_front]
            _dominated(figure, d, rest_of, family, sizes, p)
    best = [r for i, r in enumerate(d.runs) if i in on_front]
    crowded = sum(len(r.seeds) for r in d.runs) > MANY
    _seeds(figure, best if fronts_only or crowded else d.runs, best, p)
    for reference in d.references:
        _line(figure, d, reference, p.marks[reference.family], DASH, p)
    for front in d.fronts:
        _line(figure, d, front, p.marks[front.family] if front.family else p.text, "solid", p)
        _members(figure, d, front, sizes, p)
    for s in d.dense:
        figure.add_scatter(
            x=[s.x],
            y=[s.y],
            mode="markers",
            marker=dict(size=12, color=p.marks["dense"]),
            name="dense",
            hovertemplate=tr("{network}, dense, fp32 file", network=s.network)
            + f"<br>{_hover(x, 'x')}, {_hover(y, 'y')}<extra></extra>",
        )
    for at in (r for r in d.runs if chosen in (r.digest, *(s.digest for s in r.seeds))):
        _chosen(figure, at, chosen, p)
    figure.update_layout(
        xaxis=_axis(x, [r.x for r in (*d.runs, *d.dense)]),
        yaxis=y_axis,
        hoverlabel=dict(align="left"),
    )
    _names(figure, d, p, height)
    return figure.figure()


def _low(title: str) -> str:
    return title[:1].lower() + title[1:]


def _hover(measure: Measure, axis: str) -> str:
    form, unit = measure.unit.hover
    return f"%{{{axis}:{form}}}{unit}"


def _template(d: Cloud, more: str = "") -> str:
    x, y = MEASURES[d.axes.x], MEASURES[d.axes.y]
    return (
        "<b>%{customdata[1]}</b> (%{customdata[2]})<br>"
        f"{_hover(x, 'x')}, {_hover(y, 'y')}{more}<extra></extra>"
    )


def _about(runs: Sequence[Run], words: Sequence[str] = ()) -> np.ndarray:
    """A row of text for each run. An array: of a list plotly copies every word, twice."""
    columns = [
        [r.digest for r in runs],
        [_called(r) for r in runs],
        [r.network for r in runs],
    ]
    return np.array([*columns, words] if words else columns).T


def _called(run: Run) -> str:
    if not run.seeds:
        return run.label
    return tr("{run}, mean of {n} seeds", run=run.label, n=len(run.seeds))


def _dominated(
    figure: Drawing, d: Cloud, members: list[int], family: str, sizes: list[float], p: Palette
) -> None:
    """Runs on no front, pale; references open."""
    if not members:
        return
    runs = [d.runs[i] for i in members]
    symbols: Any = SHAPES[family]
    if any(r.reference for r in runs):
        symbols = [f"{SHAPES[family]}{'-open' if r.compared_only else ''}" for r in runs]
    marker: dict[str, Any] = dict(symbol=symbols, size=_size(sizes, members))
    if d.axes.color:
        marker |= dict(color=_colors(d, runs), coloraxis="coloraxis", opacity=0.7)
    else:
        marker |= dict(color=rgba(p.marks[family], 0.28))
    figure.add_scatter(
        type="scattergl" if len(d.runs) > MANY else "scatter",
        x=np.array([r.x for r in runs]),
        y=np.array([r.y for r in runs]),
        name=f"{family}, dominated",
        mode="markers",
        marker=marker,
        customdata=_about(runs),
        hovertemplate=_template(d),
    )


def _line(figure: Drawing, d: Cloud, front: Front, color: str, dash: str, p: Palette) -> None:
    """What a front reaches: between two members as much as the worse x already gives."""
    runs = sorted((d.runs[i] for i in front.members), key=lambda r: r.x)
    figure.add_scatter(
        x=[r.x for r in runs],
        y=[r.y for r in runs],
        name=f"{front.name}, reached",
        mode="lines",
        line=dict(
            color=color,
            width=1.6 if dash == DASH else 1.8,
            dash=dash,
            shape="hv" if MEASURES[d.axes.x].lower else "vh",
        ),
        hoverinfo="skip",
    )


def _members(figure: Drawing, d: Cloud, front: Front, sizes: list[float], p: Palette) -> None:
    runs = [d.runs[i] for i in front.members]
    marker: dict[str, Any] = dict(
        symbol=[SHAPES[r.family] for r in runs], size=_size(sizes, front.members)
    )
    if d.axes.color:
        marker |= dict(
            color=_colors(d, runs), coloraxis="coloraxis", line=dict(width=1, color=p.text)
        )
    else:
        marker |= dict(color=[p.marks[r.family] for r in runs])
    figure.add_scatter(
        x=[r.x for r in runs],
        y=[r.y for r in runs],
        name=front.name,
        mode="markers",
        marker=marker,
        customdata=_about(runs, front.words),
        hovertemplate=_template(d, "%{customdata[3]}"),
    )


def _seeds(figure: Drawing, runs: Sequence[Run], best: Sequence[Run], p: Palette) -> None:
    """Each repeat of these runs as a faint point, and of the best ones the interval of the mean."""
    each = [(r, s) for r in runs for s in r.seeds]
    repeated = [r for r in best if r.seeds]
    if not each:
        return
    figure.add_scatter(
        x=np.array([s.x for _, s in each]),
        y=np.array([s.y for _, s in each]),
        name="seeds",
        mode="markers",
        marker=dict(size=5, color=[rgba(p.marks[r.family], 0.45) for r, _ in each]),
        customdata=np.array([[s.digest, r.label, tr("seed {n}", n=s.number)] for r, s in each]),
        hovertemplate="<b>%{customdata[1]}</b>, %{customdata[2]}<extra></extra>",
    )
    figure.add_scatter(
        x=[r.x for r in repeated],
        y=[r.y for r in repeated],
        name="interval of the mean",
        mode="markers",
        marker=dict(size=1, color=p.soft),
        error_y=interval(
            [(r.y, r.low, r.high) for r in repeated],
            p.soft,
            1.2,
            3,
        ),
        hoverinfo="skip",
    )


def _chosen(figure: Drawing, at: Run, digest: str | None, p: Palette) -> None:
    """A ring around the run that was picked, with its interval."""
    own = next((s for s in at.seeds if s.digest == digest and digest != at.digest), None)
    ring: dict[str, Any] = dict(x=[own.x if own else at.x], y=[own.y if own else at.y])
    if own is None and not math.isnan(at.low):
        ring["error_y"] = dict(
            type="data",
            symmetric=False,
            array=[at.high - at.y],
            arrayminus=[at.y - at.low],
            color=p.marks["combined"],
            thickness=2,
            width=5,
        )
    figure.add_scatter(
        **ring,
        mode="markers",
        hoverinfo="skip",
        name="chosen",
        marker=dict(size=21, symbol="circle-open", color=p.marks["combined"], line=dict(width=2.5)),
    )


def _names(figure: Drawing, d: Cloud, p: Palette, height: int) -> None:
    """The name of each line at one of its members, where no other name is; else none."""
    taken: list[tuple[float, float, float]] = []  # of each name: left end, right end, middle
    lines = [*((f, True) for f in d.fronts), *((r, False) for r in d.references)]
    for front, bold in lines:
        name = tr(front.name)
        wide = LETTER * letters(name) / WIDE
        inside = [spot for i in front.members if (spot := _spot(figure, d.runs[i]))]
        spots = inside if bold else inside[len(inside) // 2 :]
        for (x, y), left in product(spots, (True, False)):
            box = (x, x + wide, y) if left else (x - wide, x, y)
            free = not any(
                box[0] < end and start < box[1] and abs(y - middle) < LINE / height
                for start, end, middle in taken
            )
            if free and 0 <= box[0] and box[1] <= 1:
                taken.append(box)
                put_label(
                    figure,
                    p,
                    x,
                    y,
                    f"<b>{name}</b>" if bold else name,
                    p.words[front.family] if front.family else p.text,
                    xref="x domain",
                    yref="y domain",
                    yshift=-15,
                    xanchor="left" if left else "right",
                    xshift=-8 if left else 8,
                )
                break


def _spot(figure: Drawing, run: Run) -> tuple[float, float] | None:
    """Where a run lies in the window, 0..1 each; None outside of it."""
    shares = []
    for name, value in (("xaxis", run.x), ("yaxis", run.y)):
        low, high, log = figure.window(name)
        shares.append(((math.log10(value) if log else value) - low) / (high - low))
    x, y = shares
    return (x, y) if 0 < x < 1 and 0.04 < y < 1 else None


def _axis(measure: Measure, values: Sequence[float]) -> dict[str, Any]:
    """An axis that holds all values, with ticks that people read."""
    low, high = min(values), max(values)
    if measure.unit.log:
        return log_axis(low / 1.5, high * 1.6, measure.text)
    room = 0.06 * (high - low) or 1.0
    return dict(
        range=[low - room, high + room], ticksuffix=measure.unit.hover[1], showticksuffix="last"
    )


def _y_axis(measure: Measure, d: Cloud) -> dict[str, Any]:
    """Accuracy in the narrowest window that holds most runs and something of each front; anything
    else in full.
    """
    values = [r.y for r in (*d.runs, *d.dense)]
    if measure.unit is not PERCENT or measure.lower:
        return _axis(measure, values)
    top = max(values)
    fair = sorted(r.y for r in d.runs if not r.compared_only or len(d.runs) < 3)
    best = [max(d.runs[i].y for i in front.members) for front in d.fronts]
    lowest = min([*fair[int((1 - MOST) * len(fair)) :][:1], *best, top])
    low, high, step = y_window(top, lowest)
    return percent_axis(low, high, step)


def _sizes(d: Cloud) -> list[float]:
    """Marker size of each run in pixels; empty where all are of one size."""
    if not d.axes.size:
        return []
    log = MEASURES[d.axes.size].unit.log
    values = [math.log10(r.size) if log else r.size for r in d.runs]
    known = [v for v in values if not math.isnan(v)]
    if not known:
        return []
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    return [5.0 if math.isnan(v) else 6 + 14 * (v - low) / span for v in values]


def _size(sizes: list[float], members: list[int]) -> list[float] | int:
    return [round(sizes[i], 1) for i in members] if sizes else 9


def _colors(d: Cloud, runs: Sequence[Run]) -> list[float | None]:
    log = MEASURES[d.axes.color].unit.log
    return [None if math.isnan(r.color) else math.log10(r.color) if log else r.color for r in runs]


def _color_axis(d: Cloud, measure: Measure, p: Palette) -> dict[str, Any]:
    """From soft to text: no method's colour, as colour says something else now."""
    known = [c for c in _colors(d, d.runs) if c is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    ticks = [low + share * (high - low) for share in (0, 0.5, 1)] if high > low else [low]
    bar = dict(
        thickness=8,
        len=0.9,
        x=1.02,
        outlinewidth=0,
        title=dict(text=tr(measure.title), side="right", font=dict(size=13, color=p.soft)),
        tickvals=ticks,
        ticktext=[measure.text(10**t if measure.unit.log else t) for t in ticks],
        tickfont=dict(size=13, color=p.soft),
    )
    scale = [[0, p.axis], [0.5, p.soft], [1, p.text]]
    return dict(colorscale=scale, cmin=low, cmax=high if high > low else low + 1, colorbar=bar)
