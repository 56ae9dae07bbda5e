"""The .nnz file:

exact when read back, small beside its entropy, and safe against whatever it is given.
"""

import random
import tracemalloc
import zlib

import numpy as np
import pytest

from compression import checkpoint
from compression.baselines import baseline
from compression.compressed import CompressedModel, compress, decompress
from compression.errors import FormatError
from compression.models import tensor_shapes
from compression.networks import NETWORKS
from compression.settings import ROOT
from compression.storage import HEAD, coder_ratio, dumps, estimate, loads, write
from compression.store import Store

from .networks import (
    DEEP,
    GOLDEN_RECIPES,
    PAIRS,
    RECIPES,
    SHAPES,
    applied,
    bits,
    small_deep,
    split_int8,
    whole_number_network,
)

GOLDEN = ROOT / "tests" / "data"  # made by `python -m tests.make_golden`


def compressed(model: str, dataset: str, name: str, width: float = 1.0) -> CompressedModel:
    network = applied(whole_number_network(model, dataset, width), dataset, RECIPES[name])
    return compress(network, dataset)


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("model, dataset", PAIRS)
def test_what_is_read_back_has_the_same_bits(model, dataset, name):
    network = applied(whole_number_network(model, dataset), dataset, RECIPES[name])
    back = decompress(loads(dumps(compress(network, dataset))))
    assert bits(back) == bits(network)
    assert back.architecture == network.architecture


@pytest.mark.parametrize("name", list(SHAPES))
@pytest.mark.parametrize("model", DEEP)
def test_deep_networks_come_back_with_the_same_bits_and_their_parts_add_up(model, name):
    network = applied(whole_number_network(model, "digits", 0.3), "digits", SHAPES[name])
    file, parts = write(compress(network, "digits"))
    back = decompress(loads(file))
    assert bits(back) == bits(network)
    assert back.architecture == network.architecture
    assert sum(p.bytes for p in parts) == len(file)
    if "biases" not in name:  # which are plain numbers when they are read back
        assert dumps(compress(back, "digits")) == file, "written again it is the same file"


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("model, dataset", PAIRS)
def test_the_parts_add_up_to_the_length_of_the_file(model, dataset, name):
    file, parts = write(compressed(model, dataset, name))
    assert sum(p.bytes for p in parts) == len(file)
    assert all(p.bytes >= 0 for p in parts)


def trained(model: str, steps: list[str]) -> CompressedModel:
    """A shipped network with these steps behind it."""
    stored = Store().checkpoint(baseline(model, "mnist").digest)
    assert stored is not None
    return compress(applied(checkpoint.loads(stored).model, "mnist", steps), "mnist")


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("model", ["lenet_300_100", "lenet5", "net"])
def test_the_file_is_smaller_than_its_entropy_or_hardly_larger(model, name):
    network = trained(model, RECIPES[name])
    file, least = dumps(network), network.entropy_bytes()
    assert len(file) <= (1.005 if len(file) >= 5_000 else 1.03) * least


BOUNDS = [  # whole files, biases of 5 bits, by the order-0 entropy of all symbols
    ("lenet_300_100", 0.95, 4, 0.91),
    ("lenet_300_100", 0.98, 4, 0.91),
    ("lenet5", 0.95, 4, 0.98),
    ("lenet5", 0.99, 4, 1.0),
    ("net", 0.95, 4, 0.98),
    ("resnet20", 0.9, 16, 1.0),
]


@pytest.mark.parametrize("model, sparsity, levels, most", BOUNDS)
def test_what_the_coder_learns_makes_files_smaller_than_their_entropy(
    model, sparsity, levels, most
):
    steps = [f"magnitude_pruning:sparsity={sparsity}", f"codebook_quantization:levels={levels}"]
    network = trained(model, [*steps, "bias_quantization"])
    assert len(dumps(network)) <= most * network.entropy_bytes()


def student(model: str, width: float) -> CompressedModel:
    """A narrow network with few weights left, all with levels."""
    steps = [
        f"distill:width={width},epochs=0",
        "magnitude_pruning:sparsity=0.8",
        "codebook_quantization:levels=4",
        "bias_quantization",
    ]
    return trained(model, steps)


@pytest.mark.parametrize("model, width", [("lenet_300_100", 0.3), ("lenet5", 0.4), ("net", 0.5)])
def test_small_files_spend_little_on_what_is_not_weights(model, width):
    file, parts = write(student(model, width))
    weights = sum(p.bytes for p in parts if p.part == "weights")
    assert len(file) < 9_000 and len(file) - weights < 250


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("model, dataset", PAIRS)
def test_an_estimate_with_the_right_ratio_is_close_to_the_file(model, dataset, name):
    made = compressed(model, dataset, name)
    file, parts = write(made)
    size, about = estimate(made, coder_ratio(made, parts))
    assert size == sum(p.bytes for p in about)
    assert abs(size - len(file)) <= 0.01 * len(file) + 30


@pytest.mark.parametrize("model, dataset, name", GOLDEN_RECIPES)
def test_golden_files_pin_the_bytes(model, dataset, name):
    golden = (GOLDEN / f"{model}-{name.replace(' ', '_').replace(',', '')}.nnz").read_bytes()
    network = applied(whole_number_network(model, dataset, 0.2), dataset, RECIPES[name])
    assert dumps(compress(network, dataset)) == golden
    assert bits(decompress(loads(golden))) == bits(network)


@pytest.mark.parametrize("kind", ["int8", "small"])
@pytest.mark.parametrize("model", DEEP)
def test_golden_files_pin_the_bytes_of_deep_networks(model, kind):
    golden = (GOLDEN / f"{model}-{kind}.nnz").read_bytes()
    network = split_int8(model) if kind == "int8" else small_deep(model)
    assert dumps(compress(network, "digits")) == golden
    assert bits(decompress(loads(golden))) == bits(network)
    assert decompress(loads(golden)).architecture == network.architecture


def with_checksum(body: bytes) -> bytes:
    return b"NNZ\x03" + zlib.crc32(body).to_bytes(4, "little") + body


def claimed(data: bytes) -> int:
    """Float32 bytes of the largest network that a header may name for these data sets."""
    return 4 * 450_000


def mutations(file: bytes, n: int):
    """n damaged copies:

    flipped bits, cuts, insertions, swapped pieces; half of them with a right checksum.
    """
    chance = random.Random(7)
    for i in range(n):
        body = bytearray(file[HEAD:])
        for _ in range(chance.choice([1, 1, 1, 2, 5, 20])):
            near = chance.random() < 0.5  # headers and tables are at the beginning
            at = chance.randrange(min(len(body), 60) if near else len(body))
            kind = chance.randrange(5)
            if kind == 0:
                body[at] ^= 1 << chance.randrange(8)
            elif kind == 1:
                body[at] = chance.randrange(256)
            elif kind == 2:
                del body[at : at + chance.randrange(1, 40)]
            elif kind == 3:
                body[at:at] = chance.randbytes(chance.randrange(1, 40))
            else:
                body[at:] = b"\xff" * chance.randrange(0, 60)
            if not body:
                body = bytearray(b"\0")
        yield with_checksum(bytes(body)) if i % 2 else file[:HEAD] + bytes(body)


@pytest.mark.parametrize(
    "name, n",
    [("pruned", 500), ("pruned, codebook", 500), ("affine per channel", 400), ("fixed point", 300),
     ("odd levels", 300)],
)  # fmt: skip
def test_two_thousand_damaged_files_raise_only_our_error_and_stay_small(name, n):
    file = dumps(compressed("net", "digits", name, 0.5))
    tracemalloc.start()
    try:
        for data in mutations(file, n):
            tracemalloc.reset_peak()
            try:
                loads(data)
            except FormatError as e:
                assert 10 < len(str(e)) < 400
            assert tracemalloc.get_traced_memory()[1] < 10 * claimed(data)
    finally:
        tracemalloc.stop()


def test_a_header_that_claims_much_costs_no_more_than_it_may(seed):
    body = bytes([2, 2, 3, 20, 50, 0xF4, 3, 0]) + bytes([2, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]) * 40
    tracemalloc.start()
    with pytest.raises(FormatError):
        loads(with_checksum(body))
    assert tracemalloc.get_traced_memory()[1] < 10 * 4 * 431_080
    tracemalloc.stop()


@pytest.mark.parametrize("model, dataset", PAIRS[:2])
def test_a_file_cut_anywhere_is_refused(model, dataset):
    file = dumps(compressed(model, dataset, "pruned, codebook", 0.2))
    for length in range(len(file)):
        with pytest.raises(FormatError):
            loads(file[:length])
        if length > HEAD and length % 7 == 0:
            with pytest.raises(FormatError):
                loads(with_checksum(file[HEAD:length]))


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda b: b"PK\3\4" + b[4:], "does not begin with NNZ"),
        (lambda b: b[:3] + b"\x09" + b[4:], "version 9 of the format is not known"),
        (lambda b: b[:-1] + bytes([b[-1] ^ 1]), "checksum is wrong"),
        (lambda b: with_checksum(b"\x63" + b[HEAD + 1 :]), "unknown network number 99"),
        (
            lambda b: with_checksum(b[HEAD : HEAD + 1] + b"\x63" + b[HEAD + 2 :]),
            "unknown data set number 99",
        ),
        (lambda b: with_checksum(b[HEAD:] + b"\0"), "no whole words"),
        (lambda b: with_checksum(b[HEAD:] + b"word" * 9), "longer than the layers need"),
        (lambda b: with_checksum(b"\x02" + b[HEAD + 1 :]), "needs images of 16"),
        (lambda b: b"", "does not begin with NNZ"),
        (lambda b: b"NNZ", "cut short"),
    ],
)
def test_each_kind_of_damage_has_its_sentence(change, sentence):
    file = dumps(compressed("lenet_300_100", "digits", "pruned", 0.2))
    with pytest.raises(FormatError, match=sentence):
        loads(change(file))


def test_hidden_units_beyond_the_network_are_refused():
    file = bytearray(dumps(compressed("lenet_300_100", "digits", "pruned", 0.2)))
    place = HEAD + 3
    assert file[place] == 60, "the first hidden layer has 60 units, a varint of one byte"
    body = bytes(file[HEAD:place]) + b"\xff\xff\xff\xff\x07" + bytes(file[place + 1 :])
    with pytest.raises(FormatError, match="do not lie between 1 and"):
        loads(with_checksum(body))


def resnet_header(*behind: int) -> bytes:
    """A file of resnet20 on digits that has nothing but its header, one unit in each layer."""
    return with_checksum(bytes([0x84, 1, 6, 1, 1, 1, 1, 1, 1, *behind]))


@pytest.mark.parametrize(
    "behind, sentence",
    [
        ([3, 1, 1, 1], "3 ranks for 10 layers"),
        ([10, 2, *[0] * 9], r"ranks \(2, 0, .* are larger than \[1, 1, "),
        ([0, 0], "are announced, but all are 0"),
        ([10, *[0] * 10, 0], "are announced, but all are 0"),
        ([0, 9], "activations have at most 8 bits, 9 in the file"),
        ([10, *[1] * 10, 8], "cut short"),
    ],
)
def test_ranks_and_bits_that_can_not_be_are_refused(behind, sentence):
    with pytest.raises(FormatError, match=sentence):
        loads(resnet_header(*behind))


def test_a_depthwise_layer_has_no_rank():
    body = bytes([0x85, 1, 6, *[2] * 6, 12, 0, 1, *[0] * 10, 0])
    with pytest.raises(FormatError, match=r"\(0, 1, .* larger than \[2, 0, 2, "):
        loads(with_checksum(body))


def test_a_depth_that_the_network_does_not_have_is_refused():
    with pytest.raises(FormatError, match=r"resnet20 has \[6, 9, 12\] hidden layers, 7 in"):
        loads(with_checksum(bytes([4, 1, 7, *[1] * 7])))


def test_tensor_shapes_need_no_memory():
    from compression.networks import Architecture

    huge = Architecture("lenet_300_100", (1, 28, 28), 10, (10**9, 10**9))
    assert tensor_shapes(huge)["fc2.weight"] == (10**9, 10**9)


def test_every_network_of_the_table_has_its_own_id():
    assert len({n.id for n in NETWORKS.values()}) == len(NETWORKS)


def test_a_file_of_one_value_per_layer_is_a_few_bytes():
    network = whole_number_network("net", "digits")
    for p in network.parameters():
        p.data.fill_(0.25)
    file = dumps(compress(network, "digits"))
    assert len(file) < 4 * 206 + 600 and np.all(loads(file).tensors[0].decoded() == 0.25)


def test_low_bits_of_more_weights_than_there_are_are_refused_before_they_are_read():
    body = bytes([1, 1, 2, 1, 1, 0]) + bytes([1, 0, 0, 120, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F])
    with pytest.raises(FormatError, match="34359738367 levels with low bits, but 64 weights"):
        loads(with_checksum(body))
