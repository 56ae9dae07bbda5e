"""Two networks on the same images: which classes, which confusions and which images changed, how
surely, and how far each can be believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from .data import Dataset, Split, load
from .evaluation import LARGEST_LOSS, accuracy, answers, logits, wilson
from .pipeline import rebuilt
from .recipe import Recipe
from .result import Accuracy, Metric
from .store import Store

BINS = 15  # of the calibration error, as in [Guo et al., 2017]
PICTURE = 112  # pixels of a picture's side, about


@dataclass(frozen=True)
class Verdicts:
    """What a network says of every image of a split.

    labels: int64 (N,); answers: uint8 (N,); log_shares: float64 (N, classes), logarithms of what
    the softmax gives to each class.
    """

    labels: np.ndarray
    answers: np.ndarray
    log_shares: np.ndarray

    @cached_property
    def right(self) -> np.ndarray:
        """bool (N,)."""
        return self.answers == self.labels

    @cached_property
    def certainty(self) -> np.ndarray:
        """Share that the answer gets, float64 (N,)."""
        return np.exp(self.log_shares[np.arange(len(self.labels)), self.answers])

    @cached_property
    def truth(self) -> np.ndarray:
        """Share that the true label gets, float64 (N,)."""
        return np.exp(self.log_shares[np.arange(len(self.labels)), self.labels])

    @cached_property
    def accuracy(self) -> Metric:
        return wilson(int(self.right.sum()), len(self.labels))


def verdicts(logits: np.ndarray, labels: np.ndarray) -> Verdicts:
    """logits: float (N, classes); labels: int64 (N,). What is no number counts as 0."""
    finite = np.nan_to_num(logits.astype(np.float64), posinf=1e30, neginf=-1e30)
    shifted = finite - finite.max(1, keepdims=True)
    log_shares = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return Verdicts(labels, answers(logits), log_shares)


def verdicts_of(recipe: Recipe, split: str, store: Store) -> Verdicts:
    """What the network of a recipe says, as its file gives it back. Its training must be stored."""
    data = load(recipe.dataset)
    images = data.split(split)
    return verdicts(logits(rebuilt(recipe, store), data, images), images.labels.numpy())


@dataclass(frozen=True)
class Calibration:
    """How well certainty foretells being right. error: the expected calibration error, 0..1;
    certainty, accuracy: means of each bin, NaN where it is empty; images: of each bin.
    """

    error: float
    certainty: np.ndarray
    accuracy: np.ndarray
    images: np.ndarray


def calibration(v: Verdicts, bins: int = BINS) -> Calibration:
    """Bins of equal width, each with its upper edge [Guo et al., 2017, arXiv:1706.04599]."""
    place = np.clip(np.ceil(v.certainty * bins).astype(int) - 1, 0, bins - 1)
    n = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        sure = np.bincount(place, v.certainty, bins) / n
        right = np.bincount(place, v.right, bins) / n
    gap = np.nan_to_num(np.abs(right - sure))
    return Calibration(float((n * gap).sum() / len(place)), sure, right, n)


def divergence(base: Verdicts, run: Verdicts) -> np.ndarray:
    """KL(base || run) of each image in nats, float64 (N,), LARGEST_LOSS at most: what is lost when
    the run's shares stand for the base's.
    """
    p = np.exp(base.log_shares)
    each = (p * (base.log_shares - run.log_shares)).sum(1)
    return np.clip(each, 0.0, LARGEST_LOSS)


def compared(base: Verdicts, run: Verdicts) -> Accuracy:
    """The run's score, with its change against the base on the same images."""
    labels = torch.from_numpy(run.labels)
    no_images = labels[:, None]
    return accuracy(run.answers, Split(no_images, labels), base.answers)


def confusion(v: Verdicts, classes: int) -> np.ndarray:
    """Images of each class (row) that were given each answer (column): int (classes, classes)."""
    pairs = v.labels * classes + v.answers
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True)
class Moved:
    """Places of images, those first that changed most.

    lost, won: verdicts that flipped, by how much share the true label lost or won; moved: all
    images, by their divergence.
    """

    lost: np.ndarray
    won: np.ndarray
    moved: np.ndarray


def moved(base: Verdicts, run: Verdicts) -> Moved:
    """Ties in the order of the images."""
    fall = base.truth - run.truth

    def those(flipped: np.ndarray, by: np.ndarray) -> np.ndarray:
        places = np.flatnonzero(flipped)
        return places[np.argsort(-by[places], kind="stable")]

    return Moved(
        those(base.right & ~run.right, fall),
        those(run.right & ~base.right, -fall),
        np.argsort(-divergence(base, run), kind="stable"),
    )


def picture(data: Dataset, split: str, place: int) -> np.ndarray:
    """An image as people see it: uint8 (height, width) or (height, width, 3), each pixel a square
    of some.
    """
    image = data.split(split).images[place].numpy()
    scale = max(1, round(PICTURE / image.shape[-1]))
    full = (image.astype(np.float32) * (255 / data.peak)).round().astype(np.uint8)
    large = full.repeat(scale, 1).repeat(scale, 2)
    return large[0] if len(large) == 1 else large.transpose(1, 2, 0)


def pictures(dataset: str, split: str, places: Sequence[int], store: Store) -> list[np.ndarray]:
    """Several of them, as a worker sends them. store: that of the worker, nothing of it is used."""
    return [picture(load(dataset), split, place) for place in places]
