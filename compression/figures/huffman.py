"""A Huffman tree as one draws it: the root on top, often used symbols near it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from ..language import tr
from .look import Palette, blank, rgba

MOST_WRITTEN = 13  # leaves that carry their words; of more of them the hover text says it


class Branch(NamedTuple):
    """A leaf of the tree. word: the symbol; share: how often it occurs, 0..1; code: of zeros (left)
    and ones (right).
    """

    word: str
    share: float
    code: str


class CodeTree(NamedTuple):
    """leaves: from left to right."""

    title: str
    rest: str
    leaves: Sequence[Branch]


def draw_code_tree(data: CodeTree, p: Palette, height: int) -> go.Figure:
    """The wider a leaf's dot, the more often it occurs; the way to it is its code."""
    figure = blank(p, height, data.title, data.rest, l=20, r=20, t=34, b=30)
    spots = _spots(data.leaves)
    violet, line = p.marks["combined"], dict(color=rgba(p.marks["dense"], 0.6), width=1.6)
    xs: list[float | None] = []
    ys: list[float | None] = []
    for code, (x, y) in spots.items():
        if code:
            above = spots[code[:-1]]
            xs += [above[0], x, x, None]
            ys += [above[1], above[1], y, None]
    figure.add_scatter(x=xs, y=ys, mode="lines", line=line, hoverinfo="skip", name="tree")
    places = [spots[leaf.code] for leaf in data.leaves]
    written = len(data.leaves) <= MOST_WRITTEN
    figure.add_scatter(
        name="leaves",
        x=[x for x, _ in places],
        y=[y for _, y in places],
        mode="markers+text" if written else "markers",
        text=[f"<b>{leaf.word}</b>" for leaf in data.leaves],
        textposition="bottom center",
        textfont=dict(size=13, color=p.text),
        marker=dict(color=violet, size=[7 + 24 * leaf.share**0.5 for leaf in data.leaves]),
        customdata=[[leaf.word, 100 * leaf.share, leaf.code] for leaf in data.leaves],
        hovertemplate=tr(
            "%{customdata[0]}, %{customdata[1]:.1f} % of the weights<br>code %{customdata[2]}"
        )
        + "<extra></extra>",
        cliponaxis=False,
    )
    for code, (x, y) in spots.items() if written else ():
        if code:
            figure.add_annotation(
                x=x,
                y=y + 0.62,
                text=code[-1],
                showarrow=False,
                xshift=-8 if code[-1] == "0" else 8,
                font=dict(size=13, color=p.words["combined"]),
            )
    deepest = max((len(leaf.code) for leaf in data.leaves), default=1)
    depths = range(deepest + 1)
    figure.update_layout(
        xaxis=dict(visible=False, range=[-0.6, max(0.6, len(data.leaves) - 0.4)]),
        yaxis=dict(
            range=[-deepest - (0.8 if written else 0.4), 0.3],
            tickvals=[-d for d in depths],
            ticktext=[str(d) for d in depths],
        ),
    )
    return figure.figure()


def _spots(leaves: Sequence[Branch]) -> dict[str, tuple[float, float]]:
    """Where each node is, by its code: leaves side by side, what is above them in their middle."""
    spots = {leaf.code: (float(i), -float(len(leaf.code))) for i, leaf in enumerate(leaves)}
    inner = {leaf.code[:n] for leaf in leaves for n in range(len(leaf.code))}
    for code in sorted(inner, key=len, reverse=True):
        below = [spots[code + bit][0] for bit in "01" if code + bit in spots]
        spots[code] = (sum(below) / len(below), -float(len(code)))
    return spots
