"""Lesson: W_small = W_large(:,1:K), then train."""

from __future__ import annotations

from compression import units
from compression.baselines import baseline
from compression.distillation import Distill
from compression.figures.lessons import Matrix, draw_matrix
from compression.lessons.small import SIDE, cut
from compression.networks import NETWORKS
from pages.parts import cached
from pages.parts.lessons.bars import accuracy_rung
from pages.parts.lessons.kit import Desk

ALONG = (10, 20, 30, 40, 50, 60, 70, 80, 90)
ANSWERS = ("The last rows", "The last columns", "Nothing")


def small(desk: Desk) -> None:
    desk.say(
        "Two layers, one behind the other: the first makes six hidden units, the second reads"
        " them. The student keeps the first K columns of the second: it reads only K units."
    )
    K = desk.slider("units", f"Keep K of {SIDE} units", 1, SIDE, 3, about="Here hidden units.")
    found = cut(K)
    desk.formula(r"W_\mathrm{small} = W_\mathrm{large}(:, 1{:}K)")
    guess = desk.guess_word(
        "What must go from the layer before?", "My guess", ANSWERS, about=f"K = {K}"
    )
    known = guess.locked
    before, behind = desk.pair()
    gone = found.before.shape[0] - K
    rows, columns = found.before * 0 != 0, found.behind * 0 != 0
    rows[K:], columns[:, K:] = known, True
    desk.chart(
        draw_matrix(
            Matrix(
                "The layer before",
                f"{gone} rows go" if known else "rows make units; what goes?",
                found.before,
                "distilled" if known else "dense",
                cut=rows,
            ),
            desk.p,
            300,
        ),
        "before",
        "Weights of the layer before, the rows that go struck out" if known else "Its weights",
        before,
    )
    desk.chart(
        draw_matrix(
            Matrix("W_large(:, 1:K)", f"{gone} columns go", found.behind, "distilled", cut=columns),
            desk.p,
            300,
        ),
        "behind",
        "Weights of this layer, the columns that go struck out",
        behind,
    )
    if known:
        right = "Right" if guess.value == ANSWERS[0] else f"You guessed: {guess.value.lower()}"  # type: ignore[union-attr]
        desk.tell(
            f"{right}. A row makes a unit, a column reads one: **the last {gone} rows** make units"
            f" that nobody reads any more. {found.left} of {2 * SIDE * SIDE} weights are left."
        )
        answers = ("Answer of all six units", found.large), (f"Answer of {K} units", found.small)
        for place, (title, values) in zip(desk.pair(), answers, strict=True):
            desk.chart(
                draw_matrix(Matrix(title, "to one input", values[None, :]), desk.p, 92),
                title,
                f"{title}: {', '.join(f'{v:.2f}' for v in values)}",
                place,
            )
        desk.tell("The answers are not the same: that is why the student is trained afterwards.")


def real(desk: Desk) -> None:
    percent = desk.slider("kept", "Student size", 10, 90, 30, 5, format="%d %%")
    dense = baseline(desk.network, desk.dataset)
    student = Distill(width=percent / 100, epochs=0)
    cut_only = dense.then(student)
    alone = dense.then(student.changed(epochs=3, alpha=0.0))
    taught = dense.then(student.changed(epochs=3))
    desk.work.look_at_training([taught, alone])
    line = [(w, dense.then(student.changed(width=w / 100))) for w in ALONG]
    desk.work.want([cut_only, dense, *(r for _, r in line if desk.stands)])
    found, teacher = desk.work.known(cut_only), desk.work.known(dense)
    hidden = NETWORKS[desk.network].hidden
    sizes = ", ".join(f"{n} → {max(1, round(percent / 100 * n))}" for n in hidden[:3])
    desk.say(
        f"A student of {desk.title} keeps the first {percent} % of the units of each layer:"
        f" {sizes}{', …' if len(hidden) > 3 else ''}. Their weights are the teacher's own."
    )
    desk.guess_number(
        "What share of the validation images does it get right before any training?",
        "My guess: right answers",
        100,
        unit=" %",
        about=f"{percent} %",
    )
    with_teacher, without = desk.work.known(taught), desk.work.known(alone)
    desk.ladder(
        "Right answers",
        "validation, 95 % intervals",
        [
            accuracy_rung("only cut", "distilled", found),
            accuracy_rung("3 epochs alone", "distilled", without, "not trained yet"),
            accuracy_rung("3 with teacher", "distilled", with_teacher, "not trained yet"),
            accuracy_rung("the teacher", "dense", teacher),
        ],
        100,
        " %",
    )
    if desk.guessed.locked:
        desk.along("Accuracy by student size", "only cut", "distilled", line, percent, ALONG, " %")
    if found:
        desk.tell(
            f"The student has **{units.quantity(found.cost.params)}** of"
            f" {units.quantity(teacher.cost.params) if teacher else '…'} parameters, and its units"
            " read what they always read, from fewer of their neighbours."
        )
    if with_teacher and without:
        desk.tell(_difference(desk, alone.digest, taught.digest))
    else:
        desk.tell(
            "Now train it twice: with the labels alone, and with the teacher's answers, which say"
            " how alike the classes look."
        )
    desk.train("Train both students")


def _difference(desk: Desk, alone: str, taught: str) -> str:
    """Whether the teacher helped, tested on the same images."""
    change = cached.change(alone, taught, desk.dataset, "validation")
    if change is None:
        return ""
    if change.within_noise:
        return "Trained, **the teacher makes no measurable difference** here."
    word = "more" if change.difference > 0 else "fewer"
    return (
        f"Trained with its teacher, the student has **{abs(100 * change.difference):.1f} points"
        f" {word}** than alone, on the same images."
    )
