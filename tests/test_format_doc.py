"""docs/format.md is the truth about the file:

its decoder reads what the library writes, its ids are ours, and what it refuses we refuse.
"""

import math
import re
import struct
import zlib

import numpy as np
import pytest

from compression.coder import LOG, LOGISTIC
from compression.compressed import CompressedModel, CompressedTensor, compress, decompress
from compression.data import DATASETS
from compression.errors import FormatError
from compression.models import tensor_shapes
from compression.networks import NETWORKS, architecture_for
from compression.settings import ROOT
from compression.storage import (
    DATASET_IDS,
    HALF,
    KIND_IDS,
    LOW,
    ODD,
    ROWS,
    SYMMETRIC,
    dumps,
    loads,
)

from .networks import DEEP, PAIRS, RECIPES, SHAPES, applied, bits, whole_number_network

DOC = (ROOT / "docs" / "format.md").read_text()
SHARED = np.array([-0.3, 0.0, 0.1, 0.7, 1.0], "<f4")  # most of them are no float16
MIRRORED = np.array([-1.0, -0.3, 0.0, 0.3, 1.0], "<f4")
FLOATS = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38, -0.3], "<f4")


def those(values, n):
    """The values in turn, n of them."""
    return np.resize(np.array(values), n)


def of_rows(rows):
    """A step or Q for each output unit, none of them a power of two."""
    return np.arange(3, 3 + 2 * rows, 2, dtype="<f4") / np.float32(7)


MADE = {  # what a file may hold, though the steps of the library rarely or never write it
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
    "levels one way, no zero": lambda n, rows: dict(
        kind="codebook", symbols=those(range(2), n), table=SHARED[3:]
    ),
    "a table that is mirrored": lambda n, rows: dict(
        kind="codebook", symbols=those(range(5), n), table=MIRRORED
    ),
    "odd levels, mirrored without a zero": lambda n, rows: dict(
        kind="codebook", symbols=those(range(4), n), table=MIRRORED[[0, 1, 3, 4]]
    ),
    "one symbol": lambda n, rows: dict(kind="grid", symbols=those([-3], n), table=of_rows(rows)),
    "uneven distances": lambda n, rows: dict(
        kind="grid", symbols=those([-(2**24) + 1, -7, 0, 1, 9_999], n), table=of_rows(1)
    ),
}


SMALL = [  # biases in turn
    dict(kind="raw", values=FLOATS),
    dict(kind="grid", symbols=[-3, 0, 1, 256], table=np.array([0.3], "<f4")),
    dict(kind="grid", symbols=[1, -1], table=np.array([0.5], "<f4")),
]


def made(model, dataset, name):
    """A small network all weights of which are so; every other bias has levels."""
    a = architecture_for(model, dataset, 0.1)
    tensors = []
    for key, shape in tensor_shapes(a).items():
        if len(shape) > 1:
            content = MADE[name](math.prod(shape), shape[0])
        else:
            content = SMALL[len(tensors) % len(SMALL)]
            which = "values" if content["kind"] == "raw" else "symbols"
            content = content | {which: those(content[which], shape[0])}
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


def test_the_made_files_have_every_kind_and_every_flag():
    first = {dumps(made("net", "digits", name))[HEADER] for name in MADE}
    assert {kind & 7 for kind in first} == set(KIND_IDS.values())
    assert sum({flag for kind in first for flag in (8, 16, 32, 64, 128) if kind & flag}) == 248


def test_the_decoder_is_as_short_as_its_heading_says():
    code = (
        DOC.split("## Under two hundred lines that read it")[1]
        .split("```python\n")[1]
        .split("```")[0]
    )
    assert len([line for line in code.splitlines() if line.strip()]) <= 210


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


def test_the_flags_of_the_document_are_those_of_the_code():
    table = DOC.split("| flag | of | meaning |")[1].split("\n\n")[0]
    assert [int(n) for n in re.findall(r"\| (\d+) \|", table)] == [HALF, LOW, ODD, SYMMETRIC, ROWS]


def test_the_tables_of_the_document_are_those_of_the_code():
    crcs = re.findall(r"little-endian int32 are (\w+) and (\w+)", DOC)
    assert crcs == [tuple(f"{zlib.crc32(t.astype('<i4').tobytes()):08x}" for t in (LOG, LOGISTIC))]


SMALLEST = bytes([1, 1, 2, 1, 1, 0])  # lenet_300_100 of digits with one unit in a layer
HEADER = 8 + 7  # of the file of `net`, with three hidden layers and four biases
STEP = struct.pack("<f", 0.5)


@pytest.mark.parametrize(
    "first_tensor, sentence",
    [
        ([3], "cut short"),
        ([5, 0, 0], "unknown kind of tensor number 5"),
        ([0, 0, 0], "unknown kind of tensor number 0"),
        ([1 | 8, 0, 0], "a float can't have the flags 8"),
        ([2 | 128, 0, 0], "a codebook can't have the flags 128"),
        ([3 | 64, 0, 0], "a grid can't have the flags 64"),
        ([3 | 16, 0, 0, 0], "levels have 1 to 16 low bits, 0 in the file"),
        ([3 | 16, 0, 0, 17], "levels have 1 to 16 low bits, 17 in the file"),
        ([3 | 16, 0, 0, 1, 65], "65 levels with low bits, but 64 weights"),
        ([1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1], "more than 35 bits"),
        ([2, 0, 0, 0], "of 64 weights can't have 0 values"),
        ([2, 0, 0, 65], "of 64 weights can't have 65 values"),
        ([3, 0, 0, 0, 0, 0, 0], "a step or Q must be a number above 0"),
        ([4, 0, 0, 0, 0, 0xC0, 0x7F], "a step or Q must be a number above 0"),
    ],
)
def test_what_the_document_refuses_in_a_tensor_is_refused(first_tensor, sentence):
    with pytest.raises(FormatError, match=sentence):
        loads(with_checksum(SMALLEST + bytes(first_tensor)))


def with_checksum(body):
    return b"NNZ\x03" + struct.pack("<I", zlib.crc32(body)) + body


def tiny(first, flags=0, row=b"", raw=4 * 12, stream=b""):
    """The smallest file with this first weight, all others on a grid, 0."""
    others = bytes([3, 128, 0]) + STEP
    body = SMALLEST[:-1] + bytes([flags]) + bytes(first) + 2 * others + row + bytes(raw) + stream
    return with_checksum(body)


@pytest.mark.parametrize(
    "file, sentence",
    [
        (tiny([2, 128, 0, 1, *STEP]), "a weight is 0, which the codebook does not have"),
        (tiny([1, 128, 0, 0, 8], stream=bytes(23)), "8 levels with low bits, but others are not 0"),
        (tiny([3, 128, 0, *STEP], stream=bytes(3)), "no whole words"),
        (tiny([3, 128, 0, *STEP], stream=bytes(64)), "longer than the layers need"),
        (tiny([3, 128, 0, *STEP], flags=8), "announced for more biases than there are"),
        (tiny([3, 128, 0, *STEP], 1, bytes([9])), "biases can't have the flags 9"),
        (tiny([3, 128, 0, *STEP], 1, bytes([0, 128, 0, 0, 0, 0, 0])), "must be a number above 0"),
    ],
)
def test_what_the_document_refuses_behind_the_heads_is_refused(file, sentence):
    with pytest.raises(FormatError, match=sentence):
        loads(file)


def test_a_file_of_zeros_has_no_stream():
    file = tiny([3, 128, 0, *STEP])
    assert all(not t.decoded().any() for t in loads(file).tensors)
