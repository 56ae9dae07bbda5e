"""The lessons, one table: a new one is a file, a line here, and a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from compression.language import marked
from pages.parts.lessons import order, prune, quantize, shrink, speed, store, unlearn
from pages.parts.lessons.kit import Desk


@dataclass(frozen=True)
class Lesson:
    """word: as it is called in the list and in links (small letters will do); word and title are
    shown by `tr`; minutes: that it takes; small, real: draw it on a matrix that one can see, and on
    a network; terms: of the glossary, that it teaches.
    """

    word: str
    title: str
    minutes: int
    small: Callable[[Desk], None]
    real: Callable[[Desk], None]
    terms: tuple[str, ...]


PRUNE = ("K", "threshold", "prune ratio", "sparsity", "saliency")
QUANTIZE = ("Q", "step", "levels", "fine-tuning", "straight-through")
SHRINK = ("K", "student", "teacher", "distillation", "baseline")
STORE = ("symbols", "entropy", "order-0", "Huffman code", "codebook", ".nnz", "bits per weight")
SPEED = ("MACs", "latency", "channel pruning", "low rank", "int8", "calibration")
ORDER = ("recipe", "step", "digest", "K", "Q")
UNLEARN = ("accuracy", "test split", "confidence interval", "McNemar's test", "occlusion")

LESSONS = (
    Lesson(marked("Prune"), marked("Keep the K largest weights"), 4,
           prune.small, prune.real, PRUNE),
    Lesson(marked("Quantize"), marked("Round to whole numbers, and back"), 6,
           quantize.small, quantize.real, QUANTIZE),
    Lesson(marked("Shrink"), marked("A student from the first K columns"), 6,
           shrink.small, shrink.real, SHRINK),
    Lesson(marked("Store"), marked("The file is not parameters times bits"), 5,
           store.small, store.real, STORE),
    Lesson(marked("Speed"), marked("Smaller is not faster"), 4,
           speed.small, speed.real, SPEED),
    Lesson(marked("Order"), marked("The order of steps matters"), 5,
           order.small, order.real, ORDER),
    Lesson(marked("Unlearn"), marked("The average hides what is lost"), 5,
           unlearn.small, unlearn.real, UNLEARN),
)  # fmt: skip
BY_WORD = {lesson.word: lesson for lesson in LESSONS}
