"""Lesson: the order of steps."""

from __future__ import annotations

import math

from compression import units
from compression.baselines import baseline
from compression.figures.guesses import Rung
from compression.figures.lessons import Matrix, draw_matrix
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

FIRST, SECOND = "Prune, then levels", "Levels, then prune"
ANSWERS = (FIRST, SECOND, "No measurable difference")


def small(desk: Desk) -> None:
    desk.say("Keep the K largest, then round. Or round, then keep the K largest. The same steps.")
    K = desk.slider("k", f"Keep K of {WEIGHTS}", 1, WEIGHTS, 12, about=K_HELP)
    Q = desk.slider("q", "Q", 1, 8, 2, about=Q_HELP)
    found = orders(K, Q)
    differ = int(found.differ.sum())
    guess = desk.guess_number(
        f"In how many of the {WEIGHTS} cells do the two results differ?",
        "My guess: cells",
        WEIGHTS,
        about=f"K = {K}, Q = {Q}",
    )
    blank = 1.0 if guess.locked else math.nan
    for place, title, values, error in zip(
        desk.pair(),
        ("Prune, then round", "Round, then prune"),
        (found.pruned_first, found.rounded_first),
        found.errors,
        strict=True,
    ):
        rest = f"squared error {error:.2f}" if guess.locked else "guess first"
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
            title,
            f"{title}: {rest}",
            place,
        )
    desk.judge(Rung("", "combined", differ, str(differ)), "cells that differ (rims)", WEIGHTS, "")
    desk.tell(
        f"After rounding, **{found.tied} weights** have the size of the smallest that stays: which"
        " of them were larger is forgotten, and the first ones are kept. Who prunes first still"
        f" knows. Squared error {found.errors[0]:.2f} against {found.errors[1]:.2f}."
    )


def real(desk: Desk) -> None:
    percent = desk.slider("order_share", "Prune ratio", 50, 98, 90, 1, format="%d %%")
    levels = desk.slider("order_levels", "Levels", 2, 32, 4)
    dense = baseline(desk.network, desk.dataset)
    prune, share = MagnitudePruning(sparsity=percent / 100), CodebookQuantization(levels=levels)
    tune = FineTune(epochs=1)
    first, second = dense.then(prune, share), dense.then(share, prune)
    between, behind = dense.then(prune, tune, share), dense.then(prune, share, tune)
    desk.work.look_at_training([behind, between])
    desk.work.want([first, second, dense])
    desk.say(
        f"{desk.title} pruned by {percent} % and with {levels} levels a layer, in both"
        " orders; nothing is trained."
    )
    guess = desk.guess_word(
        "Which order gives the more accurate network?", "My guess", ANSWERS,
        about=f"{percent} %, {levels} levels",
    )  # fmt: skip
    rungs = [
        ("prune, levels", first, "…"),
        ("levels, prune", second, "…"),
        ("prune, tune, levels", between, "not trained yet"),
        ("prune, levels, tune", behind, "not trained yet"),
        ("dense", dense, "…"),
    ]
    desk.ladder(
        "Right answers",
        "validation, 95 % intervals",
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
        right = "You guessed it" if guess.value == truth else f"You guessed: {guess.value}"
        sizes = [units.size(k.cost.bytes, not k.weighed) for k in known if k]
        desk.tell(
            f"{right}. It is: **{truth}**, tested on the same images. The files have {sizes[0]} and"
            f" {sizes[1]}: levels that are chosen before pruning are spent on weights that go."
        )
    elif not desk.work.engine.failure(desk.work.asks[1]):
        desk.tell("Measuring both.")
    desk.tell("Training may stand between the steps or behind them: one epoch each, side by side.")
    desk.train("Train both")


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
