"""Lesson: why the file is not parameters times bits."""

from __future__ import annotations

import math
from collections.abc import Sequence

from compression import units
from compression.baselines import baseline
from compression.figures.guesses import Rung
from compression.figures.huffman import Branch, CodeTree, draw_code_tree
from compression.figures.lessons import Matrix, draw_matrix
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
        "A pruned and rounded matrix holds few different numbers, zero far more often than the"
        " others. Who gives short codes to what occurs often needs fewer bits."
    )
    K = desk.slider("k", f"Keep K of {WEIGHTS}", 2, WEIGHTS, 12, about=K_HELP)
    Q = desk.slider("q", "Q", 1, 8, 3, about=Q_HELP)
    found = coded(K, Q)
    n = len(found.leaves)
    guess = desk.guess_number(
        f"With codes of equal length, {n} different numbers take {found.fixed} bits each,"
        f" {WEIGHTS * found.fixed} in all. How many bits with the best codes?",
        "My guess: bits in all",
        MOST_BITS,
        about=f"K = {K}, Q = {Q}",
    )
    known = guess.locked
    symbols, tree = desk.pair()
    desk.chart(
        draw_matrix(
            Matrix("The whole numbers", f"{n} different", found.whole, "combined", digits=0),
            desk.p,
            300,
        ),
        "symbols",
        f"Whole numbers of a pruned and rounded matrix, {n} different ones",
        symbols,
    )
    if known:
        desk.chart(
            draw_code_tree(
                CodeTree("Their Huffman tree", "depth: bits", branches(found.leaves)), desk.p, 300
            ),
            "tree",
            ", ".join(f"{leaf.symbol} has code {leaf.code}" for leaf in found.leaves),
            tree,
        )
    else:
        tree.caption("The tree comes with the answer.")
    total = found.huffman * WEIGHTS
    desk.ladder(
        "Bits for all 36 weights",
        "",
        [
            Rung("Huffman", "combined", total, f"{total:.0f} bits"),
            Rung("entropy", "combined", found.entropy * WEIGHTS, f"{found.entropy * WEIGHTS:.1f}"),
            Rung("equal codes", "dense", found.fixed * WEIGHTS, f"{found.fixed * WEIGHTS} bits"),
        ],
        MOST_BITS,
        "",
    )
    desk.tell(
        f"**{found.huffman:.2f} bits** per weight with this tree, {found.entropy:.2f} at least:"
        " that is the entropy, which no code can beat that looks at one number at a time. The lab's"
        " files use a range coder, and chances that it learns on the way: which rows and columns"
        " have many zeros. So it can even get below."
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
    percent = desk.slider("zeros", "Prune ratio", 0, 98, 80, 2, format="%d %%")
    levels = desk.slider("codes", "Levels", 2, 32, 16)
    names = list(layer_names(architecture_for(desk.network, desk.dataset)))
    dense = baseline(desk.network, desk.dataset)
    pruning = (MagnitudePruning(sparsity=percent / 100),) if percent else ()
    recipe = dense.then(*pruning, CodebookQuantization(levels=levels))
    found: FileCode | None = desk.work.fact(file_code, recipe)
    desk.say(
        f"{desk.title}, {percent} % zeros, {levels} levels a layer: with equal codes its parameters"
        f" take {units.size(found.nominal) if found else '…'}."
    )
    desk.guess_number(
        "How large is the real file, in percent of that?",
        "My guess: percent",
        120,
        unit=" %",
        about=f"{percent} %, {levels} levels",
        ready=found is not None,
    )
    share = 100 * found.total / found.nominal if found else None
    desk.judge(
        Rung("", "combined", share, f"{share:.0f} %" if share else "…"),
        "of parameters × bits",
        120,
        " %",
    )
    if not found or not desk.guessed.locked:
        return
    kB = 1_000
    parts = [
        ("params × bits", "dense", found.nominal),
        ("where zeros are", "pruned", found.mask),
        ("which level", "quantized", found.codes),
        ("tables", "quantized", found.tables),
        ("biases", "dense", found.biases),
        ("header", "dense", found.header),
        ("the file", "combined", found.total),
    ]
    rungs = [Rung(label, family, n / kB, units.size(n)) for label, family, n in parts]
    top = max(n for _, _, n in parts) / kB
    desk.ladder("Where the bytes are", "zeros, levels: entropies", rungs,
                _round_up(top), " kB", guess_beside=False)  # fmt: skip
    name = desk.choose("tree_of", "Tree of layer", names, about="A layer whose tree is drawn.")
    layer = next((x for x in found.layers if x.name == name), None)
    if layer is not None and layer.leaves:
        _tree(desk, layer)
    else:
        desk.right.caption(f"{name} is stored as floats, or has too many values for a tree.")
    coded_bytes = found.mask + found.codes
    desk.tell(
        f"Coded weights take {units.size(found.weights)}; their entropy is"
        f" {units.size(coded_bytes)}: {_learned(found.weights, coded_bytes)}."
        f" **{units.size(found.total)}** with tables, biases and header:"
        f" {8 * found.total / max(1, sum(x.weights for x in found.layers)):.2f} bits per weight."
    )


def _learned(size: float, entropy: float) -> str:
    """What it brought that the coder learns where the zeros are."""
    percent = 100 * (1 - size / entropy) if entropy else 0.0
    if percent < 0:
        return f"the coder needs {-percent:.1f} % more, for what it has to learn"
    return f"the coder saves {percent:.1f} %, since it learns where zeros are"


def _tree(desk: Desk, layer: LayerCode) -> None:
    words = [f"{v:.2f}".replace("-", units.MINUS) if v else "0" for v in layer.table]
    desk.chart(
        draw_code_tree(
            CodeTree(
                f"{layer.name}: its Huffman tree",
                f"{layer.huffman:.2f} bits, entropy {layer.entropy:.2f}",
                branches(layer.leaves, words),
            ),
            desk.p,
            240,
        ),
        "tree",
        f"Huffman tree of {layer.name}, {len(layer.leaves)} values",
    )


def _round_up(value: float) -> float:
    """The next number whose quarters are short."""
    power = 10 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if value <= m * power)
