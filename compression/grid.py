"""Sweeps: the recipes that a few axes span. An axis is any knob of any step, the network, its width
or the seed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields, replace
from hashlib import blake2b
from itertools import product
from typing import Any

from .baselines import baseline
from .errors import CompressionError, InvalidInput
from .language import tr, tr_n
from .pipeline import check
from .recipe import Recipe, Step, number, one_of, parse_step, parse_steps, steps_text

MOST_RUNS = 2_000
MOST_VALUES = 100
Value = float | str


@dataclass(frozen=True)
class Axis:
    """One knob and the values that it takes. place: of its step behind the dense network, 0 is the
    first; knob: its name.
    """

    place: int
    knob: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Sweep:
    """All combinations of what is listed.

    models: networks; steps: behind the dense network, each axis turns a knob of one; widths: shares
    of the hidden units that the dense network has, 0.01 to 1; seeds: each trains its own dense
    network. Raises InvalidInput.
    """

    dataset: str
    models: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    axes: tuple[Axis, ...] = ()
    widths: tuple[float, ...] = (1.0,)
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for name in ("models", "widths", "seeds"):
            if not getattr(self, name):
                raise InvalidInput("sweep.{name}: at least one is needed", name=name)
        for axis in self.axes:
            if not 0 <= axis.place < len(self.steps):
                raise InvalidInput(
                    "an axis names step {place}, there are {n}", place=axis.place, n=len(self.steps)
                )
            step = self.steps[axis.place]
            one_of(tr("knob of {step}", step=step.name), axis.knob, [f.name for f in fields(step)])
            if not axis.values or len(axis.values) > MOST_VALUES:
                raise InvalidInput(
                    "an axis has 1 to {most} values, got {n}", most=MOST_VALUES, n=len(axis.values)
                )
        if self.size > MOST_RUNS:
            raise InvalidInput(
                "a sweep has at most {most} runs, got {size}", most=MOST_RUNS, size=self.size
            )

    @property
    def size(self) -> int:
        """How many combinations there are."""
        lists = [self.models, self.widths, self.seeds, *(a.values for a in self.axes)]
        return math.prod(map(len, lists))

    @property
    def digest(self) -> str:
        text = json.dumps(self.to_dict(), sort_keys=True)
        return blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def label(self) -> str:
        """`2 networks, sparsity × 5, levels × 4`."""
        models, widths, seeds = map(len, (self.models, self.widths, self.seeds))
        parts = [
            *([tr("{n} networks", n=models)] if models > 1 else []),
            *([tr("{n} widths", n=widths)] if widths > 1 else []),
            *([tr("{n} seeds", n=seeds)] if seeds > 1 else []),
            *(f"{tr(a.knob)} × {len(a.values)}" for a in self.axes),
        ]
        return tr(", ").join(parts) or tr_n("{n} run", "{n} runs", 1)

    def recipes(self) -> tuple[list[Recipe], list[str]]:
        """The recipes, each once, seed by seed so that early results cover the plane; and why some
        combinations are left out, each reason once.
        """
        found: dict[str, Recipe] = {}
        reasons: dict[str, None] = {}
        for seed, model, width, steps in product(
            self.seeds, self.models, self.widths, self._steps()
        ):
            try:
                dense = replace(baseline(model, self.dataset, seed), width=width)
                recipe = dense.then(*steps)
                check(recipe)
            except CompressionError as e:
                reasons[str(e)] = None
            else:
                found[recipe.digest] = recipe
        return list(found.values()), list(reasons)

    def _steps(self) -> Iterator[tuple[Step, ...]]:
        for values in product(*(axis.values for axis in self.axes)):
            steps = list(self.steps)
            for axis, value in zip(self.axes, values, strict=True):
                steps[axis.place] = steps[axis.place].changed(**{axis.knob: value})
            yield tuple(steps)

    def to_dict(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "models": list(self.models),
            "steps": steps_text(self.steps),
            "axes": [[a.place, a.knob, list(a.values)] for a in self.axes],
            "widths": list(self.widths),
            "seeds": list(self.seeds),
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Sweep:
        try:
            return Sweep(
                values["dataset"],
                tuple(values["models"]),
                parse_steps(values["steps"]),
                tuple(Axis(int(p), str(k), tuple(v)) for p, k, v in values["axes"]),
                tuple(values["widths"]),
                tuple(values["seeds"]),
            )
        except (KeyError, TypeError, ValueError) as e:
            raise InvalidInput("not a sweep: {reason}", reason=str(e)) from None


def parse_axes(texts: Sequence[str]) -> tuple[tuple[Step, ...], tuple[Axis, ...]]:
    """Steps and axes from the short form of the command line, in which a knob may have several
    values: `magnitude_pruning:sparsity=0.5..0.9:5`, `codebook_quantization:levels=4|8|16,rate=1`.
    """
    chosen: list[Step] = []
    axes: list[Axis] = []
    for place, text in enumerate(texts):
        name, _, rest = text.partition(":")
        step = parse_step(name)
        known = {f.name: f for f in fields(step)}
        for part in filter(None, rest.split(",")):
            knob, equals, value = part.partition("=")
            one_of(tr("knob of {step}", step=step.name), knob, known)
            if not equals:
                raise InvalidInput(
                    "{step}: {got!r} is not of the form knob=values", step=step.name, got=part[:40]
                )
            if "by_layer" in known[knob].metadata:
                step = step.changed(**{knob: value})
                continue
            values = values_of(value, known[knob])
            if len(values) > 1:
                axes.append(Axis(place, knob, values))
            step = step.changed(**{knob: values[0]})
        chosen.append(step)
    return tuple(chosen), tuple(axes)


def values_of(text: str, field: Field[Any]) -> tuple[Value, ...]:
    """What a person wrote for a knob: `0.5, 0.8, 0.9`, or `0.5..0.9:5` for five values from end to
    end (of a knob that counts, in equal ratios), or words. Raises InvalidInput.

    field: of the step's dataclass.
    """
    meta, what = field.metadata, field.name
    parts = [part for part in re.split(r"[,;|\s]+", text.strip()) if part]
    if "by_layer" in meta:
        raise InvalidInput("{what}: settings of single layers are no axis", what=what)
    if "options" in meta:
        words = [one_of(what, part, meta["options"]) for part in parts]
        if not words:
            raise InvalidInput("{what}: at least one word is needed", what=what)
        return tuple(dict.fromkeys(words))
    limits: dict[str, Any] = {k: meta[k] for k in ("low", "high", "grain")}
    whole = isinstance(field.default, int)
    found: list[float] = []
    for part in parts:
        span = re.fullmatch(r"(.+?)\.\.(.+?)(?::(\d{1,3}))?", part)
        if span:
            ends = [_number(what, end) for end in span.groups()[:2]]
            found += _between(ends[0], ends[1], int(span[3] or 5), whole)
        else:
            found.append(_number(what, part))
    if not found:
        raise InvalidInput("{what}: at least one value is needed", what=what)
    checked = [number(what, value, **limits, whole=whole) for value in found]
    return tuple(dict.fromkeys(checked))


def _number(what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InvalidInput("{what}: {got!r} is not a number", what=what, got=text[:40]) from None
    return int(value) if value.is_integer() else value


def _between(low: float, high: float, n: int, whole: bool) -> Sequence[float]:
    if n < 2 or not low < high:
        raise InvalidInput(
            "a span needs two ends and at least 2 values, got {low:g}..{high:g}:{n}",
            low=low,
            high=high,
            n=n,
        )
    if whole and low > 0:
        return [round(low * (high / low) ** (i / (n - 1))) for i in range(n)]
    return [low + (high - low) * i / (n - 1) for i in range(n)]
