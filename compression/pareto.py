"""Which results are not beaten by another one: smaller and at least as accurate, or as small and
more accurate; and how much of the plane a method's results reach.

Points are (x, y). lower: for each of the two, whether less of it is better; as it comes, that is so
of x (bytes) and not of y (accuracy).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

Point = tuple[float, float]
Lower = tuple[bool, bool]
GroupT = TypeVar("GroupT", bound=Hashable)
SIZE_ACCURACY: Lower = (True, False)


def front(points: Sequence[Point], lower: Lower = SIZE_ACCURACY) -> list[int]:
    """Indices of the Pareto front, from the best x on: ascending in bytes.

    Of equal points the first counts; a point is dominated when another is no worse in both.
    """
    sign_x, sign_y = (1 if lower[0] else -1), (-1 if lower[1] else 1)
    order = sorted(
        range(len(points)), key=lambda i: (sign_x * points[i][0], -sign_y * points[i][1], i)
    )
    best, chosen = float("-inf"), []
    for i in order:
        y = sign_y * points[i][1]
        if y > best:
            best = y
            chosen.append(i)
    return chosen


def fronts(
    points: Sequence[Point], groups: Sequence[GroupT], lower: Lower = SIZE_ACCURACY
) -> dict[GroupT, list[int]]:
    """The front of each group. groups: the group of each point."""
    members: dict[GroupT, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    return {
        group: [mine[i] for i in front([points[i] for i in mine], lower)]
        for group, mine in members.items()
    }


def neighbours(chosen: Sequence[int]) -> Mapping[int, tuple[int | None, int | None]]:
    """For each point of a front, the one before it and the one behind it; None at the ends."""
    beside = zip([None, *chosen], [*chosen[1:], None], strict=False)
    return dict(zip(chosen, beside, strict=False))


def hypervolume(points: Sequence[Point], reference: Point, lower: Lower = SIZE_ACCURACY) -> float:
    """Area of the plane that is no better than some point and better than the reference point.

    In the units of x times those of y; 0.0 where nothing beats the reference. What lies beyond the
    reference does not count. Sizes differ by factors: give their logarithms.
    """
    sign_x, sign_y = (1 if lower[0] else -1), (-1 if lower[1] else 1)
    gains = [(sign_x * (reference[0] - x), sign_y * (y - reference[1])) for x, y in points]
    area, reached = 0.0, 0.0
    for gain_x, gain_y in (gains[i] for i in front(gains, (False, False))):
        if gain_x > 0 and gain_y > reached:
            area += gain_x * (gain_y - reached)
            reached = gain_y
    return area
