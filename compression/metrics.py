"""What can be said of a result in one number: one table for every axis, filter and column.

Values are in the unit of the screen (percent, points, bytes), so that plots and tables show them
as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import units
from .language import marked, tr
from .result import Accuracy, Result


@dataclass(frozen=True)
class Unit:
    """How a number is written. hover: plotly's format and what follows it; log: it differs by
    factors; less, more: what is said of a difference, with its amount.
    """

    text: Callable[[float], str]
    hover: tuple[str, str]
    log: bool = False
    less: str = marked("{amount} less")
    more: str = marked("{amount} more")


def _fixed(digits: int, unit: str) -> Callable[[float], str]:
    def text(value: float) -> str:
        return f"{value:.{digits}f}{units.NBSP}{unit}".replace("-", units.MINUS)

    return text


def _seconds(value: float) -> str:
    return units.duration(value) if value >= 9.5 else f"{value:.2g}{units.NBSP}s"


BYTES = Unit(units.size, (".3s", "B"), log=True, less=marked("{amount} saved"))
COUNT = Unit(units.quantity, (".3s", ""), log=True)
RATIO = Unit(units.times, (".3r", "×"), log=True)
PERCENT = Unit(_fixed(2, "%"), (".2f", " %"))
POINTS = Unit(_fixed(2, "pt"), (".2f", " pt"))
BITS = Unit(_fixed(2, "bits"), (".2f", " bits"), log=True)
NATS = Unit(_fixed(3, "nats"), (".3f", " nats"))
SECONDS = Unit(_seconds, (".2r", " s"), log=True)
_POWERS = tuple(m * 10.0**d for d in range(10) for m in (1, 2, 5))  # 1, 2, 5, 10, ... 5e9


@dataclass(frozen=True)
class Measure:
    """One number of a result.

    title: translated where it is shown; lower: whether less of it is better; of: its value on a
    split, None where it is not known; stops: where a filter can begin or end.
    """

    title: str
    unit: Unit
    lower: bool
    of: Callable[[Result, str], float | None]
    stops: tuple[float, ...]

    def text(self, value: float) -> str:
        return self.unit.text(value)

    def difference(self, before: float, after: float) -> str:
        """`29.0 kB saved`, `1.00 pt lost`, `no difference`."""
        if before == after:
            return tr("no difference")
        unit, less, more = self.unit, self.unit.less, self.unit.more
        if self.unit is PERCENT:
            unit, more = POINTS, marked("{amount} gained")
            less = less if self.lower else marked("{amount} lost")
        return tr(less if after < before else more, amount=unit.text(abs(after - before)))


def _score(result: Result, split: str) -> Accuracy | None:
    return result.accuracy(split)


def _accuracy(result: Result, split: str) -> float | None:
    score = _score(result, split)
    return None if score is None else 100 * score.value


def _lost(result: Result, split: str) -> float | None:
    score = _score(result, split)
    if score is None:
        return None
    return 0.0 if score.change is None else 0.0 - 100 * score.change.difference


def _loss(result: Result, split: str) -> float | None:
    score = _score(result, split)
    return None if score is None else score.loss


_SHARES = (*(10.0 * i for i in range(9)), 85.0, 90.0, 92.0, 94.0, 95.0, 96.0, 97.0, 98.0, 98.5)
_SHARES += (99.0, 99.5, 100.0)
_SIZES = tuple(s for s in _POWERS if 100 <= s <= 1e8)

MEASURES: dict[str, Measure] = {
    "bytes": Measure(marked("File size"), BYTES, True, lambda r, _: r.cost.bytes, _SIZES),
    "accuracy": Measure(marked("Accuracy"), PERCENT, False, _accuracy, _SHARES),
    "lost": Measure(
        marked("Points lost"),
        POINTS,
        True,
        _lost,
        (-100.0, 0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0),
    ),
    "ratio": Measure(
        marked("Compression ratio"),
        RATIO,
        False,
        lambda r, _: r.ratio,
        tuple(s for s in _POWERS if s <= 1_000),
    ),
    "nonzero_weights": Measure(
        marked("Non-zero weights"), COUNT, True, lambda r, _: r.cost.nonzero_weights, _POWERS
    ),
    "sparsity": Measure(
        marked("Sparsity"),
        PERCENT,
        False,
        lambda r, _: 100 * (1 - r.cost.nonzero_weights / r.cost.weights),
        _SHARES,
    ),
    "params": Measure(marked("Parameters"), COUNT, True, lambda r, _: r.cost.params, _POWERS),
    "nonzero_macs": Measure(
        marked("Multiply-adds"),
        COUNT,
        True,
        lambda r, _: r.cost.nonzero_macs,
        _POWERS,
    ),
    "macs": Measure(
        marked("Multiply-adds, dense"),
        COUNT,
        True,
        lambda r, _: r.cost.macs,
        _POWERS,
    ),
    "bits_per_weight": Measure(
        marked("Bits per weight"),
        BITS,
        True,
        lambda r, _: 8 * r.cost.bytes / r.baseline.weights,
        (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 16.0, 32.0, 1_000.0),
    ),
    "entropy_bytes": Measure(
        marked("Order-0 entropy"),
        BYTES,
        True,
        lambda r, _: r.cost.entropy_bytes,
        _SIZES,
    ),
    "zip_bytes": Measure(
        marked("Deflated size"),
        BYTES,
        True,
        lambda r, _: r.cost.zip_bytes,
        _SIZES,
    ),
    "loss": Measure(
        marked("Cross-entropy"),
        NATS,
        True,
        _loss,
        (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 100.0),
    ),
    "seconds": Measure(
        marked("Time it took"),
        SECONDS,
        True,
        lambda r, _: max(r.seconds, 0.001),
        (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 36_000.0),
    ),
}
