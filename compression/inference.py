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
is the work of one thread, and has two images at least (a single one would take another kernel).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from .models import Architecture, Chain, empty

Layer = Callable[[torch.Tensor], torch.Tensor]
CACHE_BYTES = 5_000_000  # of a batch's largest activation: best for 25 to 100 kB an image
MOST_AT_ONCE = 250
THREADS = min(8, os.cpu_count() or 1)  # one after the other where it is 1


class Forward:
    """A network made ready to answer: masks and levels computed once, weights laid out for the CPU.

    It does not follow later changes of the model. Input float32 (N, *shape), N any; gives float32
    logits (N, classes).
    """

    def __init__(self, model: nn.Module) -> None:
        with frozen_weights():
            self.layers = [_ready(layer) for layer in _leaves(model)]
        self.batch = batch_of(model.architecture) if isinstance(model, Chain) else MOST_AT_ONCE

    def __call__(self, inputs: torch.Tensor, chosen: torch.Tensor | None = None) -> torch.Tensor:
        """Logits of the inputs, or of those whose places (int64) are chosen, in that order."""
        places = torch.arange(len(inputs)) if chosen is None else chosen
        if len(places) == 1:
            return self(inputs, places.expand(2))[:1]
        batches = places.tensor_split(max(1, len(places) // self.batch))
        one = partial(self._one, inputs, chosen is None)
        if THREADS == 1 or len(batches) == 1:
            return torch.cat([one(batch) for batch in batches])
        return torch.cat(list(_pool(THREADS).map(one, batches)))

    def _one(self, inputs: torch.Tensor, in_order: bool, places: torch.Tensor) -> torch.Tensor:
        """One batch, by one thread."""
        with one_thread(), torch.inference_mode():
            images = inputs[places[0] : places[-1] + 1] if in_order else inputs[places]
            out = images.contiguous(memory_format=torch.channels_last)
            for layer in self.layers:
                out = layer(out)
            return out


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


def _leaves(model: nn.Module) -> Iterator[nn.Module]:
    """The layers of a chain, and of chains in it, in their order."""
    if isinstance(model, nn.Sequential):
        for layer in model:
            yield from _leaves(layer)
    else:
        yield model


def _ready(layer: nn.Module) -> Layer:
    """A function that does what the layer does in evaluation."""
    if isinstance(layer, nn.Linear):
        return _linear(layer.weight.detach(), layer.bias.detach())
    if isinstance(layer, nn.Conv2d):
        weight, bias = layer.weight.detach(), layer.bias
        weight = weight.contiguous(memory_format=torch.channels_last)
        options = (layer.stride, layer.padding, layer.dilation, layer.groups)
        return lambda x: F.conv2d(x, weight, bias, *options)  # type: ignore[arg-type]
    if isinstance(layer, nn.MaxPool2d) and _is_pairs(layer):
        return max_of_pairs
    return copy.copy(layer).eval()  # the layer itself keeps its mode


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> Layer:
    """By oneDNN where torch has it: twice as fast as torch's own way on some processors."""
    if not torch.backends.mkldnn.is_available():
        return lambda x: F.linear(x, weight, bias)
    ready, shift = weight.to_mkldnn(), bias.to_mkldnn()
    return lambda x: F.linear(x.contiguous().to_mkldnn(), ready, shift).to_dense()


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
    model, x = empty(a), torch.zeros(2, *a.shape, device="meta")
    most = x.numel()
    for layer in model:
        x = layer(x)
        most = max(most, x.numel())
    return max(2, min(MOST_AT_ONCE, CACHE_BYTES // (most // 2 * 4)))
