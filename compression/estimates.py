"""Accuracy from a few images, with an interval that covers the value on all of them.

The dense network knows which of its answers were close calls. Images are drawn where a working
model of who is right now is least certain (systematic sampling with unequal chances [Madow, 1949]);
the answer is the model's sum over all images, corrected by what the seen ones show that it got
wrong (the difference estimator [Sarndal, Swensson & Wretman, 1992]). It is nearly
right on average even where the model is poor (0.2 points too high where margins say nothing),
tightens with every batch, and ends in the exact count.

Measured by `benchmarks.coverage` (the small networks on MNIST and Fashion-MNIST, the deep ones on
Fashion-MNIST, every setting that changed a verdict): with Z = 1.96, 250 to 4,000 images seen, the
interval covers 97 to 100 % of the counts, and in no network less than 96.5 %.
"""

from __future__ import annotations

import math

import numpy as np

from .result import Estimate

SCHEDULE = (100, 250, 500, 1_000, 2_000, 4_000)  # images seen after each batch; then all
FIRST_SHOWN = 250  # at 100 the interval covers only 84 to 90 % where few verdicts changed
Z = 1.96
NEWTON_STEPS, LONGEST_STEP, SMALL_STEP = 15, 4.0, 0.05


def margins(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Logit of the true class minus the largest other: above 0 where the answer is right.

    logits: (N, classes); labels: int (N,). Returns float32 (N,); 0 where it is no number.
    """
    rows = np.arange(len(labels))
    others = logits.copy()
    others[rows, labels] = -np.inf
    with np.errstate(invalid="ignore", over="ignore"):  # of infinite logits
        apart: np.ndarray = logits[rows, labels] - others.max(1)
    return np.nan_to_num(apart, nan=0.0, posinf=0.0, neginf=0.0)


class Prior:
    """What is known of all images before a setting is looked at.

    labels: int (N,); margins: float (N,), of the network that the settings come from.
    """

    def __init__(self, labels: np.ndarray, margins: np.ndarray) -> None:
        self.labels, self._dense = labels, _scaled(margins)
        n, classes = len(labels), int(labels.max()) + 1
        self._fixed = np.zeros((n, 1 + classes))
        self._fixed[:, 0] = 1
        self._fixed[np.arange(n), 1 + labels] = 1
        self._set([self._dense, np.arcsinh(5 * self._dense)], [0.1, 0.01], self._dense)

    def beside(self, nearest: np.ndarray) -> Prior:
        """The same with margins (N,) of a near setting that was scored in full: they come first,
        those of the dense network stay as one more feature.
        """
        made = object.__new__(Prior)
        made.labels, made._dense, made._fixed = self.labels, self._dense, self._fixed
        u = _scaled(nearest)
        far = np.arcsinh(5 * self._dense)
        made._set([u, np.arcsinh(5 * u), far], [0.1, 0.01, 0.1], u)
        return made

    def _set(self, features: list[np.ndarray], penalties: list[float], u: np.ndarray) -> None:
        self.features = np.column_stack([self._fixed, *features])  # (N, features)
        self.penalties = np.array([0.01, *[1.0] * (self._fixed.shape[1] - 1), *penalties])
        self.start = np.zeros(len(self.penalties))  # where Newton's method begins: as it was
        self.start[self._fixed.shape[1] + 1] = 2
        close = 1 / (1 + 10 * np.abs(u))
        self.weights = 0.5 / len(u) + 0.5 * close / close.sum()  # of the first batch
        self.order = np.argsort(u)


def _scaled(margins: np.ndarray) -> np.ndarray:
    scale = np.abs(margins).mean(dtype=np.float64)
    return margins.astype(np.float64) / (scale if scale > 0 else 1)


class Estimator:
    """The accuracy of one setting, image by image: draw, look, see, estimate."""

    def __init__(self, prior: Prior, seed: int) -> None:
        n = len(prior.labels)
        self._prior, self._random = prior, np.random.default_rng(seed)
        self._unseen = np.ones(n, bool)
        self._missed = np.ones(n)  # chance of each image not to have been seen so far
        self._chances = np.zeros(n)  # of each image in the batch that was drawn last
        self._seen = np.zeros(0, np.int64)
        self._right = np.zeros(0)
        self._coefficients = prior.start
        self._p = np.zeros(0)  # chance of each image to be right, by the working model

    @property
    def seen(self) -> int:
        return len(self._seen)

    def draw(self, n: int) -> np.ndarray:
        """Which images to look at next: n different ones not seen yet, or all that are left."""
        if n >= len(self._unseen) - self.seen:
            self._chances = np.ones(len(self._unseen))
            return np.flatnonzero(self._unseen)
        if self.seen:
            weights = np.sqrt(self._p * (1 - self._p)) + 0.005
            order = np.argsort(self._p)
        else:
            weights, order = self._prior.weights, self._prior.order
        order = order[self._unseen[order]]
        self._chances = np.minimum(1, _rate(weights[order], n) * weights)
        steps = np.cumsum(self._chances[order])
        places = np.searchsorted(steps * (n / steps[-1]), self._random.random() + np.arange(n))
        return order[np.minimum(places, len(order) - 1)]

    def see(self, images: np.ndarray, right: np.ndarray) -> None:
        """Take the verdicts (bool) on the images that were drawn, and learn from them."""
        self._unseen[images] = False
        self._missed *= 1 - self._chances
        self._seen = np.concatenate([self._seen, images])
        self._right = np.concatenate([self._right, right])
        if self.seen < len(self._unseen):
            self._fit()

    def estimate(self) -> Estimate:
        """The share of right answers on all images, and its interval."""
        total, right = len(self._unseen), int(self._right.sum())
        left = total - self.seen
        if not left:
            return Estimate(right / total, right / total, right / total, total, total)
        p, c, drawn = self._p, self._right, 1 - self._missed
        error, chance = c - p[self._seen], drawn[self._seen]
        middle = p.sum() + (error / chance).sum()
        by_model = (p * (1 - p) * (1 / drawn - 1)).sum()
        by_errors = (error**2 * (1 - chance) / chance**2).sum()
        half = Z * math.sqrt(max(by_model, by_errors))
        low, high = math.floor(middle - half), math.ceil(middle + half)
        low, high, middle = (min(max(x, right), right + left) for x in (low, high, middle))
        return Estimate(float(middle) / total, low / total, high / total, self.seen, total)

    def mean(self, values: np.ndarray) -> float:
        """Mean over all images of a number that is known for those seen (values: (N,)), each
        weighted by its chance to have been seen [Hajek, 1971].
        """
        weights = 1 / np.maximum(1e-9, 1 - self._missed[self._seen])
        return float((values[self._seen] * weights).sum() / weights.sum())

    def _fit(self) -> None:
        """Ridge logistic regression of the verdicts on the features, by Newton's method."""
        x, b, penalties = (
            self._prior.features[self._seen],
            self._coefficients,
            self._prior.penalties,
        )
        for _ in range(NEWTON_STEPS):
            p = _logistic(x @ b)
            slope = x.T @ (self._right - p) - penalties * b
            curve = (x.T * (p * (1 - p))) @ x
            curve[np.diag_indices_from(curve)] += penalties
            step = np.linalg.solve(curve, slope)
            longest = np.abs(step).max()
            b = b + step * min(1.0, LONGEST_STEP / max(longest, 1e-12))
            if longest < SMALL_STEP:
                break
        self._coefficients, self._p = b, _logistic(self._prior.features @ b)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def _rate(weights: np.ndarray, n: int) -> float:
    """r such that min(1, r * weights) sums to n. n: below the number of weights, all above 0."""
    rate = n / weights.sum()
    while True:
        full = rate * weights >= 1
        better = (n - full.sum()) / weights[~full].sum()
        if better <= rate * (1 + 1e-9):
            return float(better)
        rate = better
