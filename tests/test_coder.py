"""The context coder: exact, the same on every machine, and what it gains."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compression.coder import (
    EMPTY,
    FULL,
    LN_OF_TWO,
    MOST,
    Side,
    decode,
    encode,
    ln,
    logistic,
    side_of,
)
from compression.entropy import order0_bits
from compression.errors import FormatError

PICTURES = [(1, 1, 1), (7, 1, 1), (1, 3, 3), (3, 3, 3), (2, 5, 4), (1, 8, 8), (40, 1, 1)]


def coded(*layers: tuple[np.ndarray, tuple[int, int, int]]) -> tuple[bytes, list[float]]:
    return encode([(levels, picture, side_of(levels)) for levels, picture in layers])


def back(data: bytes, *layers: tuple[np.ndarray, tuple[int, int, int]]) -> list[np.ndarray]:
    return decode(data, [(levels.shape, picture, side_of(levels)) for levels, picture in layers])


def sparse(seed: int, rows: int, columns: int, density: float, top: int) -> np.ndarray:
    """Levels whose rows and columns differ in how many of them are not 0."""
    chance = np.random.default_rng(seed)
    each = density * chance.exponential(1, (rows, 1)) * chance.exponential(1, (1, columns))
    mask = chance.random((rows, columns)) < each
    return mask * chance.integers(1, top + 1, mask.shape) * chance.choice([-1, 1], mask.shape)


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 30),
    st.sampled_from(PICTURES),
    st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    st.sampled_from([1, 2, 8, 9, MOST]),
)
def test_levels_come_back_as_they_were(seed, rows, picture, density, top):
    chance = np.random.default_rng(seed)
    shape = rows, int(np.prod(picture))
    levels = chance.integers(-top, top + 1, shape) * (chance.random(shape) < density)
    layer = levels, picture
    data, bits = coded(layer)
    assert np.array_equal(back(data, layer)[0], levels)
    assert len(data) % 4 == 0 and 0 <= 8 * len(data) - sum(bits) < 96


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(PICTURES)), max_size=6), st.booleans())
def test_many_layers_share_one_stream(shapes, full):
    layers = [
        (np.full((rows, int(np.prod(picture))), int(full or i % 2)), picture)
        for i, (rows, picture) in enumerate(shapes)
    ]
    data, bits = coded(*layers)
    assert len(bits) == len(layers)
    for found, (levels, _) in zip(back(data, *layers), layers, strict=True):
        assert np.array_equal(found, levels)


def test_sides_by_hand():
    assert side_of(np.zeros((3, 4), int)) == Side(EMPTY, 1)
    assert side_of(np.array([[1, -7]])) == Side(FULL, 7)
    assert side_of(np.array([[1, 0, 0, 0]])) == Side(-9, 1), "ln(1/3) is -1.1, -8.8 eighths"
    assert side_of(np.array([[1, 1, 1, 0]])) == Side(8, 1)


def test_logarithms_and_chances_by_hand():
    assert ln(np.array([1, 2, 4])).tolist() == [LN_OF_TWO, 2 * LN_OF_TWO, 3 * LN_OF_TWO]
    assert ln(np.array([3])).tolist() == [1661 + 2 * LN_OF_TWO], "ln(6) is 1.79, 7339 / 4096"
    assert logistic(np.array([0, 4096, -(10**9), 10**9])).tolist() == [32768, 47911, 1, 65535]


def test_nothing_needs_no_bytes():
    assert coded((np.zeros((5, 7), int), (7, 1, 1)))[0] == b""


def test_it_beats_the_entropy_where_rows_and_columns_differ(seed):
    layer = sparse(seed, 300, 784, 0.05, 2), (1, 28, 28)
    data, _ = coded(layer)
    assert 8 * len(data) < 0.91 * order0_bits(layer[0])


def test_it_costs_little_where_there_is_nothing_to_learn(seed):
    chance = np.random.default_rng(seed)
    levels = chance.integers(-2, 3, (100, 200)) * (chance.random((100, 200)) < 0.1)
    data, _ = coded((levels, (200, 1, 1)))
    assert 8 * len(data) < 1.02 * order0_bits(levels)


def test_as_many_weights_as_the_largest_networks_have_come_back(seed):
    layers = [
        (sparse(seed, 300, 784, 0.1, 16), (1, 28, 28)),
        (sparse(seed + 1, 64, 576, 0.1, 16), (64, 3, 3)),
    ]
    data, _ = coded(*layers)
    assert all(
        np.array_equal(found, levels)
        for found, (levels, _) in zip(back(data, *layers), layers, strict=True)
    )


def test_words_that_are_left_over_are_refused(seed):
    layer = sparse(seed, 20, 30, 0.2, 3), (30, 1, 1)
    data, _ = coded(layer)
    with pytest.raises(FormatError, match="longer than the layers need"):
        back(data + b"\1\2\3\4" * 3, layer)


@settings(deadline=None)
@given(
    st.binary(max_size=200).map(lambda b: b[: len(b) // 4 * 4]),
    st.integers(-128, 127),
    st.integers(1, MOST),
    st.sampled_from(PICTURES),
)
def test_any_bytes_decode_or_raise_our_error(data, density, top, picture):
    shape = 20, int(np.prod(picture))
    try:
        (levels,) = decode(data, [(shape, picture, Side(density, top))])
    except FormatError:
        return
    assert levels.shape == shape and np.abs(levels).max() <= top
