"""Lesson: keep the K largest."""

from __future__ import annotations

import math

from compression import figures, units
from compression.baselines import baseline
from compression.data import DATASETS
from compression.figures.guesses import Rung
from compression.figures.lessons import Matrix, Ranking, draw_matrix, draw_ranking
from compression.language import marked, tr
from compression.lessons.real import squared_share
from compression.lessons.small import WEIGHTS, pruned
from compression.pruning import MagnitudePruning, RandomPruning
from compression.recipe import Recipe, kept
from compression.sweep import coarse_to_fine, sparsity_curve
from pages.parts import single
from pages.parts.lessons.bars import accuracy_rung
from pages.parts.lessons.kit import Desk

K_HELP = marked("The threshold t is the size of the smallest of them.")


def small(desk: Desk) -> None:
    desk.say(tr("A weight near zero hardly changes the sum that a unit makes, so it can go."))
    label = tr("Keep K of {weights}", weights=WEIGHTS)
    K = desk.slider("k", label, 1, WEIGHTS, 9, about=tr(K_HELP))
    found = pruned(K)
    desk.formula(r"W' = W \odot [\,|W| \geq t\,]")
    guess = desk.guess_number(
        tr(
            "What share of the squared sum of all weights stays if {gone} of {weights} go?",
            gone=WEIGHTS - K,
            weights=WEIGHTS,
        ),
        tr("My guess: share that stays"),
        100,
        unit=" %",
        about=dict(K=K),
    )
    before, after = desk.pair()
    desk.chart(
        draw_matrix(Matrix("W", tr("stronger: larger"), found.W), desk.p, 290),
        "before",
        tr("A matrix of {weights} weights", weights=WEIGHTS),
        before,
    )
    kept_words = tr("{K} weights kept", K=K)
    desk.chart(
        draw_matrix(
            Matrix(
                "W′",
                kept_words if guess.locked else tr("guess first, then run"),
                found.kept if guess.locked else found.kept * math.nan,
                "pruned",
            ),
            desk.p,
            290,
        ),
        "after",
        tr("The same matrix, {kept}", kept=kept_words)
        if guess.locked
        else tr("Not shown before the guess"),
        after,
    )
    ranking = Ranking(found.sizes, K if guess.locked else None, found.threshold)
    desk.chart(
        draw_ranking(ranking, desk.p, 180), "ranking", tr("The weights by size, and the threshold")
    )
    share = 100 * found.share
    desk.judge(
        Rung("", "pruned", share, units.percent(found.share, 0)),
        tr("stays of the squared sum"),
        100,
        " %",
    )
    desk.tell(
        tr(
            "{K} of {weights} weights carry **{share}** of the squared sum: a few large ones do"
            " most of the work. Move K and see.",
            K=K,
            weights=WEIGHTS,
            share=units.percent(found.share, 0),
        )
    )


def real(desk: Desk) -> None:
    percent = desk.slider("share", tr("Prune ratio"), 50, 98, 80, 1, format="%d %%")
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
        tr(
            "{network} gets {right} of the {dataset} validation images right. Now its smallest"
            " weights go, all layers compared with each other; nothing is trained.",
            network=desk.title,
            right=right,
            dataset=DATASETS[desk.dataset].title,
        )
    )
    desk.guess_number(
        tr(
            "What share of the images does it get right with {percent} % of the weights at zero?",
            percent=percent,
        ),
        tr("My guess: right answers"),
        100,
        unit=" %",
        about=dict(percent=percent),
    )
    rung = accuracy_rung("", "pruned", found)
    desk.judge(rung, tr("right answers, validation"), 100, " %")
    if not desk.guessed.locked:
        return
    data = figures.Curve(
        *spots(desk, lines[0]),
        *spots(desk, lines[1]),
        tr("by chance"),
        percent,
        figures.spot(found, "validation") if found else None,
    )
    desk.right.markdown(tr("**Accuracy by prune ratio**"))
    desk.chart(
        figures.draw_curve(data, desk.p, 330),
        "curve",
        tr("Accuracy against prune ratio, by size and by chance"),
    )
    share = desk.work.fact(squared_share, recipe)
    if found and share is not None:
        desk.tell(
            tr(
                "**K = {K}** of {weights} weights are left. They carry {share} of the squared sum."
                " Dashed: as many weights, chosen by chance.",
                K=units.grouped(kept(found.cost.weights, percent / 100)),
                weights=units.grouped(found.cost.weights),
                share=units.percent(share, 0),
            )
        )


def spots(desk: Desk, line: list[tuple[float, Recipe]]) -> tuple[list[float], list[figures.Spot]]:
    """What is known of a line: percent of zeros, and the spots."""
    known = [(100 * s, desk.work.known(r)) for s, r in line]
    pairs = [(x, figures.spot(f, "validation")) for x, f in known if f is not None]
    return [x for x, _ in pairs], [s for _, s in pairs]
