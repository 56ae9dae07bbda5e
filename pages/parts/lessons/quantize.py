"""Lesson: round(W*Q), then W/Q."""

from __future__ import annotations

import math

from compression import units
from compression.baselines import baseline
from compression.figures.guesses import Rung
from compression.figures.lessons import (
    Counts,
    Matrix,
    Rounded,
    draw_counts,
    draw_matrix,
    draw_number_line,
    draw_staircase,
)
from compression.language import marked, tr
from compression.lessons.real import rounding
from compression.lessons.small import WEIGHTS, rounded
from compression.quantization import FixedPointQuantization
from compression.training import FineTune
from pages.parts import single
from pages.parts.lessons.bars import accuracy_rung
from pages.parts.lessons.kit import Desk

ALONG_Q = (1, 2, 4, 8, 16, 32)
Q_HELP = marked("1/Q is the step between two levels.")


def small(desk: Desk) -> None:
    desk.say(tr("Multiply by Q and round: whole numbers, easy to store. Divide by Q to use them."))
    Q = desk.slider("q", "Q", 1, 16, 3, about=tr(Q_HELP))
    found = rounded(Q)
    desk.formula(r"W_q = \mathrm{round}(W Q), \quad W' = W_q / Q")
    guess = desk.guess_number(
        tr(
            "How many different whole numbers do the {weights} weights become with Q = {Q}?",
            weights=WEIGHTS,
            Q=Q,
        ),
        tr("My guess: different numbers"),
        WEIGHTS,
        about=dict(Q=Q),
        low=1,
    )
    first, second = desk.pair()
    blank = 1.0 if guess.locked else math.nan
    for place, title, rest, values, digits in (
        (first, "1  round(W·Q)", tr("what is stored"), found.whole, 0),
        (second, "2  W/Q", tr("what is used"), found.back, 2),
    ):
        desk.chart(
            draw_matrix(
                Matrix(
                    title,
                    rest if guess.locked else tr("guess first"),
                    values * blank,
                    "quantized",
                    digits=digits,
                ),  # fmt: skip
                desk.p,
                270,
            ),
            title,
            tr("Matrix: {rest}", rest=rest),
            place,
        )
    data = Rounded(found.W.flatten().tolist(), found.back.flatten().tolist(), Q, guess.locked)
    line, stairs = desk.pair()
    desk.chart(draw_number_line(data, desk.p, 200), "line", tr("Weights and their levels"), line)
    desk.chart(draw_staircase(data, desk.p, 200), "stairs", tr("W/Q against W"), stairs)
    rung = Rung("", "quantized", found.values, str(found.values))
    desk.judge(rung, tr("different whole numbers"), 36, "")
    desk.tell(
        tr(
            "No weight moves by more than 1/(2Q) = {bound:.3f}; here at most **{error:.3f}**. Q"
            " sets the step, not the bits: how many levels there are follows from the range of W,"
            " here {levels}, and {values} occur. Coded well, they need {bits:.1f} bits each, not"
            " {fixed}.",
            bound=found.bound,
            error=found.error,
            levels=found.levels,
            values=found.values,
            bits=found.bits,
            fixed=max(1, math.ceil(math.log2(found.levels))),
        )
    )


def real(desk: Desk) -> None:
    Q = desk.slider("levels_per_unit", "Q", 1, 32, 8, about=tr(Q_HELP))
    dense = baseline(desk.network, desk.dataset)
    recipe = dense.then(FixedPointQuantization(Q=Q))
    tuned = recipe.then(FineTune(epochs=1))
    desk.work.look_at_training([tuned])
    line = [(q, dense.then(FixedPointQuantization(Q=q))) for q in ALONG_Q]
    desk.work.want([recipe, dense, *(r for _, r in line if desk.stands)])
    found, before, after = desk.work.known(recipe), desk.work.known(dense), desk.work.known(tuned)
    right = units.percent(single.accuracy(before)) if before else "…"
    desk.say(
        tr(
            "{network} with floats gets {right} right. Now every weight is a multiple of 1/{Q}, and"
            " nothing is trained.",
            network=desk.title,
            right=right,
            Q=Q,
        )
    )
    desk.guess_number(
        tr("What share of the validation images does it get right with Q = {Q}?", Q=Q),
        tr("My guess: right answers"),
        100,
        unit=" %",
        about=dict(Q=Q),
    )
    desk.ladder(
        tr("Right answers"),
        tr("validation, 95 % intervals"),
        [
            accuracy_rung(tr("rounded"), "quantized", found),
            accuracy_rung(tr("trained on"), "quantized", after, tr("not trained yet")),
            accuracy_rung(tr("floats"), "dense", before),
        ],
        100,
        " %",
    )
    facts = desk.work.fact(rounding, recipe) if desk.guessed.locked else None
    if desk.guessed.locked:
        title, rest = tr("Accuracy by Q"), tr("nothing trained")
        desk.along(title, rest, "quantized", line, Q, ALONG_Q, log=True)
    if facts is not None:
        zeros = facts.counts[facts.numbers.index(0)] / sum(facts.counts)
        desk.chart(
            draw_counts(
                Counts(
                    tr("How often each whole number occurs"),
                    tr("0: {share} of them", share=units.percent(zeros, 0)),
                    facts.numbers,
                    facts.counts,
                ),
                desk.p,
                200,
            ),
            "counts",
            tr("How often each whole number occurs among the weights"),
        )
        desk.tell(
            tr(
                "The weights lie between {low} and {high}, so Q = {Q} gives **{levels} levels**, of"
                " which {occurring} occur. Coded, they need {bits:.2f} bits per weight.",
                low=_signed(facts.low),
                high=_signed(facts.high),
                Q=Q,
                levels=facts.levels,
                occurring=len(facts.numbers),
                bits=facts.bits,
            )
        )
    desk.tell(
        tr(
            "Quantized training sees the rounded weights in each step, and moves the floats behind"
            " them: the gradient passes the rounding as if it were not there. The second bar shows"
            " what one epoch of it makes of them."
        )
    )
    desk.train(tr("Train 1 epoch with rounding"))


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", units.MINUS)
