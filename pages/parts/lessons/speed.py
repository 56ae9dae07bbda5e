"""Lesson: smaller is not faster."""

from __future__ import annotations

import math

from compression import units
from compression.baselines import baseline
from compression.channels import ChannelPruning
from compression.figures.guesses import Rung
from compression.figures.lessons import Matrix, draw_matrix
from compression.lessons.real import Speed, speeds
from compression.lessons.small import SIDE, WEIGHTS, counted
from compression.pruning import MagnitudePruning
from compression.recipe import steps_text
from pages.parts.lessons.kit import Desk


def small(desk: Desk) -> None:
    desk.say(
        "Two ways to make a matrix smaller: set weights to zero wherever they are, or take whole"
        " columns out. Either leaves as many weights."
    )
    K = desk.slider(
        "columns", f"Columns of {SIDE} that stay", 1, SIDE, 3, about="Of the second one."
    )
    found = counted(K)
    left = K * SIDE
    guess = desk.guess_number(
        f"How many multiply-adds does a plain matrix product do with the first one, where"
        f" {WEIGHTS - left} of {WEIGHTS} weights are zero?",
        "My guess: multiply-adds",
        WEIGHTS,
        about=f"{K} columns",
    )
    zeros, narrow = desk.pair()
    desk.chart(
        draw_matrix(
            Matrix("With zeros", f"{left} weights left", found.zeros, "pruned"), desk.p, 300
        ),
        "zeros",
        f"A matrix with {WEIGHTS - left} zeros",
        zeros,
    )
    cut = found.zeros * 0 != 0
    cut[:, K:] = True
    whole = found.zeros * 0.0
    whole[:, :K] = found.narrow
    desk.chart(
        draw_matrix(
            Matrix("With columns cut", f"{left} weights left", whole, "distilled", cut=cut),
            desk.p,
            300,
        ),
        "narrow",
        f"A matrix of {K} columns",
        narrow,
    )
    desk.ladder(
        "Multiply-adds, counted",
        "",
        [
            Rung("with zeros", "pruned", found.by_zeros, str(found.by_zeros)),
            Rung("columns cut", "distilled", found.by_narrow, str(found.by_narrow)),
        ],
        WEIGHTS,
        "",
    )
    if guess.locked:
        desk.tell(
            f"**{found.by_zeros}**: a plain product does not look whether a weight is zero, it"
            f" multiplies it. Fewer columns are really fewer: {found.by_narrow}."
        )


def real(desk: Desk) -> None:
    percent = desk.slider(
        "faster", "Share that goes", 30, 90, 70, 5, format="%d %%",
        about="Of the weights, as zeros; or of the channels and hidden units, taken out.",
    )  # fmt: skip
    dense = baseline(desk.network, desk.dataset)
    zeros = dense.then(MagnitudePruning(sparsity=percent / 100))
    narrow = dense.then(ChannelPruning(ratio=percent / 100))
    desk.work.want([zeros, narrow, dense])
    desk.say(
        f"{desk.title} three times, in ONNX Runtime on this server, one image after the other:"
        f" as it is, with {percent} % of the weights at zero, with {percent} % of the channels out."
    )
    guess = desk.guess_number(
        "How long does the one with zeros take, in percent of the dense one?",
        "My guess: percent of its time",
        150,
        unit=" %",
        about=f"{percent} %",
        ready=desk.work.engine.ready,
    )
    texts = tuple(steps_text(r.steps[len(dense.steps) :]) for r in (zeros, narrow))
    found: tuple[Speed, ...] | None = desk.work.fact(speeds, dense, texts) if guess.locked else None
    names = (("with zeros", "pruned", 1), ("channels cut", "distilled", 2), ("dense", "dense", 0))
    share = 100 * found[1].median / found[0].median if found else None
    desk.judge(
        Rung("", "pruned", share, f"{share:.0f} %" if share else "…"),
        "of the dense one's time",
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
    runs = f"median of {found[0].runs} runs, quartiles" if found else ""
    desk.ladder("Time for one image", runs, rungs, top, unit, guess_beside=False)
    known = [desk.work.known(r) for r in (zeros, narrow, dense)]
    if found and all(known):
        sizes = [units.size(k.cost.bytes, not k.weighed) for k in known if k]
        macs = [units.quantity(k.cost.macs) for k in known if k]
        desk.tell(
            f"The file with zeros has {sizes[0]}, the dense one {sizes[2]}: smaller. But it does"
            f" the same {macs[0]} multiply-adds, so it is **not faster**. With channels out there"
            f" are {macs[1]} left, and the file has {sizes[1]}. Either has to be trained on to be"
            " as accurate again."
        )
        desk.tell(
            "Units that compute with 2:4 sparsity, or kernels for sparse matrices, do skip zeros;"
            " a plain runtime does not."
        )


def _nice(value: float) -> float:
    """A step of which four or five make up the value."""
    return 10 ** math.floor(math.log10(value)) / 2
