"""What a weight costs by where it is: least where there are others, as in the file."""

import math

import numpy as np
import pytest
import torch

from compression.rate import LEAST, weight_bits


def test_bits_by_hand_where_all_places_are_alike():
    stays = torch.zeros(8, 8, dtype=torch.bool)
    stays[torch.arange(8), torch.arange(8)] = True
    bits = weight_bits(stays, (8, 1, 1), 4)
    density, even = 9 / 66, math.log(3 / (8 * 9 / 66 + 2)) + math.log(2 / (8 * 9 / 66 + 1))
    odds = math.exp(math.log(density / (1 - density)) + even)
    assert bits == pytest.approx(torch.full((8, 8), math.log2(1 + 1 / odds) + 3).numpy(), abs=1e-5)


@pytest.mark.parametrize("picture", [(36, 1, 1), (1, 6, 6), (4, 3, 3)])
def test_a_weight_is_cheaper_in_a_row_and_a_column_that_have_many(picture):
    stays = torch.zeros(20, 36, dtype=torch.bool)
    stays[3, ::4], stays[::4, 7] = True, True
    bits = weight_bits(stays, picture, 1)
    assert bits[3, 7] < bits[3, 22] < bits[10, 22]
    assert bits[3, 7] < bits[10, 7] < bits[10, 22]


def test_a_weight_is_cheaper_beside_others():
    stays = torch.zeros(40, 100, dtype=torch.bool)
    stays[torch.arange(40), torch.arange(40) * 2 + 3] = True  # one in each row, few in a column
    stays[5] = False
    stays[5, 55] = True
    bits = weight_bits(stays, (1, 10, 10), 1)
    assert bits[5, 56] < bits[5, 66] < bits[5, 98]  # beside, at a corner, far away


def test_none_is_nearly_free_and_none_has_no_price():
    full = weight_bits(torch.ones(10, 10, dtype=torch.bool), (10, 1, 1), 1)
    empty = weight_bits(torch.zeros(10, 10, dtype=torch.bool), (10, 1, 1), 1)
    assert (full == LEAST).all()
    assert torch.isfinite(empty).all() and (empty > 5).all()


def test_the_sum_is_near_to_what_a_coder_that_knows_rows_and_columns_needs(seed):
    """Order-0 of each cell with the chance of its row and column, of masks drawn from those."""
    random = np.random.default_rng(seed)
    rows, columns = random.gamma(1.0, size=(60, 1)), random.gamma(1.0, size=(1, 200))
    chance = np.clip(0.05 * rows * columns, 0, 0.9)
    stays = random.random((60, 200)) < chance
    true = -np.log2(chance[stays]).sum() + stays.sum()
    bits = weight_bits(torch.from_numpy(stays), (200, 1, 1), 1)[torch.from_numpy(stays)]
    assert float(bits.sum()) == pytest.approx(true, rel=0.12)
