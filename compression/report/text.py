"""What a report says in sentences, and what people write into it."""

from __future__ import annotations

from dataclasses import dataclass
from unicodedata import category

from .. import phrases, units
from ..classes import class_words
from ..errors import InvalidInput
from ..result import Accuracy, Result
from ..speed import KINDS, QUIET
from .values import Report, classes

LONGEST = {"title": 120, "summary": 2_000, "note": 4_000}  # characters
ONNX = "onnxruntime"  # the engine that networks are taken to
UNSEEN = ("Cc", "Cs")  # control signs, and halves of signs


@dataclass(frozen=True)
class Text:
    """What a person wrote in place of the lab's own words; empty ones leave these."""

    title: str = ""
    summary: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for name, most in LONGEST.items():
            text = getattr(self, name).strip()
            if len(text) > most:
                raise InvalidInput(
                    f"a report's {name} has at most {most:,} characters, got {len(text):,}"
                )
            lines = "" if name == "title" else "\n\t"
            unseen = [c for c in text if category(c) in UNSEEN and c not in lines]
            if unseen:
                raise InvalidInput(f"a report's {name} must be readable text, got {unseen[0]!r}")
            object.__setattr__(self, name, text)


def title(report: Report, text: Text) -> str:
    return text.title or report.label.name or f"{phrases.name(report.recipe)}, compressed"


def note(report: Report, text: Text) -> str:
    return text.note or report.label.note


def summary(report: Report) -> str:
    """The answer for somebody who reads nothing else: size, accuracy against before with its
    interval, who suffers, and what was not found out.
    """
    chosen = report.chosen
    assert chosen.test is not None
    parts = [f"{phrases.name(report.recipe)} {_size(chosen)}.", _accuracy(chosen.test, report)]
    return " ".join(filter(None, [*parts, _hurt(report), _speed(report)]))


def _size(result: Result) -> str:
    small, large = units.size(result.cost.bytes), units.size(result.baseline.fp32_bytes)
    if result.ratio < 1:
        return f"is not smaller: {small} instead of {large}"
    times = units.times(result.ratio).removesuffix("×")
    return f"is {times} times smaller: {small} instead of {large}"


def _accuracy(score: Accuracy, report: Report) -> str:
    right, change, sure = units.percent(score.value, 2), score.change, f"95{units.NBSP}% interval"
    first = f"Of {units.grouped(score.total)} test images it gets {right} right"
    if change is None or report.dense.test is None:
        m = score.metric
        return f"{first} ({sure} {100 * m.low:.2f} to {units.percent(m.high, 2)})."
    first += f", the original {units.percent(report.dense.test.value, 2)}"
    low, high = change.low, change.high
    if change.within_noise:
        found = f"difference {points(change.difference)} points"
        return f"{first}: no measurable loss ({found}, {sure} {points(low)} to {points(high)})."
    lost = change.difference < 0
    low, high = (-high, -low) if lost else (low, high)
    found = f"{abs(100 * change.difference):.2f} points {'lost' if lost else 'gained'}"
    span = f"{sure} {100 * low:.2f} to {100 * high:.2f}"
    return f"{first}: {found} ({span}), more than chance explains."


def _hurt(report: Report) -> str:
    if report.chosen.test is None or report.chosen.test.change is None:
        return ""
    hurt = sorted((c for c in report.lost.classes if c.is_hurt), key=lambda c: c.change.difference)
    if not hurt:
        return "No class lost more than chance explains."
    worst = hurt[0]
    name = class_words(classes(report), worst.place)
    lost = f"{abs(100 * worst.change.difference):.1f} points lost"
    many = f"{len(hurt)} classes lost more than chance explains, most of all {name}"
    return f"{many} ({lost})." if len(hurt) > 1 else f"{name[0].upper()}{name[1:]} suffers: {lost}."


def _speed(report: Report) -> str:
    """For one image and one thread in ONNX Runtime, if that was measured."""
    mine = [t for t in report.speed.timings if t.engine == ONNX] if report.speed else []
    mine = [t for t in mine if t.batch == 1 and t.threads == 1]
    if not mine:
        return ""
    best = max(mine, key=lambda t: t.faster)
    where = f"for one image in ONNX Runtime ({KINDS[best.kind]}, one thread)"
    if best.faster_low <= 1 <= best.faster_high:
        return f"No difference in speed was measured {where}."
    busy = "; the machine was busy" if best.others > QUIET else ""
    return f"It is {best.faster:.1f} times as fast as the original {where}{busy}."


def points(difference: float) -> str:
    """A difference of shares in points, without the unit: `−0.12`."""
    return units.points(difference, 2).removesuffix(f"{units.NBSP}pt")
