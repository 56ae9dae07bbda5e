"""The coder of the .nnz file against others on identical symbols, and the whole pipeline against
nncodec on the same dense network.

`python -m benchmarks.storage [--json] [--model net ...] [--dataset mnist] [--turns 5]`: the shipped
networks, pruned and quantized without training on; then bytes and validation accuracy of what each
side makes of the dense network by itself. nncodec and zstd are installed into an environment of
their own under `runs/`; where that can't be done, their columns stay empty.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import constriction
import numpy as np

from compression import coder
from compression.baselines import baseline
from compression.biases import BiasQuantization
from compression.coder import Picture, side_of
from compression.compressed import CompressedModel, CompressedTensor, decompress
from compression.data import load
from compression.entropy import count_symbols, order0_bits
from compression.evaluation import predict
from compression.levels import levels_of
from compression.machine import this_machine, versions
from compression.models import pictures
from compression.networks import NETWORKS
from compression.pipeline import Memory, build_up
from compression.pruning import MagnitudePruning
from compression.quantization import (
    CodebookQuantization,
    FixedPointQuantization,
    UniformQuantization,
)
from compression.recipe import Step
from compression.storage import dumps, loads
from compression.store import Store

from .rivals import Coded, Rivals, install

BIAS_BITS = 8
QPS = (-28, -24, -20, -18, -16)
SIDE_BYTES = 2  # of a layer: density and largest level
T = TypeVar("T")


class Symbols(NamedTuple):
    """A layer. levels: int64 (rows, columns); shape: of the weight that they are."""

    levels: np.ndarray
    picture: Picture
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """Bytes of one network's symbols by each coder, all that is needed to have them back counted.

    setting: sparsity and levels; order0: the entropy; frame: of nncodec's bytes, those for the same
    shapes all zero; times in ms of the processor, best of
    the turns. None where a coder is not there.
    """

    network: str
    setting: str
    symbols: int
    nonzero: int
    order0: int
    zip: int
    zstd: int | None
    xz: int
    static: int
    nnz: int
    nncodec: int | None
    frame: int | None
    write_ms: float
    read_ms: float
    nncodec_write_ms: float | None
    nncodec_read_ms: float | None

    @property
    def by_order0(self) -> float:
        return self.nnz / self.order0

    @property
    def by_nncodec(self) -> float | None:
        return None if self.nncodec is None else self.nnz / self.nncodec


@dataclass(frozen=True)
class Point:
    """A whole network. accuracy: validation, 0..1, of what was decoded from so many bytes."""

    network: str
    method: str
    setting: str
    bytes: int
    accuracy: float


# static models: the counts of a layer's symbols, and the range coder


def _varints(values: Sequence[int]) -> bytes:
    out = bytearray()
    for value in values:
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out)


def _read_varints(data: bytes, n: int) -> tuple[list[int], bytes]:
    """n numbers, and what stands behind them."""
    values, at = [], 0
    for _ in range(n):
        value, shift = 0, 0
        while data[at] >= 0x80:
            value, shift, at = value | (data[at] & 0x7F) << shift, shift + 7, at + 1
        values.append(value | data[at] << shift)
        at += 1
    return values, data[at:]


def _frequencies(counts: Sequence[int] | np.ndarray) -> constriction.stream.model.Categorical:
    return constriction.stream.model.Categorical(np.array(counts, np.float32), perfect=False)


def static_bytes(layers: Sequence[np.ndarray]) -> bytes:
    """Levels, int (rows, columns): for each layer the negative of its first level, how many levels
    lie from there to the last, and how often each occurs; then one stream.
    """
    head, stream = b"", constriction.stream.queue.RangeEncoder()
    for levels in layers:
        alphabet, counts, _ = count_symbols(levels.reshape(-1).astype(np.int32))
        first, last = min(0, int(alphabet[0])), int(alphabet[-1])
        every = np.zeros(last - first + 1, int)
        every[alphabet - first] = counts
        head += _varints([-first, len(every), *every.tolist()])
        if len(alphabet) > 1:
            stream.encode((levels.reshape(-1) - first).astype(np.int32), _frequencies(every))
    return head + stream.get_compressed().astype("<u4").tobytes()


def static_levels(data: bytes, shapes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """What `static_bytes` was given."""
    heads = []
    for _ in shapes:
        (below, n), data = _read_varints(data, 2)
        counts, data = _read_varints(data, n)
        heads.append((below, counts))
    stream, found = constriction.stream.queue.RangeDecoder(np.frombuffer(data, "<u4")), []
    for shape, (below, counts) in zip(shapes, heads, strict=True):
        places = np.flatnonzero(counts)[:1].repeat(shape[0] * shape[1])
        if np.count_nonzero(counts) > 1:
            places = stream.decode(_frequencies(counts), len(places))
        found.append(places.reshape(shape).astype(np.int64) - below)
    return found


# the symbols, and every coder on them


def network(model: str, dataset: str, steps: Sequence[Step]) -> CompressedModel:
    """The shipped network after these steps, none of which trains."""
    recipe = baseline(model, dataset).then(*steps)
    return build_up(recipe, Store(), Memory()).compressed


def cut(sparsity: float, levels: int, rate: float = 0.0) -> tuple[Step, ...]:
    pruning = (MagnitudePruning(sparsity=sparsity),) if sparsity else ()
    return (*pruning, CodebookQuantization(levels=levels, rate=rate))


SETTINGS: dict[str, tuple[Step, ...]] = {
    "95 %, 4": cut(0.95, 4),
    "90 %, 16": cut(0.9, 16),
    "60 %, 32": cut(0.6, 32),
    "dense, 255": (UniformQuantization(levels=255),),  # a codebook leaves small layers floats
}
FRONT: tuple[tuple[Step, ...], ...] = (
    cut(0.3, 32, rate=1.0),
    cut(0.5, 16, rate=1.0),
    cut(0.6, 16, rate=1.0),
    cut(0.7, 16, rate=1.0),
    cut(0.0, 16, rate=4.0),
    *((FixedPointQuantization(Q=Q),) for Q in (32, 24, 20, 16, 12)),  # one step for all layers
)


def symbols(found: CompressedModel) -> list[Symbols]:
    """Levels of all weights, as the file's coder takes them."""
    shapes, layers = pictures(found.architecture), []
    for t in found.tensors:
        if len(t.shape) > 1:
            split = levels_of(t)
            assert not split.shift, f"{t.name}: bits that are not coded"
            matrix = split.levels.reshape(t.shape[0], -1)
            layers.append(Symbols(matrix, shapes[t.name.removesuffix(".weight")], t.shape))
    return layers


def one_byte_each(levels: np.ndarray) -> bytes:
    """For coders of bytes: which of the levels that occur, counted from 0 upwards and downwards."""
    alphabet, _, places = count_symbols(levels.reshape(-1).astype(np.int32))
    assert len(alphabet) <= 256
    return (places - np.searchsorted(alphabet, 0)).astype(np.uint8).tobytes()


def _timed(do: Callable[[], T], turns: int) -> tuple[T, float]:
    """What it gives, and milliseconds of the processor, of the fastest turn."""
    times = [time.process_time()]
    for _ in range(turns):
        found = do()
        times.append(time.process_time())
    return found, 1000 * min(b - a for a, b in pairwise(times))


def row(
    model: str, setting: str, layers: Sequence[Symbols], rivals: Rivals | None, turns: int = 5
) -> Row:
    """Every coder on the same symbols; what ours and the static one wrote is read back."""
    matrices = [s.levels for s in layers]
    sides = [side_of(m) for m in matrices]
    known = [(s.levels.shape, s.picture, side) for s, side in zip(layers, sides, strict=True)]
    given = [(s.levels, s.picture, side) for s, side in zip(layers, sides, strict=True)]
    (stream, _), write_ms = _timed(lambda: coder.encode(given), turns)
    back, read_ms = _timed(lambda: coder.decode(stream, known), turns)
    static = static_bytes(matrices)
    for found in (back, static_levels(static, [m.shape for m in matrices])):
        assert all(map(np.array_equal, found, matrices))
    plain = b"".join(map(one_byte_each, matrices))
    theirs = _theirs(plain, layers, rivals)
    return Row(
        model,
        setting,
        sum(m.size for m in matrices),
        sum(map(np.count_nonzero, matrices)),
        round(sum(map(order0_bits, matrices)) / 8),
        len(zlib.compress(plain, 9)),
        theirs and theirs.zstd,
        len(lzma.compress(plain, preset=9 | lzma.PRESET_EXTREME)),
        len(static),
        len(stream) + SIDE_BYTES * len(layers),
        theirs and theirs.nncodec,
        theirs and theirs.frame,
        round(write_ms, 1),
        round(read_ms, 1),
        theirs and round(theirs.write_ms, 1),
        theirs and round(theirs.read_ms, 1),
    )


def _theirs(plain: bytes, layers: Sequence[Symbols], rivals: Rivals | None) -> Coded | None:
    if rivals is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        shaped = [s.levels.reshape(s.shape) for s in layers]
        return rivals.coded(plain, shaped, Path(folder))


def rows(model: str, dataset: str, rivals: Rivals | None, turns: int) -> list[Row]:
    found = []
    for setting, steps in SETTINGS.items():
        layers = symbols(network(model, dataset, steps))
        found.append(row(model, setting, layers, rivals, turns))
        print(table(found[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    return found


# the whole network: bytes and accuracy


def points(model: str, dataset: str, rivals: Rivals | None) -> list[Point]:
    """Both sides begin with the same dense network, and none trains."""
    found = []
    for steps in FRONT:
        file = dumps(network(model, dataset, (*steps, BiasQuantization(bits=BIAS_BITS))))
        words = ", ".join(step.label() for step in steps)
        found.append(Point(model, ".nnz", words, len(file), score(loads(file))))
    dense = network(model, dataset, ())
    for qp in QPS if rivals else ():
        assert rivals is not None
        with tempfile.TemporaryDirectory() as folder:
            tensors = {t.name: t.decoded() for t in dense.tensors}
            size, back = rivals.lossy(tensors, qp, Path(folder))
        found.append(Point(model, "nncodec", f"qp {qp}", size, score(with_values(dense, back))))
    print(front_table(found), file=sys.stderr, flush=True)
    return found


def with_values(dense: CompressedModel, values: dict[str, np.ndarray]) -> CompressedModel:
    """The same network with other weights, biases and norms: float32 by name."""
    tensors = tuple(
        CompressedTensor(t.name, t.shape, "raw", values=values[t.name].reshape(t.shape))
        for t in dense.tensors
    )
    return CompressedModel(dense.architecture, dense.dataset, tensors)


def score(compressed: CompressedModel) -> float:
    data = load(compressed.dataset)
    answers = predict(decompress(compressed), data, data.validation)
    return float((answers == data.validation.labels.numpy()).mean())


# what is said


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in ruled)


def _share(n: int | None, of: int) -> str:
    return "" if n is None else f"{n / of:.3f}"


def table(found: Sequence[Row]) -> str:
    """Markdown: order-0 in bytes, all coders as shares of it."""
    heads = "network|setting|non-zero|order-0, B|zip|zstd -19|xz|static|`.nnz`|nncodec|its frame, B"
    lines = [[*heads.split("|"), "by nncodec", "write, ms", "read, ms"]]
    for r in found:
        coded = [r.zip, r.zstd, r.xz, r.static, r.nnz, r.nncodec]
        lines.append([f"`{r.network}`", r.setting, f"{r.nonzero:,}", f"{r.order0:,}"])
        lines[-1] += [_share(n, r.order0) for n in coded]
        lines[-1] += ["" if r.frame is None else str(r.frame)]
        lines[-1] += ["" if r.nncodec is None else _share(r.nnz, r.nncodec)]
        lines[-1] += [f"{r.write_ms:.0f}", f"{r.read_ms:.0f}"]
    return _markdown(lines)


def front_table(found: Sequence[Point]) -> str:
    """Markdown. The last column: our smallest file that is at least as accurate as nncodec's, by
    the bytes of that.
    """
    lines = [["network", "method", "setting", "bytes", "validation", "ours by it"]]
    for point in found:
        share = ours_by(point, found) if point.method == "nncodec" else None
        words = "" if share is None else f"{share:.2f}"
        figures = [f"{point.bytes:,}", f"{100 * point.accuracy:.2f} %"]
        lines.append([f"`{point.network}`", point.method, point.setting, *figures, words])
    return _markdown(lines)


def ours_by(point: Point, found: Sequence[Point]) -> float | None:
    """Bytes of our smallest file of the same network that is at least as accurate, by those of a
    point; None where there is none.
    """
    sizes = [
        p.bytes
        for p in found
        if (p.network, p.method) == (point.network, ".nnz") and p.accuracy >= point.accuracy
    ]
    return min(sizes) / point.bytes if sizes else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--model", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument(
        "--turns", type=int, default=5, help="of writing and reading, the best counts"
    )
    asked = parser.parse_args()
    rivals = install()
    coded = [r for m in asked.model for r in rows(m, asked.dataset, rivals, asked.turns)]
    front = [p for m in asked.model for p in points(m, asked.dataset, rivals)]
    if asked.json:
        about = {"machine": asdict(this_machine()), "versions": versions()}
        figures = {"coded": [asdict(r) for r in coded], "front": [asdict(p) for p in front]}
        print(json.dumps({**about, **figures}))
    else:
        print(f"{table(coded)}\n\n{front_table(front)}")


if __name__ == "__main__":
    main()
