"""Lesson: keep the K largest."""

from __future__ import annotations

import math

from compression import figures, units
from compression.baselines import baseline
from compression.data import DATASETS
from compression.figures.guesses import Rung
from compression.figures.lessons import Matrix, Ranking, draw_matrix, draw_ranking
from compression.lessons.real import squared_share
from compression.lessons.small import WEIGHTS, pruned
from compression.pruning import MagnitudePruning, RandomPruning
from compression.recipe import Recipe, kept
from compression.sweep import coarse_to_fine, sparsity_curve
from pages.parts import single
from pages.parts.lessons.bars import accuracy_rung
from pages.parts.lessons.kit import Desk

K_HELP = "The threshold t is the size of the smallest of them."


def small(desk: Desk) -> None:
    desk.say("A weight near zero hardly changes the sum that a unit makes, so it can go.")
    K = desk.slider("k", f"Keep K of {WEIGHTS}", 1, WEIGHTS, 9, about=K_HELP)
    found = pruned(K)
    desk.formula(r"W' = W \odot [\,|W| \geq t\,]")
    guess = desk.guess_number(
        f"What share of the squared sum of all weights stays if {WEIGHTS - K} of {WEIGHTS} go?",
        "My guess: share that stays",
        100,
        unit=" %",
        about=f"K = {K}",
    )
    before, after = desk.pair()
    desk.chart(
        draw_matrix(Matrix("W", "stronger: larger", found.W), desk.p, 290),
        "before",
        f"A matrix of {WEIGHTS} weights",
        before,
    )
    kept_words = f"{K} weights kept"
    desk.chart(
        draw_matrix(
            Matrix(
                "W′",
                kept_words if guess.locked else "guess first, then run",
                found.kept if guess.locked else found.kept * math.nan,
                "pruned",
            ),
            desk.p,
            290,
        ),
        "after",
        f"The same matrix, {kept_words}" if guess.locked else "Not shown before the guess",
        after,
    )
    ranking = Ranking(found.sizes, K if guess.locked else None, found.threshold)
    desk.chart(
        draw_ranking(ranking, desk.p, 180), "ranking", "The weights by size, and the threshold"
    )
    share = 100 * found.share
    desk.judge(
        Rung("", "pruned", share, units.percent(found.share, 0)),
        "stays of the squared sum",
        100,
        " %",
    )
    desk.tell(
        f"{K} of {WEIGHTS} weights carry **{units.percent(found.share, 0)}** of the squared sum:"
        " a few large ones do most of the work. Move K and see."
    )


def real(desk: Desk) -> None:
    percent = desk.slider("share", "Prune ratio", 50, 98, 80, 1, format="%d %%")
    dense = baseline(desk.network, desk.dataset)
    recipe = dense.then(MagnitudePruning(sparsity=percent / 100))
    lines = [
        sparsity_curve(recipe, len(dense.steps), step)
        for step in (MagnitudePruning(), RandomPruning())
    ]
    order = coarse_to_fine(len(lines[0]))
    desk.work.want([recipe, dense, *(line[i][1] for i in order for line in lines if desk.stands)])
    found, before = desk.work.known(recipe), desk.work.known(dense)
    right = units.percent(single.accuracy(before)) if before else "…"
    desk.say(
        f"{desk.title} gets {right} of the {DATASETS[desk.dataset].title} validation images right."
        " Now its smallest weights go, all layers compared with each other; nothing is trained."
    )
    desk.guess_number(
        f"What share of the images does it get right with {percent} % of the weights at zero?",
        "My guess: right answers",
        100,
        unit=" %",
        about=f"{percent} %",
    )
    rung = accuracy_rung("", "pruned", found)
    desk.judge(rung, "right answers, validation", 100, " %")
    if not desk.guessed.locked:
        return
    data = figures.Curve(
        *spots(desk, lines[0]),
        *spots(desk, lines[1]),
        "by chance",
        percent,
        figures.spot(found, "validation") if found else None,
    )
    desk.right.markdown("**Accuracy by prune ratio**")
    desk.chart(
        figures.draw_curve(data, desk.p, 330),
        "curve",
        "Accuracy against prune ratio, by size and by chance",
    )
    share = desk.work.fact(squared_share, recipe)
    if found and share is not None:
        desk.tell(
            f"**K = {units.grouped(kept(found.cost.weights, percent / 100))}** of"
            f" {units.grouped(found.cost.weights)} weights are left. They carry"
            f" {units.percent(share, 0)} of the squared sum. Dashed: as many weights, chosen by"
            " chance."
        )


def spots(desk: Desk, line: list[tuple[float, Recipe]]) -> tuple[list[float], list[figures.Spot]]:
    """What is known of a line: percent of zeros, and the spots."""
    known = [(100 * s, desk.work.known(r)) for s, r in line]
    pairs = [(x, figures.spot(f, "validation")) for x, f in known if f is not None]
    return [x for x, _ in pairs], [s for _, s in pairs]
