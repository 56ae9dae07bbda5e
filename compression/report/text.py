"""What a report says in sentences, and what people write into it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce
from unicodedata import category

from .. import phrases, units
from ..classes import class_words
from ..errors import InvalidInput
from ..language import marked, tr
from ..result import Accuracy
from ..speed import KINDS, QUIET
from .values import Report, classes

LONGEST = {"title": 120, "summary": 2_000, "note": 4_000}  # characters
CALLED = {
    "title": marked("a report's title"),
    "summary": marked("a report's summary"),
    "note": marked("a report's note"),
}
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
            text, what = getattr(self, name).strip(), partial(tr, CALLED[name])
            if len(text) > most:
                raise InvalidInput(
                    "{what} has at most {most:,} characters, got {n:,}",
                    what=what,
                    most=most,
                    n=len(text),
                )
            lines = "" if name == "title" else "\n\t"
            unseen = [c for c in text if category(c) in UNSEEN and c not in lines]
            if unseen:
                raise InvalidInput(
                    "{what} must be readable text, got {got!r}", what=what, got=unseen[0]
                )
            object.__setattr__(self, name, text)


def title(report: Report, text: Text) -> str:
    own = text.title or report.label.name
    return own or tr("{name}, compressed", name=phrases.name(report.recipe))


def note(report: Report, text: Text) -> str:
    return text.note or report.label.note


def summary(report: Report) -> str:
    """The answer for somebody who reads nothing else: size, accuracy against before with its
    interval, who suffers, and what was not found out.
    """
    chosen = report.chosen
    assert chosen.test is not None
    said = [_size(report), _accuracy(chosen.test, report), _hurt(report), _speed(report)]
    return reduce(lambda one, more: tr("{one} {more}", one=one, more=more), filter(None, said))


def _size(report: Report) -> str:
    result, name = report.chosen, phrases.name(report.recipe)
    small, large = units.size(result.cost.bytes), units.size(result.baseline.fp32_bytes)
    if result.ratio < 1:
        return tr(
            "{name} is not smaller: {small} instead of {large}.",
            name=name,
            small=small,
            large=large,
        )
    return tr(
        "{name} is {times} times smaller: {small} instead of {large}.",
        name=name,
        times=units.times(result.ratio).removesuffix("×"),
        small=small,
        large=large,
    )


def _accuracy(score: Accuracy, report: Report) -> str:
    n, right, change = units.grouped(score.total), units.percent(score.value, 2), score.change
    if change is None or report.dense.test is None:
        return tr(
            "Of {n} test images it gets {right} right (95\u00a0% interval {low:.2f} to {high}).",
            n=n,
            right=right,
            low=100 * score.metric.low,
            high=units.percent(score.metric.high, 2),
        )
    both = dict(n=n, right=right, before=units.percent(report.dense.test.value, 2))
    low, high = change.low, change.high
    if change.within_noise:
        return tr(
            "Of {n} test images it gets {right} right, the original {before}: no measurable loss"
            " (difference {difference} points, 95\u00a0% interval {low} to {high}).",
            **both,
            difference=points(change.difference),
            low=points(low),
            high=points(high),
        )
    if change.difference < 0:
        return tr(
            "Of {n} test images it gets {right} right, the original {before}: {found:.2f} points"
            " lost (95\u00a0% interval {low:.2f} to {high:.2f}), more than chance explains.",
            **both,
            found=abs(100 * change.difference),
            low=-100 * high,
            high=-100 * low,
        )
    return tr(
        "Of {n} test images it gets {right} right, the original {before}: {found:.2f} points"
        " gained (95\u00a0% interval {low:.2f} to {high:.2f}), more than chance explains.",
        **both,
        found=100 * change.difference,
        low=100 * low,
        high=100 * high,
    )


def _hurt(report: Report) -> str:
    if report.chosen.test is None or report.chosen.test.change is None:
        return ""
    hurt = sorted((c for c in report.lost.classes if c.is_hurt), key=lambda c: c.change.difference)
    if not hurt:
        return tr("No class lost more than chance explains.")
    worst = hurt[0]
    name, lost = class_words(classes(report), worst.place), abs(100 * worst.change.difference)
    if len(hurt) > 1:
        return tr(
            "{n} classes lost more than chance explains, most of all {name} ({lost:.1f} points"
            " lost).",
            n=len(hurt),
            name=name,
            lost=lost,
        )
    name = f"{name[0].upper()}{name[1:]}"
    return tr("{name} suffers: {lost:.1f} points lost.", name=name, lost=lost)


def _speed(report: Report) -> str:
    """For one image and one thread in ONNX Runtime, if that was measured."""
    mine = [t for t in report.speed.timings if t.engine == ONNX] if report.speed else []
    mine = [t for t in mine if t.batch == 1 and t.threads == 1]
    if not mine:
        return ""
    best = max(mine, key=lambda t: t.faster)
    kind = tr(KINDS[best.kind])
    if best.faster_low <= 1 <= best.faster_high:
        return tr(
            "No difference in speed was measured for one image in ONNX Runtime ({kind}, one"
            " thread).",
            kind=kind,
        )
    if best.others > QUIET:
        return tr(
            "It is {times:.1f} times as fast as the original for one image in ONNX Runtime"
            " ({kind}, one thread); the machine was busy.",
            times=best.faster,
            kind=kind,
        )
    return tr(
        "It is {times:.1f} times as fast as the original for one image in ONNX Runtime"
        " ({kind}, one thread).",
        times=best.faster,
        kind=kind,
    )


def points(difference: float) -> str:
    """A difference of shares in points, without the unit: `−0.12`."""
    return units.points(difference, 2).removesuffix(f"{units.NBSP}pt")
