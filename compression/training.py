"""The one training loop, what a step may use while it works, and the two steps that only train."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from .data import Dataset
from .errors import Cancelled
from .inference import has_avx512, one_thread
from .language import tr
from .models import into_training
from .recipe import Step, choice, knob, register

Loss = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor
]  # (logits, labels, indices) -> scalar
T = TypeVar("T")
SHIFTS = {"none": 0, "shift": 2, "shift_flip": 2, "wide_flip": 4}  # pixels at most, each way
AUGMENT = tuple(SHIFTS)


@dataclass(frozen=True)
class Report:
    """Progress inside a training step.

    done: 0..1 of the step; model: only at the end of an epoch.
    """

    epoch: int
    epochs: int
    done: float
    loss: float
    seconds: float
    model: nn.Module | None = None


@dataclass(frozen=True)
class Context:
    """All that a step may use: the data, one random generator made from the recipe's seed, and
    callbacks.

    memory: what was found out about the network as it comes to this step, for when the same network
    comes to a step again; None keeps nothing.
    """

    data: Dataset
    generator: torch.Generator
    report: Callable[[Report], None] = lambda report: None
    stopped: Callable[[], bool] = lambda: False
    memory: MutableMapping[str, Any] | None = None

    def once(self, name: str, find: Callable[[], T]) -> T:
        """What `find()` gives, found once for this network. The name says all that it depends on
        besides the network and the seed.
        """
        if self.memory is None:
            return find()
        if name in self.memory:
            return self.memory[name]
        self.memory[name] = found = find()
        return found


def hard_loss(logits: torch.Tensor, labels: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of logits (N, classes) with labels (N,); indices of the images are not used."""
    return F.cross_entropy(logits, labels)


def shifted(images: torch.Tensor, augment: str, generator: torch.Generator) -> torch.Tensor:
    """Copies of uint8 images (N, C, H, W), each moved by up to SHIFTS pixels, half of them mirrored
    for the flips.
    """
    n, channels, height, width = images.shape
    most = SHIFTS[augment]
    padded = F.pad(images, (most,) * 4)
    move = torch.randint(0, 2 * most + 1, (n, 2), generator=generator)
    rows = move[:, :1] + torch.arange(height)
    columns = move[:, 1:] + torch.arange(width)
    if augment.endswith("flip"):
        mirrored = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    picked = padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


def fit(
    model: nn.Module,
    context: Context,
    *,
    epochs: int,
    learning_rate: float,
    batch: int,
    augment: str = "none",
    weight_decay: float = 0.0,
    loss: Loss = hard_loss,
    shown: Callable[[torch.Tensor], torch.Tensor] | None = None,
    each_step: Callable[[float], None] = lambda done: None,
) -> None:
    """Train the model in place: AdamW, learning rate up over the first tenth and down to 0 along a
    cosine.

    learning_rate: the highest; batch: images per step; shown: uint8 images to show in place of the
    training images of these places; each_step: called before each step with the share that is done,
    0..1: the gradients of the step before are still there. Masks and levels that are attached to
    the weights stay: the forward pass sees pruned, quantized weights, the gradient passes the
    rounding unchanged.
    Raises Cancelled within a step's time when the context says stop.
    """
    data, train, start = context.data, context.data.train, time.perf_counter()
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=weight_decay)
    steps = -(-len(train) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: share_of_rate(step, epochs * steps)
    )
    # faster, but without AVX-512 oneDNN's gradients of odd numbers of channels break the process
    layout = torch.channels_last if has_avx512() else torch.contiguous_format
    into_training(model)
    model.to(memory_format=layout)  # type: ignore[call-overload]
    with one_thread():
        for epoch in range(1, epochs + 1):
            order = torch.randperm(len(train), generator=context.generator)
            total = torch.zeros(())
            for i, chosen in enumerate(order.split(batch), 1):
                if context.stopped():
                    raise Cancelled("stopped on request")
                each_step(((epoch - 1) * steps + i - 1) / (epochs * steps))
                labels = train.labels[chosen]
                images = shown(chosen) if shown else train.images[chosen]
                if augment != "none":
                    images = shifted(images, augment, context.generator)
                inputs = data.to_input(images).contiguous(memory_format=layout)
                value = loss(model(inputs), labels, chosen)
                optimizer.zero_grad(set_to_none=True)
                value.backward()
                optimizer.step()
                schedule.step()
                total += value.detach()
                if i < steps:
                    context.report(_report(epoch, epochs, i, steps, total, start))
            context.report(_report(epoch, epochs, steps, steps, total, start, model))
    model.eval()


def share_of_rate(step: int, steps: int) -> float:
    """Learning rate as a share of the highest, 0..1: up over the first tenth of the steps, down to
    0 along a cosine.
    """
    rise = max(1, steps // 10)
    if step < rise:
        return (step + 1) / rise
    return (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))) / 2


def _report(
    epoch: int,
    epochs: int,
    i: int,
    steps: int,
    total: torch.Tensor,
    start: float,
    model: nn.Module | None = None,
) -> Report:
    done = ((epoch - 1) * steps + i) / (epochs * steps)
    return Report(epoch, epochs, done, float(total) / i, time.perf_counter() - start, model)


@register
@dataclass(frozen=True, kw_only=True)
class Train(Step):
    """Train the whole network from where it is, with the labels."""

    name: ClassVar[str] = "train"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "dense"
    reference: ClassVar[str] = "AdamW [Loshchilov & Hutter, 2019, arXiv:1711.05101]"
    trains: ClassVar[bool] = True

    epochs: int = knob(10, low=1, high=200, grain=1, help="times that every training image is seen")
    learning_rate: float = knob(
        0.002, low=0.00001, high=0.1, grain=0.00001, help="the highest of the schedule"
    )
    batch: int = knob(128, low=16, high=1024, grain=1, help="images per step")
    augment: str = choice(
        "none", options=AUGMENT, help="move images by up to 2 pixels (wide: 4), mirror them"
    )
    weight_decay: float = knob(
        0.01, low=0.0, high=1.0, grain=0.001, help="pull of the weights towards zero"
    )

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        fit(
            model,
            context,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch=self.batch,
            augment=self.augment,
            weight_decay=self.weight_decay,
        )
        return model

    def label(self) -> str:
        return tr("train {epochs}", epochs=self.epochs)


@register
@dataclass(frozen=True, kw_only=True)
class FineTune(Step):
    """Train on after compressing: pruned weights stay zero, the forward pass sees the levels."""

    name: ClassVar[str] = "fine_tune"
    version: ClassVar[int] = 2
    family: ClassVar[str] = "dense"
    reference: ClassVar[str] = "straight-through gradient [Bengio et al., 2013, arXiv:1308.3432]"
    trains: ClassVar[bool] = True

    epochs: int = knob(1, low=1, high=100, grain=1, help="times that every training image is seen")
    learning_rate: float = knob(
        0.0005, low=0.00001, high=0.1, grain=0.00001, help="the highest of the schedule"
    )
    batch: int = knob(128, low=16, high=1024, grain=1, help="images per step")
    augment: str = choice(
        "none", options=AUGMENT, help="move images by up to 2 pixels (wide: 4), mirror them"
    )

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        fit(
            model,
            context,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch=self.batch,
            augment=self.augment,
        )
        return model

    def label(self) -> str:
        return tr("tune {epochs}", epochs=self.epochs)
