"""All runs of a data set as points: one measure against another, with their fronts, their fair
references and their repeats over seeds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..language import marked, tr
from ..metrics import MEASURES
from ..pareto import Lower, fronts, hypervolume, neighbours
from ..recipe import Recipe
from ..references import REFERENCES, reference_of
from ..repeats import mean, repeats
from ..result import Result
from .look import FAMILIES

FRONTS = ("method", "network", "all", "none")  # a front for each of what
BELOW = 10.0  # points below the dense network where the hypervolume begins


class Axes(NamedTuple):
    """Keys of the measures that are shown. color: empty for the method's; size: empty for one."""

    x: str = "bytes"
    y: str = "accuracy"
    color: str = ""
    size: str = ""
    fronts: str = "method"

    @property
    def lower(self) -> Lower:
        """Whether less is better, of x and of y."""
        return MEASURES[self.x].lower, MEASURES[self.y].lower


class Seed(NamedTuple):
    """One of the repeats of an operating point."""

    digest: str
    number: int
    x: float
    y: float


class Run(NamedTuple):
    """One operating point: a run, or the mean of its repeats over seeds.

    digest: of the run, or of the first seed; low, high: 95 % interval of y, NaN where there is
    none; reference: key of the reference it is one of; seeds: each repeat, none of one alone.
    """

    digest: str
    network: str
    family: str
    recipe: Recipe
    x: float
    y: float
    low: float
    high: float
    color: float
    size: float
    reference: str
    seeds: tuple[Seed, ...] = ()

    @property
    def label(self) -> str:
        return self.recipe.label

    @property
    def compared_only(self) -> bool:
        """Whether it is there as a reference only, and on no front but its own."""
        return bool(self.reference) and not REFERENCES[self.reference].rival


class Member(NamedTuple):
    """A run on a front. before, after: the members beside it, None at an end."""

    run: Run
    before: Run | None
    after: Run | None

    def words(self, axes: Axes) -> str:
        """How surely it is known, and what it saves and loses against the members beside it."""
        x, y, here = MEASURES[axes.x], MEASURES[axes.y], self.run
        lines = []
        if not math.isnan(here.low):
            low, high = y.text(here.low), y.text(here.high)
            lines.append(tr("95\u00a0% interval {low} to {high}", low=low, high=high))
        for arrow, other in (("←", self.before), ("→", self.after)):
            if other is not None:
                sides = x.difference(other.x, here.x), y.difference(other.y, here.y)
                lines.append(
                    tr("than the next {arrow}: {x}, {y}", arrow=arrow, x=sides[0], y=sides[1])
                )
        return "".join(f"<br>{line}" for line in lines)


class Front(NamedTuple):
    """name: its method or network, translated where it is shown; family: whose colour it has, empty
    for none; members: places in the list of runs, from the best x on; known: the same with those
    beside them.
    """

    name: str
    family: str
    members: list[int]
    known: list[Member]
    axes: Axes

    @property
    def words(self) -> list[str]:
        """What is said of each member."""
        return [member.words(self.axes) for member in self.known]


class Cloud(NamedTuple):
    """All that the plot of the runs shows. dense: the networks before compression, as fp32."""

    axes: Axes
    runs: list[Run]
    dense: list[Run]
    fronts: list[Front]
    references: list[Front]

    @property
    def on_front(self) -> set[str]:
        """Digests of the runs on some front."""
        return {self.runs[i].digest for front in self.fronts for i in front.members}


class Reach(NamedTuple):
    """How much of the plane of size and accuracy runs reach.

    bytes, accuracy: where it begins, the reference point of the hypervolume; rows: name, what it
    shows (empty for a method), both translated where they are shown, hypervolume in factors of ten
    times points, and how many runs.
    """

    bytes: int
    accuracy: float
    rows: list[tuple[str, str, float, int]]


def family_of(recipe: Recipe) -> str:
    """The method of a run: the recipe's family, but that of its reference for a smaller network
    that was only trained.
    """
    reference = reference_of(recipe)
    own = recipe.family
    return REFERENCES[reference].family if own == "dense" and reference else own


def reach_data(dense: Sequence[Result], results: Sequence[Result], split: str) -> Reach | None:
    """The hypervolume of each method and of each kind of reference, against the largest dense fp32
    file and the best dense accuracy less BELOW points; None where no dense network was scored.
    """
    scores = [100 * a.value for r in dense if (a := r.accuracy(split))]
    if not scores:
        return None
    largest, floor = max(r.cost.fp32_bytes for r in dense), max(scores) - BELOW
    groups: dict[str, list[tuple[float, float]]] = {}
    for result in results:
        score, kind = result.accuracy(split), reference_of(result.recipe)
        if score is None:
            continue
        names = [REFERENCES[kind].title] if kind else []
        if not kind or REFERENCES[kind].rival:
            names.append(family_of(result.recipe))
        for name in names:
            point = math.log10(result.cost.bytes), 100 * score.value
            groups.setdefault(name, []).append(point)
    known = [(family, "") for family in FAMILIES]
    known += [(r.title, r.shows) for r in REFERENCES.values()]
    rows = [
        (name, shows, hypervolume(mine, (math.log10(largest), floor)), len(mine))
        for name, shows in known
        for mine in [groups.get(name, [])]
    ]
    return Reach(largest, floor, rows)


def cloud(
    results: Sequence[Result],
    axes: Axes,
    split: str,
    titles: Mapping[str, str],
    joined: bool = True,
) -> Cloud:
    """Stored results as points, with their fronts.

    titles: of the networks; joined: repeats over seeds as one point.
    """
    dense = [r for r in results if family_of(r.recipe) == "dense"]
    others = [r for r in results if family_of(r.recipe) != "dense"]
    groups = repeats(others) if joined else [[r] for r in others]
    runs = [r for r in (_run(group, axes, split, titles) for group in groups) if r is not None]
    spots = (_run([_as_fp32(r)], axes, split, titles) for r in dense)
    return Cloud(
        axes,
        runs,
        [s for s in spots if s is not None],
        _fronts(runs, axes),
        _references(runs, axes),
    )


def _as_fp32(dense: Result) -> Result:
    """The dense network as the fp32 file that everything is compared with."""
    cost = dataclasses.replace(dense.cost, bytes=dense.cost.fp32_bytes)
    return dataclasses.replace(dense, cost=cost)


def _run(group: list[Result], axes: Axes, split: str, titles: Mapping[str, str]) -> Run | None:
    """An operating point of one run or more; None where a measure of an axis is not known."""
    known = [(r, x, y) for r in group for x, y in [_place(r, axes, split)] if _there(x, y)]
    if not known:
        return None
    first, x, y = known[0]
    low, high = _interval(first, axes.y, split)
    seeds: tuple[Seed, ...] = ()
    if len(known) > 1:
        seeds = tuple(Seed(r.digest, r.recipe.seed, x, y) for r, x, y in known)
        x = mean([s.x for s in seeds]).value
        y, low, high, _ = mean([s.y for s in seeds])
    return Run(
        first.digest,
        titles.get(first.recipe.model, first.recipe.model),
        family_of(first.recipe),
        first.recipe,
        x,
        y,
        low,
        high,
        _value(first, axes.color, split),
        _value(first, axes.size, split),
        reference_of(first.recipe),
        seeds,
    )


def _place(result: Result, axes: Axes, split: str) -> tuple[float, float]:
    return _value(result, axes.x, split), _value(result, axes.y, split)


def _there(x: float, y: float) -> bool:
    return not (math.isnan(x) or math.isnan(y))


def _value(result: Result, key: str, split: str) -> float:
    """A measure of a result; NaN where there is none, or where its axis can't show it."""
    if not key:
        return math.nan
    measure = MEASURES[key]
    value = measure.of(result, split)
    return math.nan if value is None or (measure.unit.log and value <= 0) else value


def _interval(result: Result, key: str, split: str) -> tuple[float, float]:
    score = result.accuracy(split)
    if key != "accuracy" or score is None:
        return math.nan, math.nan
    return 100 * score.metric.low, 100 * score.metric.high


def _fronts(runs: list[Run], axes: Axes) -> list[Front]:
    """One for each method or network, one of all, or none; references apart."""
    if axes.fronts == "none":
        return []
    fair = [i for i, r in enumerate(runs) if not r.compared_only]
    every = marked("all runs")
    group = dict(method=lambda r: r.family, network=lambda r: r.network, all=lambda r: every)
    names = [group[axes.fronts](runs[i]) for i in fair]
    found = fronts([(runs[i].x, runs[i].y) for i in fair], names, axes.lower)
    return [
        _front(name, name if axes.fronts == "method" else "", [fair[i] for i in chosen], runs, axes)
        for name, chosen in sorted(found.items())
    ]


def _references(runs: list[Run], axes: Axes) -> list[Front]:
    """The front of each kind of reference."""
    there = [i for i, r in enumerate(runs) if r.reference]
    points = [(runs[i].x, runs[i].y) for i in there]
    found = fronts(points, [runs[i].reference for i in there], axes.lower)
    return [
        _front(REFERENCES[k].title, REFERENCES[k].family, [there[i] for i in found[k]], runs, axes)
        for k in REFERENCES
        if k in found
    ]


def _front(name: str, family: str, members: list[int], runs: list[Run], axes: Axes) -> Front:
    beside = neighbours(sorted(members, key=lambda i: runs[i].x))

    def member(i: int) -> Member:
        before, after = (None if n is None else runs[n] for n in beside[i])
        return Member(runs[i], before, after)

    return Front(name, family, members, [member(i) for i in members], axes)
