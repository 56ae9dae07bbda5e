"""Symbols to bits and back: one static model per tensor, range coding by constriction. See
docs/format.md.
"""

from __future__ import annotations

from typing import NamedTuple

import constriction
import numpy as np

from .errors import FormatError

_Categorical = constriction.stream.model.Categorical
_queue = constriction.stream.queue
MOST_COUNTED = 1 << 16  # symbols further apart than this are sorted instead of counted
# what one byte says: 0, does not occur; from 1 on a count, to 1/8 octave
FREQUENCIES = np.concatenate([[0.0], np.rint(np.exp2(np.arange(255) / 8))])


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


def frequency_codes(counts: np.ndarray) -> np.ndarray:
    """The byte that stands for each count.

    counts: int, at least 1, below 2**31. Returns uint8, same shape.
    """
    return (1 + np.rint(8 * np.log2(counts))).astype(np.uint8)


def encode(indices: np.ndarray, codes: np.ndarray) -> bytes:
    """Bits of symbols. indices: int (N,), 0 to len(codes) - 1; codes: uint8, as from
    `frequency_codes`.

    Returns a whole number of 32-bit little-endian words; nothing at all for an alphabet of one
    symbol.
    """
    if len(codes) < 2 or not len(indices):
        return b""
    encoder = _queue.RangeEncoder()
    encoder.encode(indices.astype(np.int32, copy=False), _model(codes))
    return encoder.get_compressed().astype("<u4").tobytes()


def decode(data: bytes, codes: np.ndarray, n: int) -> np.ndarray:
    """n symbols, int32 (n,), of the bytes that `encode` gave.

    Raises FormatError where they can't be that.
    """
    if len(codes) < 2 or not n:
        if data:
            raise FormatError("a tensor with one symbol has no coded bytes, but there are some")
        return np.zeros(n, np.int32)
    words = np.frombuffer(data, "<u4").astype(np.uint32)
    try:
        decoder = _queue.RangeDecoder(words)
        symbols = decoder.decode(_model(codes), n)
    except (AssertionError, ValueError) as e:
        raise FormatError(f"coded weights can't be decoded: {e}") from None
    if not decoder.maybe_exhausted():
        raise FormatError("coded weights are longer than the tensor needs")
    return symbols


def _model(codes: np.ndarray):  # type: ignore[no-untyped-def]
    return _Categorical(FREQUENCIES[codes], perfect=False)
