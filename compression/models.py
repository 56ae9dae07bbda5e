"""Building networks from their architecture, and what is attached to their layers: masks, levels,
ranges.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils import parametrize

from .language import tr
from .networks import (
    NETWORKS,
    Architecture,
)
from .recipe import Step

ModuleT = TypeVar("ModuleT", bound=nn.Module)
NORMS = nn.BatchNorm2d | nn.LayerNorm


class Chain(nn.Sequential):
    """A network of the zoo: named layers, one after the other. Input float32 (N, *shape), output
    logits (N, classes).
    """

    def __init__(self, layers: list[tuple[str, nn.Module]], architecture: Architecture) -> None:
        super().__init__(OrderedDict(layers))
        self.architecture = architecture


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
    """What a step attached to a weight or a bias: `forward` takes the stored one and gives the one
    that the network uses.

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


def attach(layer: nn.Module, attachment: Attachment, part: str = "weight") -> None:
    """Put one more attachment behind those that the layer's weight, or its bias, has."""
    own = type(layer)
    if parametrize.is_parametrized(layer) and not parametrize.is_parametrized(layer, part):
        # torch makes the part a property of the class, which copies of the layer have too
        layer.__class__ = type(own.__name__, own.__bases__, dict(own.__dict__))
    parametrize.register_parametrization(layer, part, attachment, unsafe=True)


def attachments(layer: nn.Module, part: str = "weight") -> list[Attachment]:
    """The attachments of the layer's weight, or of its bias, in the order in which they act."""
    if not parametrize.is_parametrized(layer, part):
        return []
    return list(layer.parametrizations[part])  # type: ignore[index]


def attached_parts(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, list[Attachment]]]:
    """(name of the layer, the layer, part, its attachments) of all tensors that have some; of a
    layer in the order in which its parts got them.
    """
    for name, layer in list(model.named_modules()):
        for part in list(layer.parametrizations) if parametrize.is_parametrized(layer) else ():
            yield name, layer, part, attachments(layer, part)


def small_tensors(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """(layer, part) of all biases, and of the scales of norms."""
    for layer in list(model.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | NORMS) and layer.bias is not None:
            yield layer, "bias"
        if isinstance(layer, NORMS):
            yield layer, "weight"


def carry(old: nn.Module, new: nn.Module, part: str) -> None:
    """Attach to the new layer what this part of the old one, of the same values, has."""
    for attachment in attachments(old, part):
        attach(new, type(attachment).from_state(attachment.state_dict()), part)


def fix_norm(norm: nn.BatchNorm2d) -> None:
    """Make a batch norm the scale and the shift that it comes to: its weight and its bias."""
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        scale, shift = scale_and_shift(norm)
        norm.weight.copy_(scale)
        norm.bias.copy_(shift)
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0).sub_(norm.eps)  # with eps it is 1 again, to the bit


def into_training(model: nn.Module) -> None:
    """Training mode; batch norms with something attached stay the scale and shift that they are."""
    model.train()
    for _, layer, _, _ in attached_parts(model):
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


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
    told = dict(layer=unknown, network=a.network, layers=names)
    return tr("there is no layer {layer!r} in {network}; it has {layers}", **told)


@lru_cache(maxsize=256)
def pictures(a: Architecture) -> dict[str, tuple[int, int, int]]:
    """What the columns of each layer's weight are, as a matrix (outputs, columns), by the layer's
    name: (groups, height, width) of a kernel, of a flattened picture (square), or (columns, 1, 1).
    Do not change it.
    """
    found, channels, flat = {}, a.shape[0], False
    for name, layer in empty(a).named_modules():
        if isinstance(layer, nn.Conv2d):
            height, width = layer.kernel_size
            found[name] = layer.in_channels // layer.groups, height, width
            channels = layer.out_channels
        elif isinstance(layer, nn.Linear):
            side = math.isqrt(layer.in_features // channels) if flat else 1
            found[name] = layer.in_features // (side * side), side, side
        flat = isinstance(layer, nn.Flatten) or (flat and not hasattr(layer, "weight"))
    return found


def tensor_shapes(a: Architecture) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a network, in order, without allocating any of them."""
    return {name: tuple(value.shape) for name, value in effective_state(empty(a)).items()}
