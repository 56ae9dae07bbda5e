"""docs/format.md is the truth about the file:

its decoder reads what the library writes, its ids are ours, and what it refuses we refuse.
"""

import math
import re
import struct
import zlib

import numpy as np
import pytest

from compression.compressed import CompressedModel, CompressedTensor, compress, decompress
from compression.data import DATASETS
from compression.entropy import FREQUENCIES
from compression.errors import FormatError
from compression.models import tensor_shapes
from compression.networks import NETWORKS, architecture_for
from compression.settings import ROOT
from compression.storage import DATASET_IDS, KIND_IDS, dumps, loads

from .networks import DEEP, PAIRS, RECIPES, SHAPES, applied, bits, whole_number_network

DOC = (ROOT / "docs" / "format.md").read_text()
SHARED = np.array([-0.3, 0.0, 0.1, 0.7, 1.0], "<f4")  # most of them are no float16
FLOATS = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38, -0.3], "<f4")


def those(values, n):
    """The values in turn, n of them."""
    return np.resize(np.array(values), n)


def of_rows(rows):
    """A step or Q for each output unit, none of them a power of two."""
    return np.arange(3, 3 + 2 * rows, 2, dtype="<f4") / np.float32(7)


MADE = {  # what a file may hold, though the steps of the library rarely or never write it
    "plain numbers": lambda n, rows: dict(kind="raw", values=those(FLOATS, n)),
    "floats of every sort": lambda n, rows: dict(kind="float", values=those(FLOATS, n)),
    "a table in float32": lambda n, rows: dict(
        kind="codebook", symbols=those(range(5), n), table=SHARED
    ),
    "a table in float16": lambda n, rows: dict(
        kind="codebook", symbols=those(range(2), n), table=SHARED[[1, 4]]
    ),
    "one Q": lambda n, rows: dict(
        kind="fixed_point", symbols=those([-2, -1, 1, 2], n), table=of_rows(1)
    ),
    "a Q for each output unit": lambda n, rows: dict(
        kind="fixed_point", symbols=those([-2, -1, 1, 2], n), table=of_rows(rows)
    ),
    "a step for each output unit": lambda n, rows: dict(
        kind="grid", symbols=those([-3, -1, 1, 3], n), table=of_rows(rows)
    ),
    "one symbol": lambda n, rows: dict(kind="grid", symbols=those([-3], n), table=of_rows(rows)),
    "uneven distances": lambda n, rows: dict(
        kind="grid", symbols=those([-(2**24) + 1, -7, 0, 1, 9_999], n), table=of_rows(1)
    ),
}


def made(model, dataset, name):
    """A small network all tensors of which are so, the biases too."""
    a = architecture_for(model, dataset, 0.1)
    tensors = []
    for key, shape in tensor_shapes(a).items():
        content = MADE[name](math.prod(shape), shape[0])
        if content["kind"] == "codebook":  # a bias may be shorter than the table
            content["table"] = content["table"][: math.prod(shape)]
        tensors.append(CompressedTensor(key, shape, **content))
    return CompressedModel(a, dataset, tuple(tensors))


def as_bits(found):
    assert {a.dtype for a in found.values()} == {np.dtype("float32")}
    return {key: np.ascontiguousarray(a, "<f4").tobytes() for key, a in found.items()}


@pytest.fixture(scope="module")
def arrays():
    """The decoder of the document, run as it stands there."""
    (code,) = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
    names: dict = {}
    exec(compile(code, "docs/format.md", "exec"), names)
    return names["arrays"]


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("model, dataset", PAIRS)
def test_the_decoder_of_the_document_gives_the_same_bits(arrays, model, dataset, name):
    network = applied(whole_number_network(model, dataset), dataset, RECIPES[name])
    file = dumps(compress(network, dataset))
    assert as_bits(arrays(file)) == bits(decompress(loads(file)))


@pytest.mark.parametrize("name", list(SHAPES))
@pytest.mark.parametrize("model", DEEP)
def test_the_decoder_reads_the_deep_networks_whatever_their_shape(arrays, model, name):
    network = applied(whole_number_network(model, "digits", 0.3), "digits", SHAPES[name])
    file = dumps(compress(network, "digits"))
    assert as_bits(arrays(file)) == bits(decompress(loads(file)))


@pytest.mark.parametrize("depth", [1, 2])
def test_the_decoder_reads_a_shallower_resnet(arrays, depth):
    steps = [f"distill:width=0.3,depth={depth / 3:.2f},epochs=0"]
    network = applied(whole_number_network("resnet20", "digits"), "digits", steps)
    assert len(network.architecture.hidden) == 3 + 3 * depth
    file = dumps(compress(network, "digits"))
    assert as_bits(arrays(file)) == bits(decompress(loads(file)))


def test_the_decoder_reads_images_in_colour(arrays):
    file = dumps(compress(whole_number_network("resnet20", "cifar10", 0.2), "cifar10"))
    assert as_bits(arrays(file)) == bits(decompress(loads(file)))


@pytest.mark.parametrize("name", list(MADE))
@pytest.mark.parametrize("model, dataset", [*PAIRS, *((model, "digits") for model in DEEP)])
def test_the_decoder_reads_every_kind_in_every_network(arrays, model, dataset, name):
    compressed = made(model, dataset, name)
    file = dumps(compressed)
    assert as_bits(arrays(file)) == bits(decompress(compressed))
    assert as_bits(arrays(file)) == bits(decompress(loads(file)))


def test_the_made_files_have_every_kind_and_both_precisions():
    first = {dumps(made("net", "digits", name))[HEADER] for name in MADE}
    assert first == {*KIND_IDS.values(), KIND_IDS["codebook"] | 0x80}


def test_the_decoder_is_as_short_as_its_heading_says():
    code = DOC.split("## Ninety lines that read it")[1].split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 90


def numbers(text):
    return tuple(int(n) for n in text.split(", "))


def test_the_ids_of_the_document_are_those_of_the_code():
    ids = DOC.split("## Ids\n")[1].split("\n## ")[0]
    networks = re.findall(r"\| (\d+) \| `(\w+)` \| ([\d, ]+) \|\n", ids)
    assert {name: (int(i), numbers(hidden)) for i, name, hidden in networks} == {
        name: (network.id, network.hidden) for name, network in NETWORKS.items()
    }
    datasets = re.findall(r"\| (\d+) \| `(\w+)` \| ([\d, ]+) \| (\d+) \|\n", ids)
    assert {name: int(i) for i, name, _, _ in datasets} == DATASET_IDS
    assert {name: (numbers(shape), int(k)) for _, name, shape, k in datasets} == {
        name: (entry.shape, len(entry.classes)) for name, entry in DATASETS.items()
    }
    kinds = DOC.split("## A tensor\n")[1].split("\n## ")[0]
    found = re.findall(r"\| `(\w+)` \| (\d+) \|", kinds)
    assert {name: int(i) for name, i in found} == KIND_IDS


def test_the_frequencies_of_the_document_are_those_of_the_code():
    assert "rint(2^((b − 1)/8))" in DOC
    assert np.array_equal(FREQUENCIES[1:], [np.rint(2 ** ((b - 1) / 8)) for b in range(1, 256)])


SMALLEST = bytes([1, 1, 1, 8, 8, 10, 2, 1, 1])  # lenet_300_100 of digits with one unit in a layer
HEADER = 8 + 10  # of the file of `net`, with three hidden layers


@pytest.mark.parametrize(
    "first_tensor, sentence",
    [
        ([5], "unknown kind of tensor number 5"),
        ([0x83], "only a codebook may be of half precision"),
        ([3, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1], "more than 35 bits"),
        ([3, 0, 0], "can't list 0 symbols"),
        ([3, 0x81, 1, 0], "of 64 weights can't list 129 symbols"),
        ([3, 3, 0, 0, 1, 0, 1, 1, 1], "do not ascend, or are too large"),
        ([3, 1, 0x80, 0x80, 0x80, 0x10, 1], "do not ascend, or are too large"),  # 2^24
        ([3, 1, 0xFF, 0xFF, 0xFF, 0x0F, 1], "do not ascend, or are too large"),  # -2^24
        ([3, 2, 0, 1, 0, 0], "none of the symbols of a tensor occurs"),
        ([2, 2, 2, 1, 1, 1], "a codebook's symbols must count from 0"),
        ([2, 2, 0, 2, 1, 1], "a codebook's symbols must count from 0"),
        ([3, 1, 0, 1, 2], "one step or 1 are possible, 2 in the file"),
        ([4, 1, 0, 1, 0], "one step or 1 are possible, 0 in the file"),
        ([3, 1, 0, 1, 1, *b"step", 1, *b"word"], "no coded bytes, but there are some"),
        ([3, 2, 0, 1, 1, 1, 1, *b"step", 60, *b"word" * 60], "longer than the tensor needs"),
        ([1, 1, 1, 1, 0], "top byte must lie in 0..256"),
        ([1, 1, 0x82, 4, 1, 0], "top byte must lie in 0..256"),
        ([1, 1, 0, 1, 0, 1, 2, 3], "cut short"),
    ],
)
def test_what_the_document_refuses_in_a_tensor_is_refused(first_tensor, sentence):
    body = SMALLEST + bytes(first_tensor)
    with pytest.raises(FormatError, match=sentence):
        loads(b"NNZ\x02" + struct.pack("<I", zlib.crc32(body)) + body)
