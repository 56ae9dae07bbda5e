"""Training towards a file of so many bytes: few weights, where the coder finds them cheap, and few
sizes of them, from the first step on.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from . import checkpoint, storage
from .baselines import baseline
from .biases import quantize_biases
from .channels import too_late
from .compressed import compress
from .copies import Answers, Copies
from .cost import count, sizes_of
from .distillation import distillation_loss, largest_units
from .errors import Cancelled, NotOffered
from .groups import OUTPUTS, groups, narrow
from .inference import Forward
from .language import tr
from .models import (
    Chain,
    attach,
    build,
    into_training,
    layer_names,
    pictures,
    prunable_layers,
    stored,
    unknown_layer,
)
from .networks import NETWORKS, Architecture, architecture
from .pruning import Pruned, mask_k_largest, sparsity_so_far
from .quantization import Magnitudes, Ordered, k_means
from .rate import Picture, weight_bits
from .recipe import Step, by_layer, choice, knob, layer_values, register
from .store import read_zoo
from .training import Context, Report, fit, hard_loss

TEACHERS = ("none", *NETWORKS)
QUANTIZED = 0.1  # share of the training from which on weights take one of a few sizes
RAMPED = 0.6  # share of the training in which fewer and fewer weights stay; sizes follow them
FOLLOW = 0.5  # of the way to the mean of their weights that sizes go then at each look
AIM = 0.985  # of the bytes: what goes only in the end, untrained, costs more than it weighs
BETWEEN = 0.006  # share of the training between two looks at the masks
ON_LEVELS = 0.7  # share of the training from which on biases and norms have levels
SETTLED = 0.9  # share of the training behind which masks stay
WEIGHED = 0.6  # share of the training from which the length of the file says how many may stay
FIRST_BITS = 3.5  # of a weight in the file, before it was weighed
MEMORY = 0.999  # of the moving mean of squared gradients
SMALLEST = 2.0**-14  # of the sizes: a normal number of float16
DRAWS = 1_000_003  # between the seeds of two draws


@dataclass
class _Layer:
    """A layer in training. picture: what its columns are; squares: moving mean of its squared
    gradients: how much the loss asks of a weight of this layer.
    """

    layer: nn.Linear | nn.Conv2d
    picture: Picture
    levels: int
    pruned: Pruned
    sizes: Magnitudes
    squares: float = 0.0

    @classmethod
    def of(cls, layer: nn.Linear | nn.Conv2d, picture: Picture, levels: int) -> _Layer:
        """Everything stays at first, as it is."""
        W = layer.weight.detach()
        made = cls(
            layer,
            picture,
            levels,
            Pruned(torch.ones_like(W, dtype=torch.bool)),
            Magnitudes(torch.zeros(levels)),
        )
        made.sizes.waiting = True
        made.let_return(True)
        attach(layer, made.pruned)
        attach(layer, made.sizes)
        return made

    def let_return(self, may: bool) -> None:
        self.pruned.returning = self.sizes.returning = may

    @property
    def W(self) -> torch.Tensor:
        """The weight behind mask and sizes."""
        return stored(self.layer).detach()

    def see_gradient(self) -> None:
        gradient = stored(self.layer).grad
        if gradient is not None:
            now = float(gradient.square().mean())
            self.squares = MEMORY * self.squares + (1 - MEMORY) * now if self.squares else now

    def scores(self, rate: float) -> torch.Tensor:
        """|w| times the root of the layer's squared gradients, by a power of its bits: the root of
        what the loss would rise by [LeCun et al., 1989], for each bit where rate is 1/2.
        """
        W, mask = self.W, self.pruned.mask
        bits = weight_bits(mask.flatten(1), self.picture, self.levels).view_as(W)
        worth = W.abs() * self.squares**0.5 / bits**rate
        return worth if self.pruned.returning else torch.where(mask, worth, 0.0)

    def quantize(self) -> None:
        """From here on weights take sizes: those of least squared error for the ones that stay."""
        sizes, _ = k_means(Ordered.of(self._kept()), self.levels)
        if len(sizes):
            spread = np.interp(np.arange(self.levels), np.arange(len(sizes)), sizes)
            self._set_sizes(torch.from_numpy(spread))
        self.sizes.waiting = False

    def follow(self) -> None:
        """Move each size towards the mean of the weights that take it."""
        kept, sizes = self._kept(), self.sizes.table().detach()[self.levels :]
        taken = torch.bucketize(kept, (sizes[1:] + sizes[:-1]) / 2)
        counts = torch.bincount(taken, minlength=self.levels)
        means = torch.bincount(taken, kept, self.levels) / counts.clamp(min=1)
        self._set_sizes(sizes + FOLLOW * torch.where(counts > 0, means - sizes, 0.0))

    def _kept(self) -> torch.Tensor:
        return self.W[self.pruned.mask].abs()

    def _set_sizes(self, sizes: torch.Tensor) -> None:
        with torch.no_grad():
            self.sizes.logs.copy_(sizes.clamp(min=SMALLEST).log())


class Squeeze:
    """Keeps as many weights of a network in training as its file has bytes for.

    wanted: bytes; levels: sizes of weights by layer; bits: of biases and norms; rate: see
    `_Layer.scores`.
    """

    def __init__(
        self,
        model: Chain,
        dataset: str,
        wanted: int,
        levels: dict[str, int],
        bits: int,
        rate: float,
    ) -> None:
        looks = pictures(model.architecture)
        self._model, self._dataset, self._wanted, self._rate = model, dataset, wanted, rate
        self._bits, self._settled = bits, False
        self._layers = [
            _Layer.of(layer, looks[name], levels[name])
            for name, layer in list(prunable_layers(model))
        ]
        self._all = sum(held.pruned.mask.numel() for held in self._layers)
        self._bare = self._weigh_bare()
        self._now = self._all  # how many stay
        self._final = self._at_most(8 * (wanted - self._bare) / FIRST_BITS)
        self._last = -1.0

    def _weigh_bare(self) -> int:
        """Bytes of the file without any weight. Raises NotOffered where these are too many."""
        for held in self._layers:
            held.pruned.mask.fill_(False)
        size = self.weigh()
        for held in self._layers:
            held.pruned.mask.fill_(True)
        if size >= self._wanted:
            raise NotOffered(
                "train_for_bytes.bytes: without any weight the file has {size} bytes, asked for are"
                " {wanted} at most",
                size=size,
                wanted=self._wanted,
            )
        return size

    def each_step(self, done: float) -> None:
        """Look at the gradients, and now and then choose anew which weights stay. done: 0..1."""
        for held in self._layers:
            held.see_gradient()
        if done < SETTLED and done - self._last >= BETWEEN:
            share = sparsity_so_far(done, 1 - self._final / self._all, RAMPED)
            self._choose(round((1 - share) * self._all))
            self._size(done)
            self._last = done
        if done >= ON_LEVELS:
            self._settle()

    def _settle(self) -> None:
        """Biases and norms take levels, with which the rest of the training lives."""
        if not self._settled:
            quantize_biases(self._model, self._bits)
            into_training(self._model)
            self._settled = True

    def _size(self, done: float) -> None:
        for held in self._layers:
            if held.sizes.waiting:
                if done >= QUANTIZED:
                    held.quantize()
            elif done < RAMPED:
                held.follow()

    def each_epoch(self) -> None:
        """Weigh the file: by what a weight takes now, how many can there be in the end?"""
        if WEIGHED <= self._last < SETTLED:
            share = (AIM * self._wanted - self._bare) / max(1, self.weigh() - self._bare)
            self._final = self._at_most(self._now * share)

    def _at_most(self, number: float) -> int:
        return max(1, min(self._all, int(number)))

    def weigh(self) -> int:
        """Bytes of the file, with the levels that biases and norms have in the end."""
        model = self._model
        if not self._settled:
            model = copy.deepcopy(model)
            quantize_biases(model, self._bits)
        return len(storage.dumps(compress(model, self._dataset)))

    def end(self) -> None:
        """Nothing returns from here on; of the weights that are left the least worth go until the
        file fits.
        """
        self._size(1.0)
        self._settle()
        self._model.eval()
        for held in self._layers:
            held.let_return(False)
        while (size := self.weigh()) > self._wanted and self._now:
            self._choose(self._now - max(1, self._now * (size - self._wanted) // size))

    def _choose(self, K: int) -> None:
        """Keep the K weights of all layers that score highest."""
        scores = [held.scores(self._rate).flatten() for held in self._layers]
        mask = mask_k_largest(torch.cat(scores), K)
        parts = mask.split([len(s) for s in scores])
        for held, part in zip(self._layers, parts, strict=True):
            held.pruned.mask.copy_(part.view_as(held.pruned.mask))
        self._now = K


def zoo_teacher(name: str, dataset: str) -> Forward:
    """The shipped network of this name, ready to be asked."""
    entry = read_zoo()[baseline(name, dataset).digest]
    return Forward(checkpoint.loads(entry.checkpoint.read_bytes()).model)


def mean_answer(teachers: Sequence[Forward]) -> Answers | None:
    """What answers with the mean of the teachers' logits; None where there are none."""
    if len(teachers) < 2:
        return next(iter(teachers), None)
    return lambda inputs: torch.stack([teacher(inputs) for teacher in teachers]).mean(0)


def _not_offered(teacher: str, a: Architecture) -> str:
    reason = "" if teacher == "none" else NETWORKS[teacher].is_offered(a.shape)
    return tr("the teacher {teacher} {reason}", teacher=teacher, reason=reason) if reason else ""


def _macs(a: Architecture) -> int:
    return count(a, sizes_of(a)).macs


def placed(a: Architecture) -> dict[str, int]:
    """The layers whose outputs are hidden units, by the place of these in `Architecture.hidden`."""
    rows = ((m.layer, g.place) for g in groups(a) for m in g.members if m.axis == OUTPUTS)
    return {name: place for name, place in rows if name in layer_names(a)}


@register
@dataclass(frozen=True, kw_only=True)
class TrainForBytes(Step):
    """Train a narrow network towards a file of so many bytes: weights are pruned, return and share
    a few sizes while a larger network teaches them, and those stay that are worth their bits.
    """

    name: ClassVar[str] = "train_for_bytes"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "combined"
    reference: ClassVar[str] = (
        "straight-through: Bengio et al., 2013, arXiv:1308.3432; schedule: Zhu & Gupta, 2017,"
        " arXiv:1710.01878"
    )
    trains: ClassVar[bool] = True

    bytes: int = knob(10_000, low=200, high=2_000_000, grain=1, help="length of the file, at most")
    epochs: int = knob(20, low=1, high=500, grain=1, help="times that every training image is seen")
    width: float = knob(
        1.0, low=0.01, high=1.0, grain=0.01, help="share of the hidden units to start with"
    )
    widths: str = by_layer(
        low=0.01,
        high=1.0,
        grain=0.01,
        help="layers with a share of units of their own, as in conv1=0.3;fc1=0.14",
    )
    initial: str = choice(
        "random",
        options=("random", "largest"),
        help="random weights, or those of the largest units of the network as it is",
    )
    levels: int = knob(
        2,
        low=1,
        high=16,
        grain=1,
        help="sizes that the weights of a layer can have, either sign",
    )
    layers: str = by_layer(
        low=1, high=16, grain=1, help="layers with a number of sizes of their own, as in conv1=3"
    )
    bias_bits: int = knob(
        5, low=2, high=8, grain=1, help="of a bias, and of a norm's scale and shift"
    )
    rate: float = knob(
        0.5,
        low=0.0,
        high=2.0,
        grain=0.05,
        help="how much bits count when weights are chosen; 0: only what they are worth",
    )
    teacher: str = choice(
        "resnet20", options=TEACHERS, help="trained network whose answers are learnt, too"
    )
    second: str = choice(
        "none", options=TEACHERS, help="another teacher: the mean of both answers is learnt"
    )
    temperature: float = knob(
        2.0, low=1.0, high=20.0, grain=0.5, help="softens the teacher's answers"
    )
    alpha: float = knob(
        0.9, low=0.0, high=1.0, grain=0.05, help="share of the teacher's answers in the loss"
    )
    copies: int = knob(2, low=0, high=8, grain=1, help="distorted copies of each training image")
    distortion: float = knob(
        0.5, low=0.0, high=2.0, grain=0.1, help="how far copies are turned, scaled, moved and bent"
    )
    mirror: str = choice("no", options=("no", "yes"), help="turn half of the copies around")
    learning_rate: float = knob(
        0.005, low=0.00001, high=0.1, grain=0.00001, help="the highest of the schedule"
    )
    batch: int = knob(256, low=16, high=1024, grain=1, help="images per step")
    draw: int = knob(
        0, low=0, high=1000, grain=1, help="another number: other copies, in another order"
    )

    def why_not(self, a: Architecture, before: tuple[Step, ...] = ()) -> str:
        late = too_late(before, self.name) or unknown_layer(a, layer_values(self.layers), before)
        if late:
            return late
        places = placed(a)
        unknown = next((name for name in layer_values(self.widths) if name not in places), None)
        if unknown is not None:
            return tr(
                "{layer!r} has no hidden units of its own; those that have: {layers}",
                layer=unknown,
                layers=list(places),
            )
        if self.second in (self.teacher, "none"):
            return _not_offered(self.teacher, a)
        if self.teacher == "none":
            return tr("a second teacher needs a first")
        return _not_offered(self.teacher, a) or _not_offered(self.second, a)

    def work(self, a: Architecture) -> float:
        """The student's epochs, and the teacher's answers: without gradients a third of them."""
        narrow = self.epochs * _macs(replace(a, hidden=self._hidden(a)))
        asked = sum(_macs(architecture(name, a.shape, a.classes)) for name in self.teachers())
        return (narrow + (1 + self.copies) * asked / 3) / _macs(a)

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        assert isinstance(model, Chain)
        context = replace(context, generator=self._generator(context.generator))
        copies = self._copies(context)
        student = self._narrow(model, context.generator)
        own = layer_values(self.layers)
        levels = {
            name: int(own.get(name, self.levels)) for name in layer_names(student.architecture)
        }
        squeeze = Squeeze(student, context.data.name, self.bytes, levels, self.bias_bits, self.rate)

        def loss(logits: torch.Tensor, labels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
            if copies.answers is None:
                return hard_loss(logits, labels, places)
            answers = copies.answers_to_shown(places)
            return distillation_loss(logits, answers, labels, self.temperature, self.alpha)

        def report(r: Report) -> None:
            if r.model is not None:
                squeeze.each_epoch()
            context.report(r)

        fit(
            student,
            replace(context, report=report),
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch=self.batch,
            loss=loss,
            shown=copies.show,
            each_step=squeeze.each_step,
        )
        squeeze.end()
        return student

    def _narrow(self, model: Chain, generator: torch.Generator) -> Chain:
        hidden = self._hidden(model.architecture)
        if self.initial == "largest":
            return narrow(model, largest_units(model, hidden), attached=False)
        seed = int(torch.randint(2**31, (), generator=generator))
        return build(replace(model.architecture, hidden=hidden), seed)

    def _generator(self, given: torch.Generator) -> torch.Generator:
        """The one given, or of another draw from the same dense network."""
        if not self.draw:
            return given
        return torch.Generator().manual_seed(given.initial_seed() + DRAWS * self.draw)

    def _hidden(self, a: Architecture) -> tuple[int, ...]:
        """Hidden units to start with."""
        shares = dict.fromkeys(range(len(a.hidden)), self.width)
        shares |= {placed(a)[name]: share for name, share in layer_values(self.widths).items()}
        return tuple(max(1, round(shares[i] * n)) for i, n in enumerate(a.hidden))

    def _copies(self, context: Context) -> Copies:
        def watch(done: float) -> None:
            if context.stopped():
                raise Cancelled("stopped on request")

        return Copies(
            context.data,
            self.copies,
            self.distortion,
            self.mirror == "yes",
            mean_answer([zoo_teacher(name, context.data.name) for name in self.teachers()]),
            context.generator,
            watch,
        )

    def teachers(self) -> list[str]:
        """Those that are asked."""
        named = dict.fromkeys((self.teacher, self.second))
        return [name for name in named if name != "none" and self.alpha > 0]

    def label(self) -> str:
        label = tr("{bytes} bytes in {epochs}", bytes=self.bytes, epochs=self.epochs)
        return label if self.teachers() else tr("{label}, no teacher", label=label)
