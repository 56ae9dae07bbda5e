"""Reads a .nnz file of Compression Lab (format version 3) and runs its network, with nothing but
numpy and constriction: pip install numpy "constriction==0.5.*"

    python nnz_loader.py small.nnz              the names of its tensors
    python nnz_loader.py small.nnz images.npy   the class of each image, one a line

    net = Network(open("small.nnz", "rb").read())
    net.arrays["fc1.weight"]                    float32, to the bit what was written
    net.classes(images)                         uint8 (N, H, W) or (N, channels, H, W), as they are

Tensors stand in the file in the order of their use: a first pass, of an empty image through zeros,
finds out which there are. What the numbers mean is written in docs/format.md.
"""

import io
import sys
import zlib

import numpy as np
from constriction import stream as coded

BITS = coded.model.Categorical(perfect=False)
LN = np.rint(np.log(np.arange(4096, 8193) / 4096) * 4096).astype("i8")
LOGISTIC = np.rint(65536 / (1 + np.exp(np.arange(11264, -11265, -1) / 1024))).astype("i8")
LOGISTIC = LOGISTIC.clip(1, 65535)
# of data sets 1 to 4: shape of an image, mean and deviation of pixels, and the value of a full one
INPUTS = [
    ((1, 8, 8), 0.3053, 0.3763, 16),
    ((1, 28, 28), 0.1307, 0.3081, 255),
    ((1, 28, 28), 0.2860, 0.3530, 255),
    ((3, 32, 32), 0.4734, 0.2516, 255),
]
ERF = np.float32([1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0])


def ln(v):  # times 4096
    m, e = np.frexp(v)
    return LN[(m * 8192).astype("i8") - 4096] + 2839 * e


def logistic(z):  # times 65536
    return LOGISTIC[(np.clip(z, -45056, 45056) + 45056) >> 2]


def count(cells):  # that are not 0, of four added up
    return (cells & 15) + (cells >> 4 & 15)


def add(sums, places, *more):  # to both rows of the sums; places: (n, N)
    for to, v in zip(sums, more, strict=True):
        np.add.at(to, places.ravel(), np.broadcast_to(v, places.shape).ravel())


class Mixer:
    def __init__(self, base, *w):
        self.base, self.w, self.v = base, (np.array(w) * 65536).astype("i8"), 5 << 16

    def bits(self, stream, *x):
        x = np.stack([np.full_like(x[0], 4096), *x])
        p = logistic(self.base + (self.w @ x >> 16))
        bit = stream.decode(BITS, (np.stack([65536 - p, p], 1) / 65536).astype("f4")).astype("i8")
        self.v = self.v + ((x >> 4) ** 2 @ (p * (65536 - p) >> 16) >> 16)
        more = (x @ ((bit << 16) - p) >> 8 << 12) // self.v
        self.w = np.clip(self.w + more, -8 << 16, 8 << 16)
        return bit


def levels(stream, rows, picture, density, top):  # of a layer, (rows, columns)
    (groups, h, w), columns, top = picture, int(np.prod(picture)), top + 1
    q, near, line, j = np.zeros((rows, columns), "i8"), h * w > 1, w + 2, np.arange(columns)
    base, many, group = (density ^ 128) - 128 << 9, near and groups > 1, j // (h * w)
    at = (j // w + 2 * group + 1) * line + j % w + 1  # in a row of pictures with a border
    cells = np.zeros((rows, groups * (h + 2) * line), "i8")
    sides = np.array([[-1], [1], [-line], [line]])
    corners = sides[[0, 1, 0, 1]] + sides[[2, 2, 3, 3]]
    first, few = (np.repeat(k, (rows, columns, groups)) << 16 for k in ([2, 1, 2], [4, 2, 4]))
    seen, signs, sizes = (np.stack([k, k]) for k in (first, few, few))
    mask = Mixer(base, 0, 1, 1, *[0.5] * many, *[0.7, 0.3, 0.2] * near)
    sign = Mixer(0, 0, 0.2, 0.5, *[0.7, 0.3] * near)
    own, whole = np.zeros((20, top), "i8"), np.full(top, 16)
    kernel = (1, 4, 6, 4, 1) if top > 8 else (0, 0, 16)
    steps = min(columns, max(8, min(32, int((rows * columns) ** 0.5) // 12)))
    for step in range(0 if density == 128 else steps):
        J = (np.arange(rows)[:, None] * columns * 25033 >> 16) + np.arange(step, columns, steps)
        i, j = np.repeat(np.arange(rows), J.shape[1]), J.ravel() % columns
        u = np.stack([i, j + rows, group[j] + rows + columns])[: 2 + many]
        S = [cells[i, at[j] + d].sum(0) for d in (sides, corners)] if near else []
        total, n = (sizes[:, :rows] >> 16).sum(1) - 4 * rows
        mean = 16 * (total + top + 1) // (n + 3) + 1
        size = [ln((s >> 8 & 4095) * 16 + mean) - ln((count(s) + 1) * mean) for s in S[:1]]
        new, k = np.zeros(len(i), "i8"), np.arange(len(i))
        if density != 127:
            f = ln(seen[0]) - ln(seen[1])
            p, f = logistic(base + f)[u], f[u]
            known = [ln((count(s) << 8) + 77) - ln((s >> 28) + 77) for s in S]
            bit = mask.bits(stream, *f, *known, *size)
            add(seen, u, bit << 16, p[[1, 0, 0][: len(u)]])
            new, k = logistic(base + f[0] + f[1]) << 20, np.flatnonzero(bit)
        u, a, f = u[:2, k], np.ones(len(k), "i8"), ln(signs[0]) - ln(signs[1])
        near_by = [(s[k] & 15, s[k] >> 4 & 15, 102 + 52 * n) for n, s in enumerate(S)]
        s = sign.bits(stream, *f[u], *(ln((x << 8) + c) - ln((y << 8) + c) for x, y, c in near_by))
        if top > 1:
            z = ln(sizes[0] + (few >> 4) * (mean - 16)) - ln(sizes[1]) - ln(mean) + 4 * 2839
            c = np.clip((z[u].sum(0) + sum(x[k] for x in size) >> 11) + 10, 0, 19)
            f = own + whole * (16 * max(4, top // 2)) // whole.sum() + 1
            for e in np.unique(c):
                model = coded.model.Categorical(f[e].astype("f4"), perfect=False)
                a[c == e] += stream.decode(model, int((c == e).sum()))
            n = np.bincount(c * (top + 4) + a + 1, minlength=20 * (top + 4)).reshape(20, -1)
            n = sum(x * n[:, e : e + top] for e, x in enumerate(kernel))
            own, whole = own + n, whole + n.sum(0)
            if own.sum(1).max() > 1 << 22:
                own, whole = own >> 1, (whole >> 1) + 1
            add(sizes, u, a << 16, 1 << 16)
        add(signs, u, s << 16, 1 - s << 16)
        new[k] += (a << 8) + 16 - 15 * s
        q[i[k], j[k]], cells[i, at[j]] = (2 * s - 1) * a, new
    return q


class Network:
    def __init__(self, data):
        if data[:4] != b"NNZ\x03" or zlib.crc32(data[8:]) != int.from_bytes(data[4:8], "little"):
            raise ValueError("not a .nnz file of version 3, or a damaged one")
        self.rest, self.arrays, self.integers = io.BytesIO(data[10:]), {}, {}
        self.split, self.pictures = {}, {}
        self.id, (self.shape, mean, std, peak) = data[8] & 127, INPUTS[data[9] - 1]
        self.scale, self.shift = np.float32(1 / (peak * std)), np.float32(mean / std)
        self.units, more = [self.varint() for _ in range(self.varint())], data[8] > 127
        self.ranks = iter([self.varint() for _ in range(self.varint() if more else 0)])
        self.bits = self.varint() if more else 0
        with np.errstate(all="ignore"):  # zeros are divided by zeros; a file may hold any float32
            self.logits(np.zeros((1, *self.shape), np.uint8))
            self.read()

    def classes(self, images, batch=100):
        images = images.reshape(-1, *self.shape)
        parts = np.split(images, range(batch, len(images), batch))
        return np.concatenate([self.logits(part) for part in parts]).argmax(1)

    def logits(self, images):
        x = images.transpose(0, 2, 3, 1).astype(np.float32) * self.scale - self.shift
        n, u = len(x), self.units
        if self.id == 1:  # lenet_300_100
            x = self.layer(x, "fc1", u[0], relu=True)
            return self.layer(self.layer(x, "fc2", u[1], relu=True), "fc3", 10)
        if self.id < 4:  # lenet5, net
            for name, units in (("conv1", u[0]), ("conv2", u[1])):
                how = {2: (5, 1, 0, "", False), 3: (3, 1, 1, "", True)}[self.id]
                x = self.layer(x, name, units, *how)
                x = x.reshape(n, x.shape[1] // 2, 2, x.shape[2] // 2, 2, units).max((2, 4))
            return self.layer(self.layer(x, "fc1", u[2], relu=True), "fc2", 10)
        if self.id == 6:
            return self.layer(self.attentive(x, *u), "fc", 10)
        x = self.layer(x, "conv1", u[0], 3, 1, 1, "bn1", True)
        for i, units in enumerate(u[3:] if self.id == 4 else u[1:]):
            x = self.residual(x, i, units) if self.id == 4 else self.separable(x, i + 1, units)
        return self.layer(x.mean((1, 2)), "fc", 10)

    def residual(self, x, i, middle):  # block of resnet20
        stage, block = divmod(i, len(self.units) // 3 - 1)
        name, new = f"block{stage + 1}_{block + 1}.", stage > 0 and block == 0
        y = self.layer(x, name + "conv1", middle, 3, 1 + new, 1, name + "bn1", True)
        y = self.layer(y, name + "conv2", self.units[stage], 3, 1, 1, name + "bn2")
        if new:
            x = self.layer(x, name + "shortcut.conv", y.shape[-1], 1, 2, 0, name + "shortcut.bn")
        return np.maximum(y + x, 0)

    def separable(self, x, i, units):  # block of mobilenet_mini
        own, stride, name = x.shape[-1], 1 + (i in (2, 4)), f"block{i}."
        x = self.layer(x, name + "depthwise", own, 3, stride, 1, name + "bn1", True, each=True)
        return self.layer(x, name + "pointwise", units, 1, 1, 0, name + "bn2", True)

    def attentive(self, x, units, *rest):  # vit_mini
        layer, patch = self.layer, 4 if min(self.shape[1:]) > 15 else 2
        x = layer(x, "patches", units, patch, patch)
        x = (x + layer(x, "position.conv", units, 3, 1, 1, each=True)).reshape(len(x), -1, units)
        for i, (heads, middle) in enumerate(zip(rest[:4], rest[4:], strict=True), 1):
            y, name = self.normed(x, f"attention{i}.norm"), f"attention{i}.heads."
            parts = [layer(y, name + part, 16 * heads) for part in "qkv"]
            q, k, v = (p.reshape(*x.shape[:2], heads, 16).transpose(0, 2, 1, 3) for p in parts)
            look = q @ k.transpose(0, 1, 3, 2) / np.float32(4)
            look = np.exp(look - look.max(-1, keepdims=True))
            y = (look / look.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3)
            x = x + layer(y.reshape(*x.shape[:2], -1), name + "out", units)
            y = layer(self.normed(x, f"mlp{i}.norm"), f"mlp{i}.fc1", middle)
            z = np.abs(y) * np.float32(0.5**0.5)  # GELU: erf of Abramowitz & Stegun, 7.1.26
            half = np.polyval(ERF, 1 / (1 + np.float32(0.3275911) * z)) * np.exp(-z * z) / 2
            x = x + layer(y * np.where(y > 0, 1 - half, half), f"mlp{i}.fc2", units)
        return self.normed(x, "norm").mean(1)

    def normed(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        return self.scaled(x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-5)), name)

    def scaled(self, x, name):
        weight, bias = (self.tensor(name + part, x.shape[-1]) for part in (".weight", ".bias"))
        return x * weight + bias

    def layer(self, x, name, outputs, side=0, stride=1, pad=0, norm="", relu=False, each=False):
        """Linear or a convolution, split into two or not, and its batch norm. each: channel."""
        rank, bias = self.split.setdefault(name, next(self.ranks, 0)), not norm or self.bits
        if rank:
            x = self.single(x, name + ".first", rank, side, stride, pad, each, False)
            name, side, stride, pad = name + ".second", side and 1, 1, 0
        x = self.single(x, name, outputs, side, stride, pad, each, bias)
        x = x if bias else self.scaled(x, norm)
        return np.maximum(x, 0) if relu else x

    def single(self, x, name, outputs, side, stride, pad, each, bias):
        picture = () if side or x.ndim < 4 else (x.shape[3], *x.shape[1:3])
        if picture:  # its numbers are the columns
            x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        inputs, kernel = 1 if each else x.shape[-1], (side, side) if side else ()
        W = self.tensor(name + ".weight", outputs, inputs, *kernel)
        self.pictures.setdefault(name + ".weight", picture or (inputs, *(kernel or (1, 1))))
        scale, shift = 1, self.tensor(name + ".bias", outputs) if bias else 0
        if self.bits:  # whole numbers times whole numbers, then a step for each output
            step, zero = (self.tensor(name + part, 1) for part in (".input.step", ".input.zero"))
            x = np.clip(np.rint(x / step) + zero, 0, 2**self.bits - 1) - zero
            W, steps = self.integers.get(name + ".weight", (W, 1))
            scale = steps * step
        if not side:
            return x @ W.T * scale + shift
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        x = np.lib.stride_tricks.sliding_window_view(x, kernel, (1, 2))[:, ::stride, ::stride]
        if each:
            return np.einsum("nhwcij,cij->nhwc", x, W[:, 0]) * scale + shift
        return np.tensordot(x, W, ([3, 4, 5], [1, 2, 3])) * scale + shift

    def tensor(self, name, *shape):
        return self.arrays.setdefault(name, np.zeros(shape, np.float32))

    def read(self):
        big = [name for name, a in self.arrays.items() if a.ndim > 1]
        small = [a for a in self.arrays.values() if a.ndim == 1]
        flags = np.unpackbits(self.take("u1", -(-len(small) // 8)), bitorder="little")
        heads = [self.head(len(self.arrays[name])) for name in big]
        on_grid = [a for a, flag in zip(small, flags, strict=False) if flag]
        if on_grid:
            half, *side = self.rest.read(3)
            steps = self.take("<f2" if half else "<f4", len(on_grid))
        for a, flag in zip(small, flags, strict=False):
            a[:] = 0 if flag else self.take("<f4", len(a))
        lows = [self.low(n, shift) for _, _, _, shift, n, _ in heads]
        stream = coded.queue.RangeDecoder(np.frombuffer(self.rest.read(), "<u4").astype("u4"))
        for name, head, low in zip(big, heads, lows, strict=True):
            q = levels(stream, len(self.arrays[name]), self.pictures[name], *head[1])
            self.values(name, q, head, low)
        if on_grid:
            row = levels(stream, 1, (sum(map(len, on_grid)), 1, 1), *side)[0]
            for a, step in zip(on_grid, steps, strict=True):
                a[:], row = row[: len(a)] * step, row[len(a) :]

    def head(self, rows):  # kind, what the coder is told, first exponent, low bits of n, table
        kind, *side = self.rest.read(3)
        more = kind & 7 == 1 or kind & 16
        first, n = (self.rest.read(1)[0], self.varint()) if more else (0, 0)
        if kind & 7 == 1:
            return kind, side, first, 23, n, None
        m = self.varint() if kind & 7 == 2 else rows if kind & 128 else 1
        table = self.take("<f2" if kind & 8 else "<f4", m // 2 if kind & 64 else m)
        table = table.astype(np.float32)
        if kind & 64:
            table = np.concatenate([-table[::-1], np.zeros(m % 2, np.float32), table])
        return kind, side, 0, first, n, table

    def low(self, n, shift):
        planes = self.take("u1", shift * -(-n // 8)).reshape(shift, -(-n // 8))
        return 2 ** np.arange(shift) @ np.unpackbits(planes, 1, n, "little").astype("i8")

    def values(self, name, q, head, low):
        (kind, _, first, shift, _, table), a, size, some = head, self.arrays[name], abs(q), q != 0
        if shift:
            size[some] = ((size[some] - 1) << shift) + low + 1
        if kind & 7 == 1:
            raw = np.where(some, size - 1 + (first << 23), 0) + ((q < 0).astype("i8") << 31)
            W = raw.astype("<u4").view("<f4")
        else:
            whole = np.sign(q) * (2 * size - 1 if kind & 32 else size)
            W = whole.astype(np.float32)
        if kind & 7 == 2:
            W = table[whole + (table < 0).sum() - ((whole > 0) & (table != 0).all())]
        if kind & 7 == 3:
            self.integers[name] = W.reshape(a.shape), table
            W = W * table[:, None]
        a[:] = (W / table[:, None] if kind & 7 == 4 else W).reshape(a.shape)

    def take(self, dtype, n):
        return np.frombuffer(self.rest.read(n * np.dtype(dtype).itemsize), dtype)

    def varint(self):
        byte = self.rest.read(1)[0]
        return byte if byte < 128 else byte - 128 + 128 * self.varint()


if __name__ == "__main__":
    net = Network(open(sys.argv[1], "rb").read())
    print(*(net.classes(np.load(sys.argv[2])) if len(sys.argv) > 2 else net.arrays), sep="\n")
