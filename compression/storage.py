"""The .nnz file, byte by byte as docs/format.md describes it.

Anything wrong with a file is a FormatError.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b

import numpy as np
from torch import nn

from . import coder
from .coder import Side, side_of
from .compressed import CompressedModel, CompressedTensor
from .data import DATASETS
from .errors import FormatError
from .language import tr
from .levels import (
    MANTISSA,
    Levels,
    floats_of,
    levels_of,
    pack,
    packed_bytes,
    symbols_of,
    unpack,
)
from .models import empty, pictures, prunable_layers, tensor_shapes
from .networks import NETWORKS, Architecture, why_not
from .result import Part

MAGIC = b"NNZ"
VERSION = 3
KIND_IDS = {"float": 1, "codebook": 2, "grid": 3, "fixed_point": 4}
DATASET_IDS = {
    "digits": 1,
    "mnist": 2,
    "fashion_mnist": 3,
    "cifar10": 4,
}  # as in docs/format.md; the order of no table
HALF, LOW, ODD, SYMMETRIC, ROWS = 8, 16, 32, 64, 128  # with a tensor's kind
HEAD = len(MAGIC) + 1 + 4
LEAST_HEAD = 3  # bytes before the stream about a weight
MOST_BITS = 8
MOST_SHIFT = 16  # low bits of a level; floats have MANTISSA
MORE = 0x80  # with the network's id: ranks and bits of activations follow the hidden units
WHERE = {"weight": "weights", "bias": "bias"}  # what the parts of a layer are called
Coded = tuple[np.ndarray, coder.Picture, Side]


class _Writer:
    """Bytes, and to which layer and part each of them belongs."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.parts: dict[tuple[str, str], int] = {}

    def put(self, owner: str, part: str, data: bytes) -> None:
        self.chunks.append(data)
        self.count(owner, part, len(data))

    def count(self, owner: str, part: str, n: int) -> None:
        self.parts[owner, part] = self.parts.get((owner, part), 0) + n

    def rows(self) -> tuple[Part, ...]:
        return tuple(Part(layer, part, n) for (layer, part), n in self.parts.items())


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


class _Reader:
    """Takes bytes from the front; asking for more than there are is a FormatError."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = memoryview(data), 0

    def take(self, n: int) -> bytes:
        if n > len(self.data) - self.at:
            raise FormatError(
                "the file is cut short: {n} bytes are missing at {place} of {size}",
                n=n,
                place=self.at,
                size=len(self.data),
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

    def rest(self) -> bytes:
        """All that is left, which is whole words of 32 bits."""
        left = len(self.data) - self.at
        if left % 4:
            raise FormatError(
                "the stream has {left} bytes, which are no whole words of 32 bits", left=left
            )
        return self.take(left)

    def array(self, dtype: str, n: int) -> np.ndarray:
        return np.frombuffer(self.take(n * np.dtype(dtype).itemsize), dtype)


def write(compressed: CompressedModel) -> tuple[bytes, tuple[Part, ...]]:
    """The file's bytes, and how many of them each part of each layer takes; the rows add up to the
    length.

    The stream has one end for all layers: its bytes are shared out by the bits that each layer
    took, those of biases and norms by how many numbers they are.
    """
    out = _Writer()
    out.count("file", "header", HEAD)
    out.put("file", "header", _header(compressed))
    weights = [t for t in compressed.tensors if len(t.shape) > 1]
    small = [t for t in compressed.tensors if len(t.shape) == 1]
    on_grid = [t for t in small if t.kind == "grid"]
    out.put("file", "header", _flags([t.kind == "grid" for t in small]))
    split = [levels_of(t) for t in weights]
    coded = _matrices(compressed.architecture, weights, split)
    for tensor, levels, (_, _, side) in zip(weights, split, coded, strict=True):
        _write_head(out, tensor, levels, side)
    if on_grid:
        coded.append(_write_row(out, on_grid))
    for tensor in small:
        if tensor.values is not None:
            out.put(*_owner(tensor), tensor.values.astype("<f4").tobytes())
    for tensor, levels in zip(weights, split, strict=True):
        out.put(*_owner(tensor), pack(levels.low, levels.shift))
    stream, bits = coder.encode(coded)
    out.chunks.append(stream)
    _share_out(out, len(stream), bits, weights, on_grid)
    body = b"".join(out.chunks)
    return MAGIC + bytes([VERSION]) + struct.pack("<I", zlib.crc32(body)) + body, out.rows()


def estimate(compressed: CompressedModel, ratio: float) -> tuple[int, tuple[Part, ...]]:
    """About the length of the file and of its parts, in the time that counting symbols takes.

    ratio: bytes that the coder needs, by the order-0 entropy (see `coder_ratio`).
    """
    out = _Writer()
    out.count("file", "header", HEAD + len(_header(compressed)))
    for tensor in compressed.tensors:
        owner, part = _owner(tensor)
        if len(tensor.shape) > 1:
            out.count(owner, "tables", LEAST_HEAD)
        if tensor.table is not None:
            out.count(owner, _table_part(tensor), len(_table(tensor)))
        coded, rest = _order0(tensor)
        out.count(owner, part, math.ceil((ratio * coded + rest) / 8))
    return sum(out.parts.values()), out.rows()


def coder_ratio(compressed: CompressedModel, parts: tuple[Part, ...]) -> float:
    """Bytes of the coded weights by their order-0 entropy. parts: as `write` gave them."""
    known = [_order0(t) for t in compressed.tensors if len(t.shape) > 1]
    coded, rest = (sum(bits) for bits in zip(*known, strict=True))
    taken = 8 * sum(p.bytes for p in parts if p.part == WHERE["weight"])
    return (taken - rest) / max(1.0, coded)


def _order0(tensor: CompressedTensor) -> tuple[float, float]:
    """Bits of a tensor: the entropy of what is coded, and those that stand as they are."""
    bits = tensor.entropy_bits()
    rest = bits if tensor.kind == "raw" else 8.0 * tensor.rest_bytes
    return bits - rest, rest


def _owner(tensor: CompressedTensor) -> tuple[str, str]:
    """The tensor's layer, and what its numbers are called among the parts."""
    layer, part = tensor.name.rsplit(".", 1)
    return layer, WHERE["weight"] if len(tensor.shape) > 1 else WHERE["bias"]


def _header(compressed: CompressedModel) -> bytes:
    a = compressed.architecture
    more = (len(a.ranks), *a.ranks, a.activation_bits) if a.ranks or a.activation_bits else ()
    network = NETWORKS[a.network].id | (MORE if more else 0)
    values = (len(a.hidden), *a.hidden, *more)
    return bytes([network, DATASET_IDS[compressed.dataset]]) + b"".join(map(_varint, values))


def _flags(some: list[bool]) -> bytes:
    return np.packbits(np.array(some, bool), bitorder="little").tobytes()


def _matrices(a: Architecture, weights: list[CompressedTensor], split: list[Levels]) -> list[Coded]:
    shapes = pictures(a)
    coded = []
    for tensor, levels in zip(weights, split, strict=True):
        matrix = levels.levels.reshape(tensor.shape[0], -1)
        coded.append((matrix, shapes[tensor.name.removesuffix(".weight")], side_of(matrix)))
    return coded


def _write_head(out: _Writer, tensor: CompressedTensor, levels: Levels, side: Side) -> None:
    """Kind, density, largest level, table: what a reader is told before the stream."""
    (layer, _), kind, table = _owner(tensor), KIND_IDS[tensor.kind], tensor.table
    head = bytes([side.density & 0xFF, side.top - 1])
    if tensor.kind == "float":
        head += bytes([levels.first]) + _varint(len(levels.low))
    elif levels.shift:
        kind, head = kind | LOW, head + bytes([levels.shift]) + _varint(len(levels.low))
    if table is not None:
        kind |= (HALF * _is_half(table)) | (ODD * levels.odd)
        if tensor.kind == "codebook":
            kind |= SYMMETRIC * _is_symmetric(table)
            head += _varint(len(table))
        elif len(table) > 1:
            kind |= ROWS
    out.put(layer, "tables", bytes([kind]) + head)
    if table is not None:
        out.put(layer, _table_part(tensor), _table(tensor))


def _table_part(tensor: CompressedTensor) -> str:
    return "codebook" if tensor.kind == "codebook" else "tables"


def _table(tensor: CompressedTensor) -> bytes:
    """The values of a tensor's table; of a symmetric codebook those above zero."""
    assert tensor.table is not None
    table = tensor.table
    dtype = "<f2" if _is_half(table) else "<f4"
    if tensor.kind == "codebook" and _is_symmetric(table):
        table = table[len(table) - len(table) // 2 :]
    return table.astype(dtype).tobytes()


def _is_half(table: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return bool((table.astype(np.float16).astype(np.float32) == table).all())


def _is_symmetric(table: np.ndarray) -> bool:
    """Whether a codebook follows from its values above zero and from how many it has."""
    return table.tobytes() == _mirrored(table[len(table) - len(table) // 2 :], len(table)).tobytes()


def _mirrored(above: np.ndarray, n: int) -> np.ndarray:
    """A codebook of n values, from those above zero; zero is one of them where n is odd."""
    return np.concatenate([-above[::-1], np.zeros(n % 2, np.float32), above])


def _write_row(out: _Writer, on_grid: list[CompressedTensor]) -> Coded:
    """Biases and norms that have levels: one more layer, of one row."""
    row = np.concatenate([t.symbols for t in on_grid if t.symbols is not None]).reshape(1, -1)
    steps = [t.table for t in on_grid if t.table is not None]
    side, half = side_of(row), all(map(_is_half, steps))
    out.put("file", "header", bytes([HALF * half, side.density & 0xFF, side.top - 1]))
    for tensor, step in zip(on_grid, steps, strict=True):
        out.put(_owner(tensor)[0], "tables", step.astype("<f2" if half else "<f4").tobytes())
    return row, (row.size, 1, 1), side


def _share_out(
    out: _Writer,
    length: int,
    bits: list[float],
    weights: list[CompressedTensor],
    on_grid: list[CompressedTensor],
) -> None:
    """Count the bytes of the stream for the layers whose bits they are."""
    numbers = np.array([math.prod(t.shape) for t in on_grid], np.float64)
    each = np.array(bits[: len(weights)])
    if on_grid:
        each = np.append(each, bits[-1] * numbers / numbers.sum())
    ends = np.rint(np.cumsum(each) * (length / max(1e-9, each.sum()))).astype(int)
    ends[-1] = length
    for tensor, n in zip([*weights, *on_grid], np.diff(ends, prepend=0).tolist(), strict=True):
        out.count(*_owner(tensor), n)


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
        raise FormatError("the file is cut short: {size} bytes", size=len(data))
    if data[len(MAGIC)] != VERSION:
        raise FormatError(
            "version {version} of the format is not known here, only {known}",
            version=data[len(MAGIC)],
            known=VERSION,
        )
    body = data[HEAD:]
    if zlib.crc32(body) != struct.unpack("<I", data[HEAD - 4 : HEAD])[0]:
        raise FormatError("the checksum is wrong: the file is damaged or was edited")
    reader = _Reader(body)
    architecture, dataset = _read_header(reader)
    return CompressedModel(architecture, dataset, _read_tensors(reader, architecture))


def _read_tensors(reader: _Reader, a: Architecture) -> tuple[CompressedTensor, ...]:
    """All tensors: their heads, what stands as it is, then the stream up to the end."""
    shapes, looks = tensor_shapes(a), pictures(a)
    small = {name: shape[0] for name, shape in shapes.items() if len(shape) == 1}
    flags = np.unpackbits(reader.array("u1", -(-len(small) // 8)), bitorder="little")
    if flags[len(small) :].any():
        raise FormatError("levels are announced for more biases than there are")
    on_grid = [name for name, flag in zip(small, flags, strict=False) if flag]
    heads = {name: _read_head(reader, name, s) for name, s in shapes.items() if len(s) > 1}
    coded = [
        ((s[0], math.prod(s[1:])), looks[name.removesuffix(".weight")], heads[name].side)
        for name, s in shapes.items()
        if len(s) > 1
    ]
    steps: dict[str, np.ndarray] = {}
    if on_grid:
        side, steps = _read_row(reader, on_grid)
        n = sum(small[name] for name in on_grid)
        coded.append(((1, n), (n, 1, 1), side))
    found = {
        name: CompressedTensor(name, (n,), "raw", values=reader.array("<f4", n))
        for name, n in small.items()
        if name not in steps
    }
    lows = [unpack(reader.take(h.low_bytes), h.low, h.shift) for h in heads.values()]
    decoded = coder.decode(reader.rest(), coded)
    for (name, head), levels, low in zip(heads.items(), decoded, lows, strict=False):
        found[name] = head.tensor(name, shapes[name], levels.reshape(-1), low)
    at = 0
    for name, step in steps.items():
        symbols = decoded[-1][0, at : (at := at + small[name])].astype(np.int32)
        found[name] = CompressedTensor(name, (small[name],), "grid", symbols=symbols, table=step)
    return tuple(found[name] for name in shapes)


@dataclass(frozen=True)
class _Head:
    """What stands before the stream about one weight. low: how many levels have low bits; table:
    as the tensor has it.
    """

    kind: str
    side: Side
    table: np.ndarray | None
    first: int = 0
    shift: int = 0
    low: int = 0
    odd: bool = False

    @property
    def low_bytes(self) -> int:
        return packed_bytes(self.low, self.shift)

    def tensor(
        self, name: str, shape: tuple[int, ...], levels: np.ndarray, low: np.ndarray
    ) -> CompressedTensor:
        """The tensor with these levels, int64 (N,), and their low bits."""
        if self.shift and np.count_nonzero(levels) != len(low):
            raise FormatError(
                "{name}: {n} levels with low bits, but others are not 0", name=name, n=len(low)
            )
        found = Levels(levels, low, self.shift, self.first, self.odd)
        if self.kind == "float":
            return CompressedTensor(name, shape, "float", values=floats_of(found))
        symbols = symbols_of(found, self.table if self.kind == "codebook" else None)
        return CompressedTensor(name, shape, self.kind, symbols=symbols, table=self.table)


def _read_head(reader: _Reader, name: str, shape: tuple[int, ...]) -> _Head:
    n, rows = math.prod(shape), shape[0]
    number = reader.take(1)[0]
    kind = _name({i: k for k, i in KIND_IDS.items()}, number & 7, "kind of tensor")
    allowed = {"float": 0, "codebook": HALF | LOW | ODD | SYMMETRIC}
    if number & ~7 & ~allowed.get(kind, HALF | LOW | ODD | ROWS):
        raise FormatError(
            "{name}: a {kind} can't have the flags {flags}", name=name, kind=kind, flags=number & ~7
        )
    side = _read_side(reader)
    first, shift, low = 0, 0, 0
    if kind == "float":
        first, shift = reader.take(1)[0], MANTISSA
    elif number & LOW:
        shift = reader.take(1)[0]
        if not 1 <= shift <= MOST_SHIFT:
            raise FormatError(
                "{name}: levels have 1 to {most} low bits, {shift} in the file",
                name=name,
                most=MOST_SHIFT,
                shift=shift,
            )
    if shift:
        low = reader.varint()
        if low > n:
            raise FormatError(
                "{name}: {low} levels with low bits, but {n} weights", name=name, low=low, n=n
            )
    values = None if kind == "float" else _read_table(reader, name, kind, number, n, rows)
    return _Head(kind, side, values, first, shift, low, bool(number & ODD))


def _read_table(
    reader: _Reader, name: str, kind: str, flags: int, weights: int, rows: int
) -> np.ndarray:
    dtype = "<f2" if flags & HALF else "<f4"
    if kind == "codebook":
        size = reader.varint()
        if not 1 <= size <= max(weights, 1):
            raise FormatError(
                "{name}: a codebook of {weights} weights can't have {size} values",
                name=name,
                weights=weights,
                size=size,
            )
        if flags & SYMMETRIC:
            return _mirrored(reader.array(dtype, size // 2).astype(np.float32), size)
        return reader.array(dtype, size).astype(np.float32)
    table = reader.array(dtype, rows if flags & ROWS else 1).astype(np.float32)
    return _steps(name, table)


def _steps(name: str, table: np.ndarray) -> np.ndarray:
    if not (np.isfinite(table) & (table > 0)).all():
        raise FormatError("{name}: a step or Q must be a number above 0", name=name)
    return table


def _read_side(reader: _Reader) -> Side:
    density, top = reader.take(2)
    return Side(density - 256 if density > 127 else density, top + 1)


def _read_row(reader: _Reader, names: list[str]) -> tuple[Side, dict[str, np.ndarray]]:
    """Of biases and norms that have levels: what the coder is told, and the step of each."""
    flags = reader.take(1)[0]
    if flags not in (0, HALF):
        raise FormatError("biases can't have the flags {flags}", flags=flags)
    side, dtype = _read_side(reader), "<f2" if flags else "<f4"
    return side, {n: _steps(n, reader.array(dtype, 1).astype(np.float32)) for n in names}


def file_digest(data: bytes) -> str:
    """32 hexadecimal digits that name the content of a file."""
    return blake2b(data, digest_size=16).hexdigest()


def _read_header(reader: _Reader) -> tuple[Architecture, str]:
    network_id, dataset_id = reader.take(2)
    more, network_id = bool(network_id & MORE), network_id & ~MORE
    network = _name({n.id: name for name, n in NETWORKS.items()}, network_id, "network")
    dataset = _name({i: name for name, i in DATASET_IDS.items()}, dataset_id, "data set")
    entry, depth = DATASETS[dataset], reader.varint()
    if why_not(network, dataset):
        raise FormatError(
            "{network} {reason}",
            network=network,
            reason=partial(why_not, network, dataset),
        )
    possible = {len(h): h for h in NETWORKS[network].depths}
    if depth not in possible:
        raise FormatError(
            "{network} has {possible} hidden layers, {depth} in the file",
            network=network,
            possible=list(possible),
            depth=depth,
        )
    hidden, most = tuple(reader.varint() for _ in range(depth)), possible[depth]
    if not all(1 <= n <= top for n, top in zip(hidden, most, strict=True)):
        raise FormatError(
            "{network}: hidden units {hidden} do not lie between 1 and {most}",
            network=network,
            hidden=hidden,
            most=most,
        )
    plain = Architecture(network, entry.shape, len(entry.classes), hidden)
    if not more:
        return plain, dataset
    ranks, bits = _read_ranks(reader, plain), reader.varint()
    if bits > MOST_BITS:
        raise FormatError(
            "activations have at most {most} bits, {bits} in the file", most=MOST_BITS, bits=bits
        )
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
        raise FormatError("{n} ranks for {layers} layers", n=n, layers=len(most))
    ranks = tuple(reader.varint() for _ in range(n))
    if any(rank > top for rank, top in zip(ranks, most, strict=False)):
        raise FormatError(
            "ranks {ranks} are larger than {most}, those of the layers", ranks=ranks, most=most
        )
    return ranks


def _name(names: dict[int, str], number: int, what: str) -> str:
    if number not in names:
        raise FormatError(
            "unknown {what} number {number}; known: {names}",
            what=partial(tr, what),
            number=number,
            names=names,
        )
    return names[number]
