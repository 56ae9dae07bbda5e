"""How runs that are compared are named and told apart in all plots: a letter and the colour of the
method; the base is grey, and dashed where it is a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .look import Palette

LINE = 17.0  # pixels between two labels, one below the other


class Tag(NamedTuple):
    """How a run is named in a plot. letter: `A`, ...; empty for the base."""

    letter: str
    family: str
    label: str


def color_of(tag: Tag, p: Palette, words: bool = False) -> str:
    """Colour of a run's marks, or of words about it."""
    return (p.words if words else p.marks)[tag.family if tag.letter else "dense"]


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places moved apart as little as it takes to leave the gap between any two, in their order,
    and none outside of low..high if they fit in there.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[tuple[list[int], float]] = []  # members, middle
    for i in order:
        members, middle = [i], places[i]
        while groups and middle - groups[-1][1] < gap * (len(groups[-1][0]) + len(members)) / 2:
            members = groups.pop()[0] + members
            middle = sum(places[j] for j in members) / len(members)
        groups.append((members, middle))
    moved = [0.0] * len(places)
    for members, middle in groups:
        for k, i in enumerate(members):
            moved[i] = middle + gap * (k - (len(members) - 1) / 2)
    most, least = high, low
    for i in reversed(order):
        moved[i] = min(moved[i], most)
        most = moved[i] - gap
    for i in order:
        moved[i] = max(moved[i], least)
        least = moved[i] + gap
    return moved
