"""Weights as levels and low bits, and back: bit for bit, whatever they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from compression.coder import MOST
from compression.compressed import CompressedTensor
from compression.errors import FormatError
from compression.levels import (
    Levels,
    floats_of,
    levels_of,
    pack,
    packed_bytes,
    symbols_of,
    unpack,
)


def holding(kind: str, symbols: list[int], table: list[float]) -> CompressedTensor:
    whole = np.array(symbols, np.int32)
    return CompressedTensor(
        "w", (1, len(whole)), kind, symbols=whole, table=np.array(table, np.float32)
    )


@given(arrays.arrays(np.uint32, st.integers(1, 50), elements=st.integers(0, 2**32 - 1)))
def test_floats_come_back_bit_for_bit_whatever_they_are(raw):
    values = raw.view(np.float32)
    found = levels_of(CompressedTensor("w", (1, len(raw)), "float", values=values))
    assert floats_of(found).tobytes() == values.tobytes()
    assert np.abs(found.levels).max() <= MOST
    assert np.array_equal(found.levels == 0, raw == 0), "+0.0 and nothing else is the level 0"


@given(st.lists(st.integers(-(2**24) + 1, 2**24 - 1), min_size=1, max_size=64))
def test_symbols_of_any_size_come_back(symbols):
    found = levels_of(holding("grid", symbols, [1]))
    assert symbols_of(found, None).tolist() == symbols
    assert np.abs(found.levels).max() <= MOST


@given(
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=30, unique=True),
    st.data(),
)
def test_codebooks_with_and_without_a_zero_come_back(values, data):
    table = sorted(values)
    symbols = data.draw(st.lists(st.integers(0, len(table) - 1), min_size=1, max_size=60))
    tensor = holding("codebook", symbols, table)
    assert symbols_of(levels_of(tensor), tensor.table).tolist() == symbols


def test_levels_by_hand():
    assert levels_of(holding("grid", [-3, 0, 1, 3], [1])).levels.tolist() == [-2, 0, 1, 2]
    assert levels_of(holding("grid", [-3, 0, 1, 2], [1])).levels.tolist() == [-3, 0, 1, 2]
    shared = [-0.5, 0, 0.5, 1]
    assert levels_of(holding("codebook", [0, 1, 2, 3], shared)).levels.tolist() == [-1, 0, 1, 2]
    assert levels_of(holding("codebook", [0, 1, 2], [-1, 1, 2])).levels.tolist() == [-1, 1, 2]
    found = levels_of(holding("grid", [512, -1, 0, 2], [1]))
    assert (found.levels.tolist(), found.low.tolist(), found.shift) == (
        [256, -1, 0, 1],
        [1, 0, 1],
        1,
    )


@given(st.lists(st.integers(0, 2**23 - 1), max_size=30))
def test_low_bits_come_back(low):
    data = pack(np.array(low, np.int64), 23)
    assert len(data) == packed_bytes(len(low), 23)
    assert unpack(data, len(low), 23).tolist() == low


def test_no_low_bits_need_no_bytes():
    assert pack(np.zeros(0, np.int64), 0) == b"" and len(unpack(b"", 0, 0)) == 0


@pytest.mark.parametrize(
    "found, table, sentence",
    [
        (Levels(np.array([0, 1]), np.zeros(0, np.int64)), [1, 2], "which the codebook does not"),
        (Levels(np.array([3, 1]), np.zeros(0, np.int64)), [1, 2], "outside of the 2 values"),
        (Levels(np.array([-2, 1]), np.zeros(0, np.int64)), [-1, 0, 2], "outside of the 3 values"),
        (Levels(np.array([256]), np.array([0]), 16), None, None),
        (Levels(np.array([256]), np.array([65535]), 16), None, "larger than 2"),
    ],
)
def test_levels_that_no_writer_makes_are_refused(found, table, sentence):
    values = None if table is None else np.array(table, np.float32)
    if sentence is None:
        assert symbols_of(found, values).tolist() == [255 * 65536 + 1]
        return
    with pytest.raises(FormatError, match=sentence):
        symbols_of(found, values)


def test_an_exponent_beyond_the_last_is_refused():
    with pytest.raises(FormatError, match="exponent is larger than 255"):
        floats_of(Levels(np.array([200]), np.array([0]), 23, first=100))
