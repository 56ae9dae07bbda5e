"""Repeats: runs whose recipes are equal but for the seed are one operating point, seen again."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .result import Result

# 97.5 % quantiles of Student's t for 1, 2, ... degrees of freedom
T95 = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip
Z975 = 1.959963984540054


class Mean(NamedTuple):
    """Mean of n repeats and the 95 % interval of that mean; of one alone the interval is NaN."""

    value: float
    low: float
    high: float
    n: int


def quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t. freedom: degrees, at least 1."""
    if freedom <= len(T95):
        return T95[freedom - 1]
    z, n = Z975, freedom  # the first terms of its expansion [Abramowitz, Stegun, 26.7.5]
    return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n * n)


def mean(values: Sequence[float]) -> Mean:
    """Mean over seeds with Student's interval. values: at least one."""
    n, middle = len(values), statistics.fmean(values)
    if n == 1:
        return Mean(middle, math.nan, math.nan, 1)
    variance = math.fsum((v - middle) ** 2 for v in values) / (n - 1)
    half = quantile(n - 1) * math.sqrt(variance / n)
    return Mean(middle, middle - half, middle + half, n)


def repeats(results: Iterable[Result]) -> list[list[Result]]:
    """Results by operating point, each with its seeds in ascending order; points as they come."""
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in results:
        r = result.recipe
        groups.setdefault((r.steps, r.model, r.dataset, r.width), []).append(result)
    return [sorted(group, key=lambda r: r.recipe.seed) for group in groups.values()]
