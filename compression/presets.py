"""Recipes that people know by name, as steps behind the dense network of any kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .activations import ActivationQuantization
from .baselines import TRAINING
from .channels import ChannelPruning
from .distillation import Distill
from .language import marked
from .pruning import MagnitudePruning
from .quantization import CodebookQuantization
from .recipe import Step, layer_text
from .smallest import TrainForBytes
from .training import FineTune


@dataclass(frozen=True)
class Preset:
    """steps: of the network of this name."""

    title: str
    about: str
    steps: Callable[[str], tuple[Step, ...]]


# share of weights that stays, and values in the codebook: tables 2 and 3 of Han et al., 2016, where
# there are more values (64; 256 and 32): this file says in more bits where the weights are
_KEPT = {
    "lenet_300_100": dict(fc1=0.08, fc2=0.09, fc3=0.26),
    "lenet5": dict(conv1=0.66, conv2=0.12, fc1=0.08, fc2=0.19),
}
_VALUES: dict[str, dict[str, float]] = {
    "lenet_300_100": dict(fc1=16, fc2=16, fc3=16),
    "lenet5": dict(conv1=64, conv2=16, fc1=16, fc2=16),
}


class _Fast(NamedTuple):
    """ratio: of the channels that go; epochs, learning_rate: of training on; int8: whether whole
    numbers make it faster still.
    """

    ratio: float
    epochs: int
    learning_rate: float
    int8: bool = False


# what `python -m benchmarks.speed` found, within 0.2 points. ONNX Runtime computes convolutions
# eight channels at a time: shares that leave whole eights are fast, one more channel can double the
# time. int8 pays where all is matrix products; convolutions of whole numbers were no faster, on
# processors with instructions for them (VNNI) and without
_FAST = {
    "lenet_300_100": _Fast(0.68, 8, 0.001, int8=True),
    "lenet5": _Fast(0.6, 6, 0.002),
    "net": _Fast(0.5, 5, 0.002),
    "resnet20": _Fast(0.5, 4, 0.004),
    "mobilenet_mini": _Fast(0.75, 8, 0.004),
    "vit_mini": _Fast(0.5, 8, 0.002),
}


def _augment(model: str) -> str:
    """Distortions for training on: those that the dense network has seen on MNIST."""
    return TRAINING[model, "mnist"][-1].augment


def deep_compression(model: str) -> tuple[Step, ...]:
    """Prune, train on, share weights, train the shared values; the file codes them."""
    sparsities = {name: round(1 - share, 2) for name, share in _KEPT.get(model, {}).items()}
    halfway = {name: round(0.75 * s, 2) for name, s in sparsities.items()}
    tune = FineTune(learning_rate=0.001, augment=_augment(model))
    return (
        MagnitudePruning(sparsity=0.7, scope="layer", layers=layer_text(halfway)),
        tune.changed(epochs=3),
        MagnitudePruning(sparsity=0.9, scope="layer", layers=layer_text(sparsities)),
        tune.changed(epochs=8),
        CodebookQuantization(levels=16, layers=layer_text(_VALUES.get(model, {}))),
        tune.changed(epochs=6, learning_rate=0.0005),
    )


def int8(model: str) -> tuple[Step, ...]:
    """What ONNX Runtime calls static quantization."""
    return (ActivationQuantization(),)


def small_and_fast(model: str) -> tuple[Step, ...]:
    """Fewer channels, and whole numbers where they pay: less to compute, not only less to store."""
    fast, augment = _FAST[model], _augment(model)
    return (
        ChannelPruning(ratio=fast.ratio),
        FineTune(epochs=fast.epochs, learning_rate=fast.learning_rate, augment=augment),
        *([ActivationQuantization()] if fast.int8 else []),
    )


class _Smallest(NamedTuple):
    """bytes: at most; widths: share of the units to start with, by layer; layers: sizes by layer;
    width: of all other layers.
    """

    bytes: int
    epochs: int
    widths: dict[str, float]
    layers: dict[str, float]
    width: float = 1.0


_SMALLEST = {
    "lenet_300_100": _Smallest(5_300, 40, dict(fc1=0.33, fc2=0.5), {}),
    "lenet5": _Smallest(2_600, 30, dict(conv1=0.3, conv2=0.28, fc1=0.14), dict(conv1=3)),
    "net": _Smallest(4_000, 20, {}, {}, width=0.25),
    "resnet20": _Smallest(30_000, 10, {}, {}),
    "mobilenet_mini": _Smallest(30_000, 10, {}, {}),
    "vit_mini": _Smallest(40_000, 20, {}, {}),
}


def smallest_file(model: str) -> tuple[Step, ...]:
    """A narrow network, trained towards its bytes with a teacher and distorted copies."""
    how = _SMALLEST[model]
    return (
        TrainForBytes(
            bytes=how.bytes,
            epochs=how.epochs,
            width=how.width,
            widths=layer_text(how.widths),
            layers=layer_text(how.layers),
        ),
    )


def student_and_levels(model: str) -> tuple[Step, ...]:
    """A network of half the width, taught by the large one, with few values."""
    return (
        Distill(width=0.5, epochs=5),
        CodebookQuantization(levels=16),
        FineTune(epochs=1),
    )


PRESETS: dict[str, Preset] = {
    "deep_compression": Preset(
        marked("Deep Compression, 2015"),
        marked(
            "Prune, train on, share weights, train the values [Han et al., 2016,"
            " arXiv:1510.00149]; for LeNet-300-100 and LeNet-5 with the published share of each"
            " layer that stays."
        ),
        deep_compression,
    ),
    "int8": Preset(
        "int8", marked("Weights and activations as whole numbers of 8 bits, no training."), int8
    ),
    "small_and_fast": Preset(
        marked("Small and fast"),
        marked(
            "Half of the channels or more go, then training on; int8 where it is faster still: as"
            " measured on MNIST in ONNX Runtime."
        ),
        small_and_fast,
    ),
    "smallest_file": Preset(
        marked("Smallest file"),
        marked(
            "A narrow network is trained towards so many bytes: weights go and return, few sizes,"
            " a teacher answers to training images and distorted copies of them. The teacher"
            " answers for a minute or two per copy first; on MNIST, one core, LeNet-300-100 then"
            " trains for 1 minute and LeNet-5 for 2 to 3; for others see the estimate beside the"
            " button."
        ),
        smallest_file,
    ),
    "student_and_levels": Preset(
        marked("Student and levels"),
        marked("Half the width with a teacher, then 16 values."),
        student_and_levels,
    ),
}
