"""Is it still right when the images are worse? The same images with noise, blur, turned, brighter,
each at three strengths.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from .data import load
from .evaluation import answers, change, wilson
from .inference import Forward
from .language import marked
from .pipeline import rebuilt
from .recipe import Recipe, one_of
from .result import Change, Metric
from .store import Store

SEED = 20_261_124
IMAGES = 2_000  # of the split that are looked at, the first ones
SMALL = 14  # pixels of a side: smaller images are blurred by half

Apply = Callable[[torch.Tensor, float], torch.Tensor]


def _noise(x: torch.Tensor, deviation: float) -> torch.Tensor:
    """The same noise at every strength and for every network, as the seed says."""
    generator = torch.Generator().manual_seed(SEED)
    return x + deviation * torch.randn(x.shape, generator=generator)


def _blur(x: torch.Tensor, pixels: float) -> torch.Tensor:
    """Convolution with a Gaussian of this deviation, edges repeated."""
    sigma = pixels if x.shape[-1] >= SMALL else pixels / 2
    if sigma == 0:
        return x
    reach = min(math.ceil(3 * sigma), x.shape[-1] - 1)
    at = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-(at**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    channels = x.shape[1]
    for shape, pad in (
        ((1, 1, 1, -1), (reach, reach, 0, 0)),
        ((1, 1, -1, 1), (0, 0, reach, reach)),
    ):
        weight = kernel.view(shape).repeat(channels, 1, 1, 1)
        x = F.conv2d(F.pad(x, pad, mode="replicate"), weight, groups=channels)
    return x


def _rotation(x: torch.Tensor, degrees: float) -> torch.Tensor:
    """Anticlockwise around the middle; corners are filled by reflection."""
    a = math.radians(degrees)
    turn = torch.tensor([[math.cos(a), -math.sin(a), 0.0], [math.sin(a), math.cos(a), 0.0]])
    grid = F.affine_grid(turn.expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def _brightness(x: torch.Tensor, more: float) -> torch.Tensor:
    return x + more


@dataclass(frozen=True)
class Corruption:
    """A way in which images get worse. strengths: three, rising; unit: what follows the number on
    screen, which is the strength times `scale`.

    apply: float32 images (N, channels, height, width), 0..1, and a strength; at 0 they stay.
    """

    title: str
    about: str
    strengths: tuple[float, float, float]
    unit: str
    scale: float
    apply: Apply

    def words(self, strength: float) -> str:
        return f"{self.scale * strength:g}{self.unit}"


CORRUPTIONS: dict[str, Corruption] = {
    "noise": Corruption(
        marked("Noise"),
        marked("Gaussian, deviation in % of a full pixel"),
        (0.1, 0.2, 0.3),
        " %",
        100,
        _noise,
    ),
    "blur": Corruption(
        marked("Blur"),
        marked("Gaussian, deviation in pixels, half of it for images under 14"),  # SMALL
        (0.7, 1.4, 2.1),
        " px",
        1,
        _blur,
    ),
    "rotation": Corruption(
        marked("Rotation"), marked("anticlockwise"), (10.0, 20.0, 30.0), "°", 1, _rotation
    ),
    "brightness": Corruption(
        marked("Brightness"),
        marked("added, in % of a full pixel"),
        (0.1, 0.2, 0.3),
        " %",
        100,
        _brightness,
    ),
}


def corrupted(images: torch.Tensor, kind: str, strength: float, peak: float) -> torch.Tensor:
    """uint8 images (N, channels, height, width) of the same shape, rounded as a camera would.

    peak: value of a full pixel.
    """
    corruption = CORRUPTIONS[one_of("corruption", kind, CORRUPTIONS)]
    worse = corruption.apply(images.float() / peak, strength)
    return (worse * peak).round_().clamp_(0, peak).to(torch.uint8)


@lru_cache(maxsize=16)  # every run is asked the same; 1.6 MB each of grey images
def _inputs(dataset: str, split: str, kind: str, strength: float) -> torch.Tensor:
    data = load(dataset)
    images = data.split(split).images[:IMAGES]
    return data.to_input(corrupted(images, kind, strength, data.peak))


@lru_cache(maxsize=8)  # a network is asked for thirteen times, one strength after the other
def _network(recipe: Recipe, store: Store) -> Forward:
    return Forward(rebuilt(recipe, store))


def verdicts_under(
    recipe: Recipe, kind: str, strength: float, split: str, store: Store
) -> np.ndarray:
    """Which of the first IMAGES of a split are answered right, bool (N,). strength: 0 for the
    images as they are.
    """
    inputs = _inputs(recipe.dataset, split, kind, strength)
    labels = load(recipe.dataset).split(split).labels[:IMAGES].numpy()
    found: np.ndarray = answers(_network(recipe, store)(inputs).numpy()) == labels
    return found


@dataclass(frozen=True)
class Robust:
    """Accuracy on worse images, and how it differs from the base on the same ones."""

    accuracy: Metric
    change: Change | None


def robust(right: np.ndarray, base: np.ndarray | None) -> Robust:
    """right, base: bool (N,), verdicts on the same images; None for the base itself."""
    return Robust(
        wilson(int(right.sum()), len(right)), None if base is None else change(base, right)
    )
