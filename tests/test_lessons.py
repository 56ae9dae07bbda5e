"""What the lessons compute: on six rows and columns by hand, and on a real network."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compression.baselines import baseline
from compression.errors import InvalidInput
from compression.lessons import real, small
from compression.lessons.huffman import huffman, mean_bits
from compression.pipeline import run
from compression.qr import MOST, qr_svg
from compression.recipe import Recipe, parse_step, parse_steps


def recipe(*steps: str) -> Recipe:
    return baseline("lenet_300_100", "digits").then(*map(parse_step, steps))


@pytest.mark.parametrize("K", [1, 9, 36])
def test_k_weights_stay_and_the_threshold_says_the_same(K):
    found = small.pruned(K)
    assert np.count_nonzero(found.kept) == K
    assert ((np.abs(found.W) >= found.threshold) == (found.kept != 0)).all()
    assert found.share == pytest.approx((found.kept**2).sum() / (found.W**2).sum())


def test_all_weights_of_the_example_have_another_size():
    assert len(np.unique(np.abs(small.W.numpy()))) == small.WEIGHTS


@pytest.mark.parametrize("Q", [1, 3, 16])
def test_rounding_moves_no_weight_further_than_half_a_step(Q):
    found = small.rounded(Q)
    assert found.error <= found.bound + 1e-6 and found.bound == 1 / (2 * Q)
    assert (found.whole == np.rint(found.whole)).all()
    assert found.values <= found.levels and found.bits <= math.log2(found.values)


def test_a_student_of_all_units_answers_as_its_teacher_and_a_smaller_one_does_not():
    assert np.allclose(small.cut(6).large, small.cut(6).small)
    found = small.cut(3)
    assert found.before_small.shape == (3, 6) and found.behind_small.shape == (6, 3)
    assert found.left == 36 and not np.allclose(found.large, found.small)


def test_zeros_are_multiplied_and_columns_that_are_cut_are_not():
    found = small.counted(2)
    assert np.count_nonzero(found.zeros) == found.narrow.size == 12
    assert (found.by_zeros, found.by_narrow) == (36, 12)


def test_the_two_orders_differ_where_rounded_sizes_tie():
    found = small.orders(12, 2)
    assert found.differ.sum() == 8 and found.tied == 14
    assert found.errors[0] < found.errors[1]


def test_huffman_of_five_symbols_by_hand():
    leaves = {leaf.symbol: len(leaf.code) for leaf in huffman({0: 8, 1: 4, 2: 2, 3: 1, 4: 1})}
    assert leaves == {0: 1, 1: 2, 2: 3, 3: 4, 4: 4}
    assert mean_bits(huffman({7: 3})) == 1.0 and huffman({}) == []


@given(st.dictionaries(st.integers(-50, 50), st.integers(1, 500), min_size=2, max_size=30))
def test_huffman_lies_within_a_bit_of_the_entropy_and_no_code_begins_another(counts):
    leaves = huffman(counts)
    total = sum(counts.values())
    entropy = -sum(n / total * math.log2(n / total) for n in counts.values())
    assert entropy - 1e-9 <= mean_bits(leaves) < entropy + 1
    codes = [leaf.code for leaf in leaves]
    assert not any(a != b and b.startswith(a) for a in codes for b in codes)
    assert {leaf.symbol: leaf.times for leaf in leaves} == counts


def test_coded_bits_lie_between_the_entropy_and_equal_codes():
    found = small.coded(12, 3)
    assert found.entropy <= found.huffman <= found.fixed


def test_the_largest_tenth_carries_more_than_a_tenth_of_the_squared_sum(store):
    share = real.squared_share(recipe("magnitude_pruning:sparsity=0.9"), store)
    assert 0.2 < share < 1


def test_the_parts_of_a_file_add_up_to_it(store):
    r = recipe("magnitude_pruning:sparsity=0.8", "codebook_quantization:levels=8")
    found = real.file_code(r, store)
    assert found.total == run(r, store, split="validation").cost.bytes
    assert found.weights + found.tables + found.biases + found.header == found.total
    for layer in found.layers:
        assert layer.mask + layer.codes == pytest.approx(layer.entropy)
        assert layer.entropy <= layer.huffman + 1e-9 < layer.entropy + 1
        assert sum(leaf.times for leaf in layer.leaves) == layer.weights


def test_rounding_counts_all_weights(store):
    found = real.rounding(recipe("fixed_point_quantization:Q=8"), store)
    assert sum(found.counts) == run(recipe(), store, split="validation").cost.weights
    assert found.levels >= len(found.numbers) and 0 in found.numbers
    assert found.low < 0 < found.high


def test_three_networks_are_timed_in_turn(store):
    found = real.speeds(
        baseline("lenet_300_100", "digits"),
        ("magnitude_pruning:sparsity=0.7", "channel_pruning:ratio=0.7"),
        store,
    )
    assert len(found) == 3 and all(s.runs >= real.TURNS for s in found)
    assert all(0 < s.low <= s.median <= s.high for s in found)


def test_one_of_six_images_is_wrong_now_and_the_others_are_not(store):
    r = recipe("magnitude_pruning:sparsity=0.95")
    found = real.suspects(r, "validation", store)
    assert len(found) == real.SUSPECTS
    assert sum(s.answer != s.label for s in found) == 1
    assert found == real.suspects(r, "validation", store)
    assert real.suspects(recipe(), "validation", store) == ()


def test_steps_of_a_time_are_those_of_the_text():
    assert parse_steps("channel_pruning:ratio=0.7")[0].label() == "channels −70 %"


def test_a_qr_code_is_an_svg_and_a_long_link_is_refused():
    assert qr_svg("http://lab:8501/learn?lesson=Prune").startswith("<svg")
    with pytest.raises(InvalidInput, match="too long for a QR code"):
        qr_svg("x" * (MOST + 1))
