"""A goal, as in `at most 40 kB and 1 point lost`, and what a search for it has found."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from . import units
from .errors import InvalidInput
from .language import marked, tr
from .pareto import front
from .recipe import Recipe, number, one_of
from .result import Result

MINIMIZE = ("bytes", "macs", "points")
OTHER = {"bytes": "points", "macs": "points", "points": "bytes"}  # the second axis of the front
WANTED = {
    "bytes": marked("smallest file with at most {limits}"),
    "macs": marked("fewest multiply-adds with at most {limits}"),
    "points": marked("most accurate with at most {limits}"),
}
LONGEST = 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What is wanted of a network.

    models: networks to choose from; minimize: one of MINIMIZE; most_bytes, most_macs, most_ms:
    limits, None for none, ms of one image in ONNX Runtime; most_points: percentage points of
    accuracy that may be lost on the validation images; seconds: of search; epochs: how often at
    most a network is trained on after each step, 0 for never; seed: of the search. Raises
    InvalidInput.
    """

    dataset: str
    models: tuple[str, ...]
    minimize: str = "bytes"
    most_bytes: int | None = None
    most_macs: int | None = None
    most_ms: float | None = None
    most_points: float | None = 1.0
    seconds: float = 300
    epochs: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("goal.minimize", self.minimize, MINIMIZE)
        if not self.models or not all(isinstance(m, str) for m in self.models):
            raise InvalidInput("a goal needs at least one network")
        for name, low, high, whole in (
            ("most_bytes", 1, 10**12, True),
            ("most_macs", 1, 10**15, True),
            ("most_ms", 1e-6, 1e6, False),
            ("most_points", 0, 100, False),
            ("seconds", 1, LONGEST, False),
            ("epochs", 0, 20, True),
            ("seed", 0, 2**31 - 1, True),
        ):
            value = getattr(self, name)
            if value is not None:
                grain = 1 if whole else 1e-6
                limits = dict(low=low, high=high, grain=grain)
                checked = number(f"goal.{name}", value, **limits, whole=whole)
                object.__setattr__(self, name, checked)
        if self.minimize != "points" and self.most_points is None:
            raise InvalidInput("a goal needs a limit on the points lost, or to minimize them")
        if self.minimize == "points" and not set(self.limits) - {"points"}:
            raise InvalidInput(
                "to lose the fewest points, name the most bytes, multiply-adds or ms"
            )

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "models": list(self.models)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Goal:
        known = Goal.__dataclass_fields__
        for name in values:
            one_of("field of a goal", name, known)
        listed = values.get("models")
        if not isinstance(listed, list | tuple):
            raise InvalidInput("goal.models must be a list of names")
        try:
            return Goal(**{**values, "models": tuple(listed)})
        except TypeError as e:
            raise InvalidInput("a goal is not complete: {reason}", reason=str(e)) from None

    @property
    def digest(self) -> str:
        """Key of the search. More time is no other goal: the search goes on."""
        own = {k: v for k, v in self.to_dict().items() if k != "seconds"}
        text = json.dumps(own, sort_keys=True)
        return blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def limits(self) -> dict[str, float]:
        """The limits that were named, by measure."""
        named = dict(
            bytes=self.most_bytes, macs=self.most_macs, ms=self.most_ms, points=self.most_points
        )
        return {name: limit for name, limit in named.items() if limit is not None}

    @property
    def label(self) -> str:
        """`smallest file with at most 1 point lost`."""
        words = [WORDS[name](limit) for name, limit in self.limits.items()]
        return tr(WANTED[self.minimize], limits=tr(" and ").join(words))


def points(value: float) -> str:
    number = f"{value:.2f}".rstrip("0").rstrip(".")
    if value == 1:
        return tr("{points} point lost", points=number)
    return tr("{points} points lost", points=number)


WORDS: dict[str, Callable[[float], str]] = {
    "bytes": units.size,
    "macs": lambda n: tr("{number} multiply-adds", number=units.quantity(n)),
    "ms": lambda ms: f"{ms:.3g}{units.NBSP}ms",
    "points": points,
}


class Tried(NamedTuple):
    """One recipe that was tried for a goal, on validation. points: lost against the dense network,
    below 0 is a gain; seconds: of work that it took; ms: for one image, NaN where no limit asks.
    """

    recipe: Recipe
    bytes: int
    macs: int
    points: float
    seconds: float
    ms: float = math.nan

    def value(self, measure: str) -> float:
        return float(getattr(self, measure))


def tried(result: Result, seconds: float) -> Tried:
    """What a search takes from a result. Non-zero multiply-adds do not count: zeros are not
    faster."""
    lost = 100 * (result.baseline.validation - result.validation.value)
    return Tried(result.recipe, result.cost.bytes, result.cost.macs, lost, seconds)


@dataclass(frozen=True)
class Answer:
    """What a search recommends.

    best, runner_up: within all limits, None where nothing is; the runner-up has other steps, if
    anything with other steps is within them; nearest: where nothing is, what
    misses them least; binds: the limit that is used most, and its share; further: the next point of
    the front, better by what is minimized and beyond a limit: None where nothing is.
    """

    best: Tried | None
    runner_up: Tried | None
    nearest: Tried | None
    binds: tuple[str, float] | None
    further: Tried | None


def fits(goal: Goal, one: Tried) -> bool:
    return excess(goal, one) <= 0


def excess(goal: Goal, one: Tried) -> float:
    """By how much the limits are missed: the largest share, 0 or less where none is."""
    misses = [miss(one.value(name), limit) for name, limit in goal.limits.items()]
    return max(misses, default=0.0)


def miss(value: float, limit: float) -> float:
    """Above 0 where a value is beyond its limit, as a share of it; of a limit of 0 as it is. What
    is not known is beyond any.
    """
    if math.isnan(value):
        return 1.0
    return (value - limit) / limit if limit > 0 else value


def answer(goal: Goal, found: Sequence[Tried]) -> Answer:
    """The recommendation among what was tried."""
    aim = goal.minimize
    order = sorted(found, key=lambda t: (t.value(aim), t.value(OTHER[aim])))
    within = [t for t in order if fits(goal, t)]
    if not within:
        nearest = min(order, key=lambda t: excess(goal, t), default=None)
        return Answer(None, None, nearest, None, None)
    best = within[0]
    other_kind = [t for t in within[1:] if _kind(t.recipe) != _kind(best.recipe)]
    other = next(iter(other_kind or within[1:]), None)
    shares = {n: best.value(n) / limit if limit else 1.0 for n, limit in goal.limits.items()}
    binds = max(shares.items(), key=lambda s: s[1]) if shares else None
    beyond = [t for t in goal_front(goal, found) if t.value(aim) < best.value(aim)]
    return Answer(best, other, None, binds, beyond[-1] if beyond else None)


def goal_front(goal: Goal, found: Sequence[Tried]) -> list[Tried]:
    """What is not beaten in both what is minimized and the other axis, ascending in the first."""
    aim = goal.minimize
    pairs = [(t.value(aim), -t.value(OTHER[aim])) for t in found]
    return [found[i] for i in front(pairs)]


def _kind(recipe: Recipe) -> tuple[str, tuple[str, ...]]:
    """Its network and the methods that are used: more rounds of the same are no other kind."""
    return recipe.model, tuple(sorted({step.name for step in recipe.steps}))
