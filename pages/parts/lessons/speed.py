"""Lesson: smaller is not faster."""

from __future__ import annotations

import math

from compression import units
from compression.baselines import baseline
from compression.channels import ChannelPruning
from compression.figures.guesses import Rung
from compression.figures.lessons import Matrix, draw_matrix
from compression.language import tr
from compression.lessons.real import Speed, speeds
from compression.lessons.small import SIDE, WEIGHTS, counted
from compression.pruning import MagnitudePruning
from compression.recipe import steps_text
from pages.parts.lessons.kit import Desk


def small(desk: Desk) -> None:
    desk.say(
        tr(
            "Two ways to make a matrix smaller: set weights to zero wherever they are, or take"
            " whole columns out. Either leaves as many weights."
        )
    )
    label = tr("Columns of {side} that stay", side=SIDE)
    K = desk.slider("columns", label, 1, SIDE, 3, about=tr("Of the second one."))
    found = counted(K)
    left = K * SIDE
    guess = desk.guess_number(
        tr(
            "How many multiply-adds does a plain matrix product do with the first one, where {gone}"
            " of {weights} weights are zero?",
            gone=WEIGHTS - left,
            weights=WEIGHTS,
        ),
        tr("My guess: multiply-adds"),
        WEIGHTS,
        about=dict(columns=K),
    )
    zeros, narrow = desk.pair()
    rest = tr("{n} weights left", n=left)
    desk.chart(
        draw_matrix(Matrix(tr("With zeros"), rest, found.zeros, "pruned"), desk.p, 300),
        "zeros",
        tr("A matrix with {n} zeros", n=WEIGHTS - left),
        zeros,
    )
    cut = found.zeros * 0 != 0
    cut[:, K:] = True
    whole = found.zeros * 0.0
    whole[:, :K] = found.narrow
    desk.chart(
        draw_matrix(Matrix(tr("With columns cut"), rest, whole, "distilled", cut=cut), desk.p, 300),
        "narrow",
        tr("A matrix of {n} columns", n=K),
        narrow,
    )
    desk.ladder(
        tr("Multiply-adds, counted"),
        "",
        [
            Rung(tr("with zeros"), "pruned", found.by_zeros, str(found.by_zeros)),
            Rung(tr("columns cut"), "distilled", found.by_narrow, str(found.by_narrow)),
        ],
        WEIGHTS,
        "",
    )
    if guess.locked:
        desk.tell(
            tr(
                "**{zeros}**: a plain product does not look whether a weight is zero, it multiplies"
                " it. Fewer columns are really fewer: {narrow}.",
                zeros=found.by_zeros,
                narrow=found.by_narrow,
            )
        )


def real(desk: Desk) -> None:
    percent = desk.slider(
        "faster", tr("Share that goes"), 30, 90, 70, 5, format="%d %%",
        about=tr("Of the weights, as zeros; or of the channels and hidden units, taken out."),
    )  # fmt: skip
    dense = baseline(desk.network, desk.dataset)
    zeros = dense.then(MagnitudePruning(sparsity=percent / 100))
    narrow = dense.then(ChannelPruning(ratio=percent / 100))
    desk.work.want([zeros, narrow, dense])
    desk.say(
        tr(
            "{network} three times, in ONNX Runtime on this server, one image after the other: as"
            " it is, with {percent} % of the weights at zero, with {percent} % of the channels"
            " out.",
            network=desk.title,
            percent=percent,
        )
    )
    guess = desk.guess_number(
        tr("How long does the one with zeros take, in percent of the dense one?"),
        tr("My guess: percent of its time"),
        150,
        unit=" %",
        about=dict(percent=percent),
        ready=desk.work.engine.ready,
    )
    texts = tuple(steps_text(r.steps[len(dense.steps) :]) for r in (zeros, narrow))
    found: tuple[Speed, ...] | None = desk.work.fact(speeds, dense, texts) if guess.locked else None
    names = (
        (tr("with zeros"), "pruned", 1),
        (tr("channels cut"), "distilled", 2),
        (tr("dense"), "dense", 0),
    )
    share = 100 * found[1].median / found[0].median if found else None
    desk.judge(
        Rung("", "pruned", share, f"{share:.0f} %" if share else "…"),
        tr("of the dense one's time"),
        150,
        " %",
    )
    rungs = [Rung(label, family, None, "…") for label, family, _ in names]
    top, unit, scale = 1.0, " ms", 1.0
    if found:
        scale, unit = (1.0, " ms") if found[0].median >= 1 else (1_000.0, " µs")
        slowest = scale * max(s.high for s in found)
        top = math.ceil(slowest / _nice(slowest)) * _nice(slowest)
        rungs = [
            Rung(
                label,
                family,
                scale * found[i].median,
                f"{scale * found[i].median:.3g}{unit}",
                scale * found[i].low,
                scale * found[i].high,
            )
            for label, family, i in names
        ]
    runs = tr("median of {n} runs, quartiles", n=found[0].runs) if found else ""
    desk.ladder(tr("Time for one image"), runs, rungs, top, unit, guess_beside=False)
    known = [desk.work.known(r) for r in (zeros, narrow, dense)]
    if found and all(known):
        sizes = [units.size(k.cost.bytes, not k.weighed) for k in known if k]
        macs = [units.quantity(k.cost.macs) for k in known if k]
        desk.tell(
            tr(
                "The file with zeros has {zeros}, the dense one {dense}: smaller. But it does the"
                " same {macs} multiply-adds, so it is **not faster**. With channels out there are"
                " {fewer} left, and the file has {narrow}. Either has to be trained on to be as"
                " accurate again.",
                zeros=sizes[0],
                dense=sizes[2],
                macs=macs[0],
                fewer=macs[1],
                narrow=sizes[1],
            )
        )
        desk.tell(
            tr(
                "Units that compute with 2:4 sparsity, or kernels for sparse matrices, do skip"
                " zeros; a plain runtime does not."
            )
        )


def _nice(value: float) -> float:
    """A step of which four or five make up the value."""
    return 10 ** math.floor(math.log10(value)) / 2
