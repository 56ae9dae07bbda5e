"""The formulas on a matrix that one can see. Everything here is done by the functions that compress
the real networks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from ..distillation import first_k_columns, first_k_rows
from ..entropy import order0_bits
from ..pruning import keep_k_largest, mask_k_largest
from ..quantization import dequantize, quantize
from .huffman import Leaf, huffman, mean_bits

SIDE = 6
# an example: no two weights have the same size, so that the threshold and K say the same
W = torch.tensor(
    [
        [0.65, -0.01, 0.38, -0.33, 0.41, -0.15],
        [0.18, -0.26, -0.09, -0.12, -0.60, -0.36],
        [0.52, -0.17, 0.22, 0.02, -0.78, -0.10],
        [-0.48, 0.31, -1.66, -0.07, -0.03, -0.96],
        [0.56, -0.86, 0.06, -0.05, -0.20, -0.44],
        [1.29, -0.28, 0.71, 0.24, 0.13, 1.09],
    ]
)
WEIGHTS = W.numel()


class PrunedSmall(NamedTuple):
    """W with K weights left. sizes: of all weights, the largest first; threshold: size of the
    smallest that stays; share: of the squared sum that stays, 0..1.
    """

    W: np.ndarray
    kept: np.ndarray
    sizes: list[float]
    threshold: float
    share: float


def pruned(K: int) -> PrunedSmall:
    """Keep the K largest. K: 1 to 36."""
    kept = keep_k_largest(W, K)
    sizes = sorted((float(x) for x in W.abs().flatten()), reverse=True)
    share = float(kept.square().sum() / W.square().sum())
    return PrunedSmall(W.numpy(), kept.numpy(), sizes, sizes[K - 1], share)


class RoundedSmall(NamedTuple):
    """Both stages. whole: round(W*Q); back: whole/Q; error: the largest of |W - back|; bound: what
    it can be at most; values: how many different whole numbers there are; levels: how many lie
    between the smallest and the largest; bits: of the entropy, per weight.
    """

    W: np.ndarray
    whole: np.ndarray
    back: np.ndarray
    error: float
    bound: float
    values: int
    levels: int
    bits: float


def rounded(Q: float) -> RoundedSmall:
    """round(W*Q), then W/Q. Q: levels per unit of weight, above 0."""
    whole = quantize(W, Q)
    back = dequantize(whole, Q)
    symbols = whole.numpy().astype(np.int32)
    return RoundedSmall(
        W.numpy(),
        whole.numpy() + 0.0,
        back.numpy() + 0.0,
        float((W - back).abs().max()),
        1 / (2 * Q),
        len(np.unique(symbols)),
        int(symbols.max() - symbols.min()) + 1,
        order0_bits(symbols) / WEIGHTS,
    )


class CutSmall(NamedTuple):
    """Two layers, one behind the other, cut to K hidden units: the rows of the layer before, and
    the columns of this one. x: an input; large, small: what the two layers answer to it; left: of
    the 72 weights.
    """

    before: np.ndarray
    behind: np.ndarray
    before_small: np.ndarray
    behind_small: np.ndarray
    large: np.ndarray
    small: np.ndarray
    left: int


INPUT = torch.tensor([1.0, 0.5, 0.25, 0.75, 0.5, 1.0])


def cut(K: int) -> CutSmall:
    """W_small = W_large(:,1:K), and the first K rows of the layer before. K: 1 to 6."""
    before, behind = W.T.flip(1), W
    rows, columns = first_k_rows(before, K), first_k_columns(behind, K)

    def answer(first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
        return (second @ (first @ INPUT).relu()).numpy()

    return CutSmall(
        before.numpy(),
        behind.numpy(),
        rows.numpy(),
        columns.numpy(),
        answer(before, behind),
        answer(rows, columns),
        rows.numel() + columns.numel(),
    )


class CodedSmall(NamedTuple):
    """W pruned, then rounded, then coded. whole: the symbols; leaves: of their Huffman tree;
    fixed, huffman, entropy: bits per weight when all codes are equally long, with that tree, and
    at least.
    """

    whole: np.ndarray
    leaves: list[Leaf]
    fixed: int
    huffman: float
    entropy: float


def coded(K: int, Q: float) -> CodedSmall:
    """Keep the K largest, round(W*Q), count the whole numbers. K: 1 to 36; Q: above 0."""
    whole = quantize(keep_k_largest(W, K), Q).numpy() + 0.0
    symbols = whole.astype(np.int32)
    values, counts = np.unique(symbols, return_counts=True)
    leaves = huffman({int(v): int(n) for v, n in zip(values, counts, strict=True)})
    fixed = max(1, math.ceil(math.log2(len(values))))
    return CodedSmall(whole, leaves, fixed, mean_bits(leaves), order0_bits(symbols) / WEIGHTS)


class CountedSmall(NamedTuple):
    """Two ways to halve a matrix, and the multiply-adds that a plain matrix product does: it does
    not look whether a weight is zero.
    """

    zeros: np.ndarray
    narrow: np.ndarray
    by_zeros: int
    by_narrow: int


def counted(columns: int) -> CountedSmall:
    """So many columns stay, or as many weights, wherever they are. columns: 1 to 6."""
    zeros = keep_k_largest(W, columns * SIDE)
    narrow = first_k_columns(W, columns)
    return CountedSmall(zeros.numpy(), narrow.numpy(), products(zeros), products(narrow))


def products(matrix: torch.Tensor) -> int:
    """Multiply-adds of a plain matrix product with a vector, counted while it is done."""
    rows, columns = matrix.shape
    done = 0
    for row in range(rows):
        total = 0.0
        for column in range(columns):
            total += float(matrix[row, column]) * float(INPUT[column])
            done += 1
    return done


class OrderedSmall(NamedTuple):
    """The same two steps in both orders. pruned_first, rounded_first: what comes out; differ: cells
    that are not the same; errors: squared, of each; tied: weights that have the size of the
    smallest one that stays, once they are rounded.
    """

    pruned_first: np.ndarray
    rounded_first: np.ndarray
    differ: np.ndarray
    errors: tuple[float, float]
    tied: int


def orders(K: int, Q: float) -> OrderedSmall:
    """Prune, then round; round, then prune. K: 1 to 36; Q: above 0."""
    pruned_first = dequantize(quantize(keep_k_largest(W, K), Q), Q)
    levels = dequantize(quantize(W, Q), Q)
    rounded_first = keep_k_largest(levels, K)
    smallest = levels.abs()[mask_k_largest(levels, K)].min()
    return OrderedSmall(
        pruned_first.numpy() + 0.0,
        rounded_first.numpy() + 0.0,
        (pruned_first != rounded_first).numpy(),
        (_squared(pruned_first), _squared(rounded_first)),
        int((levels.abs() == smallest).sum()),
    )


def _squared(found: torch.Tensor) -> float:
    return float((W - found).square().sum())
