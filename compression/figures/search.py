"""What a search has tried against its limits, and what a sweep has measured so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from .. import units
from ..goals import Answer, Goal, Tried, fits, goal_front
from ..language import marked, tr
from ..pareto import front
from ..references import REFERENCES, reference_of
from ..repeats import mean, repeats
from ..result import Result
from .look import (
    DASH,
    FAMILIES,
    SHAPES,
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

# smaller files lie to the left: there is room beside the best, and above the runner-up
LABEL: dict[str, dict[str, Any]] = {
    marked("best"): dict(xanchor="right", xshift=-13),
    marked("runner-up"): dict(xanchor="left", xshift=6, yshift=15),
}


class Trial(NamedTuple):
    """One recipe that was tried. x: bytes or multiply-adds; change: of the accuracy in points."""

    digest: str
    family: str
    label: str
    x: float
    change: float
    fits: bool
    on_front: bool


class GoalPlot(NamedTuple):
    """x: `bytes` or `macs`; most_x, most_lost: limits, None for none; best, runner_up: digests."""

    x: str
    most_x: float | None
    most_lost: float | None
    trials: list[Trial]
    best: str
    runner_up: str


def goal_data(goal: Goal, found: Sequence[Tried], answer: Answer) -> GoalPlot:
    """A search as points: the cost that it watches, and what became of the accuracy."""
    aim, only_macs = goal.minimize, goal.most_bytes is None and goal.most_macs is not None
    x = "macs" if aim == "macs" or (aim == "points" and only_macs) else "bytes"
    chosen = {t.recipe.digest for t in goal_front(goal, found)}
    trials = [
        Trial(
            t.recipe.digest,
            t.recipe.family,
            t.recipe.label,
            t.value(x),
            -t.points,
            fits(goal, t),
            t.recipe.digest in chosen,
        )
        for t in found
    ]
    return GoalPlot(
        x,
        goal.limits.get(x),
        goal.most_points,
        trials,
        answer.best.recipe.digest if answer.best else "",
        answer.runner_up.recipe.digest if answer.runner_up else "",
    )


class Line(NamedTuple):
    """The front of the stored runs that are there to compare with. ys: percent, or points."""

    title: str
    family: str
    xs: list[float]
    ys: list[float]


def reference_lines(
    results: Sequence[Result], x: str, y: Callable[[Result], float | None]
) -> list[Line]:
    """The front of each kind of reference. x: `bytes` or `macs`; y: what is drawn of a result,
    more is better, None where it is not known.
    """
    kinds: dict[str, list[tuple[float, float]]] = {}
    for result in results:
        kind, value = reference_of(result.recipe), y(result)
        if kind and value is not None:
            kinds.setdefault(kind, []).append((getattr(result.cost, x), value))
    lines = []
    for kind, known in REFERENCES.items():
        points = kinds.get(kind, [])
        best = [points[i] for i in front(points)]
        if best:
            xs, ys = ([float(point[axis]) for point in best] for axis in (0, 1))
            lines.append(Line(known.title, known.family, xs, ys))
    return lines


def _draw_lines(
    figure: Drawing, p: Palette, lines: Sequence[Line], low: float, middle: float
) -> None:
    """Dashed, each with its name where it comes into the window, on the side that has more room.
    low: the window's lower end; middle: of its x.
    """
    for line in lines:
        title = tr(line.title)
        figure.add_scatter(
            x=line.xs,
            y=line.ys,
            mode="lines+markers",
            name=line.title,
            line=dict(color=p.marks[line.family], width=1.4, dash=DASH, shape="hv"),
            marker=dict(size=5, color=p.marks[line.family], symbol="circle-open"),
            hovertemplate=f"{title}<br>%{{x:.3s}}, %{{y:.2f}}<extra></extra>",
        )
        shown = [(x, y) for x, y in zip(line.xs, line.ys, strict=True) if y > low]
        if shown:
            x, y = shown[0]
            side = ("left", 5) if x < middle else ("right", -5)
            at = dict(xanchor=side[0], xshift=side[1], yshift=-13)
            put_label(figure, p, math.log10(x), y, title, p.words[line.family], **at)


def draw_goal(d: GoalPlot, p: Palette, height: int, references: Sequence[Line] = ()) -> go.Figure:
    """Change of accuracy against file size or multiply-adds, with limits; references dashed.
    customdata: digest.
    """
    title = (
        tr("Accuracy lost against file size")
        if d.x == "bytes"
        else tr("Accuracy lost against multiply-adds")
    )
    figure = blank(p, height, title, tr("shaded: beyond limits"), l=52)
    if not d.trials:
        return figure.figure()
    text = units.size if d.x == "bytes" else units.quantity
    xs = [t.x for t in d.trials]
    left = min(xs) / 1.4
    right = max([*xs, d.most_x or 0]) * 1.4
    inside = [t.change for t in d.trials if t.fits] or [max(t.change for t in d.trials)]
    most = d.most_lost if d.most_lost is not None else -min(inside)
    low = -max(2.2 * most, -1.1 * min(inside), 0.6)
    high = max(0.35 * -low, 1.25 * max(t.change for t in d.trials))
    beyond = rgba(p.marks["dense"], 0.09)
    if d.most_lost is not None:
        figure.add_rect(beyond, x0=left, x1=right, y0=low, y1=-d.most_lost)
    if d.most_x is not None:
        figure.add_rect(beyond, x0=d.most_x, x1=right, y0=low, y1=high)
    for family in FAMILIES:
        mine = [t for t in d.trials if t.family == family]
        _trials(
            figure,
            mine,
            family,
            text,
            mode="markers",
            marker=dict(
                symbol=SHAPES[family],
                size=7,
                color=[rgba(p.marks[family], 0.55 if t.fits else 0.25) for t in mine],
            ),
        )
    best = [t for t in d.trials if t.on_front]
    _trials(
        figure,
        sorted(best, key=lambda t: t.x),
        "front",
        text,
        mode="lines",
        line=dict(color=p.marks["combined"], width=1.8, shape="hv"),
    )
    for digest, name, size in ((d.runner_up, "runner-up", 15), (d.best, "best", 20)):
        for t in (t for t in d.trials if t.digest == digest):
            ring = dict(size=size, symbol="circle-open", color=p.marks["combined"])
            ring["line"] = dict(width=2.5 if name == "best" else 1.5)
            _trials(figure, [t], name, text, mode="markers", marker=ring)
            put_label(
                figure,
                p,
                math.log10(t.x),
                t.change,
                f"<b>{tr(name)}</b>" if name == "best" else tr(name),
                p.words["combined"],
                **LABEL[name],
            )
    _draw_lines(figure, p, references, low, math.sqrt(left * right))
    figure.add_hline(0.0, dict(color=p.axis, width=1))
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if (high - low) / s <= 7)
    figure.update_layout(
        xaxis=_axis(d.x, left, right),
        yaxis=dict(range=[low, high], dtick=step, ticksuffix=" pt", showticksuffix="last"),
    )
    return figure.figure()


def _axis(x: str, left: float, right: float) -> Mapping[str, object]:
    if x == "bytes":
        return size_axis(left, right)
    axis = size_axis(left, right)
    assert isinstance(axis["tickvals"], list)
    return axis | {"ticktext": [units.quantity(v) for v in axis["tickvals"]]}


def _trials(figure: Drawing, trials: list[Trial], name: str, text: Any, **style: object) -> None:
    figure.add_scatter(
        x=[t.x for t in trials],
        y=[t.change for t in trials],
        name=name,
        customdata=[[t.digest, t.label, text(t.x)] for t in trials],
        hovertemplate="<b>%{customdata[1]}</b><br>%{customdata[2]}, %{y:+.2f} pt<extra></extra>",
        **style,
    )


class Point(NamedTuple):
    """One operating point of a sweep: the mean of its seeds. accuracy, low, high: percent; seeds:
    bytes and accuracy of each, where there are several.
    """

    family: str
    network: str
    label: str
    bytes: float
    accuracy: float
    low: float
    high: float
    seeds: tuple[tuple[int, float], ...]
    digest: str


def sweep_data(results: Sequence[Result], split: str) -> list[Point]:
    """Results of a sweep as points; repeats over seeds are one, with Student's interval of the
    mean; a single run has its Wilson interval.
    """
    points = []
    for group in repeats([r for r in results if r.accuracy(split)]):
        scores = [score for r in group if (score := r.accuracy(split))]
        values = [100 * score.value for score in scores]
        middle = mean(values)
        alone = scores[0].metric
        recipe = group[0].recipe
        points.append(
            Point(
                recipe.family,
                recipe.model,
                recipe.label,
                sum(r.cost.bytes for r in group) / len(group),
                middle.value,
                middle.low if len(group) > 1 else 100 * alone.low,
                middle.high if len(group) > 1 else 100 * alone.high,
                tuple((r.cost.bytes, v) for r, v in zip(group, values, strict=True))
                if len(group) > 1
                else (),
                group[0].digest,
            )
        )
    return points


def draw_sweep(
    points: Sequence[Point], p: Palette, height: int, references: Sequence[Line] = ()
) -> go.Figure:
    """Accuracy against file size of what a sweep has measured; faint: each seed, dashed: others."""
    several = any(point.seeds for point in points)
    rest = (
        tr("95 % intervals; of the mean over seeds, faint: each seed")
        if several
        else tr("95 % intervals")
    )
    figure = blank(p, height, tr("Accuracy against file size"), rest)
    if not points:
        return figure.figure()
    top = max(point.high for point in points)
    best = [points[i] for i in front([(q.bytes, q.accuracy) for q in points])]
    lower_third = sorted(q.accuracy for q in points)[len(points) // 3]
    low, high, step = y_window(max(q.accuracy for q in points), lower_third)
    high = max(high, min(top + 0.1, 100.5))
    sizes = [q.bytes for q in points]
    for family in ("dense", *FAMILIES):
        mine = [q for q in points if q.family == family]
        color = p.marks[family]
        figure.add_scatter(
            x=[x for q in mine for x, _ in q.seeds],
            y=[y for q in mine for _, y in q.seeds],
            mode="markers",
            name=f"{family}, seeds",
            hoverinfo="skip",
            marker=dict(size=5, color=rgba(color, 0.3), symbol=SHAPES[family]),
        )
        figure.add_scatter(
            x=[q.bytes for q in mine],
            y=[q.accuracy for q in mine],
            mode="markers",
            name=family,
            customdata=[[q.digest, q.label, units.size(q.bytes), q.network] for q in mine],
            hovertemplate=(
                "<b>%{customdata[1]}</b> (%{customdata[3]})<br>%{customdata[2]}, %{y:.2f} %"
                "<extra></extra>"
            ),
            marker=dict(size=9, color=color, symbol=SHAPES[family]),
            error_y=interval(
                [(q.accuracy, q.low, q.high) for q in mine],
                rgba(color, 0.35),
            ),
        )
    figure.add_scatter(
        x=[q.bytes for q in best],
        y=[q.accuracy for q in best],
        mode="lines",
        name="front",
        hoverinfo="skip",
        line=dict(color=p.marks["combined"], width=1.8, shape="hv"),
    )
    left, right = min(sizes) / 1.4, max(sizes) * 1.4
    _draw_lines(figure, p, references, low, math.sqrt(left * right))
    figure.update_layout(xaxis=size_axis(left, right), yaxis=percent_axis(low, high, step))
    return figure.figure()
