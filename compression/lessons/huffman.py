"""Huffman's code [Huffman, 1952]: often used symbols get short codes. The `.nnz` file uses a range
coder instead, which comes closer to the entropy, but no tree can be drawn of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import NamedTuple


class Leaf(NamedTuple):
    """A symbol with its code: zeros and ones from the root of the tree. times: how often it
    occurs.
    """

    symbol: int
    times: int
    code: str


def huffman(counts: Mapping[int, int]) -> list[Leaf]:
    """The leaves of the tree, from left to right. counts: by symbol, each at least 1; among equals
    those that were made first are joined first. One symbol alone gets the code 0.
    """
    order = sorted(counts, key=lambda symbol: (counts[symbol], symbol))
    heap = [(counts[s], i, [Leaf(s, counts[s], "")]) for i, s in enumerate(order)]
    if len(heap) == 1:
        return [Leaf(s, counts[s], "0") for s in order]
    made = len(heap)
    while len(heap) > 1:
        n, _, right = heapq.heappop(heap)
        m, _, left = heapq.heappop(heap)
        both = [_below(leaf, "0") for leaf in left] + [_below(leaf, "1") for leaf in right]
        heapq.heappush(heap, (n + m, made, both))
        made += 1
    return heap[0][2] if heap else []


def _below(leaf: Leaf, bit: str) -> Leaf:
    return Leaf(leaf.symbol, leaf.times, bit + leaf.code)


def mean_bits(leaves: list[Leaf]) -> float:
    """Bits per symbol with this code; 0.0 without leaves."""
    total = sum(leaf.times for leaf in leaves)
    return sum(leaf.times * len(leaf.code) for leaf in leaves) / total if total else 0.0
