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
from compression.lessons.real import rounding
from compression.lessons.small import WEIGHTS, rounded
from compression.quantization import FixedPointQuantization
from compression.training import FineTune
from pages.parts import single
from pages.parts.lessons.bars import accuracy_rung
from pages.parts.lessons.kit import Desk

ALONG_Q = (1, 2, 4, 8, 16, 32)
Q_HELP = "1/Q is the step between two levels."


def small(desk: Desk) -> None:
    desk.say("Multiply by Q and round: whole numbers, easy to store. Divide by Q to use them.")
    Q = desk.slider("q", "Q", 1, 16, 3, about=Q_HELP)
    found = rounded(Q)
    desk.formula(r"W_q = \mathrm{round}(W Q), \quad W' = W_q / Q")
    guess = desk.guess_number(
        f"How many different whole numbers do the {WEIGHTS} weights become with Q = {Q}?",
        "My guess: different numbers",
        WEIGHTS,
        about=f"Q = {Q}",
        low=1,
    )
    first, second = desk.pair()
    blank = 1.0 if guess.locked else math.nan
    for place, title, rest, values, digits in (
        (first, "1  round(W·Q)", "what is stored", found.whole, 0),
        (second, "2  W/Q", "what is used", found.back, 2),
    ):
        desk.chart(
            draw_matrix(
                Matrix(
                    title,
                    rest if guess.locked else "guess first",
                    values * blank,
                    "quantized",
                    digits=digits,
                ),  # fmt: skip
                desk.p,
                270,
            ),
            title,
            f"Matrix: {rest}",
            place,
        )
    data = Rounded(found.W.flatten().tolist(), found.back.flatten().tolist(), Q, guess.locked)
    line, stairs = desk.pair()
    desk.chart(draw_number_line(data, desk.p, 200), "line", "Weights and their levels", line)
    desk.chart(draw_staircase(data, desk.p, 200), "stairs", "W/Q against W", stairs)
    desk.judge(
        Rung("", "quantized", found.values, str(found.values)), "different whole numbers", 36, ""
    )
    desk.tell(
        f"No weight moves by more than 1/(2Q) = {found.bound:.3f}; here at most"
        f" **{found.error:.3f}**. Q sets the step, not the bits: how many levels there are follows"
        f" from the range of W, here {found.levels}, and {found.values} occur. Coded well, they"
        f" need {found.bits:.1f} bits each, not {max(1, math.ceil(math.log2(found.levels)))}."
    )


def real(desk: Desk) -> None:
    Q = desk.slider("levels_per_unit", "Q", 1, 32, 8, about=Q_HELP)
    dense = baseline(desk.network, desk.dataset)
    recipe = dense.then(FixedPointQuantization(Q=Q))
    tuned = recipe.then(FineTune(epochs=1))
    desk.work.look_at_training([tuned])
    line = [(q, dense.then(FixedPointQuantization(Q=q))) for q in ALONG_Q]
    desk.work.want([recipe, dense, *(r for _, r in line if desk.stands)])
    found, before, after = desk.work.known(recipe), desk.work.known(dense), desk.work.known(tuned)
    right = units.percent(single.accuracy(before)) if before else "…"
    desk.say(
        f"{desk.title} with floats gets {right} right. Now every weight is a multiple of"
        f" 1/{Q}, and nothing is trained."
    )
    desk.guess_number(
        f"What share of the validation images does it get right with Q = {Q}?",
        "My guess: right answers",
        100,
        unit=" %",
        about=f"Q = {Q}",
    )
    desk.ladder(
        "Right answers",
        "validation, 95 % intervals",
        [
            accuracy_rung("rounded", "quantized", found),
            accuracy_rung("trained on", "quantized", after, "not trained yet"),
            accuracy_rung("floats", "dense", before),
        ],
        100,
        " %",
    )
    facts = desk.work.fact(rounding, recipe) if desk.guessed.locked else None
    if desk.guessed.locked:
        desk.along("Accuracy by Q", "nothing trained", "quantized", line, Q, ALONG_Q, log=True)
    if facts is not None:
        zeros = facts.counts[facts.numbers.index(0)] / sum(facts.counts)
        desk.chart(
            draw_counts(
                Counts(
                    "How often each whole number occurs",
                    f"0: {units.percent(zeros, 0)} of them",
                    facts.numbers,
                    facts.counts,
                ),
                desk.p,
                200,
            ),
            "counts",
            "How often each whole number occurs among the weights",
        )
        desk.tell(
            f"The weights lie between {_signed(facts.low)} and {_signed(facts.high)}, so Q = {Q}"
            f" gives **{facts.levels} levels**, of which {len(facts.numbers)} occur. Coded, they"
            f" need {facts.bits:.2f} bits per weight."
        )
    desk.tell(
        "Quantized training sees the rounded weights in each step, and moves the floats behind"
        " them: the gradient passes the rounding as if it were not there. The second bar shows"
        " what one epoch of it makes of them."
    )
    desk.train("Train 1 epoch with rounding")


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", units.MINUS)
