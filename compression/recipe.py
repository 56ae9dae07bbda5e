"""A recipe is a value: network, data set, width, seed and the steps in their order. Its digest is
the only key.

A method is one registered class (see `register`); its knobs declare their range once, and
validation, sliders, the
command line and the table in the README all read it from there.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from .errors import InvalidInput
from .language import current, marked, tr

if TYPE_CHECKING:
    from torch import nn

    from .networks import Architecture
    from .training import Context

StepT = TypeVar("StepT", bound="Step")
_STEPS: dict[str, type[Step]] = {}
_FAMILIES = (
    "training",
    "pruning",
    "channels",
    "low_rank",
    "quantization",
    "biases",
    "activations",
    "distillation",
    "smallest",
)  # the modules that hold the steps


def knob(default: float, *, low: float, high: float, grain: float, help: str) -> Any:
    """A number that a person can turn.

    Values lie in [low, high] and snap to the grain; an int default makes it int.
    """
    return dataclasses.field(
        default=default, metadata=dict(low=low, high=high, grain=grain, help=help)
    )


def choice(default: str, *, options: Iterable[str], help: str) -> Any:
    """A word out of a few."""
    return dataclasses.field(default=default, metadata=dict(options=tuple(options), help=help))


def by_layer(*, low: float, high: float, grain: float, help: str) -> Any:
    """Numbers of single layers that differ from the step's own knob: `conv1=0.5;fc1=0.95`, empty
    where none does. Each is checked like a knob's; layers are put in order of their names.
    """
    meta = dict(by_layer=True, low=low, high=high, grain=grain, help=help)
    return dataclasses.field(default="", metadata=meta)


def layer_values(text: str) -> dict[str, float]:
    """The numbers of a `by_layer` knob, by layer."""
    pairs = (part.partition("=") for part in text.split(";") if part)
    return {name.strip(): float(value) for name, _, value in pairs}


def layer_text(values: Mapping[str, float]) -> str:
    """The `by_layer` knob that says these numbers."""
    return ";".join(f"{name}={value:g}" for name, value in sorted(values.items()))


def with_own_layers(label: str, text: str) -> str:
    """The label of a step whose `by_layer` knob is this text."""
    n = len(layer_values(text))
    return tr("{label}, {n} layers of their own", label=label, n=n) if n else label


def register(step: type[Step]) -> type[Step]:
    """Class decorator: make a step known by its name."""
    _STEPS[step.name] = step
    return step


def steps() -> dict[str, type[Step]]:
    """All registered steps by name, in the order of their families, whatever was imported first."""
    homes = [f"{__package__}.{family}" for family in _FAMILIES]
    for home in homes:
        importlib.import_module(home)

    def place(item: tuple[str, type[Step]]) -> int:
        return homes.index(item[1].__module__) if item[1].__module__ in homes else len(homes)

    return dict(sorted(_STEPS.items(), key=place))


# what errors of `one_of` call it
NAMED = (
    *(marked("network"), marked("model"), marked("data set"), marked("dataset"), marked("split")),
    *(marked("step"), marked("start"), marked("corruption"), marked("kind of export")),
    *(marked("field of a recipe"), marked("setting of a network"), marked("field of a goal")),
    marked("input of the cost"),
)


def one_of(what: str, name: object, known: Iterable[str]) -> str:
    """name, if it is known; else InvalidInput that lists what is."""
    known = list(known)
    if name not in known:
        raise InvalidInput(
            "unknown {what} {name}; known: {known}",
            what=partial(tr, what),
            name=_short(name),
            known=known,
        )
    return str(name)


def number(
    what: str, value: object, *, low: float, high: float, grain: float, whole: bool
) -> float:
    """value checked against [low, high] and snapped to the grain. what: how the error names it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _no_number(what, value, low, high, whole)
    if not low <= value <= high:  # also refuses NaN
        raise InvalidInput(
            "{what} must lie in [{low:g}, {high:g}], got {got}",
            what=what,
            low=low,
            high=high,
            got=_short(value),
        )
    if whole and value != int(value):
        raise _no_number(what, value, low, high, whole)
    return int(value) if whole else round(round(value / grain) * grain, 10)


def _no_number(what: str, value: object, low: float, high: float, whole: bool) -> InvalidInput:
    said = dict(what=what, low=low, high=high, got=_short(value))
    if whole:
        return InvalidInput(
            "{what} must be a whole number in [{low:g}, {high:g}], got {got}", **said
        )
    return InvalidInput("{what} must be a number in [{low:g}, {high:g}], got {got}", **said)


def _by_layer(what: str, text: object, meta: Mapping[str, Any]) -> str:
    """The checked text of a `by_layer` knob."""
    if not isinstance(text, str) or len(text) > 4_000:
        raise InvalidInput(
            "{what} must be text like conv1=0.5;fc1=0.95, got {got}", what=what, got=_short(text)
        )
    limits = {k: meta[k] for k in ("low", "high", "grain")}
    found: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(";"))):
        name, equals, value = (x.strip() for x in part.partition("="))
        if not equals or not re.fullmatch(r"[A-Za-z0-9_.]{1,64}", name) or name in found:
            raise InvalidInput(
                "{what}: {got} is not of the form layer=number, once each",
                what=what,
                got=_short(part),
            )
        inside = tr("{what} of {name}", what=what, name=name)
        whole = meta["grain"] == 1
        found[name] = number(inside, _number(inside, value), **limits, whole=whole)
    return layer_text(found)


def _short(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return (  # str() of it is refused by Python or fills the screen
            tr("a number of hundreds of digits")
        )
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """One method with its knobs.

    `version` rises when the same knobs would give different weights.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    family: ClassVar[
        str
    ]  # "dense", "pruned", "quantized", "distilled" or "combined": the colour of what it makes
    reference: ClassVar[str] = ""
    trains: ClassVar[bool] = False  # True: takes an epoch or more, belongs into the batch lane

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, meta, what = (
                getattr(self, field.name),
                field.metadata,
                f"{self.name}.{field.name}",
            )
            if "options" in meta:
                one_of(what, value, meta["options"])
            elif "by_layer" in meta:
                object.__setattr__(self, field.name, _by_layer(what, value, meta))
            else:
                whole = isinstance(field.default, int)
                limits = {k: meta[k] for k in ("low", "high", "grain")}
                object.__setattr__(self, field.name, number(what, value, **limits, whole=whole))

    @abstractmethod
    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        """Change the model, or return another one. Everything else comes from the context."""

    @abstractmethod
    def label(self) -> str:
        """A few words for people: `prune 90 %`."""

    @property
    def is_training(self) -> bool:
        """Whether this very step trains; a step that can, with 0 epochs, does not."""
        return self.trains and getattr(self, "epochs", 1) > 0

    def changed(self, **knobs: float | str) -> Self:
        """The same step with other knobs."""
        return make_step(type(self), {**dataclasses.asdict(self), **knobs})

    def to_dict(self) -> dict[str, Any]:
        knobs = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if not ("by_layer" in f.metadata and not getattr(self, f.name))
        }
        return {"step": self.name, "version": self.version, **knobs}

    @property
    def text(self) -> str:
        """The short form that `parse_step` reads, with the knobs that are not as they come."""
        turned = [f for f in dataclasses.fields(self) if getattr(self, f.name) != f.default]
        knobs = ",".join(f"{f.name}={getattr(self, f.name)}" for f in turned)
        return f"{self.name}:{knobs}" if knobs else self.name

    def why_not(self, a: Architecture, before: tuple[Step, ...] = ()) -> str:
        """The reason why this step can't be done to a network of this architecture, behind these
        steps, or an empty string.
        """
        return ""

    def work(self, a: Architecture) -> float:
        """How long it trains a network of this architecture, in epochs of that one."""
        return float(getattr(self, "epochs", 1)) if self.trains else 0.0

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Step:
        if not isinstance(values, Mapping):
            raise InvalidInput("a step must be an object, got {got}", got=_short(values))
        knobs = dict(values)
        cls = steps()[one_of("step", knobs.pop("step", None), steps())]
        version = knobs.pop("version", cls.version)
        if version != cls.version:
            raise InvalidInput(
                "{step}: version {version} is not the one here, {known}",
                step=cls.name,
                version=_short(version),
                known=cls.version,
            )
        return make_step(cls, knobs)


def make_step(cls: type[StepT], knobs: Mapping[str, Any]) -> StepT:
    """The step with these knobs; InvalidInput for a knob that it does not have."""
    known = [f.name for f in dataclasses.fields(cls)]
    for name in knobs:
        one_of(tr("knob of {step}", step=cls.name), name, known)
    return cls(**knobs)


def parse_step(text: str) -> Step:
    """A step from the command line's short form: `magnitude_pruning:sparsity=0.9,scope=layer`."""
    name, _, rest = text.partition(":")
    cls = steps()[one_of("step", name, steps())]
    fields = {f.name: f for f in dataclasses.fields(cls)}
    knobs: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise InvalidInput(
                "{step}: {got} is not of the form knob=value", step=cls.name, got=_short(part)
            )
        one_of(tr("knob of {step}", step=cls.name), key, fields)
        words = fields[key].metadata.keys() & {"options", "by_layer"}
        knobs[key] = value if words else _number(f"{name}.{key}", value)
    return make_step(cls, knobs)


BETWEEN = "~"  # steps in one text, as in a link


def parse_steps(text: str) -> tuple[Step, ...]:
    """Steps in their short forms, joined by BETWEEN; the way back is `steps_text`."""
    if len(text) > 8_000:
        raise InvalidInput("steps in a link have at most 8,000 characters, got {n}", n=len(text))
    return tuple(parse_step(part) for part in text.split(BETWEEN) if part)


def steps_text(steps: Iterable[Step]) -> str:
    return BETWEEN.join(step.text for step in steps)


def _number(what: str, text: str) -> float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InvalidInput("{what} must be a number, got {got}", what=what, got=_short(text))


@dataclass(frozen=True)
class Recipe:
    """What is done to which network.

    model, dataset: names; width: share of the hidden units, 0.01 to 1; seed: >= 0.
    """

    model: str
    dataset: str
    steps: tuple[Step, ...] = ()
    width: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for what in (
            "model",
            "dataset",
        ):  # whether they are known is for the tables to say: see models, data
            if not isinstance(getattr(self, what), str):
                raise InvalidInput(
                    "recipe.{what} must be a name, got {got}",
                    what=what,
                    got=_short(getattr(self, what)),
                )
        width = number("width", self.width, low=0.01, high=1, grain=0.01, whole=False)
        object.__setattr__(self, "width", width)
        seed = number("seed", self.seed, low=0, high=2**31 - 1, grain=1, whole=True)
        object.__setattr__(self, "seed", seed)
        if not isinstance(self.steps, tuple) or not all(isinstance(s, Step) for s in self.steps):
            raise InvalidInput("recipe.steps must be a tuple of steps")
        if len(self.steps) > 32:
            raise InvalidInput("a recipe has at most 32 steps, got {n}", n=len(self.steps))

    def __hash__(self) -> int:
        return hash(self.digest)  # as of its fields, but worked out once

    def then(self, *more: Step) -> Recipe:
        """This recipe with more steps behind."""
        return dataclasses.replace(self, steps=(*self.steps, *more))

    def prefix(self, length: int) -> Recipe:
        """The recipe of the first `length` steps: a prefix of a recipe is a recipe."""
        return _known(self.model, self.dataset, self.steps[:length], self.width, self.seed)

    def prefixes(self) -> Iterator[Recipe]:
        """All prefixes, the longest (the recipe itself) first."""
        return (self.prefix(n) for n in range(len(self.steps), -1, -1))

    @cached_property
    def dense(self) -> Recipe:
        """The dense network that this recipe starts from: the steps up to the first that is not
        plain training.
        """
        n = next((i for i, s in enumerate(self.steps) if s.family != "dense"), len(self.steps))
        return self.prefix(n)

    @cached_property
    def family(self) -> str:
        """`dense`, the one method that was used, or `combined`."""
        used = {s.family for s in self.steps} - {"dense"}
        return next(iter(used)) if len(used) == 1 else "combined" if used else "dense"

    @property
    def label(self) -> str:
        """For people: what was done after the dense network was there."""
        language = current()  # plots and tables of thousands of runs ask again and again
        if language not in self._labels:
            self._labels[language] = self._label()
        return self._labels[language]

    @cached_property
    def _labels(self) -> dict[str, str]:
        return {}

    def _label(self) -> str:
        words = [s.label() for s in self.steps[len(self.dense.steps) :]]
        start = [] if self.width == 1 else [tr("width {share:.0f} %", share=100 * self.width)]
        return tr(", ").join(start + words) or tr("dense")

    def to_dict(self) -> dict[str, Any]:
        own = {f: getattr(self, f) for f in ("model", "dataset", "width", "seed")}
        return {**own, "steps": [s.to_dict() for s in self.steps]}

    def to_json(self, indent: int | None = None) -> str:
        return json.dumps(self.to_dict(), sort_keys=True, indent=indent)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Recipe:
        if not isinstance(values, Mapping):
            raise InvalidInput("a recipe must be an object, got {got}", got=_short(values))
        for name in values:
            one_of("field of a recipe", name, ["model", "dataset", "width", "seed", "steps"])
        missing = {"model", "dataset"} - set(values)
        if missing:
            raise InvalidInput("recipe: {name!r} is missing", name=sorted(missing)[0])
        listed = values.get("steps", [])
        if not isinstance(listed, list):
            raise InvalidInput("recipe.steps must be a list, got {got}", got=_short(listed))
        rest = {k: v for k, v in values.items() if k != "steps"}
        return Recipe(**rest, steps=tuple(Step.from_dict(s) for s in listed))

    @staticmethod
    def from_json(text: str | bytes) -> Recipe:
        if len(text) > 64_000:
            raise InvalidInput("a recipe has at most 64,000 characters, got {n}", n=len(text))
        try:
            return Recipe.from_dict(json.loads(text))
        except (ValueError, RecursionError) as e:
            raise InvalidInput("not a recipe: {reason}", reason=_short(str(e))) from None

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits: the key of runs, jobs and caches."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return blake2b(text.encode(), digest_size=8).hexdigest()


def kept(total: int, sparsity: float) -> int:
    """K, how many of `total` stay at this sparsity; at least 1."""
    return max(1, total - math.floor(total * sparsity + 1e-9))


@lru_cache(maxsize=4096)
def _known(model: str, dataset: str, steps: tuple[Step, ...], width: float, seed: int) -> Recipe:
    """A recipe, the same object again where it was asked for before: its digest is known then."""
    return Recipe(model, dataset, steps, width, seed)
