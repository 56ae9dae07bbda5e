"""How many times faster than the dense network in the same engine: a bar for each batch, number of
threads and kind of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import plotly.graph_objects as go

from .. import units
from ..language import tr, tr_n
from .look import Drawing, Palette, blank, interval

ROW, HEAD, FOOT = 24, 34, 26  # pixels: of a row, above and below all; a group has one for its name
LEFT, RIGHT = 56, 132
LEAST = 2.0  # times that the axis reaches at least


class SpeedBar(NamedTuple):
    """group: batch and threads; name: kind of numbers; times, low, high: faster than dense, median
    and quartiles of the turns; ms, dense_ms: of one batch; family: whose colour it has.
    """

    group: str
    name: str
    times: float
    low: float
    high: float
    ms: float
    dense_ms: float
    family: str


class Timed(Protocol):
    """What a bar needs to know of a timing, as `compression.speed` has them."""

    @property
    def batch(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def median_ms(self) -> float: ...
    @property
    def faster(self) -> float: ...
    @property
    def faster_low(self) -> float: ...
    @property
    def faster_high(self) -> float: ...


def speed_bar(timing: Timed, dense_ms: float, name: str, family: str) -> SpeedBar:
    t = timing
    images = tr_n("{n} image", "{n} images", t.batch)
    threads = tr_n("{n} thread", "{n} threads", t.threads)
    group = tr("{images}, {threads}", images=images, threads=threads)
    times = t.faster, t.faster_low, t.faster_high
    return SpeedBar(group, name, *times, t.median_ms, dense_ms, family)


def speed_height(bars: Sequence[SpeedBar]) -> int:
    return HEAD + FOOT + ROW * (len(bars) + len({b.group for b in bars}))


def draw_speed(bars: Sequence[SpeedBar], p: Palette, title: str, rest: str) -> go.Figure:
    """A row each, in the order given; those of one group stand together."""
    figure = blank(p, speed_height(bars), title, rest, l=LEFT, r=RIGHT, t=HEAD, b=FOOT)
    places = _places(bars)
    figure.add_bar(
        name="times faster",
        orientation="h",
        y=places,
        x=[b.times for b in bars],
        width=0.6,
        marker=dict(color=[p.marks[b.family] for b in bars]),
        error_x=interval([(b.times, b.low, b.high) for b in bars], p.text, 1.2, 3),
        hovertext=[_hover(b) for b in bars],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    seen = ""
    for place, b in zip(places, bars, strict=True):
        if b.group != seen:
            group = f"<b>{b.group}</b>"
            _line(figure, place - 1, group, 0, -LEFT + 2, "left", p.text, bgcolor=p.ground)
        _line(figure, place, b.name, 0, -8, "right", p.soft)
        value = f"<b>{units.times(b.times)}</b>  {units.milliseconds(b.ms)}"
        _line(figure, place, value, 1, RIGHT - 2, "right", p.words[b.family])
        seen = b.group
    top = max([LEAST, *(b.high for b in bars)])
    step = next((d for d in (1, 2, 5, 10) if top / d < 6), 20)
    figure.add_vline(1, line=dict(color=p.marks["dense"], width=1.4))
    figure.update_layout(
        xaxis=dict(range=[0, 1.04 * top], ticksuffix="×", dtick=step),
        yaxis=dict(range=[places[-1] + 0.5, -0.5], visible=False),
    )
    return figure.figure()


def _places(bars: Sequence[SpeedBar]) -> list[int]:
    """Rows; a group's name has one of its own."""
    places, at, seen = [], 0, ""
    for b in bars:
        at += b.group != seen
        places.append(at)
        at, seen = at + 1, b.group
    return places


def _hover(b: SpeedBar) -> str:
    return tr(
        "{group}, {name}: {times:.2f} times ({low:.2f} to {high:.2f})<br>{ms}, dense {dense_ms}",
        group=b.group,
        name=b.name,
        times=b.times,
        low=b.low,
        high=b.high,
        ms=units.milliseconds(b.ms),
        dense_ms=units.milliseconds(b.dense_ms),
    )


def _line(
    figure: Drawing, y: float, text: str, x: int, shift: float, side: str, color: str, **more: str
) -> None:
    where = dict(xref="paper", x=x, xshift=shift, xanchor=side, y=y, yanchor="middle", **more)
    figure.add_annotation(text=text, font=dict(size=13, color=color), showarrow=False, **where)
