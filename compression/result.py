"""What a run gives: values without behaviour beyond simple arithmetic, and their way to JSON and
back.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from .recipe import Recipe


@dataclass(frozen=True)
class Metric:
    """A measured share with its 95 % interval. value, low, high: 0..1."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Change:
    """Against the dense baseline, on the same images.

    difference: share, below 0 is a loss; p_value: McNemar, 0..1.
    """

    difference: float
    low: float
    high: float
    p_value: float

    @property
    def within_noise(self) -> bool:
        """True where 95 % certainty is not reached."""
        return self.p_value >= 0.05


@dataclass(frozen=True)
class Accuracy:
    """Score on one split. correct, total: images; by_class: (correct, total) per class; loss: mean
    cross-entropy in nats, None where only the answers are known; flips: per class, images that were
    right only before (lost) and only after (won), where there is a change.
    """

    correct: int
    total: int
    metric: Metric
    by_class: tuple[tuple[int, int], ...]
    change: Change | None = None
    loss: float | None = None
    flips: tuple[tuple[int, int], ...] = ()

    @property
    def value(self) -> float:
        return self.metric.value


@dataclass(frozen=True)
class Estimate:
    """Accuracy by the images seen so far. value, low, high: 0..1; seen, total: images."""

    value: float
    low: float
    high: float
    seen: int
    total: int

    @property
    def exact(self) -> bool:
        return self.seen == self.total


@dataclass(frozen=True)
class Part:
    """One row of where the bytes are.

    layer: name or `file`; part: `weights`, `codebook`, ...; bytes: in the file.
    """

    layer: str
    part: str
    bytes: int


@dataclass(frozen=True)
class Layer:
    """How many weights a layer has, and how many of them are not zero. entropy: bytes that they
    would take by their order-0 entropy; 0 where it was not noted.
    """

    name: str
    weights: int
    nonzero: int
    entropy: int = 0


@dataclass(frozen=True)
class Stage:
    """Size after one step.

    family: colour of the step; bytes: of the .nnz file of the recipe up to here.
    """

    label: str
    family: str
    bytes: int


@dataclass(frozen=True)
class Cost:
    """Sizes in bytes, counts, and where the bytes are; every size is the length of something that
    was really made,
    except `nominal_bytes` (params x bits) and `entropy_bytes` (order-0), which are there to compare
    with.
    """

    bytes: int
    fp32_bytes: int
    zip_bytes: int | None  # None: not made yet, in a Preview
    nominal_bytes: int
    entropy_bytes: int
    params: int
    nonzero_params: int
    weights: int
    nonzero_weights: int
    macs: int
    nonzero_macs: int
    parts: tuple[Part, ...] = ()
    stages: tuple[Stage, ...] = ()
    layers: tuple[Layer, ...] = ()
    hidden: tuple[int, ...] = ()  # units of the network's hidden layers, as its architecture says


@dataclass(frozen=True)
class Epoch:
    """One epoch of a training step.

    step: its place in the recipe; loss: mean of the training loss.
    """

    step: int
    epoch: int
    epochs: int
    loss: float
    accuracy: float  # validation, 0..1
    bytes: int  # .nnz file of the network at this moment
    seconds: float  # since the step began


class _OfRecipe:
    """What follows for whatever is known of a recipe."""

    recipe: Recipe
    cost: Cost
    baseline: Baseline

    @property
    def digest(self) -> str:
        return self.recipe.digest

    @cached_property
    def ratio(self) -> float:
        """Compression ratio: bytes of the dense fp32 file by bytes of this file."""
        return self.baseline.fp32_bytes / self.cost.bytes


@dataclass(frozen=True)
class Result(_OfRecipe):
    """What running a recipe gave.

    seconds: time of this run, without stored prefixes; `test` only where it was asked.
    """

    recipe: Recipe
    cost: Cost
    validation: Accuracy
    test: Accuracy | None
    baseline: Baseline
    history: tuple[Epoch, ...]
    file_digest: str  # blake2b-128 of the .nnz file
    seconds: float
    weighed: ClassVar[bool] = True  # a preview may not be

    def accuracy(self, split: str) -> Accuracy | None:
        return self.test if split == "test" else self.validation

    def to_dict(self) -> dict[str, Any]:
        values = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "recipe"
        }
        return {"recipe": self.recipe.to_dict()} | {k: _plain(v) for k, v in values.items()}

    @staticmethod
    def from_dict(d: dict[str, Any]) -> Result:
        cost = dict(d["cost"])
        cost["parts"] = tuple(Part(**p) for p in cost["parts"])
        cost["stages"] = tuple(Stage(**s) for s in cost["stages"])
        cost["layers"] = tuple(Layer(**x) for x in cost.get("layers", ()))
        cost["hidden"] = tuple(cost.get("hidden", ()))
        rest = {k: d[k] for k in ("file_digest", "seconds")}
        return Result(
            recipe=Recipe.from_dict(d["recipe"]),
            cost=Cost(**cost),
            validation=_accuracy(d["validation"]),
            test=_accuracy(d["test"]) if d["test"] else None,
            baseline=Baseline(**d["baseline"]),
            history=tuple(Epoch(**e) for e in d["history"]),
            **rest,
        )


@dataclass(frozen=True)
class Preview(_OfRecipe):
    """A setting while one looks at it: its accuracy by the images seen so far, and its cost, the
    sizes in which are estimated too until it is weighed.

    metric: as a Result's, wider as long as images are missing; loss: mean cross-entropy, estimated
    as well; score: once all images of the split are seen; it is weighed by then. A preview is never
    stored, exported or ranked; a Result is.
    """

    recipe: Recipe
    split: str
    cost: Cost
    baseline: Baseline
    estimate: Estimate
    metric: Metric
    loss: float
    score: Accuracy | None = None
    weighed: bool = False

    def accuracy(self, split: str) -> Accuracy | None:
        return self.score if split == self.split else None


@dataclass(frozen=True)
class Baseline:
    """The dense network that a result is compared with.

    accuracies: 0..1; None where the split was not scored.
    """

    digest: str
    fp32_bytes: int
    weights: int
    macs: int
    validation: float
    test: float | None


def _plain(value: Any) -> Any:
    """Dataclasses and tuples as dicts and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _accuracy(d: dict[str, Any]) -> Accuracy:
    return Accuracy(
        d["correct"],
        d["total"],
        Metric(**d["metric"]),
        tuple((c, t) for c, t in d["by_class"]),
        Change(**d["change"]) if d["change"] else None,
        d.get("loss"),
        tuple((lost, won) for lost, won in d.get("flips", ())),
    )
