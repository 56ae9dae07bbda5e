"""Symbols to bits and back: the bound by hand, the coder against the bound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compression.entropy import FREQUENCIES, decode, encode, frequency_codes, order0_bits
from compression.errors import FormatError

some_symbols = st.integers(1, 60).flatmap(
    lambda n: st.lists(st.integers(0, n - 1), min_size=1, max_size=400)
)


def coded(symbols: list[int]) -> tuple[np.ndarray, np.ndarray, bytes]:
    """Places in the alphabet, frequency bytes of the alphabet, and the stream."""
    _, places, counts = np.unique(symbols, return_inverse=True, return_counts=True)
    codes = frequency_codes(counts)
    return places, codes, encode(places, codes)


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
def test_symbols_come_back_as_they_were(symbols):
    places, codes, data = coded(symbols)
    assert np.array_equal(decode(data, codes, len(places)), places)


@given(some_symbols)
def test_the_stream_stays_within_its_frequencies_error_and_two_words_of_the_bound(symbols):
    _, _, data = coded(symbols)
    assert len(data) % 4 == 0
    assert 8 * len(data) <= 1.01 * order0_bits(np.array(symbols)) + 64


def test_a_long_stream_costs_a_thousandth_more_than_the_bound(seed):
    symbols = np.random.default_rng(seed).geometric(0.2, 100_000)
    places, codes, data = coded(symbols.tolist())
    least = order0_bits(symbols) / 8
    assert least <= len(data) <= 1.001 * least
    assert np.array_equal(decode(data, codes, len(places)), places)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 10, 57, 999, 10**6, 2**31 - 1])
def test_a_byte_says_a_count_to_an_eighth_of_an_octave(count):
    (code,) = frequency_codes(np.array([count]))
    assert code > 0 and abs(np.log2(FREQUENCIES[code] / count)) <= 1 / 16 + 0.001


def test_the_byte_0_says_that_a_symbol_does_not_occur():
    assert FREQUENCIES[0] == 0 and FREQUENCIES[1] == 1 and len(FREQUENCIES) == 256
    assert (np.diff(FREQUENCIES) >= 0).all()


@pytest.mark.parametrize("n", [0, 1, 1_000])
def test_an_alphabet_of_one_symbol_needs_no_bytes(n):
    codes = frequency_codes(np.array([max(n, 1)]))
    assert encode(np.zeros(n, int), codes) == b""
    assert decode(b"", codes, n).tolist() == [0] * n


def test_no_symbols_need_no_bytes():
    codes = frequency_codes(np.array([3, 4]))
    assert encode(np.zeros(0, int), codes) == b"" and len(decode(b"", codes, 0)) == 0


def test_bytes_for_a_tensor_of_one_symbol_are_refused():
    with pytest.raises(FormatError, match="a tensor with one symbol has no coded bytes"):
        decode(b"\0\0\0\0", frequency_codes(np.array([9])), 9)


def test_bytes_that_are_left_over_are_refused(seed):
    places, codes, data = coded(np.random.default_rng(seed).integers(0, 9, 500).tolist())
    with pytest.raises(FormatError, match="longer than the tensor needs"):
        decode(data + b"\1\2\3\4" * 3, codes, len(places))


def test_no_bytes_at_all_decode_to_something_or_are_refused_but_nothing_else_happens():
    codes = frequency_codes(np.array([1, 2, 3]))
    try:
        assert len(decode(b"", codes, 50)) == 50
    except FormatError:
        pass


@given(
    st.binary(max_size=40).map(lambda b: b[: len(b) // 4 * 4]),
    st.lists(st.integers(1, 255), min_size=1, max_size=20),
    st.integers(0, 100),
)
def test_any_bytes_decode_or_raise_our_error(data, codes, n):
    try:
        symbols = decode(data, np.array(codes, np.uint8), n)
    except FormatError:
        return
    assert len(symbols) == n and (n == 0 or 0 <= symbols.min() <= symbols.max() < len(codes))
