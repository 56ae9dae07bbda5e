"""The plots. Each is made by two functions: one returns the data as a named tuple, one draws it.

Colours mean one thing everywhere: dense grey, pruned orange, quantized blue, distilled green,
combined violet;
references are dashed. Colour never stands alone: marker shape, dash and a label say it again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import plotly.graph_objects as go

from . import units
from .pareto import front
from .result import Epoch, Result

SHAPES = {
    "dense": "circle",
    "pruned": "circle",
    "quantized": "square",
    "distilled": "diamond",
    "combined": "star",
}
FAMILIES = ("pruned", "quantized", "distilled", "combined")
DASH = "6px,4px"


@dataclass(frozen=True)
class Palette:
    """Colours of one theme, as in .streamlit/config.toml. words: of text in a method's colour."""

    ground: str
    text: str
    soft: str
    grid: str
    axis: str
    marks: dict[str, str]
    words: dict[str, str]


LIGHT = Palette(
    "#FFFFFF",
    "#0F1720",
    "#5B6676",
    "#E9EDF2",
    "#DDE2EA",
    dict(
        dense="#4B5565",
        pruned="#B65301",
        quantized="#1273E1",
        distilled="#117F60",
        combined="#8D04A0",
    ),
    dict(
        dense="#4B5565",
        pruned="#A84C00",
        quantized="#0F66C8",
        distilled="#0E6E53",
        combined="#8D04A0",
    ),
)
DARK = Palette(
    "#10141B",
    "#E8ECF3",
    "#A3AEBF",
    "#232B36",
    "#2C3542",
    dict(
        dense="#C3CCDE",
        pruned="#F58220",
        quantized="#359CFD",
        distilled="#2BD09A",
        combined="#DE7BD3",
    ),
    dict(
        dense="#C3CCDE",
        pruned="#FF9A45",
        quantized="#6DB5FF",
        distilled="#45DDAA",
        combined="#E796DE",
    ),
)


def palette(theme: str | None) -> Palette:
    """theme: `dark`, or anything else for light."""
    return DARK if theme == "dark" else LIGHT


def _rgba(color: str, alpha: float) -> str:
    r, g, b = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},{alpha})"


def _figure(p: Palette, height: int, title: str, rest: str = "", **margin: int) -> go.Figure:
    axis = dict(
        showgrid=True,
        gridcolor=p.grid,
        zeroline=False,
        showline=False,
        ticks="",
        tickangle=0,
        ticklabelstandoff=4,
        fixedrange=True,
        automargin=False,
        tickfont=dict(size=13, color=p.soft),
        title=dict(font=dict(size=13, color=p.soft), standoff=6),
    )
    room = dict(l=44, r=16, t=34, b=34) | margin
    figure = go.Figure(
        layout=dict(
            template=None,
            font=dict(family="'Source Sans', system-ui, sans-serif", size=13, color=p.text),
            margin=room,
            paper_bgcolor="rgba(0,0,0,0)",
            plot_bgcolor="rgba(0,0,0,0)",
            showlegend=False,
            separators=".\u202f",
            hovermode="closest",
            dragmode=False,
            bargap=0.35,
            height=height,
            xaxis=axis,
            yaxis=axis,
            hoverlabel=dict(bgcolor=p.ground, bordercolor=p.axis, font=dict(size=13, color=p.text)),
        )
    )
    if title:
        figure.add_annotation(
            x=0,
            y=1,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="bottom",
            xshift=-room["l"] - 1,
            yshift=room["t"] - 23,
            showarrow=False,
            align="left",
            font_size=15,
            text=f"<b>{title}</b>  <span style='color:{p.soft};font-size:13px'>{rest}</span>",
        )
    return figure


def _label(
    figure: go.Figure,
    p: Palette,
    x: float,
    y: float | str,
    text: str,
    color: str,
    **more: object,
) -> None:
    figure.add_annotation(
        **{
            "x": x,
            "y": y,
            "text": text,
            "showarrow": False,
            "font": {"color": color, "size": 13},
            "align": "left",
            "bgcolor": _rgba(p.ground, 0.82),
            "borderpad": 1,
            **more,
        }
    )


def _size_axis(low: float, high: float) -> dict[str, object]:
    """A logarithmic axis of bytes with ticks at 1, 2, 5 and units where they are needed.

    low, high: bytes.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= m * 10.0**d <= high]
    if len(ticks) > 8:
        ticks = [
            t
            for t in ticks
            if round(t / 10 ** math.floor(math.log10(t))) in (1, 5 if len(ticks) <= 11 else 1)
        ]
    texts, unit_before = [], ""
    for t in ticks:
        number, unit = units.size(t).split(units.NBSP)
        number = number.rstrip("0").rstrip(".") if "." in number else number
        texts.append(number if unit == unit_before else f"{number} {unit}")
        unit_before = unit
    return dict(
        type="log", range=[math.log10(low), math.log10(high)], tickvals=ticks, ticktext=texts
    )


def _window(top: float, lowest: float) -> tuple[float, float, float]:
    """y range in percent and tick step: the narrowest of three around the dense accuracy that holds
    the point.
    """
    for below, above, step in ((3.3, 0.75, 1.0), (11.0, 1.6, 2.0)):
        if lowest >= top - 0.92 * below:  # not on the lower edge
            return top - below, min(top + above, 100 + above / 2), step
    return 0.0, 104.0, 20.0


def _percent_axis(low: float, high: float, step: float) -> dict[str, object]:
    return dict(range=[low, high], dtick=step, ticksuffix=" %", showticksuffix="last")


# accuracy against file size
# ------------------------------------------------------------------------------------


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
    figure = _figure(p, height, "Accuracy against file size", "95 % intervals")
    here = d.point or (d.trail[-1] if d.trail else d.dense)
    low, high, step = _window(d.dense.accuracy, here.accuracy)
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
            fillcolor=_rgba(pruned, 0.13),
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
        line=dict(color=_rgba(violet, 0.5), width=1.6, shape="hv"),
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
            line=dict(color=_rgba(violet, 0.35), width=1.6),
            marker=dict(
                size=[6 + 4 * (i + 1) / len(whole) for i in range(len(whole))],
                color=[
                    _rgba(violet, 0.25 + 0.45 * (i + 1) / len(whole)) for i in range(len(whole))
                ],
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
        _label(
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
    _label(
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
    figure.update_layout(xaxis=_size_axis(left, right), yaxis=_percent_axis(low, high, step))
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
            _label(
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


# accuracy against one slider
# -----------------------------------------------------------------------------------


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
    figure = _figure(p, height, "Accuracy against prune ratio", l=40, b=28)
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
        _label(figure, p, *inside[0], "random", p.words["dense"], xanchor="right", xshift=-8)
    figure.update_layout(
        xaxis=dict(
            range=[-3, 103],
            tickvals=[0, 25, 50, 75, 100],
            ticktext=["0", "25", "50", "75", "100 %"],
        ),
        yaxis=_percent_axis(0, 106, 50),
    )
    return figure


# where the bytes went
# ------------------------------------------------------------------------------------------


class Bar(NamedTuple):
    """One bar of a waterfall in bytes: from `start` to `end`. text: at its right end."""

    label: str
    family: str
    start: int
    end: int
    text: str


WORDS = {"pruned": "pruning", "quantized": "levels", "distilled": "student", "dense": "tuning"}


def waterfall(result: Result) -> list[Bar]:
    """From the dense fp32 file to this one: what coding, and then each step, took away. The bars
    add up exactly.
    """
    dense_steps = len(result.recipe.dense.steps)
    total = result.baseline.fp32_bytes
    bars = [Bar("dense", "dense", 0, total, units.size(total))]
    stages = result.cost.stages
    at = total
    moves = [("coding", "combined", stages[dense_steps - 1].bytes)] if dense_steps else []
    moves += [(WORDS[s.family], s.family, s.bytes) for s in stages[dense_steps:]]
    for label, family, size in moves:
        if size == at:
            continue
        sign = units.MINUS if size < at else "+"
        bars.append(Bar(label, family, at, size, f"{sign}{units.size(abs(size - at))}"))
        at = size
    return [
        *bars,
        Bar("file", "combined", 0, result.cost.bytes, f"<b>{units.size(result.cost.bytes)}</b>"),
    ]


def draw_waterfall(bars: list[Bar], p: Palette, height: int) -> go.Figure:
    """Where the bytes went."""
    figure = _figure(p, height, "Where the bytes went", l=62, r=76, b=4)
    labels = [
        b.label + i * "\u200b" for i, b in enumerate(bars)
    ]  # equal labels would share one row
    figure.add_bar(
        orientation="h",
        y=labels,
        x=[abs(b.end - b.start) for b in bars],
        base=[min(b.start, b.end) for b in bars],
        marker_color=[p.marks[b.family] for b in bars],
        hovertext=[f"{b.label}: {b.text}" for b in bars],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    for label, b in zip(labels, bars, strict=True):
        color = p.text if b.label in ("dense", "file") else p.words[b.family]
        _label(
            figure,
            p,
            max(b.start, b.end),
            label,
            b.text,
            color,
            xanchor="left",
            xshift=4,
            bgcolor="rgba(0,0,0,0)",
        )
    most = max(max(b.start, b.end) for b in bars)
    figure.update_layout(
        xaxis=dict(visible=False, range=[0, most]),
        yaxis=dict(autorange="reversed", showgrid=False, tickfont=dict(color=p.text)),
    )
    return figure


class LayerBytes(NamedTuple):
    """Bytes of one layer in the file: its weights, its tables (levels, counts), its biases."""

    layer: str
    weights: int
    tables: int
    bias: int


def layer_bytes(result: Result) -> list[LayerBytes]:
    """Where the bytes are, per layer; the rows add up to the length of the file."""
    rows: dict[str, dict[str, int]] = {}
    for part in result.cost.parts:
        kind = {"weights": "weights", "bias": "bias"}.get(part.part, "tables")
        row = rows.setdefault(part.layer, dict(weights=0, tables=0, bias=0))
        row[kind] += part.bytes
    return [LayerBytes(layer, **row) for layer, row in rows.items()]


def draw_layer_bytes(rows: list[LayerBytes], p: Palette, height: int) -> go.Figure:
    """Where the bytes are, by layer and part."""
    figure = _figure(p, height, "Where the bytes are", l=46, r=70, b=4)
    parts = (
        ("weights", p.marks["combined"]),
        ("tables", p.marks["quantized"]),
        ("bias", p.marks["dense"]),
    )
    names = [r.layer for r in rows]
    for part, color in parts:
        figure.add_bar(
            orientation="h",
            y=names,
            x=[getattr(r, part) for r in rows],
            marker_color=color,
            name=part,
            hovertemplate=f"%{{y}}, {part}: %{{x}} bytes<extra></extra>",
        )
    for r in rows:
        total = r.weights + r.tables + r.bias
        _label(
            figure,
            p,
            total,
            r.layer,
            units.size(total),
            p.text,
            xanchor="left",
            xshift=4,
            bgcolor="rgba(0,0,0,0)",
        )
    figure.update_layout(
        barmode="stack",
        xaxis=dict(visible=False, range=[0, max(r.weights + r.tables + r.bias for r in rows)]),
        yaxis=dict(autorange="reversed", showgrid=False, tickfont=dict(color=p.text)),
    )
    return figure


class SizeBar(NamedTuple):
    """One of the four sizes. family: its colour."""

    label: str
    bytes: int
    family: str


def four_sizes(result: Result) -> list[SizeBar]:
    """The sizes that people mean when they say how large a network is."""
    c = result.cost
    return [
        SizeBar("fp32 file", c.fp32_bytes, "dense"),
        SizeBar("zip of it", c.zip_bytes, "dense"),
        SizeBar("nominal", c.nominal_bytes, "dense"),
        SizeBar(".nnz file", c.bytes, "combined"),
    ]


def draw_sizes(bars: list[SizeBar], p: Palette, height: int) -> go.Figure:
    """Four sizes of one network, side by side."""
    figure = _figure(p, height, "Four sizes", l=66, r=66, b=4)
    figure.add_bar(
        orientation="h",
        y=[b.label for b in bars],
        x=[b.bytes for b in bars],
        marker_color=[p.marks[b.family] for b in bars],
        hovertemplate="%{y}: %{x} bytes<extra></extra>",
    )
    for b in bars:
        text = units.size(b.bytes)
        _label(
            figure,
            p,
            b.bytes,
            b.label,
            f"<b>{text}</b>" if b.label == ".nnz file" else text,
            p.text,
            xanchor="left",
            xshift=4,
            bgcolor="rgba(0,0,0,0)",
        )
    figure.update_layout(
        xaxis=dict(visible=False, range=[0, max(b.bytes for b in bars)]),
        yaxis=dict(autorange="reversed", showgrid=False, tickfont=dict(color=p.text)),
    )
    return figure


# training -----------------------------------------------------------------------------------------
# -------------


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
    figure = _figure(p, height, title, "validation, after each epoch", r=20)
    values = [100 * e.accuracy for t in tracks for e in t.history] + (
        [teacher] if teacher is not None else []
    )
    top = max(values, default=100.0)
    low, high, step = _window(top, min(values, default=0.0))
    if teacher is not None:
        figure.add_hline(y=teacher, line=dict(color=p.marks["dense"], width=1.6, dash=DASH))
        _label(
            figure,
            p,
            epochs,
            teacher,
            f"teacher {teacher:.1f} %",
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
            hovertemplate=(
                f"{t.name}, epoch %{{x}}<br>%{{y:.2f}} %, loss %{{customdata[0]:.3f}},"
                " %{customdata[1]}<extra></extra>"
            ),
        )
    _end_labels(figure, p, [t for t in tracks if t.history], high - low, height)
    figure.update_layout(
        xaxis=dict(
            range=[0.7, epochs + 0.3 + 0.5 * epochs],
            tickvals=list(range(1, epochs + 1, max(1, epochs // 8))),
            title=dict(text="epoch", font=dict(size=13, color=p.soft)),
        ),
        yaxis=_percent_axis(low, high, step),
        margin_b=46,
    )
    return figure


def _end_labels(
    figure: go.Figure, p: Palette, tracks: list[Track], span: float, height: int
) -> None:
    """Names at the lines' ends, pushed apart where they would lie on each other."""
    pixel = span / (height - 80)
    at = float("inf")
    for t in sorted(tracks, key=lambda t: -t.history[-1].accuracy):
        y = 100 * t.history[-1].accuracy
        at = min(y, at - 34 * pixel)
        _label(
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


def draw_losses(history: Sequence[Epoch], epochs: int, p: Palette, height: int) -> go.Figure:
    """Loss and accuracy of one running training, side by side on fixed axes."""
    figure = _figure(
        p, height, "Training", "loss falls, validation accuracy rises", l=40, r=44, b=28
    )
    xs = [e.epoch for e in history]
    orange, blue = p.marks["pruned"], p.marks["quantized"]
    figure.add_scatter(
        x=xs,
        y=[e.loss for e in history],
        mode="lines+markers",
        line=dict(color=orange, width=2.4),
        hovertemplate="epoch %{x}, loss %{y:.4f}<extra></extra>",
        name="loss",
    )
    figure.add_scatter(
        x=xs,
        y=[100 * e.accuracy for e in history],
        mode="lines+markers",
        yaxis="y2",
        name="accuracy",
        line=dict(color=blue, width=2.4),
        marker=dict(symbol="square", size=7),
        hovertemplate="epoch %{x}, %{y:.2f} %<extra></extra>",
    )
    most = max((e.loss for e in history), default=1.0)
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
    return figure


# all runs -----------------------------------------------------------------------------------------
# -------------


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
    figure = _figure(p, height, "Accuracy against file size", "line: front, pale: dominated", r=24)
    if not runs:
        return figure
    top = max([*(r.accuracy for r in runs), *(s.accuracy for s in dense)])
    lower_third = sorted(r.accuracy for r in runs if not r.reference or len(runs) < 3)[
        len(runs) // 9 :
    ][:1]
    low, high, step = _window(top, max(top - 10.9, *lower_third, 0.0))
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
                    color=_rgba(color, 0.28),
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
            _label(
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
            marker=dict(size=21, symbol="circle-open", color=p.marks["combined"], line_width=2.5),
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
    figure.update_layout(xaxis=_size_axis(left, right), yaxis=_percent_axis(low, high, step))
    return figure


def _runs_trace(figure: go.Figure, runs: list[Run], name: str, **style: object) -> None:
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
