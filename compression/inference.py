"""Running a network on many images as fast as this kind of machine allows.

What was measured (5,000 images, one thread, milliseconds, LeNet-300-100 / LeNet-5 / Net):

| engine | ms |
|---|---|
| torch as it comes, batches of 1,000 (half of 10,000 images) | 27 / 714 / 1,596 |
| `channels_last`, batches that stay in the cache | 27 / 483 / 690 |
| with 2x2 max-pooling by pairs instead of `MaxPool2d` | 27 / 180 / 244 |
| and fully connected layers by oneDNN: this module | 12 / 153 / 220 |
| ONNX Runtime, weights as inputs, its best batch | 12 / 196 / 318 |

Logits do not depend on how the images are cut into batches, nor on the number of threads: a batch
is the work of one thread, and has LEAST images at least (fewer would take other kernels).
"""

from __future__ import annotations

import copy
import math
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from .blocks import Attention, Residual, attend
from .models import Chain, InputRange, attachments, empty, scale_and_shift
from .networks import Architecture

Layer = Callable[[torch.Tensor], torch.Tensor]
CACHE_BYTES = 5_000_000  # of a batch's largest activation: best for 25 to 100 kB an image
MOST_AT_ONCE = 250
LEAST = 16  # images in a batch; fewer are filled up with repetitions
THREADS = min(8, os.cpu_count() or 1)  # one after the other where it is 1


class Forward:
    """A network made ready to answer: masks and levels computed once, weights laid out for the CPU.

    It does not follow later changes of the model. Input float32 (N, *shape), N any; gives float32
    logits (N, classes).
    """

    def __init__(self, model: nn.Module) -> None:
        with frozen_weights():
            self.answer = _ready(model)
        self.batch = batch_of(model.architecture) if isinstance(model, Chain) else MOST_AT_ONCE

    def __call__(self, inputs: torch.Tensor, chosen: torch.Tensor | None = None) -> torch.Tensor:
        """Logits of the inputs, or of those whose places (int64) are chosen, in that order."""
        places = torch.arange(len(inputs)) if chosen is None else chosen
        if 0 < len(places) < LEAST:
            return self(inputs, places.repeat(LEAST)[:LEAST])[: len(places)]
        batches = places.tensor_split(max(1, len(places) // self.batch))
        one = partial(self._one, inputs, chosen is None)
        if THREADS == 1 or len(batches) == 1:
            return torch.cat([one(batch) for batch in batches])
        return torch.cat(list(_pool(THREADS).map(one, batches)))

    def _one(self, inputs: torch.Tensor, in_order: bool, places: torch.Tensor) -> torch.Tensor:
        """One batch, by one thread."""
        with one_thread(), torch.inference_mode():
            images = inputs[places[0] : places[-1] + 1] if in_order else inputs[places]
            return self.answer(images.contiguous(memory_format=torch.channels_last))


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch with one thread inside, so that sums are taken in the same order on every machine
    with the same CPU.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def frozen_weights() -> Iterator[None]:
    """While the weights do not change: masks and levels are computed once, not at each look."""
    with torch.no_grad(), parametrize.cached():
        yield


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "forward")


def _ready(layer: nn.Module) -> Layer:
    """A function that does what the layer does in evaluation."""
    if isinstance(layer, Residual):
        body, shortcut = _chain(layer.body), _ready(layer.shortcut_of)
        return lambda x: body(x) + shortcut(x)
    if isinstance(layer, nn.Sequential):
        return _chain(list(layer))
    if isinstance(layer, Attention):
        q, k, v, out = map(_ready, (layer.q, layer.k, layer.v, layer.out))
        return lambda x: out(attend(q(x), k(x), v(x)))
    if isinstance(layer, nn.Linear | nn.Conv2d):
        return _integer(layer) if hasattr(layer, "input") else _floating(layer)
    if isinstance(layer, nn.BatchNorm2d):
        scale, shift = (x[:, None, None] for x in scale_and_shift(layer))
        return lambda x: x * scale + shift
    if isinstance(layer, nn.LayerNorm):
        shape, parts = layer.normalized_shape, (layer.weight.detach(), layer.bias.detach())
        return lambda x: F.layer_norm(x, shape, *parts, layer.eps)
    if isinstance(layer, nn.MaxPool2d) and _is_pairs(layer):
        return max_of_pairs
    own = copy.copy(layer)  # the layer itself keeps its mode, and who listens to it hears nothing
    own._forward_hooks, own._forward_pre_hooks = OrderedDict(), OrderedDict()
    return own.eval()


def _chain(layers: list[nn.Module]) -> Layer:
    """One after the other; a batch norm behind a convolution becomes a part of it."""
    ready: list[Layer] = []
    for before, layer, behind in zip([None, *layers], layers, [*layers[1:], None], strict=False):
        if isinstance(layer, nn.Conv2d) and isinstance(behind, nn.BatchNorm2d):
            scale, shift = scale_and_shift(behind)
            weight = layer.weight.detach() * scale[:, None, None, None]
            bias = shift if layer.bias is None else shift + scale * layer.bias.detach()
            ready.append(_convolution(layer, weight, bias))
        elif not (isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d)):
            ready.append(_ready(layer))

    def run(x: torch.Tensor) -> torch.Tensor:
        for one in ready:
            x = one(x)
        return x

    return run


def _floating(layer: nn.Linear | nn.Conv2d) -> Layer:
    weight, bias = layer.weight.detach(), layer.bias
    if isinstance(layer, nn.Conv2d):
        return _convolution(layer, weight, bias)
    return _linear(weight, torch.zeros(len(weight)) if bias is None else bias.detach())


def _integer(layer: nn.Linear | nn.Conv2d) -> Layer:
    """Whole numbers times whole numbers, then one step for each output: as `QuantizeLinear`,
    `MatMulInteger` or `ConvInteger`, `Cast`, `Mul` and `Add` of ONNX do. Sums are exact up to 2^24.
    """
    given = layer.input
    assert isinstance(given, InputRange)
    grid = next(a.step for a in reversed(attachments(layer)) if hasattr(a, "step"))
    assert isinstance(grid, torch.Tensor)
    step = grid.flatten() * given.step
    whole = torch.round(layer.weight.detach() / grid)
    bias = torch.zeros(1) if layer.bias is None else layer.bias.detach()
    if isinstance(layer, nn.Linear):
        product = _linear(whole, torch.zeros(len(whole)))
    else:
        product = _convolution(layer, whole, None)
        step, bias = step[:, None, None], bias[:, None, None]
    return lambda x: product(given.integers(x)) * step + bias


def _convolution(layer: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor | None) -> Layer:
    # a copy: where an axis has length 1, strides may say either layout, and kernels differ by them
    weight = torch.empty_like(weight, memory_format=torch.channels_last).copy_(weight)
    options = (layer.stride, layer.padding, layer.dilation, layer.groups)
    return lambda x: F.conv2d(x, weight, bias, *options)  # type: ignore[arg-type]


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> Layer:
    """By oneDNN on processors with AVX-512, where it is twice as fast as torch's own way; without,
    it takes a third longer.
    """
    if not (torch.backends.mkldnn.is_available() and has_avx512()):
        own, offset = weight.clone(), bias.clone()
        return lambda x: F.linear(x, own, offset)
    ready, shift = weight.to_mkldnn(), bias.to_mkldnn()
    return lambda x: F.linear(x.contiguous().to_mkldnn(), ready, shift).to_dense()


@lru_cache(maxsize=1)
def has_avx512() -> bool:
    """Whether the processor has it, and torch uses it."""
    return "AVX512" in torch.backends.cpu.get_cpu_capability()


def _is_pairs(pool: nn.MaxPool2d) -> bool:
    plain = (pool.padding, pool.dilation, pool.ceil_mode) == (0, 1, False)
    return pool.kernel_size == pool.stride == 2 and plain


def max_of_pairs(x: torch.Tensor) -> torch.Tensor:
    """2x2 max-pooling of (N, C, H, W), bit for bit that of `MaxPool2d(2)`."""
    height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    rows = torch.maximum(x[:, :, 0:height:2], x[:, :, 1:height:2])
    return torch.maximum(rows[..., 0:width:2], rows[..., 1:width:2])


@lru_cache(maxsize=64)
def batch_of(a: Architecture) -> int:
    """How many images at once keep the largest activation within CACHE_BYTES."""
    model, most = empty(a).eval(), math.prod(a.shape)

    def look(layer: nn.Module, inputs: object, out: torch.Tensor) -> None:
        nonlocal most
        most = max(most, out.numel() // 2)

    for layer in model.modules():
        layer.register_forward_hook(look)
    model(torch.zeros(2, *a.shape, device="meta"))
    return max(LEAST, min(MOST_AT_ONCE, CACHE_BYTES // (most * 4)))
