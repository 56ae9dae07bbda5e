"""What each step of a recipe does: the bytes it saves, and the accuracy that it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from .. import units
from ..language import tr
from ..result import Change, Preview, Result
from .hero import spot
from .look import Drawing, Palette, blank, interval, letters, rgba, size_axis

ROW, FEW_ROWS, AROUND = 46, 58, 66  # pixels of a row, of one among few, of title and axis
LONGEST = 22  # letters of a step's words
SIZES, POINTS = (0.0, 0.64), (0.72, 1.0)  # parts of the width


class Effect(NamedTuple):
    """What became of the accuracy, in points; below 0 is a loss.

    low, high: 95 % interval; estimated: not all images are seen yet; noise: it may well be nothing.
    """

    points: float
    low: float
    high: float
    estimated: bool
    noise: bool


class StepBar(NamedTuple):
    """One step. before, after: bytes of the file, None while not known; note: why not; about: one
    of the files is not coded yet.
    """

    label: str
    family: str
    before: int | None
    after: int | None
    effect: Effect | None
    note: str = ""
    about: bool = False


def effect(
    before: Result | Preview, after: Result | Preview, split: str, paired: Change | None = None
) -> Effect:
    """From one network to another. paired: their difference on the same images, where it is known;
    else the two intervals are taken as independent, which is wider.
    """
    if paired is not None:
        shares = paired.difference, paired.low, paired.high
        difference, low, high = (100 * share for share in shares)
        return Effect(difference, low, high, False, paired.within_noise)
    a, b = spot(before, split), spot(after, split)
    difference = b.accuracy - a.accuracy
    low = difference - math.hypot(b.accuracy - b.low, a.high - a.accuracy)
    high = difference + math.hypot(b.high - b.accuracy, a.accuracy - a.low)
    return Effect(difference, low, high, a.estimated or b.estimated, low <= 0 <= high)


def step_bars(
    labels: Sequence[tuple[str, str]],
    found: Sequence[Result | Preview | None],
    effects: Sequence[Effect | None],
    notes: Sequence[str],
) -> list[StepBar]:
    """The dense network as a file, then each step.

    labels: words and family of each step; found: of each prefix, the dense network first; effects:
    of each step; notes: why a step's network is not known.
    """
    dense = found[0]
    sizes = [None if f is None else f.cost.bytes for f in found]
    first = None if dense is None else dense.baseline.fp32_bytes
    bars = [StepBar(tr("dense, coded"), "dense", first, sizes[0], None)]
    for i, (label, family) in enumerate(labels):
        about = any(f is not None and not f.weighed for f in found[i : i + 2])
        pair = sizes[i], sizes[i + 1]
        bars.append(StepBar(label, family, *pair, effects[i], notes[i], about))
    return bars


def bytes_words(before: int, after: int, about: bool = False) -> str:
    """`saves 150 kB`; about: ≈ before what follows from an estimate."""
    if before == after:
        return tr("≈ same size") if about else tr("same size")
    size = units.size(abs(before - after), about)
    return tr("saves {size}", size=size) if after < before else tr("adds {size}", size=size)


def points_words(e: Effect) -> str:
    """`−0.3 pt`, with ≈ in front while it is estimated."""
    return f"{'≈ ' * e.estimated}{units.points(e.points / 100)}"


def steps_height(bars: Sequence[StepBar]) -> int:
    return AROUND + len(bars) * (FEW_ROWS if len(bars) <= 4 else ROW)


def draw_steps(bars: Sequence[StepBar], accuracy: float | None, p: Palette) -> go.Figure:
    """One row per step: words, then the file before and after it, and points of accuracy.

    accuracy: of the dense network, percent.
    """
    height = steps_height(bars)
    title, rest = tr("What each step does"), tr("file, log scale; points, 95 %")
    figure = blank(p, height, title, rest, l=4, r=4)
    _bytes(figure, p, bars)
    _points(figure, p, bars)
    for i, b in enumerate(bars):
        _words(figure, p, i, b, accuracy if i == 0 else None)
    known = [size for b in bars for size in (b.before, b.after) if size]
    low, high = min(known, default=1_000) / 1.2, max(known, default=1_000_000) * 1.1
    sizes = size_axis(low, high) | dict(domain=SIZES)
    if high / low > 60:  # room for every second decade's half at most
        texts = list(zip(sizes["tickvals"], sizes["ticktext"], strict=True))  # type: ignore[call-overload]
        few = [(v, units.size(v).replace(".00", "")) for v, _ in texts if str(v)[0] == "1"]
        sizes |= dict(tickvals=[v for v, _ in few], ticktext=[t for _, t in few])
    figure.update_layout(
        barmode="overlay",
        xaxis=sizes,
        xaxis2=_points_axis(bars, p),
        yaxis=dict(range=[len(bars) - 0.4, -0.6], visible=False),
    )
    return figure.figure()


def _hover(b: StepBar) -> str:
    words = [b.label]
    if b.before and b.after:
        factor = f" ({units.times(b.before / b.after)})" if b.after < b.before else ""
        words.append(f"{units.size(b.before)} → {units.size(b.after, b.about)}{factor}")
    if b.effect:
        e = b.effect
        values = dict(points=points_words(e), low=e.low, high=e.high)
        words.append(
            tr("{points} ({low:+.2f} to {high:+.2f}), within noise", **values)
            if e.noise
            else tr("{points} ({low:+.2f} to {high:+.2f})", **values)
        )
    return "<br>".join(words)


def _bytes(figure: Drawing, p: Palette, bars: Sequence[StepBar]) -> None:
    """From the size before to the size after; what grows is drawn open."""
    there = [(i, b, b.before, b.after) for i, b in enumerate(bars) if b.before and b.after]
    if not there:
        return
    ends = [(min(x, y), max(x, y)) for _, _, x, y in there]
    colors = [p.marks[b.family] for _, b, _, _ in there]
    figure.add_bar(
        name="bytes",
        orientation="h",
        y=[i + 0.2 for i, *_ in there],
        base=[low for low, _ in ends],
        x=[max(high - low, 0.004 * low) for low, high in ends],
        width=0.26,
        marker=dict(
            color=[
                c if after <= before else p.ground
                for c, (_, _, before, after) in zip(colors, there, strict=True)
            ],
            line=dict(color=colors, width=1.6),
        ),
        hovertext=[_hover(b) for _, b, _, _ in there],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _points(figure: Drawing, p: Palette, bars: Sequence[StepBar]) -> None:
    """Points of accuracy with their interval; open while estimated, grey within the noise."""
    there = [(i, b, b.effect) for i, b in enumerate(bars) if b.effect]
    if not there:
        return
    colors = [p.marks["dense" if e.noise else b.family] for _, b, e in there]
    fill = [
        p.ground if e.estimated else rgba(c, 0.45) if e.noise else c
        for c, (_, _, e) in zip(colors, there, strict=True)
    ]
    figure.add_bar(
        name="points",
        orientation="h",
        xaxis="x2",
        y=[i + 0.2 for i, *_ in there],
        x=[e.points for *_, e in there],
        width=0.26,
        marker=dict(color=fill, line=dict(color=colors, width=1.6)),
        error_x=interval(
            [(e.points, e.low, e.high) for *_, e in there],
            p.soft,
            1.4,
            3,
        ),
        hovertext=[_hover(b) for _, b, _ in there],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _window(most: float) -> float:
    """The least of a few round numbers of points that holds this one."""
    return next((w for w in (0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70) if most <= w), 100.0)


def _points_axis(bars: Sequence[StepBar], p: Palette) -> dict[str, object]:
    there = [b.effect for b in bars if b.effect]
    lost = _window(max([-min(e.low, e.points) for e in there], default=0.5))
    gained = max([max(e.high, e.points) for e in there], default=0.0)
    right = max(0.25 * lost, 1.1 * gained)
    ticks = [-lost, 0.0]
    return dict(
        domain=POINTS,
        range=[-1.06 * lost, right],
        tickvals=ticks,
        ticktext=[f"{units.MINUS}{lost:g}", "0 pt"],
        tickfont=dict(size=13, color=p.soft),
        gridcolor=p.axis,
        zeroline=False,
        tickangle=0,
        ticklabelstandoff=4,
        fixedrange=True,
    )


def _cut(label: str) -> str:
    """What fits of a step's words."""
    if letters(label) <= LONGEST:
        return label
    fits = next(n for n in range(len(label), 0, -1) if letters(label[:n]) < LONGEST)
    return f"{label[:fits].rstrip(' ,，')}…"


def _words(figure: Drawing, p: Palette, i: int, b: StepBar, accuracy: float | None) -> None:
    """The line above the bars: the step, the bytes, the points."""
    label = _cut(b.label)
    rest = b.note
    if b.before and b.after:
        rest = f"{bytes_words(b.before, b.after, b.about)} → {units.size(b.after, b.about)}"
    ground = dict(bgcolor=rgba(p.ground, 0.82), borderpad=1)
    line = dict(xref="paper", y=i - 0.18, showarrow=False, yanchor="middle") | ground
    soft = f"<span style='color:{p.soft}'>{rest}</span>"
    color = p.text if b.family == "dense" else p.words[b.family]
    text = f"<b>{label}</b>  {soft}"
    figure.add_annotation(x=0, xanchor="left", text=text, font=dict(size=13, color=color), **line)
    right, color = "", p.soft
    if accuracy is not None:
        right = f"{accuracy:.1f}{units.NBSP}%"
    elif b.effect:
        right = points_words(b.effect)
        color = p.soft if b.effect.noise or b.effect.estimated else p.text
    if right:
        font = dict(size=13, color=color)
        figure.add_annotation(x=1, xanchor="right", text=right, font=font, **line)
