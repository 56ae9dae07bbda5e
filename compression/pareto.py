"""Which results are not beaten by another one: smaller and at least as accurate, or as small and
more accurate.
"""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the Pareto front of (bytes, accuracy): fewer bytes and more accuracy are better.
    Ascending in bytes.

    Of equal points the first counts; a point is dominated when another has no more bytes and no
    less accuracy.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i))
    best, chosen = float("-inf"), []
    for i in order:
        if points[i][1] > best:
            best = points[i][1]
            chosen.append(i)
    return chosen
