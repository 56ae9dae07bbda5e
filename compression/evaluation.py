"""Scoring: what a network answers on a split, and with which certainty the share of right answers
is known.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .data import Dataset, Split
from .inference import Forward
from .result import Accuracy, Change, Metric

Z95 = 1.959963984540054
LARGEST_LOSS = 100.0  # of one image: numbers that run away say nothing more


def logits(model: nn.Module, dataset: Dataset, split: Split) -> np.ndarray:
    """What the network answers on each image, before the softmax: float32 (N, classes)."""
    return Forward(model)(dataset.inputs(split)).numpy()


def predict(model: nn.Module, dataset: Dataset, split: Split) -> np.ndarray:
    """Class that the network answers for each image.

    Returns uint8 (N,); NaN logits answer class 0.
    """
    return answers(logits(model, dataset, split))


class Seen(NamedTuple):
    """What a network answered on a split: classes uint8 (N,); loss: mean cross-entropy, nats."""

    classes: np.ndarray
    loss: float


def seen(model: nn.Module, dataset: Dataset, split: Split) -> Seen:
    """Run the network on every image of a split."""
    found = logits(model, dataset, split)
    return Seen(answers(found), float(losses(found, split.labels.numpy()).mean()))


def losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy of each image in nats, LARGEST_LOSS at most: float32 (N,).

    logits: (N, classes); labels: int64 (N,).
    """
    finite = torch.from_numpy(np.nan_to_num(logits))
    each = F.cross_entropy(finite, torch.from_numpy(labels), reduction="none")
    return each.clamp_(max=LARGEST_LOSS).numpy()


def answers(logits: np.ndarray) -> np.ndarray:
    """The class of the largest logit: (N, classes) to uint8 (N,)."""
    return np.nan_to_num(logits, nan=-math.inf).argmax(1).astype(np.uint8)


def wilson(correct: int, total: int) -> Metric:
    """Share of right answers with its 95 % score interval [Wilson, 1927]. total: at least 1."""
    p, n, z2 = correct / total, total, Z95**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Metric(p, max(0.0, middle - half), min(1.0, middle + half))


def mcnemar(only_before: int, only_after: int) -> float:
    """Two-sided exact p-value that as many images were lost as were won by chance [McNemar, 1947].

    Counts >= 0.
    """
    n, k = only_before + only_after, min(only_before, only_after)
    if n == 0:
        return 1.0
    log_half = -n * math.log(2)
    terms = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + log_half
        for i in range(k + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, terms)))


def change(before: np.ndarray, after: np.ndarray) -> Change:
    """Paired difference of two verdicts (bool (N,), the same images), normal 95 % interval,
    McNemar's p-value.
    """
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    return changed(lost, won, len(before))


def changed(lost: int, won: int, n: int) -> Change:
    """The same by counts: so many of n images were right only before, or only after."""
    difference = (won - lost) / n
    half = Z95 * math.sqrt(max(lost + won - (won - lost) ** 2 / n, 0.0)) / n
    return Change(difference, difference - half, difference + half, mcnemar(lost, won))


def accuracy(
    predictions: np.ndarray,
    split: Split,
    before: np.ndarray | None = None,
    loss: float | None = None,
) -> Accuracy:
    """Accuracy of predictions (uint8 (N,)) with interval and per class; against the baseline's
    predictions, if given. loss: mean cross-entropy, if known.
    """
    labels = split.labels.numpy()
    right = predictions == labels
    total = np.bincount(labels)
    by_class = np.bincount(labels[right], minlength=len(total))
    was = right if before is None else before == labels
    flips = (np.bincount(labels[own], minlength=len(total)) for own in (was & ~right, right & ~was))
    return Accuracy(
        int(right.sum()),
        len(labels),
        wilson(int(right.sum()), len(labels)),
        tuple((int(c), int(t)) for c, t in zip(by_class, total, strict=True)),
        None if before is None else change(was, right),
        loss,
        () if before is None else tuple((int(a), int(b)) for a, b in zip(*flips, strict=True)),
    )
