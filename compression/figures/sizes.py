"""Where the bytes went, where they are, and the four sizes of a network."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from .. import units
from ..language import marked, tr
from ..result import Preview, Result
from .look import Drawing, Palette, blank, put_label


class Bar(NamedTuple):
    """One bar of a waterfall in bytes: from `start` to `end`. label: translated where it is drawn;
    text: at its right end.
    """

    label: str
    family: str
    start: int
    end: int
    text: str


WORDS = {
    "pruned": marked("pruning"),
    "quantized": marked("levels"),
    "distilled": marked("student"),
    "dense": marked("tuning"),
    "combined": marked("squeezing"),
}


def waterfall(result: Result | Preview) -> list[Bar]:
    """From the dense fp32 file to this one: what coding, and then each step, took away. The bars
    add up exactly.
    """
    dense_steps, stages = len(result.recipe.dense.steps), result.cost.stages
    coding = marked("coding")
    moves = [(coding, "combined", stages[dense_steps - 1].bytes)] if dense_steps else []
    moves += [(WORDS[s.family], s.family, s.bytes) for s in stages[dense_steps:]]
    moves = moves or [(coding, "combined", result.cost.bytes)]  # a network as it was born
    at = total = result.baseline.fp32_bytes
    bars = [Bar(marked("dense"), "dense", 0, total, units.size(total))]
    for label, family, size in moves:
        if size == at:
            continue
        sign = units.MINUS if size < at else "+"
        text = f"{'≈ ' * (not result.weighed)}{sign}{units.size(abs(size - at))}"
        bars.append(Bar(label, family, at, size, text))
        at = size
    last = f"<b>{units.size(result.cost.bytes, not result.weighed)}</b>"
    return [*bars, Bar(marked("file"), "combined", 0, result.cost.bytes, last)]


def draw_waterfall(bars: list[Bar], p: Palette, height: int) -> go.Figure:
    """Where the bytes went."""
    figure = blank(p, height, tr("Where the bytes went"), l=62, r=84, b=4)
    labels = [
        tr(b.label) + i * "\u200b" for i, b in enumerate(bars)
    ]  # equal labels would share one row
    figure.add_bar(
        orientation="h",
        y=labels,
        x=[abs(b.end - b.start) for b in bars],
        base=[min(b.start, b.end) for b in bars],
        marker=dict(color=[p.marks[b.family] for b in bars]),
        hovertext=[tr("{step}: {size}", step=tr(b.label), size=b.text) for b in bars],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    for label, b in zip(labels, bars, strict=True):
        color = p.text if b.label in ("dense", "file") else p.words[b.family]
        put_label(
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
    _lying(figure, p, most)
    return figure.figure()


def _lying(figure: Drawing, p: Palette, most: int) -> None:
    """Axes of lying bars, the first on top, without an axis of sizes. most: the longest, bytes."""
    figure.update_layout(
        xaxis=dict(visible=False, range=[0, most]),
        yaxis=dict(autorange="reversed", showgrid=False, tickfont=dict(color=p.text)),
    )


class LayerBytes(NamedTuple):
    """Bytes of one layer in the file: its weights, its tables (levels, counts), its biases."""

    layer: str
    weights: int
    tables: int
    bias: int
    entropy: int = 0

    @property
    def learned(self) -> str:
        """What the coder saved, or what it cost, against the order-0 entropy of the weights."""
        if not self.entropy:
            return ""
        against = units.against(self.weights, self.entropy)
        return tr(", {against} order-0 entropy", against=against)


def layer_bytes(result: Result | Preview) -> list[LayerBytes]:
    """Where the bytes are, per layer; the rows add up to the length of the file."""
    rows: dict[str, dict[str, int]] = {}
    layers = result.cost.layers if result.weighed else ()
    entropies = {layer.name: layer.entropy for layer in layers}
    for part in result.cost.parts:
        kind = {"weights": "weights", "bias": "bias"}.get(part.part, "tables")
        row = rows.setdefault(part.layer, dict(weights=0, tables=0, bias=0))
        row[kind] += part.bytes
    return [LayerBytes(x, **row, entropy=entropies.get(x, 0)) for x, row in rows.items()]


def draw_layer_bytes(rows: list[LayerBytes], p: Palette, height: int) -> go.Figure:
    """Where the bytes are, by layer and part."""
    figure = blank(p, height, tr("Where the bytes are"), l=46, r=70, b=4)
    parts = (
        (marked("weights"), p.marks["combined"]),
        (marked("tables"), p.marks["quantized"]),
        (marked("bias"), p.marks["dense"]),
    )
    names = [_named(r.layer) for r in rows]
    for part, color in parts:
        figure.add_bar(
            orientation="h",
            y=names,
            x=[getattr(r, part) for r in rows],
            marker=dict(color=color),
            name=part,
            customdata=[r.learned if part == "weights" else "" for r in rows],
            hovertemplate=tr("%{{y}}, {part}: %{{x}} bytes", part=tr(part))
            + "%{customdata}<extra></extra>",
        )
    for r in rows:
        total = r.weights + r.tables + r.bias
        put_label(
            figure,
            p,
            total,
            _named(r.layer),
            units.size(total),
            p.text,
            xanchor="left",
            xshift=4,
            bgcolor="rgba(0,0,0,0)",
        )
    _lying(figure, p, max(r.weights + r.tables + r.bias for r in rows))
    figure.update_layout(barmode="stack")
    return figure.figure()


def _named(layer: str) -> str:
    """A layer, or what belongs to none and is of the whole file."""
    return tr("file") if layer == "file" else layer


class SizeBar(NamedTuple):
    """One of the four sizes. label: translated where it is drawn; bytes: None while it is not
    known; family: its colour.
    """

    label: str
    bytes: int | None
    family: str
    about: bool = False


def four_sizes(result: Result | Preview) -> list[SizeBar]:
    """The sizes that people mean when they say how large a network is."""
    c = result.cost
    return [
        SizeBar(marked("fp32 file"), c.fp32_bytes, "dense"),
        SizeBar(marked("zip of it"), c.zip_bytes, "dense"),
        SizeBar(marked("nominal"), c.nominal_bytes, "dense"),
        SizeBar(marked(".nnz file"), c.bytes, "combined", not result.weighed),
    ]


def draw_sizes(bars: list[SizeBar], p: Palette, height: int) -> go.Figure:
    """Four sizes of one network, side by side."""
    figure = blank(p, height, tr("Four sizes"), l=66, r=66, b=4)
    figure.add_bar(
        orientation="h",
        y=[tr(b.label) for b in bars],
        x=[b.bytes or 0 for b in bars],
        marker=dict(color=[p.marks[b.family] for b in bars]),
        hovertemplate=tr("%{y}: %{x} bytes") + "<extra></extra>",
    )
    for b in bars:
        text = "…" if b.bytes is None else units.size(b.bytes, b.about)
        put_label(
            figure,
            p,
            b.bytes or 0,
            tr(b.label),
            f"<b>{text}</b>" if b.label == ".nnz file" else text,
            p.text,
            xanchor="left",
            xshift=4,
            bgcolor="rgba(0,0,0,0)",
        )
    _lying(figure, p, max(b.bytes or 0 for b in bars))
    return figure.figure()
