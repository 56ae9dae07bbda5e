"""Where a run comes from: its line from the dense network, what else was made of the same parent,
and what was made of the run itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import plotly.graph_objects as go

from ..lineage import Lineage, Node
from ..recipe import Recipe
from ..result import Result
from .look import SHAPES, Palette, blank, percent_axis, rgba, y_window

SHOWN = 24  # siblings, and children, at most


class Leaf(NamedTuple):
    """One run of the tree. place: generations from the first of the line; accuracy: percent;
    parent: its place in the list, -1 of the first; role: line, chosen, sibling or child.
    """

    digest: str
    label: str
    family: str
    place: int
    accuracy: float
    parent: int
    role: str


class Tree(NamedTuple):
    """leaves: parents before children; left_out: siblings and children that are not shown."""

    leaves: list[Leaf]
    left_out: int


def tree_data(recipe: Recipe, lineage: Lineage, results: Mapping[str, Result], split: str) -> Tree:
    """The surroundings of a run in its tree. results: all of the lineage, by digest.

    Of many siblings or children those are shown whose accuracy is nearest to the run's.
    """
    leaves: list[Leaf] = []

    def accuracy(digest: str) -> float:
        result = results[digest]
        return 100 * (result.accuracy(split) or result.validation).value

    def add(node: Node, place: int, parent: int, role: str) -> None:
        r = node.recipe
        known = r.digest, node.label, r.family, place, accuracy(r.digest), parent, role
        leaves.append(Leaf(*known))

    path = lineage.path(recipe)
    for i, node in enumerate(path):
        add(node, i, i - 1, "chosen" if i == len(path) - 1 else "line")
    mine, me = leaves[-1].accuracy, len(path) - 1
    parent = lineage.parent(recipe)
    siblings = [] if parent is None else lineage.children(parent)
    siblings = [n for n in siblings if n.recipe != recipe]
    left_out = 0
    for nodes, place, start, role in (
        (siblings, me, me - 1, "sibling"),
        (lineage.children(recipe), me + 1, me, "child"),
    ):
        near = sorted(nodes, key=lambda n: abs(accuracy(n.recipe.digest) - mine))
        left_out += len(near[SHOWN:])
        for node in near[:SHOWN]:
            add(node, place, start, role)
    return Tree(leaves, left_out)


def draw_tree(d: Tree, p: Palette, height: int) -> go.Figure:
    """Generations from left to right, accuracy upwards. customdata: the run's digest."""
    figure = blank(p, height, "", l=40, r=14, t=8, b=10)
    top = max(leaf.accuracy for leaf in d.leaves)
    line = [leaf.accuracy for leaf in d.leaves if leaf.role in ("line", "chosen")]
    low, high, step = y_window(top, min(line))
    for role, alpha in (("sibling", 0.3), ("child", 0.3), ("line", 1.0), ("chosen", 1.0)):
        mine = [leaf for leaf in d.leaves if leaf.role == role]
        xs: list[float | None] = []
        ys: list[float | None] = []
        for leaf in mine:
            if leaf.parent >= 0:
                start = d.leaves[leaf.parent]
                xs += [start.place, leaf.place, None]
                ys += [start.accuracy, leaf.accuracy, None]
        color = p.soft if alpha == 1 else rgba(p.soft, 0.35)
        figure.add_scatter(
            x=xs, y=ys, mode="lines", hoverinfo="skip", line=dict(width=1.6, color=color)
        )
        figure.add_scatter(
            x=[leaf.place for leaf in mine],
            y=[leaf.accuracy for leaf in mine],
            name=role,
            mode="markers",
            marker=dict(
                symbol=[SHAPES[leaf.family] for leaf in mine],
                size=11 if alpha == 1 else 8,
                color=[rgba(p.marks[leaf.family], alpha) for leaf in mine],
                line=dict(width=2.5 if role == "chosen" else 0, color=p.text),
            ),
            customdata=[[leaf.digest, leaf.label] for leaf in mine],
            hovertemplate="<b>%{customdata[1]}</b><br>%{y:.2f} %<extra></extra>",
        )
    last = max(leaf.place for leaf in d.leaves)
    figure.update_layout(
        xaxis=dict(range=[-0.25, max(last, 1) + 0.25], showticklabels=False, dtick=1),
        yaxis=percent_axis(low, high, step if step > 1 else 1.0),
    )
    return figure.figure()
