"""The .nnz file, byte by byte as docs/format.md describes it.

Anything wrong with a file is a FormatError.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b

import numpy as np
from torch import nn

from . import entropy
from .compressed import ZERO, CompressedModel, CompressedTensor, float_rest, join_float
from .data import DATASETS
from .errors import FormatError
from .models import empty, prunable_layers, tensor_shapes
from .networks import NETWORKS, Architecture
from .result import Part

MAGIC = b"NNZ"
VERSION = 2
KIND_IDS = {"raw": 0, "float": 1, "codebook": 2, "grid": 3, "fixed_point": 4}
DATASET_IDS = {
    "digits": 1,
    "mnist": 2,
    "fashion_mnist": 3,
    "cifar10": 4,
}  # as in docs/format.md; the order of no table
MOST_LISTED = 1 << 14  # numbers in the alphabet of a tensor, those that do not occur among them
HEAD = len(MAGIC) + 1 + 4
MOST_BITS = 8
MORE = 0x80  # with the network's id: ranks and bits of activations follow the hidden units


class _Writer:
    """Bytes, and to which layer and part each of them belongs.

    keeps: False for one that only counts them.
    """

    def __init__(self, keeps: bool = True) -> None:
        self.chunks: list[bytes] = []
        self.parts: dict[tuple[str, str], int] = {}
        self.owner, self.keeps = "file", keeps

    def put(self, part: str, data: bytes) -> None:
        self.put_later(part, len(data), lambda: data)

    def put_later(self, part: str, length: int, make: Callable[[], bytes]) -> None:
        """So many bytes that are only made if they are kept."""
        key = (self.owner, part)
        self.parts[key] = self.parts.get(key, 0) + length
        if self.keeps:
            self.chunks.append(make())

    def varint(self, part: str, value: int) -> None:
        out = bytearray()
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        self.put(part, bytes([*out, value]))

    def rows(self) -> tuple[Part, ...]:
        return tuple(Part(layer, part, n) for (layer, part), n in self.parts.items())


class _Reader:
    """Takes bytes from the front; asking for more than there are is a FormatError."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = memoryview(data), 0

    def take(self, n: int) -> bytes:
        if n > len(self.data) - self.at:
            raise FormatError(
                f"the file is cut short: {n} bytes are missing at {self.at} of {len(self.data)}"
            )
        self.at += n
        return bytes(self.data[self.at - n : self.at])

    def varint(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise FormatError("a number in the file has more than 35 bits")

    def array(self, dtype: str, n: int) -> np.ndarray:
        return np.frombuffer(self.take(n * np.dtype(dtype).itemsize), dtype)


def write(compressed: CompressedModel) -> tuple[bytes, tuple[Part, ...]]:
    """The file's bytes, and how many of them each part of each layer takes; the rows add up to the
    length.
    """
    out = _Writer()
    _write_body(out, compressed)
    body = b"".join(out.chunks)
    return MAGIC + bytes([VERSION]) + struct.pack("<I", zlib.crc32(body)) + body, out.rows()


def measure(compressed: CompressedModel) -> tuple[int, tuple[Part, ...]]:
    """Length of the file and of its parts, without the file: the weights are coded, to know how
    long that is, and forgotten.
    """
    out = _Writer(keeps=False)
    _write_body(out, compressed)
    return sum(out.parts.values()), out.rows()


def _write_body(out: _Writer, compressed: CompressedModel) -> None:
    a = compressed.architecture
    out.parts["file", "header"] = HEAD
    more = (len(a.ranks), *a.ranks, a.activation_bits) if a.ranks or a.activation_bits else ()
    network = NETWORKS[a.network].id | (MORE if more else 0)
    out.put("header", bytes([network, DATASET_IDS[compressed.dataset]]))
    for value in (*a.shape, a.classes, len(a.hidden), *a.hidden, *more):
        out.varint("header", value)
    for tensor in compressed.tensors:
        _write_tensor(out, tensor)


def dumps(compressed: CompressedModel) -> bytes:
    """The .nnz file of a compressed network."""
    return write(compressed)[0]


def loads(data: bytes) -> CompressedModel:
    """The compressed network of a .nnz file. Raises FormatError, whatever is wrong with it.

    Memory stays within a small multiple of the float32 size of the network that the header names.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise FormatError("not a .nnz file: it does not begin with NNZ")
    if len(data) < HEAD:
        raise FormatError(f"the file is cut short: {len(data)} bytes")
    if data[len(MAGIC)] != VERSION:
        raise FormatError(
            f"version {data[len(MAGIC)]} of the format is not known here, only {VERSION}"
        )
    body = data[HEAD:]
    if zlib.crc32(body) != struct.unpack("<I", data[HEAD - 4 : HEAD])[0]:
        raise FormatError("the checksum is wrong: the file is damaged or was edited")
    reader = _Reader(body)
    architecture, dataset = _read_header(reader)
    tensors = tuple(
        _read_tensor(reader, name, shape) for name, shape in tensor_shapes(architecture).items()
    )
    if reader.at != len(body):
        raise FormatError(f"{len(body) - reader.at} bytes too many at the end of the file")
    return CompressedModel(architecture, dataset, tensors)


def file_digest(data: bytes) -> str:
    """32 hexadecimal digits that name the content of a file."""
    return blake2b(data, digest_size=16).hexdigest()


def _read_header(reader: _Reader) -> tuple[Architecture, str]:
    network_id, dataset_id = reader.take(2)
    more, network_id = bool(network_id & MORE), network_id & ~MORE
    network = _name({n.id: name for name, n in NETWORKS.items()}, network_id, "network")
    dataset = _name({i: name for name, i in DATASET_IDS.items()}, dataset_id, "data set")
    channels, height, width, classes, depth = (reader.varint() for _ in range(5))
    shape = (channels, height, width)
    entry = DATASETS[dataset]
    if shape != entry.shape or classes != len(entry.classes):
        raise FormatError(
            f"{dataset}: images {entry.shape} and {len(entry.classes)} classes, {shape} and"
            f" {classes} in the file"
        )
    if NETWORKS[network].is_offered(shape):
        raise FormatError(f"{network} {NETWORKS[network].is_offered(shape)}")
    possible = {len(h): h for h in NETWORKS[network].depths}
    if depth not in possible:
        raise FormatError(f"{network} has {list(possible)} hidden layers, {depth} in the file")
    hidden, most = tuple(reader.varint() for _ in range(depth)), possible[depth]
    if not all(1 <= n <= top for n, top in zip(hidden, most, strict=True)):
        raise FormatError(f"{network}: hidden units {hidden} do not lie between 1 and {most}")
    plain = Architecture(network, shape, classes, hidden)
    if not more:
        return plain, dataset
    ranks, bits = _read_ranks(reader, plain), reader.varint()
    if bits > MOST_BITS:
        raise FormatError(f"activations have at most {MOST_BITS} bits, {bits} in the file")
    if not bits and not any(ranks):
        raise FormatError("ranks or bits of activations are announced, but all are 0")
    return replace(plain, ranks=ranks, activation_bits=bits), dataset


def _read_ranks(reader: _Reader, plain: Architecture) -> tuple[int, ...]:
    """The rank of each layer, 0 for one that is whole; nothing where all are."""
    n = reader.varint()
    most = [
        0
        if isinstance(layer, nn.Conv2d) and layer.groups > 1
        else min(layer.weight.flatten(1).shape)
        for _, layer in prunable_layers(empty(plain))
    ]
    if n not in (0, len(most)):
        raise FormatError(f"{n} ranks for {len(most)} layers")
    ranks = tuple(reader.varint() for _ in range(n))
    if any(rank > top for rank, top in zip(ranks, most, strict=False)):
        raise FormatError(f"ranks {ranks} are larger than {most}, those of the layers")
    return ranks


def _name(names: dict[int, str], number: int, what: str) -> str:
    if number not in names:
        raise FormatError(f"unknown {what} number {number}; known: {names}")
    return names[number]


def _write_tensor(out: _Writer, tensor: CompressedTensor) -> None:
    out.owner, part = tensor.name.rsplit(".", 1)
    content = "weights" if part == "weight" else "bias"
    if tensor.kind == "raw":
        assert tensor.values is not None
        out.put("tables", bytes([KIND_IDS["raw"]]))
        out.put(content, tensor.values.astype("<f4").tobytes())
        return
    half = tensor.kind == "codebook" and tensor.table is not None and _is_half(tensor.table)
    out.put("tables", bytes([KIND_IDS[tensor.kind] | (0x80 if half else 0)]))
    alphabet, counts, places = tensor.counted
    codes = entropy.frequency_codes(counts)
    _write_model(out, alphabet, codes)
    if tensor.table is not None:
        if tensor.kind != "codebook":
            out.varint("tables", len(tensor.table))
        out.put(
            "codebook" if tensor.kind == "codebook" else "tables",
            tensor.table.astype("<f2" if half else "<f4").tobytes(),
        )
    coded = entropy.encode(places, codes)
    out.varint("tables", len(coded) // 4)
    out.put(content, coded)
    if tensor.kind == "float" and tensor.values is not None:
        values = tensor.values
        out.put_later(content, tensor.rest_bytes, lambda: float_rest(values).tobytes())


def _is_half(table: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return bool((table.astype(np.float16).astype(np.float32) == table).all())


def _write_model(out: _Writer, alphabet: np.ndarray, codes: np.ndarray) -> None:
    """Ascending whole numbers and the frequency byte of each.

    How many, the first (zigzag), their common distance; or 0 and every distance. Where they are
    nearly
    evenly spaced, those between are listed too, with the frequency byte 0: they do not occur.
    """
    first, gaps = int(alphabet[0]), np.diff(alphabet)
    even = int(np.gcd.reduce(gaps)) if len(gaps) else 0
    places = (alphabet - first) // even if even else np.zeros(1, np.int64)
    if even and places[-1] + 1 <= 2 * len(alphabet):
        listed = np.zeros(places[-1] + 1, np.uint8)
        listed[places] = codes
    else:
        listed, even = codes, 0
    out.varint("tables", len(listed))
    out.varint("tables", first << 1 if first >= 0 else (-first << 1) - 1)
    if len(listed) > 1:
        out.varint("tables", even)
        for gap in [] if even else gaps:
            out.varint("tables", int(gap))
    out.put("tables", listed.tobytes())


def _read_model(reader: _Reader, weights: int) -> tuple[np.ndarray, np.ndarray]:
    """The symbols that occur, int32 ascending, and their frequency bytes."""
    n, zigzag = reader.varint(), reader.varint()
    if not 1 <= n <= min(2 * weights, MOST_LISTED, len(reader.data)):
        raise FormatError(f"a tensor of {weights} weights can't list {n} symbols")
    first = zigzag >> 1 if zigzag % 2 == 0 else -((zigzag + 1) >> 1)
    even = reader.varint() if n > 1 else 0
    gaps = [even] * (n - 1) if even else [reader.varint() for _ in range(n - 1)]
    alphabet = first + np.cumsum(np.array([0, *gaps], dtype=np.int64))
    if min(gaps, default=1) < 1 or not -(2**24) < alphabet[0] <= alphabet[-1] < 2**24:
        raise FormatError("the symbols of a tensor do not ascend, or are too large")
    codes = reader.array("u1", n)
    if not codes.any():
        raise FormatError("none of the symbols of a tensor occurs")
    return alphabet[codes > 0].astype(np.int32), codes[codes > 0]


def _read_tensor(reader: _Reader, name: str, shape: tuple[int, ...]) -> CompressedTensor:
    n, number = math.prod(shape), reader.take(1)[0]
    half, number = bool(number & 0x80), number & 0x7F
    kind = _name({i: k for k, i in KIND_IDS.items()}, number, "kind of tensor")
    if half and kind != "codebook":
        raise FormatError(f"{name}: only a codebook may be of half precision")
    if kind == "raw":
        return CompressedTensor(name, shape, kind, values=reader.array("<f4", n))
    alphabet, codes = _read_model(reader, n)
    table: np.ndarray | None = None
    if kind == "codebook":
        if not np.array_equal(alphabet, np.arange(len(alphabet))):
            raise FormatError(f"{name}: a codebook's symbols must count from 0")
        table = reader.array("<f2" if half else "<f4", len(alphabet)).astype(np.float32)
    elif kind != "float":
        size = reader.varint()
        if size not in (1, shape[0]):
            raise FormatError(f"{name}: one step or {shape[0]} are possible, {size} in the file")
        table = reader.array("<f4", size)
        if not (np.isfinite(table) & (table > 0)).all():
            raise FormatError(f"{name}: a step or Q must be a number above 0")
    words = reader.varint()
    symbols = alphabet[entropy.decode(reader.take(4 * words), codes, n)]
    if kind != "float":
        return CompressedTensor(name, shape, kind, symbols=symbols, table=table)
    if symbols.min() < 0 or symbols.max() > ZERO:
        raise FormatError(f"{name}: a float's top byte must lie in 0..{ZERO}")
    rest = reader.array("u1", 3 * int((symbols != ZERO).sum())).reshape(-1, 3)
    return CompressedTensor(name, shape, kind, values=join_float(symbols, rest))
