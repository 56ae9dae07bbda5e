"""The weights of a layer as the coder takes them: a matrix of levels, 0 or 1 to MOST with a sign,
and bits of each that stand in the file as they are.

symbols of a grid or a fixed point: they are the levels.
indices of a codebook: counted from the place of zero, which may have no value.
floats: sign and exponent; the mantissa is what stands as it is. +0.0 is the level 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .coder import MOST
from .compressed import CompressedTensor
from .errors import FormatError

MANTISSA = 23  # bits of a float32
ALL_BUT_SIGN = (1 << 31) - 1  # of the bits of a float32


class Levels(NamedTuple):
    """levels: int64 (N,); low: int64 (n,), the lower `shift` bits of those that are not 0, less 1;
    first: the exponent of floats that is level 1; odd: whether levels are 1, 3, 5 ... in truth.
    """

    levels: np.ndarray
    low: np.ndarray
    shift: int = 0
    first: int = 0
    odd: bool = False


def zero_of(table: np.ndarray) -> tuple[int, bool]:
    """How many values of a codebook are below zero, and whether zero is one of them."""
    return int((table < 0).sum()), bool((table == 0).any())


def levels_of(tensor: CompressedTensor) -> Levels:
    """Not for the kind `raw`."""
    if tensor.kind == "float":
        assert tensor.values is not None
        raw = np.ascontiguousarray(tensor.values, "<f4").reshape(-1).view("<u4").astype(np.int64)
        size, negative = raw & ALL_BUT_SIGN, raw > ALL_BUT_SIGN
        first = int(size[raw != 0].min(initial=ALL_BUT_SIGN)) >> MANTISSA
        size = np.where(raw == 0, 0, size + 1 - (first << MANTISSA))
        return _split(size, negative, MANTISSA, first)
    assert tensor.symbols is not None
    whole = tensor.symbols.reshape(-1).astype(np.int64)
    if tensor.kind == "codebook" and tensor.table is not None:
        below, has_zero = zero_of(tensor.table)
        whole -= below
        if not has_zero:
            whole += whole >= 0
    size = np.abs(whole)
    odd = size.max(initial=0) > 1 and bool((size[size > 0] & 1).all())
    if odd:
        size = (size + 1) >> 1
    shift = max(0, int(size.max(initial=1) - 1).bit_length() - (MOST - 1).bit_length())
    return _split(size, whole < 0, shift, odd=odd)


def _split(
    size: np.ndarray, negative: np.ndarray, shift: int, first: int = 0, odd: bool = False
) -> Levels:
    rest = size - 1
    levels = np.where(size > 0, (rest >> shift) + 1, 0)
    low = (rest & ((1 << shift) - 1))[size > 0] if shift else np.zeros(0, np.int64)
    return Levels(np.where(negative, -levels, levels), low, shift, first, odd)


def _join(found: Levels) -> np.ndarray:
    """Sizes of all weights, as they went into `_split`."""
    size = np.abs(found.levels)
    if found.shift:
        some = size > 0
        size[some] = ((size[some] - 1) << found.shift) + found.low + 1
    return size


def floats_of(found: Levels) -> np.ndarray:
    """The float32 values (N,) of their levels."""
    size = _join(found)
    raw = np.where(size > 0, size - 1 + (found.first << MANTISSA), 0)
    if raw.max(initial=0) > ALL_BUT_SIGN:
        raise FormatError("a float's exponent is larger than 255")
    raw[found.levels < 0] |= ALL_BUT_SIGN + 1
    return raw.astype("<u4").view("<f4")


def symbols_of(found: Levels, table: np.ndarray | None) -> np.ndarray:
    """The symbols, int32 (N,), of their levels. table: of a codebook."""
    size = _join(found)
    if found.odd:
        size = np.where(size > 0, 2 * size - 1, 0)
    whole = np.where(found.levels < 0, -size, size)
    if table is not None:
        below, has_zero = zero_of(table)
        whole += below
        if not has_zero:
            if not found.levels.all():
                raise FormatError("a weight is 0, which the codebook does not have")
            whole -= found.levels > 0
        if whole.min(initial=0) < 0 or whole.max(initial=0) >= len(table):
            raise FormatError(
                "a weight lies outside of the {n} values of its codebook", n=len(table)
            )
    elif size.max(initial=0) >= 2**24:
        raise FormatError("a symbol is larger than 2^24")
    return whole.astype(np.int32)


def pack(low: np.ndarray, shift: int) -> bytes:
    """The lower bits, plane by plane, the lowest first."""
    return b"".join(np.packbits(low >> k & 1, bitorder="little").tobytes() for k in range(shift))


def packed_bytes(n: int, shift: int) -> int:
    return shift * -(-n // 8)


def unpack(data: bytes, n: int, shift: int) -> np.ndarray:
    """The n numbers that `pack` packed, int64 (n,)."""
    planes = np.frombuffer(data, np.uint8).reshape(shift, -(-n // 8))
    found = np.zeros(n, np.int64)
    for k, plane in enumerate(planes):
        found |= np.unpackbits(plane, count=n, bitorder="little").astype(np.int64) << k
    return found
