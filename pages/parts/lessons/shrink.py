"""Lesson: W_small = W_large(:,1:K), then train."""

from __future__ import annotations

from compression import units
from compression.baselines import baseline
from compression.distillation import Distill
from compression.figures.lessons import Matrix, draw_matrix
from compression.language import marked, tr
from compression.lessons.small import SIDE, cut
from compression.networks import NETWORKS
from pages.parts import cached
from pages.parts.lessons.bars import accuracy_rung
from pages.parts.lessons.kit import Desk

ALONG = (10, 20, 30, 40, 50, 60, 70, 80, 90)
ANSWERS = (marked("The last rows"), marked("The last columns"), marked("Nothing"))


def small(desk: Desk) -> None:
    desk.say(
        tr(
            "Two layers, one behind the other: the first makes six hidden units, the second reads"
            " them. The student keeps the first K columns of the second: it reads only K units."
        )
    )
    label = tr("Keep K of {side} units", side=SIDE)
    K = desk.slider("units", label, 1, SIDE, 3, about=tr("Here hidden units."))
    found = cut(K)
    desk.formula(r"W_\mathrm{small} = W_\mathrm{large}(:, 1{:}K)")
    guess = desk.guess_word(
        tr("What must go from the layer before?"), tr("My guess"), ANSWERS, about=dict(K=K)
    )
    known = guess.locked
    before, behind = desk.pair()
    gone = found.before.shape[0] - K
    rows, columns = found.before * 0 != 0, found.behind * 0 != 0
    rows[K:], columns[:, K:] = known, True
    desk.chart(
        draw_matrix(
            Matrix(
                tr("The layer before"),
                tr("{n} rows go", n=gone) if known else tr("rows make units; what goes?"),
                found.before,
                "distilled" if known else "dense",
                cut=rows,
            ),
            desk.p,
            300,
        ),
        "before",
        tr("Weights of the layer before, the rows that go struck out")
        if known
        else tr("Its weights"),
        before,
    )
    rest = tr("{n} columns go", n=gone)
    desk.chart(
        draw_matrix(
            Matrix("W_large(:, 1:K)", rest, found.behind, "distilled", cut=columns), desk.p, 300
        ),
        "behind",
        tr("Weights of this layer, the columns that go struck out"),
        behind,
    )
    if known:
        own = tr(str(guess.value)).lower()
        wrong = tr("You guessed: {guess}.", guess=own)
        desk.tell(
            tr(
                "{verdict} A row makes a unit, a column reads one: **the last {gone} rows** make"
                " units that nobody reads any more. {left} of {all} weights are left.",
                verdict=tr("Right.") if guess.value == ANSWERS[0] else wrong,
                gone=gone,
                left=found.left,
                all=2 * SIDE * SIDE,
            )
        )
        answers = (
            ("answer-all", tr("Answer of all six units"), found.large),
            ("answer-few", tr("Answer of {K} units", K=K), found.small),
        )
        for place, (key, title, values) in zip(desk.pair(), answers, strict=True):
            numbers = ", ".join(f"{v:.2f}" for v in values)
            desk.chart(
                draw_matrix(Matrix(title, tr("to one input"), values[None, :]), desk.p, 92),
                key,
                tr("{title}: {rest}", title=title, rest=numbers),
                place,
            )
        desk.tell(
            tr("The answers are not the same: that is why the student is trained afterwards.")
        )


def real(desk: Desk) -> None:
    percent = desk.slider("kept", tr("Student size"), 10, 90, 30, 5, format="%d %%")
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
    sizes = [f"{n} → {max(1, round(percent / 100 * n))}" for n in hidden[:3]]
    desk.say(
        tr(
            "A student of {network} keeps the first {percent} % of the units of each layer:"
            " {sizes}. Their weights are the teacher's own.",
            network=desk.title,
            percent=percent,
            sizes=tr(", ").join([*sizes, "…"] if len(hidden) > 3 else sizes),
        )
    )
    desk.guess_number(
        tr("What share of the validation images does it get right before any training?"),
        tr("My guess: right answers"),
        100,
        unit=" %",
        about=dict(percent=percent),
    )
    with_teacher, without = desk.work.known(taught), desk.work.known(alone)
    desk.ladder(
        tr("Right answers"),
        tr("validation, 95 % intervals"),
        [
            accuracy_rung(tr("only cut"), "distilled", found),
            accuracy_rung(tr("3 epochs alone"), "distilled", without, tr("not trained yet")),
            accuracy_rung(tr("3 with teacher"), "distilled", with_teacher, tr("not trained yet")),
            accuracy_rung(tr("the teacher"), "dense", teacher),
        ],
        100,
        " %",
    )
    if desk.guessed.locked:
        title, rest = tr("Accuracy by student size"), tr("only cut")
        desk.along(title, rest, "distilled", line, percent, ALONG, " %")
    if found:
        desk.tell(
            tr(
                "The student has **{params}** of {all} parameters, and its units read what they"
                " always read, from fewer of their neighbours.",
                params=units.quantity(found.cost.params),
                all=units.quantity(teacher.cost.params) if teacher else "…",
            )
        )
    if with_teacher and without:
        desk.tell(_difference(desk, alone.digest, taught.digest))
    else:
        desk.tell(
            tr(
                "Now train it twice: with the labels alone, and with the teacher's answers, which"
                " say how alike the classes look."
            )
        )
    desk.train(tr("Train both students"))


def _difference(desk: Desk, alone: str, taught: str) -> str:
    """Whether the teacher helped, tested on the same images."""
    change = cached.change(alone, taught, desk.dataset, "validation")
    if change is None:
        return ""
    if change.within_noise:
        return tr("Trained, **the teacher makes no measurable difference** here.")
    points = abs(100 * change.difference)
    if change.difference > 0:
        return tr(
            "Trained with its teacher, the student has **{points:.1f} points more** than alone, on"
            " the same images.",
            points=points,
        )
    return tr(
        "Trained with its teacher, the student has **{points:.1f} points fewer** than alone, on the"
        " same images.",
        points=points,
    )
