"""Reads a .nnz file of Compression Lab (format version 2) and runs its network, with nothing but
numpy and constriction: pip install numpy "constriction==0.5.*"

    python nnz_loader.py small.nnz              the names of its tensors
    python nnz_loader.py small.nnz images.npy   the class of each image, one a line

    net = Network(open("small.nnz", "rb").read())
    net.arrays["fc1.weight"]                    float32, to the bit what was written
    net.classes(images)                         uint8 (N, H, W) or (N, channels, H, W), as they are

Tensors stand in the file in the order of their use: the first pass, of an empty image, reads them.
"""

import io
import sys
import zlib

import numpy as np
from constriction import stream as coded

# mean and deviation of pixels, and the value of a full one, of data sets 1 to 4
INPUTS = [(0.3053, 0.3763, 16), (0.1307, 0.3081, 255), (0.2860, 0.3530, 255), (0.4734, 0.2516, 255)]
ERF = np.float32([1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0])


class Network:
    def __init__(self, data):
        if data[:4] != b"NNZ\x02" or zlib.crc32(data[8:]) != int.from_bytes(data[4:8], "little"):
            raise ValueError("not a .nnz file of version 2, or a damaged one")
        self.rest, self.arrays, self.integers, self.split = io.BytesIO(data[10:]), {}, {}, {}
        self.id, (mean, std, peak) = data[8] & 127, INPUTS[data[9] - 1]
        self.scale, self.shift = np.float32(1 / (peak * std)), np.float32(mean / std)
        *self.shape, self.outputs, depth = (self.varint() for _ in range(5))
        self.units, more = [self.varint() for _ in range(depth)], data[8] > 127
        self.ranks = iter([self.varint() for _ in range(self.varint() if more else 0)])
        self.bits = self.varint() if more else 0
        with np.errstate(all="ignore"):  # a file may hold any float32
            self.logits(np.zeros((1, *self.shape), np.uint8))

    def classes(self, images, batch=100):
        images = images.reshape(-1, *self.shape)
        parts = np.split(images, range(batch, len(images), batch))
        return np.concatenate([self.logits(part) for part in parts]).argmax(1)

    def logits(self, images):
        x = images.transpose(0, 2, 3, 1).astype(np.float32) * self.scale - self.shift
        n, u = len(x), self.units
        if self.id == 1:  # lenet_300_100
            x = self.layer(x.transpose(0, 3, 1, 2).reshape(n, -1), "fc1", u[0], relu=True)
            return self.layer(self.layer(x, "fc2", u[1], relu=True), "fc3", self.outputs)
        if self.id < 4:  # lenet5, net
            for name, units in (("conv1", u[0]), ("conv2", u[1])):
                how = {2: (5, 1, 0, "", False), 3: (3, 1, 1, "", True)}[self.id]
                x = self.layer(x, name, units, *how)
                x = x.reshape(n, x.shape[1] // 2, 2, x.shape[2] // 2, 2, units).max((2, 4))
            x = self.layer(x.transpose(0, 3, 1, 2).reshape(n, -1), "fc1", u[2], relu=True)
            return self.layer(x, "fc2", self.outputs)
        if self.id == 6:
            return self.layer(self.attentive(x, *u), "fc", self.outputs)
        x = self.layer(x, "conv1", u[0], 3, 1, 1, "bn1", True)
        for i, units in enumerate(u[3:] if self.id == 4 else u[1:]):
            x = self.residual(x, i, units) if self.id == 4 else self.separable(x, i + 1, units)
        return self.layer(x.mean((1, 2)), "fc", self.outputs)

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
        inputs = 1 if each else x.shape[-1]
        W = self.tensor(name + ".weight", outputs, inputs, *[side, side][: 2 * side])
        scale, shift = 1, self.tensor(name + ".bias", outputs) if bias else 0
        if self.bits:  # whole numbers times whole numbers, then a step for each output
            step, zero = (self.tensor(name + part, 1) for part in (".input.step", ".input.zero"))
            x = np.clip(np.rint(x / step) + zero, 0, 2**self.bits - 1) - zero
            W, steps = self.integers.get(name + ".weight", (W, 1))
            scale = steps * step
        if not side:
            return x @ W.T * scale + shift
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        x = np.lib.stride_tricks.sliding_window_view(x, (side, side), (1, 2))[:, ::stride, ::stride]
        if each:
            return np.einsum("nhwcij,cij->nhwc", x, W[:, 0]) * scale + shift
        return np.tensordot(x, W, ([3, 4, 5], [1, 2, 3])) * scale + shift

    def tensor(self, name, *shape):
        if name not in self.arrays:
            self.arrays[name] = np.array(self.values(name, shape), np.float32).reshape(shape)
        return self.arrays[name]

    def values(self, name, shape):
        size, kind = int(np.prod(shape)), self.take("u1", 1)[0]
        if kind == 0:
            return self.take("<f4", size)
        n, first = self.varint(), self.varint()
        even = self.varint() if n > 1 else 0
        gaps = [even or self.varint() for _ in range(n - 1)]
        alphabet, codes = np.cumsum([first // 2 ^ -(first % 2), *gaps]), self.take("u1", n)
        alphabet, codes = alphabet[codes > 0], codes[codes > 0]
        if kind > 1:
            m = len(codes) if kind & 127 == 2 else self.varint()
            table = self.take("<f2" if kind & 128 else "<f4", m).astype(np.float32)
        words, places = self.take("<u4", self.varint()).astype(np.uint32), np.zeros(size, int)
        if len(codes) > 1:
            model = coded.model.Categorical(np.rint(2 ** ((codes - 1.0) / 8)), perfect=False)
            places = coded.queue.RangeDecoder(words).decode(model, size)
        symbols = alphabet[places]
        if kind == 1:
            raw, some = np.zeros((size, 4), np.uint8), symbols < 256
            raw[some] = np.c_[self.take("u1", 3 * some.sum()).reshape(-1, 3), symbols[some]]
            return raw.view("<f4")
        if kind & 127 == 2:
            return table[symbols]
        whole, rows = symbols.astype(np.float32).reshape(shape[0], -1), table[:, None]
        if kind == 3:
            self.integers[name] = whole.reshape(shape), table
        return whole / rows if kind == 4 else whole * rows

    def take(self, dtype, n):
        return np.frombuffer(self.rest.read(n * np.dtype(dtype).itemsize), dtype)

    def varint(self):
        byte = self.take("u1", 1)[0].item()
        return byte if byte < 128 else byte - 128 + 128 * self.varint()


if __name__ == "__main__":
    net = Network(open(sys.argv[1], "rb").read())
    print(*(net.classes(np.load(sys.argv[2])) if len(sys.argv) > 2 else net.arrays), sep="\n")
