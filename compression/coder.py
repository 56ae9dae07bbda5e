"""Levels to bits and back: models that learn where the non-zeros of a layer sit, their signs and
their sizes, and one range coder. docs/format.md says the same in fewer words.

A layer is a matrix of levels, rows by columns: 0, or 1, 2, 3 ... with a sign. It is coded in steps,
each of which visits some columns of every row, so that after each step something is known of every
row, of every column, and of the cells beside those that come next. Models work with whole numbers,
in which no machine differs from another: logarithms in 1/ONE, probabilities in 1/CERTAIN. Arrays of
float64 hold whole numbers as well, below 2**53, where sums are exact in any order.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import constriction
import numpy as np

from .errors import CompressionError, FormatError

ONE, CERTAIN = 4096, 65536
LN_OF_TWO = 2839
MOST = 256  # the largest level
EMPTY, FULL = -128, 127  # densities of layers in which nothing, or everything, is not 0
CLASSES = 20  # of the size that is expected of a level, half a natural logarithm apart
GOLDEN = 25033  # of 65536: where the rows begin, as far apart as they can
KERNEL = (1, 4, 6, 4, 1)  # of 16: similar levels are similarly frequent
STEEP, UNSURE = 45056, 5 << 16  # where the logistic function ends; the mixer's first curvature
Picture = tuple[int, int, int]  # what the columns are: groups, height, width

_queue, _model = constriction.stream.queue, constriction.stream.model
_BITS = _model.Categorical(perfect=False)


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of 4096..8192 over 4096; the logistic function of -STEEP..STEEP, every fourth."""
    log = np.rint(np.log(np.arange(4096, 8193) / 4096) * ONE)
    at = np.arange(-STEEP, STEEP + 1, 4) / ONE
    logistic = np.rint(CERTAIN / (1 + np.exp(-at))).clip(1, CERTAIN - 1)
    found = log.astype(np.int64), logistic.astype(np.int64)
    if [zlib.crc32(t.astype("<i4").tobytes()) for t in found] != [0x3D9A3C99, 0x0D62A76A]:
        raise CompressionError("coder: this machine's logarithms differ from those of all others")
    return found


LOG, LOGISTIC = _tables()
_CHANCE = LOGISTIC.astype(np.float64)
_CURVATURE = (LOGISTIC * (CERTAIN - LOGISTIC) >> 16).astype(np.float64)
_BOTH = (np.stack([CERTAIN - LOGISTIC, LOGISTIC], axis=1) / CERTAIN).astype(np.float32)


def ln(v: np.ndarray) -> np.ndarray:
    """Natural logarithm of twice a whole number, 1 to 2**53, in 1/ONE; int64."""
    mantissa, exponent = np.frexp(v)
    return LOG[(mantissa * 8192).astype(np.int64) - 4096] + exponent * np.int64(LN_OF_TWO)


def logistic(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)) in 1/CERTAIN. z: int64, in 1/ONE."""
    return LOGISTIC[(z.clip(-STEEP, STEEP) + STEEP) >> 2]


# A cell as its neighbours see it, four of which are added up: expected << 20 | level << 8 |
# below zero << 4 | above zero.
_SIGNS = np.arange(256)
_POSITIVE, _NEGATIVE = np.minimum(_SIGNS & 15, 4), np.minimum(_SIGNS >> 4, 4)
_COUNT = np.minimum(_POSITIVE + _NEGATIVE, 4)


def _of_count(first: int) -> np.ndarray:
    """ln(first + count) of 0..4 neighbours, counted in 1/256."""
    return ln((np.arange(5) << 8) + first).astype(np.float64)


_SEEN = _of_count(77)[_COUNT]
_EXPECTED = ln(np.arange(1025) + 77).astype(np.float64)
_BALANCES = [(_of_count(k)[_POSITIVE] - _of_count(k)[_NEGATIVE]) for k in (102, 154)]


class Side(NamedTuple):
    """What a reader is told of a layer. density: log-odds that a cell is not 0, in 1/8, or EMPTY,
    FULL; top: the largest level, 1 to MOST.
    """

    density: int
    top: int


def side_of(levels: np.ndarray) -> Side:
    n, top = int(np.count_nonzero(levels)), int(np.abs(levels).max(initial=1))
    if n in (0, levels.size):
        return Side(FULL if n else EMPTY, top)
    odds = ln(np.array([n])) - ln(np.array([levels.size - n]))
    return Side(max(EMPTY + 1, min(FULL - 1, int(odds[0]) * 8 // ONE)), top)


class _Coder(Protocol):
    def code(self, symbols: np.ndarray, model: object, *p: np.ndarray) -> np.ndarray:
        """The symbols (N,), which a decoder finds and an encoder is given."""


class _Encoder:
    def __init__(self) -> None:
        self.range = _queue.RangeEncoder()

    def code(self, symbols: np.ndarray, model: object, *p: np.ndarray) -> np.ndarray:
        self.range.encode(symbols.astype(np.int32), model, *p)
        return symbols

    def bits(self) -> float:
        """How many were needed so far."""
        words, (_, left) = self.range.pos()
        return 32.0 * words + 64 - math.log2(left)


class _Decoder:
    def __init__(self, words: np.ndarray) -> None:
        self.range = _queue.RangeDecoder(words)

    def code(self, symbols: np.ndarray, model: object, *p: np.ndarray) -> np.ndarray:
        return self.range.decode(model, *(p or (len(symbols),))).astype(np.int64)


class _Balance:
    """What was counted against what was expected, for each row and column (and group): sums in
    1/CERTAIN that start alike.
    """

    def __init__(self, *starts: tuple[int, int]) -> None:
        """starts: with what, and how many sums."""
        first = np.repeat([k << 16 for k, _ in starts], [n for _, n in starts]).astype(np.int64)
        self.sums = np.stack([first, first])

    def log(self) -> np.ndarray:
        return ln(self.sums[0]) - ln(self.sums[1])

    def add(self, first: int, places: np.ndarray, counted: np.ndarray, other: np.ndarray) -> None:
        """Add to the sums at first + places, all (N,). counted: whole; other: in 1/CERTAIN.

        Both are added up in one number: of `other` all together stay below 2**32.
        """
        both = np.bincount(places, counted * float(1 << 32) + other).astype(np.int64)
        part = self.sums[:, first : first + len(both)]
        part[0] += both >> 32 << 16
        part[1] += both & 0xFFFFFFFF


class _Mixer:
    """Online logistic regression: P(bit) = logistic(base + w.x), and after each vector of bits one
    diagonal Newton step.
    """

    def __init__(self, base: int, weights: Sequence[float]) -> None:
        self.base, self.w = base, (np.array(weights) * 65536).astype(np.int64)
        self.curvature = np.full(len(weights), UNSURE, np.int64)

    def code(self, io: _Coder, bit: np.ndarray, x: np.ndarray) -> np.ndarray:
        """bit: int64 (N,); x: float64 (inputs, N), whole numbers in 1/ONE; it is used up."""
        z = np.floor((self.w.astype(np.float64) @ x) / 65536)
        z += self.base + STEEP
        at = z.clip(0, 2 * STEEP).astype(np.int64) >> 2
        bit = io.code(bit, _BITS, _BOTH.take(at, axis=0))
        slope = (x @ (bit * float(CERTAIN) - _CHANCE.take(at))).astype(np.int64)
        x /= 16
        np.floor(x, out=x)
        x *= x
        self.curvature += (x @ _CURVATURE.take(at)).astype(np.int64) >> 16
        self.w = (self.w + ((slope >> 8) << 12) // self.curvature).clip(-8 << 16, 8 << 16)
        return bit


class _Sizes:
    """Adaptive histograms of levels without their sign, one for each class of what is expected,
    with that of the whole layer as their prior.
    """

    def __init__(self, top: int) -> None:
        self.top, self.whole = top, np.full(top, 16)
        self.own = np.zeros((CLASSES, top), np.int64)

    def code(self, io: _Coder, size: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """size: int64 (N,), 0 for the level 1; classes: (N,)."""
        prior = self.whole * (16 * max(4, self.top // 2)) // self.whole.sum() + 1
        found = np.empty_like(size)
        for k in np.flatnonzero(np.bincount(classes)):
            places = np.flatnonzero(classes == k)
            model = _model.Categorical((self.own[k] + prior).astype(np.float32), perfect=False)
            found[places] = io.code(size[places], model)
        self._learn(classes * self.top + found)
        return found

    def _learn(self, cells: np.ndarray) -> None:
        new = np.bincount(cells, minlength=self.own.size).reshape(self.own.shape) * 16
        if self.top > 8:
            wide = np.pad(new, ((0, 0), (2, 2)))
            spread = [k * wide[:, i : i + self.top] for i, k in enumerate(KERNEL)]
            new = np.sum(spread, axis=0) >> 4
        self.own += new
        self.whole += new.sum(0)
        if self.own.sum(1).max() > 1 << 22:
            self.own >>= 1
            self.whole = (self.whole >> 1) + 1


class _Layer:
    """One layer while it is coded. levels: int64 (rows, columns), filled in by a decoder."""

    def __init__(self, io: _Coder, levels: np.ndarray, picture: Picture, side: Side) -> None:
        self.io, self.levels, self.side = io, levels, side
        rows, columns = levels.shape
        groups, height, width = picture
        self.near = height * width > 1
        self.many = groups if self.near and groups > 1 else 0
        self.base = side.density * ONE // 8
        self._place(groups, height, width)
        self.seen = _Balance((2, rows), (1, columns), (2, self.many))
        self.signs, self.sizes = (_Balance((4, rows), (2, columns)) for _ in range(2))
        group, near = [0.5] * bool(self.many), [0.7, 0.3, 0.2] * self.near
        self.mask = _Mixer(self.base, [0, 1, 1, *group, *near])
        self.sign = _Mixer(0, [0, 0.2, 0.5] + [0.7, 0.3] * self.near)
        self.histograms = _Sizes(side.top)

    def _place(self, groups: int, height: int, width: int) -> None:
        """Where columns are in a row of pictures with a border, and their neighbours there."""
        column = np.arange(groups * height * width)
        self.group, pixel = np.divmod(column, height * width)
        y, x = np.divmod(pixel, width)
        wide = width + 2
        self.place = (self.group * (height + 2) + y) * wide + x
        self.middle, self.row_cells = wide + 1, groups * (height + 2) * wide
        self.sides = [self.middle + d for d in (-1, 1, -wide, wide)]
        self.corners = [self.middle + d for d in (-1 - wide, 1 - wide, wide - 1, wide + 1)]
        cells = len(self.levels) * self.row_cells + 2 * self.middle if self.near else 0
        self.cells = np.zeros(cells, np.int64)

    def code(self) -> None:
        rows, columns = self.levels.shape
        steps = min(columns, max(8, min(32, math.isqrt(rows * columns) // 12)))
        first = (np.arange(rows)[:, None] * columns * GOLDEN >> 16) % columns
        for step in range(steps):
            visited = first + np.arange(step, columns, steps)
            visited[visited >= columns] -= columns
            self._step(visited)

    def _step(self, visited: np.ndarray) -> None:
        """visited: columns of each row, (rows, n)."""
        rows, n = visited.shape
        row, column = np.repeat(np.arange(rows), n), visited.ravel()
        self.mean = self._mean_level()
        at = around = None
        if self.near:
            at = (self.place.take(visited) + np.arange(rows)[:, None] * self.row_cells).ravel()
            around = [self._sum(at, places) for places in (self.sides, self.corners)]
        some, new = np.arange(rows * n), np.zeros(rows * n, np.int64)
        if self.side.density != FULL:
            bits, new = self._mask(row, column, n, around)
            some = np.flatnonzero(bits)
        if len(some):
            near = [a[some] for a in around] if around else []
            positive, level = self._levels(row[some], column[some], near)
            new[some] += (level << 8) + np.where(positive, 1, 16)
            self.levels[row[some], column[some]] = np.where(positive, level, -level)
        if at is not None:
            self.cells[at + self.middle] = new

    def _mean_level(self) -> int:
        """Of the levels so far, in 1/16."""
        rows = len(self.levels)
        total, count = ((self.sizes.sums[:, :rows] >> 16).sum(1) - 4 * rows).tolist()
        return 16 * (total + self.side.top + 1) // (count + 3) + 1

    def _sum(self, at: np.ndarray, places: list[int]) -> np.ndarray:
        total = self.cells[places[0] :].take(at)
        for place in places[1:]:
            total += self.cells[place:].take(at)
        return total

    def _near_size(self, sides: np.ndarray) -> np.ndarray:
        """ln of the mean level of the sides over that of the layer; float64."""
        levels = ln(np.arange(4 * self.side.top + 1) * 16 + self.mean).astype(np.float64)
        counts = ln((np.arange(5) + 1) * self.mean).astype(np.float64)[_COUNT]
        return levels.take(sides >> 8 & 0xFFF) - counts.take(sides & 255)

    def _mask(
        self, row: np.ndarray, column: np.ndarray, n: int, around: list[np.ndarray] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which cells are not 0, and how likely that was, as neighbours are told."""
        rows = len(self.levels)
        log = self.seen.log()
        chance = logistic(self.base + log)
        log_column = log[rows:].take(column)
        x = np.empty((len(self.mask.w), len(column)))
        x[0] = ONE
        x[1] = np.repeat(log[:rows], n)
        x[2] = log_column
        if self.many:
            group = self.group.take(column)
            x[3] = log[rows + self.levels.shape[1] :].take(group)
        if around is not None:
            for i, total in enumerate(around, len(x) - 3):
                _SEEN.take(total & 255, out=x[i], mode="clip")
                x[i] -= _EXPECTED.take(total >> 28)
            x[-1] = self._near_size(around[0])
        likely = logistic(self.base + np.repeat(log[:rows], n) + log_column) << 20
        bits = self.mask.code(self.io, (self.levels[row, column] != 0).astype(np.int64), x)
        self._count(bits, row, column, n, chance)
        return bits, likely

    def _count(
        self, bits: np.ndarray, row: np.ndarray, column: np.ndarray, n: int, chance: np.ndarray
    ) -> None:
        """Every cell counts for its row, its column and its group."""
        rows, columns = self.levels.shape
        self.seen.sums[0, :rows] += bits.reshape(rows, n).sum(1) << 16
        self.seen.sums[1, :rows] += chance[rows:].take(column).reshape(rows, n).sum(1)
        expected = np.repeat(chance[:rows], n)
        self.seen.add(rows, column, bits, expected)
        if self.many:
            self.seen.add(rows + columns, self.group.take(column), bits, expected)

    def _levels(
        self, row: np.ndarray, column: np.ndarray, near: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Signs (1 is above 0) and levels of cells that are not 0."""
        rows, known = len(self.levels), self.levels[row, column]
        log = self.signs.log()
        x = np.empty((len(self.sign.w), len(row)))
        x[0], x[1], x[2] = ONE, log.take(row), log.take(column + rows)
        for i, (total, balance) in enumerate(zip(near, _BALANCES, strict=False), 3):
            x[i] = balance.take(total & 255)
        positive = self.sign.code(self.io, (known > 0).astype(np.int64), x)
        level = np.ones(len(row), np.int64)
        if self.side.top > 1:
            level += self.histograms.code(
                self.io, np.abs(known) - 1, self._class(row, column, near)
            )
            self._add(self.sizes, row, column, level, np.ones_like(level))
        self._add(self.signs, row, column, positive, 1 - positive)
        return positive, level

    def _class(self, row: np.ndarray, column: np.ndarray, near: list[np.ndarray]) -> np.ndarray:
        """Of the size that is to be expected here."""
        rows, columns = self.levels.shape
        few = np.repeat([4, 2], [rows, columns]) << 12
        mean = ln(np.array([self.mean]))[0]
        sums = self.sizes.sums
        log = ln(sums[0] + few * (self.mean - 16)) - ln(sums[1]) - mean + 4 * LN_OF_TWO
        z = log.take(row) + log.take(column + rows)
        if near:
            z += self._near_size(near[0]).astype(np.int64)
        return ((z >> 11) + CLASSES // 2).clip(0, CLASSES - 1)

    def _add(
        self, to: _Balance, row: np.ndarray, column: np.ndarray, a: np.ndarray, b: np.ndarray
    ) -> None:
        to.add(0, row, a, b << 16)
        to.add(len(self.levels), column, a, b << 16)


def encode(layers: Sequence[tuple[np.ndarray, Picture, Side]]) -> tuple[bytes, list[float]]:
    """The stream of some layers, and how many bits of it each of them takes.

    layers: levels, int (rows, columns), what the columns are, and `side_of` the levels.
    """
    io = _Encoder()
    bits = []
    for levels, picture, side in layers:
        before = io.bits()
        if side.density != EMPTY:
            _Layer(io, levels.astype(np.int64), picture, side).code()
        bits.append(io.bits() - before)
    return io.range.get_compressed().astype("<u4").tobytes(), bits


def decode(
    data: bytes, layers: Sequence[tuple[tuple[int, int], Picture, Side]]
) -> list[np.ndarray]:
    """The levels, int64 (rows, columns), of the bytes that `encode` gave. Raises FormatError where
    they can't be that.
    """
    io = _Decoder(np.frombuffer(data, "<u4").astype(np.uint32))
    found = []
    try:
        for shape, picture, side in layers:
            levels = np.zeros(shape, np.int64)
            if side.density != EMPTY:
                _Layer(io, levels, picture, side).code()
            found.append(levels)
    except (AssertionError, ValueError) as e:
        raise FormatError("coded weights can't be decoded: {reason}", reason=str(e)) from None
    if not io.range.maybe_exhausted():
        raise FormatError("coded weights are longer than the layers need")
    return found
