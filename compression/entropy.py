"""Symbols counted, and their order-0 entropy: what a code can reach that looks at one number at a
time, and what the coder of the file is compared with.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MOST_COUNTED = 1 << 16  # symbols further apart than this are sorted instead of counted


class Counted(NamedTuple):
    """alphabet: int32 (S,), the symbols that occur, ascending; counts: int64 (S,), how often.

    places: int32 (N,), where each of the N symbols stands in the alphabet.
    """

    alphabet: np.ndarray
    counts: np.ndarray
    places: np.ndarray


def count_symbols(symbols: np.ndarray) -> Counted:
    """Which symbols occur, how often, and where. symbols: int32 (N,), N at least 1."""
    first, last = int(symbols.min()), int(symbols.max())
    if last - first > MOST_COUNTED:
        alphabet, places, counts = np.unique(symbols, return_inverse=True, return_counts=True)
        return Counted(alphabet, counts, places.astype(np.int32).reshape(-1))
    shifted = symbols - np.int32(first) if first else symbols
    counts = np.bincount(shifted)
    occurs = counts > 0
    alphabet = np.flatnonzero(occurs).astype(np.int32)
    if len(alphabet) < len(counts):
        shifted = (np.cumsum(occurs, dtype=np.int32) - 1)[shifted]
    return Counted(alphabet + np.int32(first), counts[occurs], shifted)


def order0_bits(symbols: np.ndarray) -> float:
    """Entropy of integer symbols times their number.

    symbols: int array of any shape. Returns bits, 0.0 if empty.
    """
    return bits_of(count_symbols(symbols.reshape(-1)).counts) if symbols.size else 0.0


def bits_of(counts: np.ndarray) -> float:
    """The same, of symbols that occur so often. counts: int (S,), each at least 1."""
    return float(-(counts * np.log2(counts / counts.sum())).sum())
