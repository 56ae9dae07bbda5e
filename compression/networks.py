"""The networks, one table. Each is a chain of named layers; `width` is the share of hidden units
that it keeps.

An `Architecture` says everything that is needed to build a network again: it travels with the file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from torch import nn

from .blocks import Attention, MeanOfTokens, Residual, Tokens
from .data import DATASETS
from .errors import NotOffered
from .language import marked, tr
from .recipe import Recipe, one_of

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Architecture:
    """network: name in NETWORKS; shape: input (channels, height, width); classes: outputs; hidden:
    units per layer; ranks: of each layer with weights that is split into two, else 0 (empty: none
    is); activation_bits: of each layer's input, 0 for floats. With it, batch norms are part of
    their convolutions.
    """

    network: str
    shape: Shape
    classes: int
    hidden: tuple[int, ...]
    ranks: tuple[int, ...] = ()
    activation_bits: int = 0


@dataclass(frozen=True)
class Network:
    """id: number in the file format, never changed; hidden: units or channels per hidden layer at
    width 1.
    """

    id: int
    title: str
    about: str
    hidden: tuple[int, ...]
    layers: Callable[[Architecture], list[tuple[str, nn.Module]]]
    is_offered: Callable[[Shape], str]  # input shape -> "" or the reason why not
    shallower: tuple[tuple[int, ...], ...] = ()  # `hidden` with fewer blocks, the fewest first

    @property
    def depths(self) -> tuple[tuple[int, ...], ...]:
        """`hidden` at every depth, each of another length, the deepest last."""
        return (*self.shallower, self.hidden)


def _relu_fc(name: str, inputs: int, outputs: int) -> list[tuple[str, nn.Module]]:
    return [(name, nn.Linear(inputs, outputs)), (name.replace("fc", "relu"), nn.ReLU())]


def _lenet_300_100(a: Architecture) -> list[tuple[str, nn.Module]]:
    channels, height, width = a.shape
    one, two = a.hidden
    return [
        ("flatten", nn.Flatten()),
        *_relu_fc("fc1", channels * height * width, one),
        *_relu_fc("fc2", one, two),
        ("fc3", nn.Linear(two, a.classes)),
    ]


def _lenet5(a: Architecture) -> list[tuple[str, nn.Module]]:
    channels, height, width = a.shape
    one, two, units = a.hidden
    left = [((n - 4) // 2 - 4) // 2 for n in (height, width)]
    return [
        ("conv1", nn.Conv2d(channels, one, 5)),
        ("pool1", nn.MaxPool2d(2)),
        ("conv2", nn.Conv2d(one, two, 5)),
        ("pool2", nn.MaxPool2d(2)),
        ("flatten", nn.Flatten()),
        *_relu_fc("fc1", two * left[0] * left[1], units),
        ("fc2", nn.Linear(units, a.classes)),
    ]


def _net(a: Architecture) -> list[tuple[str, nn.Module]]:
    channels, height, width = a.shape
    one, two, units = a.hidden
    return [
        ("conv1", nn.Conv2d(channels, one, 3, padding=1)),
        ("relu1", nn.ReLU()),
        ("pool1", nn.MaxPool2d(2)),
        ("conv2", nn.Conv2d(one, two, 3, padding=1)),
        ("relu2", nn.ReLU()),
        ("pool2", nn.MaxPool2d(2)),
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(two * (height // 4) * (width // 4), units)),
        ("relu3", nn.ReLU()),
        ("fc2", nn.Linear(units, a.classes)),
    ]


def _convolution(
    inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Padded so that only the stride makes the picture smaller; no bias, a batch norm follows."""
    return nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False)


def _resnet20(a: Architecture) -> list[tuple[str, nn.Module]]:
    """hidden: channels of the three stages, then those inside each block, stage by stage."""
    stages, inside = a.hidden[:3], a.hidden[3:]
    blocks = len(inside) // 3
    layers: list[tuple[str, nn.Module]] = [
        ("conv1", _convolution(a.shape[0], stages[0], 3)),
        ("bn1", nn.BatchNorm2d(stages[0])),
        ("relu1", nn.ReLU(inplace=True)),
    ]
    inputs = stages[0]
    for i, middle in enumerate(inside):
        outputs, first = stages[i // blocks], i >= blocks and i % blocks == 0
        stride = 2 if first else 1
        parts: dict[str, nn.Module] = {
            "conv1": _convolution(inputs, middle, 3, stride),
            "bn1": nn.BatchNorm2d(middle),
            "relu1": nn.ReLU(inplace=True),
            "conv2": _convolution(middle, outputs, 3),
            "bn2": nn.BatchNorm2d(outputs),
        }
        if first:
            fitting = {
                "conv": _convolution(inputs, outputs, 1, stride),
                "bn": nn.BatchNorm2d(outputs),
            }
            parts["shortcut"] = nn.Sequential(OrderedDict(fitting))
        name = f"{i // blocks + 1}_{i % blocks + 1}"
        layers += [
            (f"block{name}", Residual(OrderedDict(parts))),
            (f"relu{name}", nn.ReLU(inplace=True)),
        ]
        inputs = outputs
    return [*layers, *_mean_and_fc(inputs, a.classes)]


def _resnet_hidden(blocks: int) -> tuple[int, ...]:
    """Channels with so many blocks in each stage."""
    stages = (16, 32, 64)
    return (*stages, *(n for n in stages for _ in range(blocks)))


def _mean_and_fc(inputs: int, classes: int) -> list[tuple[str, nn.Module]]:
    return [
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(inputs, classes)),
    ]


def _mobilenet_mini(a: Architecture) -> list[tuple[str, nn.Module]]:
    """hidden: channels of the first convolution, then of each block."""
    layers: list[tuple[str, nn.Module]] = [
        ("conv1", _convolution(a.shape[0], a.hidden[0], 3)),
        ("bn1", nn.BatchNorm2d(a.hidden[0])),
        ("relu1", nn.ReLU(inplace=True)),
    ]
    for i, (inputs, outputs) in enumerate(pairwise(a.hidden), 1):
        parts: dict[str, nn.Module] = {
            "depthwise": _convolution(inputs, inputs, 3, 2 if i in (2, 4) else 1, inputs),
            "bn1": nn.BatchNorm2d(inputs),
            "relu1": nn.ReLU(inplace=True),
            "pointwise": _convolution(inputs, outputs, 1),
            "bn2": nn.BatchNorm2d(outputs),
            "relu2": nn.ReLU(inplace=True),
        }
        layers.append((f"block{i}", nn.Sequential(OrderedDict(parts))))
    return [*layers, *_mean_and_fc(a.hidden[-1], a.classes)]


def _vit_mini(a: Architecture) -> list[tuple[str, nn.Module]]:
    """hidden: numbers per token, then heads of each block, then hidden units of each block."""
    units, rest = a.hidden[0], a.hidden[1:]
    heads, inside = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    patch = _patch(a.shape)
    around: dict[str, nn.Module] = {"conv": nn.Conv2d(units, units, 3, padding=1, groups=units)}
    layers: list[tuple[str, nn.Module]] = [
        ("patches", nn.Conv2d(a.shape[0], units, patch, stride=patch)),
        ("position", Residual(OrderedDict(around))),
        ("tokens", Tokens()),
    ]
    for i, (own, middle) in enumerate(zip(heads, inside, strict=True), 1):
        look: dict[str, nn.Module] = {
            "norm": nn.LayerNorm(units),
            "heads": Attention(units, own),
        }
        think: dict[str, nn.Module] = {
            "norm": nn.LayerNorm(units),
            "fc1": nn.Linear(units, middle),
            "gelu": nn.GELU(),
            "fc2": nn.Linear(middle, units),
        }
        layers += [
            (f"attention{i}", Residual(OrderedDict(look))),
            (f"mlp{i}", Residual(OrderedDict(think))),
        ]
    return [
        *layers,
        ("norm", nn.LayerNorm(units)),
        ("mean", MeanOfTokens()),
        ("fc", nn.Linear(units, a.classes)),
    ]


def _patch(shape: Shape) -> int:
    """Pixels of a patch's side."""
    return 4 if min(shape[1:]) >= 16 else 2


def _at_least(side: int, why: str, colour: bool = False) -> Callable[[Shape], str]:
    def reason(shape: Shape) -> str:
        if shape[0] > 1 and not colour:
            return tr("is trained on grey images only; for colour there is resnet20")
        if min(shape[1:]) >= side:
            return ""
        return tr(
            "needs images of {side}×{side} pixels or more ({why}), these have {height}×{width}",
            side=side,
            why=tr(why),
            height=shape[1],
            width=shape[2],
        )

    return reason


def _in_patches(shape: Shape) -> str:
    patch = _patch(shape)
    if shape[1] % patch or shape[2] % patch:
        return tr(
            "cuts images into patches of {patch}×{patch} pixels, these have {height}×{width}",
            patch=patch,
            height=shape[1],
            width=shape[2],
        )
    return _at_least(4, marked("two patches a side"))(shape)


NETWORKS: dict[str, Network] = {
    "lenet_300_100": Network(
        1,
        "LeNet-300-100",
        marked("two hidden layers, fully connected [LeCun et al., 1998]"),
        (300, 100),
        _lenet_300_100,
        _at_least(1, marked("any image")),
    ),
    "lenet5": Network(
        2,
        "LeNet-5",
        marked("two 5×5 convolutions, the Caffe variant of [LeCun et al., 1998]"),
        (20, 50, 500),
        _lenet5,
        _at_least(16, marked("two 5×5 convolutions, each followed by 2×2 pooling")),
    ),
    "net": Network(
        3,
        "Net",
        marked("two padded 3×3 convolutions with ReLU and pooling, the usual teaching network"),
        (32, 64, 100),
        _net,
        _at_least(4, marked("two 2×2 poolings")),
    ),
    "resnet20": Network(
        4,
        "ResNet-20",
        marked(
            "nine blocks of two 3×3 convolutions with shortcuts and batch norm [He et al., 2016]"
        ),
        _resnet_hidden(3),
        _resnet20,
        _at_least(4, marked("two strides of 2"), colour=True),
        (_resnet_hidden(1), _resnet_hidden(2)),
    ),
    "mobilenet_mini": Network(
        5,
        "MobileNet mini",
        marked("five depthwise separable blocks with batch norm, after [Howard et al., 2017]"),
        (32, 64, 128, 128, 256, 256),
        _mobilenet_mini,
        _at_least(4, marked("two strides of 2")),
    ),
    "vit_mini": Network(
        6,
        "ViT mini",
        marked(
            "patches and four attention blocks, after [Dosovitskiy et al., 2021]; position by a"
            " depthwise convolution [Chu et al., 2023]"
        ),
        (64, *(4,) * 4, *(128,) * 4),
        _vit_mini,
        _in_patches,
    ),
}


def architecture(model: str, shape: Shape, classes: int, width: float = 1.0) -> Architecture:
    """The architecture of a network at this width (share of hidden units, at least one stays).

    Raises NotOffered, with the reason, where the network does not take such images.
    """
    network = NETWORKS[one_of("model", model, NETWORKS)]
    reason = partial(_refusal, model, shape)
    if reason():
        raise NotOffered("{model} {reason}", model=model, reason=reason)
    return Architecture(
        model, shape, classes, tuple(max(1, round(width * n)) for n in network.hidden)
    )


def architecture_for(model: str, dataset: str, width: float = 1.0) -> Architecture:
    """The architecture of a network for a data set of the table."""
    entry = DATASETS[one_of("dataset", dataset, DATASETS)]
    return architecture(model, entry.shape, len(entry.classes), width)


def _refusal(model: str, shape: Shape) -> str:
    return NETWORKS[model].is_offered(shape)


def refusals(recipe: Recipe, first: int = 0) -> dict[int, str]:
    """The steps that can't be done at their place, each with the reason. first: the place (0 is the
    first) from which on they are asked. Raises NotOffered where the network is not offered at all.
    """
    a = architecture_for(recipe.model, recipe.dataset, recipe.width)
    reasons = {
        i: recipe.steps[i].why_not(a, recipe.steps[:i]) for i in range(first, len(recipe.steps))
    }
    return {i: reason for i, reason in reasons.items() if reason}


def why_not(model: str, dataset: str) -> str:
    """The reason why this network is not offered for this data set, or an empty string."""
    return NETWORKS[model].is_offered(DATASETS[dataset].shape)
