"""Lesson: the order of steps."""

from __future__ import annotations

import math

from compression import units
from compression.baselines import baseline
from compression.figures.guesses import Rung
from compression.figures.lessons import Matrix, draw_matrix
from compression.language import marked, tr
from compression.lessons.small import WEIGHTS, orders
from compression.pruning import MagnitudePruning
from compression.quantization import CodebookQuantization
from compression.recipe import Recipe
from compression.result import Result
from compression.training import FineTune
from pages.parts import cached
from pages.parts.lessons.bars import accuracy_rung
from pages.parts.lessons.kit import Desk
from pages.parts.lessons.prune import K_HELP
from pages.parts.lessons.quantize import Q_HELP

FIRST, SECOND = marked("Prune, then levels"), marked("Levels, then prune")
ANSWERS = (FIRST, SECOND, marked("No measurable difference"))


def small(desk: Desk) -> None:
    desk.say(
        tr("Keep the K largest, then round. Or round, then keep the K largest. The same steps.")
    )
    label = tr("Keep K of {weights}", weights=WEIGHTS)
    K = desk.slider("k", label, 1, WEIGHTS, 12, about=tr(K_HELP))
    Q = desk.slider("q", "Q", 1, 8, 2, about=tr(Q_HELP))
    found = orders(K, Q)
    differ = int(found.differ.sum())
    guess = desk.guess_number(
        tr("In how many of the {weights} cells do the two results differ?", weights=WEIGHTS),
        tr("My guess: cells"),
        WEIGHTS,
        about=dict(K=K, Q=Q),
    )
    blank = 1.0 if guess.locked else math.nan
    for place, key, title, values, error in zip(
        desk.pair(),
        ("Prune, then round", "Round, then prune"),
        (tr("Prune, then round"), tr("Round, then prune")),
        (found.pruned_first, found.rounded_first),
        found.errors,
        strict=True,
    ):
        measured = tr("squared error {error:.2f}", error=error)
        rest = measured if guess.locked else tr("guess first")
        desk.chart(
            draw_matrix(
                Matrix(
                    title,
                    rest,
                    values * blank,
                    "combined",
                    marked=found.differ if guess.locked else None,
                ),
                desk.p,
                320,
            ),
            key,
            tr("{title}: {rest}", title=title, rest=rest),
            place,
        )
    rung = Rung("", "combined", differ, str(differ))
    desk.judge(rung, tr("cells that differ (rims)"), WEIGHTS, "")
    desk.tell(
        tr(
            "After rounding, **{tied} weights** have the size of the smallest that stays: which of"
            " them were larger is forgotten, and the first ones are kept. Who prunes first still"
            " knows. Squared error {first:.2f} against {second:.2f}.",
            tied=found.tied,
            first=found.errors[0],
            second=found.errors[1],
        )
    )


def real(desk: Desk) -> None:
    percent = desk.slider("order_share", tr("Prune ratio"), 50, 98, 90, 1, format="%d %%")
    levels = desk.slider("order_levels", tr("Levels"), 2, 32, 4)
    dense = baseline(desk.network, desk.dataset)
    prune, share = MagnitudePruning(sparsity=percent / 100), CodebookQuantization(levels=levels)
    tune = FineTune(epochs=1)
    first, second = dense.then(prune, share), dense.then(share, prune)
    between, behind = dense.then(prune, tune, share), dense.then(prune, share, tune)
    desk.work.look_at_training([behind, between])
    desk.work.want([first, second, dense])
    desk.say(
        tr(
            "{network} pruned by {percent} % and with {levels} levels a layer, in both orders;"
            " nothing is trained.",
            network=desk.title,
            percent=percent,
            levels=levels,
        )
    )
    guess = desk.guess_word(
        tr("Which order gives the more accurate network?"),
        tr("My guess"),
        ANSWERS,
        about=dict(percent=percent, levels=levels),
    )
    rungs = [
        (tr("prune, levels"), first, "…"),
        (tr("levels, prune"), second, "…"),
        (tr("prune, tune, levels"), between, tr("not trained yet")),
        (tr("prune, levels, tune"), behind, tr("not trained yet")),
        (tr("dense"), dense, "…"),
    ]
    desk.ladder(
        tr("Right answers"),
        tr("validation, 95 % intervals"),
        [
            accuracy_rung(label, "dense" if r == dense else "combined", desk.work.known(r), empty)
            for label, r, empty in rungs
        ],
        100,
        " %",
    )
    if not guess.locked:
        return
    truth = _truth(desk, first, second)
    known = desk.work.known(first), desk.work.known(second)
    if truth and known[0] and known[1]:
        own = tr(str(guess.value))
        sizes = [units.size(k.cost.bytes, not k.weighed) for k in known if k]
        desk.tell(
            tr(
                "{verdict} It is: **{truth}**, tested on the same images. The files have {first}"
                " and {second}: levels that are chosen before pruning are spent on weights that"
                " go.",
                verdict=tr("You guessed it.")
                if guess.value == truth
                else tr("You guessed: {guess}.", guess=own),
                truth=tr(truth),
                first=sizes[0],
                second=sizes[1],
            )
        )
    elif not desk.work.engine.failure(desk.work.asks[1]):
        desk.tell(tr("Measuring both."))
    desk.tell(
        tr("Training may stand between the steps or behind them: one epoch each, side by side.")
    )
    desk.train(tr("Train both"))


def _truth(desk: Desk, first: Recipe, second: Recipe) -> str:
    """The right answer, once both are stored; empty before."""
    found = [desk.work.known(r) for r in (first, second)]
    if not all(isinstance(f, Result) for f in found):
        return ""
    change = cached.change(first.digest, second.digest, desk.dataset, "validation")
    if change is None:
        return ""
    if change.within_noise:
        return ANSWERS[2]
    return SECOND if change.difference > 0 else FIRST
