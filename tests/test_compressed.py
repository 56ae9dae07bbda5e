"""A network as whole numbers and tables: which kind each tensor gets, and what it decodes to."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compression.compressed import (
    MOST_VALUES,
    ZERO,
    CompressedModel,
    CompressedTensor,
    compress,
    decompress,
    float_tops,
)
from compression.models import attach, build, stored, tensor_shapes
from compression.networks import Architecture
from compression.pruning import Pruned
from compression.quantization import Magnitudes
from compression.storage import dumps, loads

from .helpers import applied, bits_of

TINY = Architecture("lenet_300_100", (1, 8, 8), 10, (1, 1))


def holding(symbols: list[int], kind: str, table: list[float]) -> CompressedModel:
    """A tiny network whose first weight, (1, 64), holds these symbols over and over."""
    model = compress(build(TINY), "digits")
    first = CompressedTensor(
        "fc1.weight",
        (1, 64),
        kind,
        symbols=np.resize(np.array(symbols, np.int32), 64),
        table=np.array(table, np.float32),
    )
    return replace(model, tensors=(first, *model.tensors[1:]))


def kinds(model: CompressedModel) -> list[str]:
    return [t.kind for t in model.tensors if t.name.endswith("weight")]


# what a tensor decodes to


def test_each_kind_decodes_as_its_formula_says():
    def tensor(kind, table, **more):
        table = np.array(table, np.float32)
        return CompressedTensor("w", (2, 2), kind, table=table, **more).decoded().tolist()

    symbols = np.array([0, 1, 2, 1], np.int32)
    assert tensor("codebook", [-1, 0, 0.5], symbols=symbols) == [[-1, 0], [0.5, 0]]
    assert tensor("grid", [0.25], symbols=symbols - 1) == [[-0.25, 0], [0.25, 0]]
    assert tensor("grid", [0.25, 2], symbols=symbols) == [[0, 0.25], [4, 2]]
    assert tensor("fixed_point", [4], symbols=symbols) == [[0, 0.25], [0.5, 0.25]]
    values = np.array([[1, 2], [3, 4]], np.float32)
    for kind in ("raw", "float"):
        assert CompressedTensor("w", (2, 2), kind, values=values).decoded().tolist() == [
            [1, 2],
            [3, 4],
        ]


def test_only_plus_zero_is_the_symbol_zero():
    values = np.array([0.0, -0.0, np.nan, np.inf, 1e-45, 1.0], np.float32)
    assert (float_tops(values) == ZERO).tolist() == [True, False, False, False, False, False]


# entropy and nominal bits


def test_nominal_bits_by_hand():
    def bits(symbols, kind="codebook"):
        whole = np.array(symbols, np.int32)
        table = np.zeros(300, np.float32)
        return CompressedTensor("w", whole.shape, kind, symbols=whole, table=table).nominal_bits()

    assert bits(list(range(16)) * 5) == 80 * 4
    assert bits(list(range(17)) * 2) == 34 * 5
    assert bits([3] * 10) == 10, "one value still takes a bit each"
    assert bits([0, 9]) == 2
    assert CompressedTensor("b", (7,), "raw", values=np.zeros(7)).nominal_bits() == 7 * 32


def test_entropy_bits_by_hand():
    whole = np.array([0, 1, 0, 1], np.int32)
    shared = CompressedTensor("w", (4,), "grid", symbols=whole, table=np.ones(1, np.float32))
    assert shared.entropy_bits() == 4
    assert CompressedTensor("b", (3,), "raw", values=np.ones(3)).entropy_bits() == 96
    halves = np.array([0.0, 1.0, 0.0, 1.0], np.float32)
    mixed = CompressedTensor("w", (4,), "float", values=halves)
    assert mixed.entropy_bits() == 4 + 2 * 24, "zero or not, and three bytes of each that is not"


def test_a_model_adds_its_tensors_up(dense, context):
    model = compress(applied(dense, context, "codebook_quantization:levels=16"), "digits")
    biases = 300 + 100 + 10
    assert model.nominal_bytes() == (50_200 * 4 + biases * 32) // 8
    assert biases * 4 < model.entropy_bytes() < model.nominal_bytes()
    dense_bytes = compress(dense, "digits").nominal_bytes()
    assert compress(build(dense.architecture), "digits").nominal_bytes() == 4 * 50_610
    assert dense_bytes == model.nominal_bytes()


# which kind


@pytest.mark.parametrize(
    "steps, kind",
    [
        ([], "float"),
        (["magnitude_pruning:sparsity=0.9"], "float"),
        (["fixed_point_quantization:Q=32"], "fixed_point"),
        (["uniform_quantization:levels=16"], "grid"),
        (["uniform_quantization:levels=16,per=channel"], "grid"),
        (["codebook_quantization:levels=16"], "codebook"),
        (["magnitude_pruning:sparsity=0.5", "uniform_quantization:levels=16"], "grid"),
        (["uniform_quantization:levels=16", "magnitude_pruning:sparsity=0.5"], "grid"),
        (["magnitude_pruning:sparsity=0.5", "codebook_quantization:levels=16"], "codebook"),
        (["codebook_quantization:levels=16", "uniform_quantization:levels=4"], "grid"),
        (["uniform_quantization:levels=64", "codebook_quantization:levels=4"], "codebook"),
        (["uniform_quantization:levels=16", "distill:width=0.5,epochs=0"], "codebook"),
    ],
    ids=str,
)
def test_each_way_to_compress_has_its_kind_of_tensor(dense, context, steps, kind):
    network = applied(dense, context, *steps)
    model = compress(network, "digits")
    assert kinds(model) == [kind] * 3
    assert [t.kind for t in model.tensors if t.name.endswith("bias")] == ["raw"] * 3
    assert bits_of(decompress(model)) == bits_of(network)


def test_the_tensors_stand_in_the_order_of_the_network(dense):
    model = compress(dense, "digits")
    assert {t.name: t.shape for t in model.tensors} == tensor_shapes(dense.architecture)
    assert [t.name for t in model.tensors] == list(tensor_shapes(dense.architecture))


def test_more_values_than_a_codebook_may_have_are_plain_floats():
    network = build(Architecture("lenet_300_100", (1, 8, 8), 10, (300, 1)))
    with torch.no_grad():
        for levels, kind in ((MOST_VALUES, "codebook"), (MOST_VALUES + 1, "float")):
            numbers = torch.arange(19_200) // 4 % levels
            network.fc1.weight.copy_(((numbers + 1) / 8_192).view(300, 64))
            assert kinds(compress(network, "digits"))[0] == kind


def test_a_size_that_one_sign_has_left_costs_no_more(dense, seed):
    """The coder tells signs and sizes apart: it needs both signs of every size in the table."""
    generator = torch.Generator().manual_seed(seed)
    W, shares = dense.fc1.weight.detach(), torch.tensor([0.1, 0.05, 0.7, 0.05, 0.1])
    drawn = torch.multinomial(shares, W.numel(), True, generator=generator)
    both = torch.tensor([-0.5, -0.25, 0.0, 0.25, 0.5])[drawn].view_as(W)
    attach(dense.fc1, Pruned(both != 0))
    attach(dense.fc1, Magnitudes(torch.tensor([0.25, 0.5]).log()))
    sizes = []
    for values in (both, torch.where(both == -0.25, 0.25, both)):
        stored(dense.fc1).data = values
        model = compress(dense, "digits")
        sizes.append(len(dumps(model)))
        tensor = next(t for t in model.tensors if t.name == "fc1.weight")
        assert tensor.table is not None and tensor.table.tolist() == [-0.5, -0.25, 0, 0.25, 0.5]
        assert np.array_equal(tensor.decoded(), values.numpy())
        assert tensor.nonzero == int((values != 0).sum())
        assert bits_of(decompress(loads(dumps(model)))) == bits_of(decompress(model))
    assert sizes[1] < sizes[0]


def test_compressing_copies_what_it_takes(dense):
    model = compress(dense, "digits")
    before = [t.decoded().copy() for t in model.tensors]
    with torch.no_grad():
        for p in dense.parameters():
            p.zero_()
    assert all(np.array_equal(t.decoded(), b) for t, b in zip(model.tensors, before, strict=True))


def test_a_decompressed_network_is_plain_and_ready_to_answer(dense, context):
    network = decompress(compress(applied(dense, context, "fixed_point_quantization"), "digits"))
    assert not network.training
    assert [n for n, _ in network.named_parameters()] == list(tensor_shapes(dense.architecture))


# alphabets


WIDE = st.lists(st.integers(-(2**24) + 1, 2**24 - 1), min_size=1, max_size=64)
NARROW = st.lists(st.integers(-9, 9), min_size=1, max_size=64)


@given(st.one_of(WIDE, NARROW), st.sampled_from(["grid", "fixed_point"]))
def test_alphabets_with_gaps_and_negative_numbers_come_back(symbols, kind):
    model = holding(symbols, kind, [0.5])
    (first, *_) = loads(dumps(model)).tensors
    assert np.array_equal(first.symbols, model.tensors[0].symbols)
    assert first.decoded().tobytes() == model.tensors[0].decoded().tobytes()


@pytest.mark.parametrize(
    "symbols",
    [
        [0],
        [-7],
        [-7, -7, 3],
        [-4, -2, 0, 2, 4],
        [-3, -1, 1, 3],
        [-8, -4, 0, 4, 12],
        [0, 1, 1_000_000],
        list(range(-32, 32)),
        [-(2**24) + 1, 2**24 - 1],
    ],
    ids=str,
)
def test_alphabets_of_every_form_come_back(symbols):
    (first, *_) = loads(dumps(holding(symbols, "grid", [0.25]))).tensors
    assert np.array_equal(first.symbols, np.resize(symbols, 64))


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=30, unique=True))
def test_codebooks_of_any_float32_values_come_back(values):
    table = sorted(values)
    model = holding(list(range(len(table))), "codebook", table)
    (first, *_) = loads(dumps(model)).tensors
    assert first.table.tobytes() == np.array(table, np.float32).tobytes()
