"""Which classes a compressed network has unlearnt: each against the dense network on the same
images, and how far that can be believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .evaluation import changed
from .language import tr
from .result import Accuracy, Change


@dataclass(frozen=True)
class ClassChange:
    """One class. place: in the data set's list; before, after: images of it that were right;
    p_value: McNemar's, corrected for looking at all classes.
    """

    place: int
    total: int
    before: int
    after: int
    change: Change
    p_value: float

    @property
    def is_hurt(self) -> bool:
        """Whether it lost more than chance explains, all classes looked at."""
        return self.change.difference < 0 and self.p_value < 0.05


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number [Holm, 1979]: the smallest times n, the next times n - 1,
    and so on, none below one before it.
    """
    n, least = len(p_values), 0.0
    corrected = [0.0] * n
    for rank, i in enumerate(sorted(range(n), key=lambda i: p_values[i])):
        least = corrected[i] = max(least, min(1.0, (n - rank) * p_values[i]))
    return corrected


def class_changes(found: Accuracy) -> tuple[ClassChange, ...]:
    """Every class, in order; none where the score was not compared with the dense network's."""
    pairs = [
        (changed(lost, won, total) if total else Change(0.0, 0.0, 0.0, 1.0), correct, total)
        for (lost, won), (correct, total) in zip(found.flips, found.by_class, strict=False)
    ]
    corrected = holm([change.p_value for change, _, _ in pairs])
    return tuple(
        ClassChange(i, total, correct - round(change.difference * total), correct, change, p)
        for i, ((change, correct, total), p) in enumerate(zip(pairs, corrected, strict=True))
    )


def hurt_beyond(found: Accuracy) -> list[ClassChange]:
    """Classes that lost more than the images together did, and than chance explains; the worst
    first. Their interval lies below the change of the total, which may well hold.
    """
    total = found.change.difference if found.change else 0.0
    worse = [c for c in class_changes(found) if c.is_hurt and c.change.high < total]
    return sorted(worse, key=lambda c: c.change.difference)


def class_words(names: Sequence[str], place: int) -> str:
    """`class 8`, or the class's own name where that is a word."""
    name = names[place]
    return tr("class {name}", name=name) if name.isdigit() else tr(name)
