"""Order-0 entropy by hand, and counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compression.entropy import count_symbols, order0_bits

some_symbols = st.integers(1, 60).flatmap(
    lambda n: st.lists(st.integers(0, n - 1), min_size=1, max_size=400)
)


@pytest.mark.parametrize(
    "symbols, bits",
    [
        ([], 0.0),
        ([5], 0.0),
        ([7, 7, 7, 7], 0.0),
        ([0, 1, 0, 1], 4.0),
        ([0, 1, 2, 3], 8.0),
        ([-3, 900, -3, -3], 4 * (0.25 * 2 + 0.75 * np.log2(4 / 3))),
        ([[0, 0], [1, 2]], 4 * 1.5),
    ],
    ids=str,
)
def test_order0_bits_by_hand(symbols, bits):
    assert order0_bits(np.array(symbols, np.int32)) == pytest.approx(bits)


@given(some_symbols)
def test_order0_bits_do_not_depend_on_the_names_of_the_symbols(symbols):
    renamed = 1_000 - 7 * np.array(symbols)
    assert order0_bits(renamed) == pytest.approx(order0_bits(np.array(symbols)))


@given(some_symbols)
def test_symbols_are_counted_with_their_places(symbols):
    alphabet, counts, places = count_symbols(np.array(symbols, np.int32))
    assert np.array_equal(alphabet[places], symbols)
    assert counts.tolist() == [symbols.count(s) for s in alphabet]
