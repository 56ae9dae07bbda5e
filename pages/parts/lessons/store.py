"""Lesson: why the file is not parameters times bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from compression import units
from compression.baselines import baseline
from compression.figures.guesses import Rung
from compression.figures.huffman import Branch, CodeTree, draw_code_tree
from compression.figures.lessons import Matrix, draw_matrix
from compression.language import tr
from compression.lessons.huffman import Leaf
from compression.lessons.real import FileCode, LayerCode, file_code
from compression.lessons.small import WEIGHTS, coded
from compression.models import layer_names
from compression.networks import architecture_for
from compression.pruning import MagnitudePruning
from compression.quantization import CodebookQuantization
from pages.parts.lessons.kit import Desk
from pages.parts.lessons.prune import K_HELP
from pages.parts.lessons.quantize import Q_HELP

MOST_BITS = 5 * WEIGHTS


def small(desk: Desk) -> None:
    desk.say(
        tr(
            "A pruned and rounded matrix holds few different numbers, zero far more often than the"
            " others. Who gives short codes to what occurs often needs fewer bits."
        )
    )
    label = tr("Keep K of {weights}", weights=WEIGHTS)
    K = desk.slider("k", label, 2, WEIGHTS, 12, about=tr(K_HELP))
    Q = desk.slider("q", "Q", 1, 8, 3, about=tr(Q_HELP))
    found = coded(K, Q)
    n = len(found.leaves)
    guess = desk.guess_number(
        tr(
            "With codes of equal length, {n} different numbers take {each} bits each, {total} in"
            " all. How many bits with the best codes?",
            n=n,
            each=found.fixed,
            total=WEIGHTS * found.fixed,
        ),
        tr("My guess: bits in all"),
        MOST_BITS,
        about=dict(K=K, Q=Q),
    )
    known = guess.locked
    symbols, tree = desk.pair()
    title, rest = tr("The whole numbers"), tr("{n} different", n=n)
    desk.chart(
        draw_matrix(Matrix(title, rest, found.whole, "combined", digits=0), desk.p, 300),
        "symbols",
        tr("Whole numbers of a pruned and rounded matrix, {n} different ones", n=n),
        symbols,
    )
    if known:
        title, rest = tr("Their Huffman tree"), tr("depth: bits")
        codes = [
            tr("{symbol} has code {code}", symbol=leaf.symbol, code=leaf.code)
            for leaf in found.leaves
        ]
        desk.chart(
            draw_code_tree(CodeTree(title, rest, branches(found.leaves)), desk.p, 300),
            "tree",
            tr(", ").join(codes),
            tree,
        )
    else:
        tree.caption(tr("The tree comes with the answer."))
    total, least, equal = (x * WEIGHTS for x in (found.huffman, found.entropy, found.fixed))
    desk.ladder(
        tr("Bits for all 36 weights"),
        "",
        [
            Rung(tr("Huffman"), "combined", total, tr("{n} bits", n=round(total))),
            Rung(tr("entropy"), "combined", least, f"{least:.1f}"),
            Rung(tr("equal codes"), "dense", equal, tr("{n} bits", n=equal)),
        ],
        MOST_BITS,
        "",
    )
    desk.tell(
        tr(
            "**{bits:.2f} bits** per weight with this tree, {entropy:.2f} at least: that is the"
            " entropy, which no code can beat that looks at one number at a time. The lab's files"
            " use a range coder, and chances that it learns on the way: which rows and columns have"
            " many zeros. So it can even get below.",
            bits=found.huffman,
            entropy=found.entropy,
        )
    )


def branches(leaves: Sequence[Leaf], words: Sequence[str] = ()) -> list[Branch]:
    """Leaves as they are drawn. words: of the symbols, by their number; empty: the numbers."""
    total = sum(leaf.times for leaf in leaves)
    return [
        Branch(
            words[leaf.symbol] if words else str(leaf.symbol).replace("-", units.MINUS),
            leaf.times / total,
            leaf.code,
        )
        for leaf in leaves
    ]


def real(desk: Desk) -> None:
    percent = desk.slider("zeros", tr("Prune ratio"), 0, 98, 80, 2, format="%d %%")
    levels = desk.slider("codes", tr("Levels"), 2, 32, 16)
    names = list(layer_names(architecture_for(desk.network, desk.dataset)))
    dense = baseline(desk.network, desk.dataset)
    pruning = (MagnitudePruning(sparsity=percent / 100),) if percent else ()
    recipe = dense.then(*pruning, CodebookQuantization(levels=levels))
    found: FileCode | None = desk.work.fact(file_code, recipe)
    desk.say(
        tr(
            "{network}, {percent} % zeros, {levels} levels a layer: with equal codes its parameters"
            " take {size}.",
            network=desk.title,
            percent=percent,
            levels=levels,
            size=units.size(found.nominal) if found else "…",
        )
    )
    desk.guess_number(
        tr("How large is the real file, in percent of that?"),
        tr("My guess: percent"),
        120,
        unit=" %",
        about=dict(percent=percent, levels=levels),
        ready=found is not None,
    )
    share = 100 * found.total / found.nominal if found else None
    desk.judge(
        Rung("", "combined", share, f"{share:.0f} %" if share else "…"),
        tr("of parameters × bits"),
        120,
        " %",
    )
    if not found or not desk.guessed.locked:
        return
    kB = 1_000
    parts = [
        (tr("params × bits"), "dense", found.nominal),
        (tr("where zeros are"), "pruned", found.mask),
        (tr("which level"), "quantized", found.codes),
        (tr("tables"), "quantized", found.tables),
        (tr("biases"), "dense", found.biases),
        (tr("header"), "dense", found.header),
        (tr("the file"), "combined", found.total),
    ]
    rungs = [Rung(label, family, n / kB, units.size(n)) for label, family, n in parts]
    top = max(n for _, _, n in parts) / kB
    desk.ladder(tr("Where the bytes are"), tr("zeros, levels: entropies"), rungs,
                _round_up(top), " kB", guess_beside=False)  # fmt: skip
    about = tr("A layer whose tree is drawn.")
    name = desk.choose("tree_of", tr("Tree of layer"), names, about=about)
    layer = next((x for x in found.layers if x.name == name), None)
    if layer is not None and layer.leaves:
        _tree(desk, layer)
    else:
        desk.right.caption(
            tr("{layer} is stored as floats, or has too many values for a tree.", layer=name)
        )
    desk.tell(
        tr(
            "{coded} **{size}** with tables, biases and header: {bits:.2f} bits per weight.",
            coded=_learned(found.weights, found.mask + found.codes),
            size=units.size(found.total),
            bits=8 * found.total / max(1, sum(x.weights for x in found.layers)),
        )
    )


def _learned(size: float, entropy: float) -> str:
    """What it brought that the coder learns where the zeros are."""
    percent = 100 * (1 - size / entropy) if entropy else 0.0
    values: dict[str, Any] = dict(
        size=units.size(size), entropy=units.size(entropy), percent=abs(percent)
    )
    if percent < 0:
        return tr(
            "Coded weights take {size}; their entropy is {entropy}: the coder needs {percent:.1f} %"
            " more, for what it has to learn.",
            **values,
        )
    return tr(
        "Coded weights take {size}; their entropy is {entropy}: the coder saves {percent:.1f} %,"
        " since it learns where zeros are.",
        **values,
    )


def _tree(desk: Desk, layer: LayerCode) -> None:
    words = [f"{v:.2f}".replace("-", units.MINUS) if v else "0" for v in layer.table]
    desk.chart(
        draw_code_tree(
            CodeTree(
                tr("{layer}: its Huffman tree", layer=layer.name),
                tr(
                    "{bits:.2f} bits, entropy {entropy:.2f}",
                    bits=layer.huffman,
                    entropy=layer.entropy,
                ),
                branches(layer.leaves, words),
            ),
            desk.p,
            240,
        ),
        "tree",
        tr("Huffman tree of {layer}, {n} values", layer=layer.name, n=len(layer.leaves)),
    )


def _round_up(value: float) -> float:
    """The next number whose quarters are short."""
    power = 10 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if value <= m * power)
