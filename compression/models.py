"""The networks, one table. Each is a chain of named layers; `width` is the share of hidden units
that it keeps.

An `Architecture` says everything that is needed to build a network again: it travels with the file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils import parametrize

from .blocks import Attention, MeanOfTokens, Residual, Tokens
from .data import DATASETS
from .errors import NotOffered
from .recipe import Recipe, Step, one_of

Shape = tuple[int, int, int]
ModuleT = TypeVar("ModuleT", bound=nn.Module)


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


class Chain(nn.Sequential):
    """A network of the zoo: named layers, one after the other. Input float32 (N, *shape), output
    logits (N, classes).
    """

    def __init__(self, layers: list[tuple[str, nn.Module]], architecture: Architecture) -> None:
        super().__init__(OrderedDict(layers))
        self.architecture = architecture


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
            return "is trained on grey images only; for colour there is resnet20"
        small = min(shape[1:]) < side
        return (
            f"needs images of {side}×{side} pixels or more ({why}), these have"
            f" {shape[1]}×{shape[2]}"
            if small
            else ""
        )

    return reason


def _in_patches(shape: Shape) -> str:
    patch = _patch(shape)
    if shape[1] % patch or shape[2] % patch:
        return (
            f"cuts images into patches of {patch}×{patch} pixels, these have {shape[1]}×{shape[2]}"
        )
    return _at_least(4, "two patches a side")(shape)


NETWORKS: dict[str, Network] = {
    "lenet_300_100": Network(
        1,
        "LeNet-300-100",
        "two hidden layers, fully connected [LeCun et al., 1998]",
        (300, 100),
        _lenet_300_100,
        _at_least(1, "any image"),
    ),
    "lenet5": Network(
        2,
        "LeNet-5",
        "two 5×5 convolutions, the Caffe variant of [LeCun et al., 1998]",
        (20, 50, 500),
        _lenet5,
        _at_least(16, "two 5×5 convolutions, each followed by 2×2 pooling"),
    ),
    "net": Network(
        3,
        "Net",
        "two padded 3×3 convolutions with ReLU and pooling, the usual teaching network",
        (32, 64, 100),
        _net,
        _at_least(4, "two 2×2 poolings"),
    ),
    "resnet20": Network(
        4,
        "ResNet-20",
        "nine blocks of two 3×3 convolutions with shortcuts and batch norm [He et al., 2016]",
        _resnet_hidden(3),
        _resnet20,
        _at_least(4, "two strides of 2", colour=True),
        (_resnet_hidden(1), _resnet_hidden(2)),
    ),
    "mobilenet_mini": Network(
        5,
        "MobileNet mini",
        "five depthwise separable blocks with batch norm, after [Howard et al., 2017]",
        (32, 64, 128, 128, 256, 256),
        _mobilenet_mini,
        _at_least(4, "two strides of 2"),
    ),
    "vit_mini": Network(
        6,
        "ViT mini",
        "patches and four attention blocks, after [Dosovitskiy et al., 2021]; position by a"
        " depthwise convolution [Chu et al., 2023]",
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
    reason = network.is_offered(shape)
    if reason:
        raise NotOffered(f"{model} {reason}")
    return Architecture(
        model, shape, classes, tuple(max(1, round(width * n)) for n in network.hidden)
    )


def architecture_for(model: str, dataset: str, width: float = 1.0) -> Architecture:
    """The architecture of a network for a data set of the table."""
    entry = DATASETS[one_of("dataset", dataset, DATASETS)]
    return architecture(model, entry.shape, len(entry.classes), width)


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


def build(a: Architecture, seed: int = 0) -> Chain:
    """The network with random weights (PyTorch's default initialization) drawn from this seed
    alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _build(a)


def _build(a: Architecture) -> Chain:
    model = Chain(NETWORKS[a.network].layers(a), a)
    if a.ranks:
        for (name, layer), rank in zip(list(prunable_layers(model)), a.ranks, strict=True):
            if rank:
                replace_layer(model, name, _two_layers(layer, rank))
    if a.activation_bits:
        _without_norms(model)
        for _, layer in prunable_layers(model):
            layer.add_module("input", InputRange(a.activation_bits))
            layer.register_forward_pre_hook(_through_range)
    return model


def behind(model: nn.Module, name: str) -> str:
    """Name of the child that stands behind this layer in its chain, or an empty string."""
    owner, _, own = name.rpartition(".")
    names = [child for child, _ in model.get_submodule(owner).named_children()]
    after = names[names.index(own) + 1 :][:1]
    return ".".join(filter(None, (owner, *after))) if after else ""


def replace_layer(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Put another layer in the place of the one of this name."""
    owner, _, own = name.rpartition(".")
    setattr(model.get_submodule(owner), own, layer)


def _two_layers(layer: nn.Linear | nn.Conv2d, rank: int) -> nn.Sequential:
    """Two layers of the same shape together: to so many numbers, and from them."""
    if isinstance(layer, nn.Linear):
        first: nn.Module = nn.Linear(layer.in_features, rank, bias=False)
        second: nn.Module = nn.Linear(rank, layer.out_features, layer.bias is not None)
    else:
        side, stride, pad = layer.kernel_size, layer.stride, layer.padding
        first = nn.Conv2d(layer.in_channels, rank, side, stride, pad, bias=False)  # type: ignore[arg-type]
        second = nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None)
    return nn.Sequential(OrderedDict(first=first, second=second))


def _without_norms(model: nn.Module) -> None:
    """Batch norms are part of the convolution before them, which gets their shift as its bias."""
    for chain in [m for m in model.modules() if isinstance(m, nn.Sequential)]:
        for (_, layer), (name, norm) in pairwise(list(chain.named_children())):
            if isinstance(norm, nn.BatchNorm2d):
                inner = layer[-1] if isinstance(layer, nn.Sequential) else layer
                inner.bias = nn.Parameter(torch.zeros(norm.num_features))
                setattr(chain, name, nn.Identity())


class InputRange(nn.Module):
    """The input of a layer as whole numbers of `bits` bits: n = round(x/step) + zero, clamped; the
    layer sees (n - zero)*step. step, zero: float32 (1,). The gradient passes unchanged.
    """

    step: torch.Tensor
    zero: torch.Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.most = 2**bits - 1
        self.register_buffer("step", torch.ones(1))
        self.register_buffer("zero", torch.zeros(1))

    def integers(self, x: torch.Tensor) -> torch.Tensor:
        """n - zero, as float32."""
        return (torch.round(x / self.step) + self.zero).clamp_(0, self.most) - self.zero

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + (self.integers(x) * self.step - x).detach()


def _through_range(layer: nn.Module, inputs: tuple[torch.Tensor]) -> torch.Tensor:
    return layer.input(inputs[0])  # type: ignore[operator]


def prunable_layers(model: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d]]:
    """(name, layer) of all layers with weights, from input to output."""
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            yield name, layer


class Attachment(nn.Module):
    """What a step attached to a weight: `forward` takes the stored weight and gives the one that
    the network uses.

    `kind` names the class in checkpoints. Buffers and parameters are all its state; `from_state`
    builds it from them.
    """

    kind: str

    @classmethod
    def from_state(cls, state: dict[str, torch.Tensor]) -> Attachment:
        raise NotImplementedError


ATTACHMENTS: dict[str, type[Attachment]] = {}


def attachable(cls: type[Attachment]) -> type[Attachment]:
    """Class decorator: make an attachment known to checkpoints."""
    ATTACHMENTS[cls.kind] = cls
    return cls


def attach(layer: nn.Module, attachment: Attachment) -> None:
    """Put one more attachment behind those that the layer's weight has."""
    parametrize.register_parametrization(layer, "weight", attachment, unsafe=True)


def attachments(layer: nn.Module) -> list[Attachment]:
    """The attachments of the layer's weight, in the order in which they act."""
    if not parametrize.is_parametrized(layer, "weight"):
        return []
    return list(layer.parametrizations["weight"])  # type: ignore[index]


def stored(layer: nn.Module, part: str = "weight") -> torch.Tensor:
    """The tensor that is trained: what is behind the attachments, or the tensor itself."""
    if parametrize.is_parametrized(layer, part):
        return layer.parametrizations[part].original  # type: ignore[index, union-attr]
    return getattr(layer, part)


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Give every layer of the target that the source has too, by name, the tensors that the source
    uses: masks and levels applied.
    """
    layers = dict(source.named_modules())
    with torch.no_grad():
        for name, layer in target.named_modules():
            for part, tensor in [*layer._parameters.items(), *layer._buffers.items()]:
                if name in layers and tensor is not None:
                    tensor.copy_(getattr(layers[name], part))


def weight_before(layer: nn.Module, attachment: Attachment) -> torch.Tensor:
    """The weight as this attachment gets it."""
    W = stored(layer)
    for other in attachments(layer):
        if other is attachment:
            break
        W = other(W)
    return W


def effective_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Tensors by name as the network uses them, float32, detached, in a fixed order: masks and
    levels applied, and of a batch norm the scale and the shift that it comes to.
    """
    with torch.no_grad():
        return {
            f"{name}.{part}": value.detach()
            for name, layer in model.named_modules()
            for part, value in _used(layer)
            if value is not None
        }


def _used(layer: nn.Module) -> list[tuple[str, torch.Tensor | None]]:
    if isinstance(layer, nn.BatchNorm2d):
        scale, shift = scale_and_shift(layer)
        return [("weight", scale), ("bias", shift)]
    if isinstance(layer, nn.Linear | nn.Conv2d | nn.LayerNorm):
        return [("weight", layer.weight), ("bias", layer.bias)]
    if isinstance(layer, InputRange):
        return [("step", layer.step), ("zero", layer.zero)]
    return []


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """What a batch norm does in inference is scale * x + shift: both float32 (channels,)."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale, bias = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps), norm.bias.detach()
    shift = bias - norm.running_mean * scale
    return scale, torch.where(norm.running_mean == 0, bias, shift)  # exact, whatever the scale is


def rebuild(a: Architecture, state: dict[str, torch.Tensor]) -> Chain:
    """The network that uses exactly these tensors (see `effective_state`), in evaluation."""
    model = build(a)
    with torch.no_grad():
        for name, layer in model.named_modules():
            for part, _ in _used(layer):
                if f"{name}.{part}" in state:
                    getattr(layer, part).copy_(state[f"{name}.{part}"])
            if isinstance(layer, nn.BatchNorm2d):  # nothing but its scale and shift is left
                layer.eps = 0.0
    return model.eval()


def twin(model: ModuleT) -> ModuleT:
    """A network with the same tensors, to which steps can attach something of their own."""
    made = object.__new__(type(model))  # `copy` refuses layers with something attached
    made.__dict__ = dict(model.__dict__)
    made._parameters, made._buffers = dict(model._parameters), dict(model._buffers)
    made._forward_pre_hooks = model._forward_pre_hooks.copy()
    made._modules = {name: m and twin(m) for name, m in model._modules.items()}
    return made


def same_weights(a: Chain, b: Chain) -> bool:
    """Whether two networks of one architecture use the same weights, to the bit."""
    one, other = effective_state(a), effective_state(b)
    return all(
        torch.equal(one[name].view(torch.int32), other[name].view(torch.int32)) for name in one
    )


def empty(a: Architecture) -> Chain:
    """The network without numbers: its tensors have shapes and take no memory."""
    with torch.device("meta"):
        return _build(a)


@lru_cache(maxsize=256)
def layer_names(a: Architecture) -> list[str]:
    """Names of the layers with weights, from input to output. Do not change it."""
    return [name for name, _ in prunable_layers(empty(a))]


def unknown_layer(a: Architecture, own: Mapping[str, float], before: tuple[Step, ...]) -> str:
    """A sentence about a layer that the network does not have, or an empty string. before: steps
    that may have other layers made of those of the architecture: then nothing is said.
    """
    names = layer_names(a)
    unknown = next((name for name in own if name not in names), None)
    if unknown is None or any(step.name in ("low_rank", "distill") for step in before):
        return ""
    return f"there is no layer {unknown!r} in {a.network}; it has {names}"


def tensor_shapes(a: Architecture) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a network, in order, without allocating any of them."""
    return {name: tuple(value.shape) for name, value in effective_state(empty(a)).items()}
