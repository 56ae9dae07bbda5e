"""Do the intervals of the estimates hold? Settings of real networks, estimated and then counted.

`python -m benchmarks.coverage [--json] [--networks ...] [--datasets ...] [--draws 5]`. Validation
split; five curves of 21 settings each (see `curves`), without settings that changed no verdict.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from compression.baselines import baseline
from compression.data import load
from compression.estimates import FIRST_SHOWN, SCHEDULE, Estimator, Prior, margins
from compression.evaluation import answers, logits
from compression.inference import one_thread
from compression.networks import NETWORKS
from compression.pipeline import Memory, build_up
from compression.pruning import MagnitudePruning, RandomPruning
from compression.quantization import CodebookQuantization, UniformQuantization
from compression.recipe import Recipe
from compression.store import Store
from compression.sweep import levels_curve, sparsity_curve

DATASETS = ("mnist", "fashion_mnist")
SHOWN = tuple(seen for seen in SCHEDULE if seen >= FIRST_SHOWN)
GROUPS = (0.0, 0.005, 0.02, 0.05, 0.15, 0.4, 1.0)  # borders, shares of changed verdicts
PRIORS = ("dense", "nearest")


@dataclass(frozen=True)
class Setting:
    """What a network answers on all images. right: bool (N,); margins: float32 (N,)."""

    right: np.ndarray
    margins: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """One estimate against the count.

    prior: one of PRIORS; changed: share of verdicts that differ from the dense network's, 0..1;
    covered: whether the count lies in the interval; error, half_width: percentage points.
    """

    network: str
    prior: str
    seen: int
    changed: float
    covered: bool
    error: float
    half_width: float


@dataclass(frozen=True)
class Cell:
    """Outcomes taken together. coverage: 0..1; rms, half_width: percentage points."""

    outcomes: int
    coverage: float
    rms: float
    half_width: float

    def __str__(self) -> str:
        return f"{100 * self.coverage:5.1f} % {self.rms:6.3f} {self.half_width:6.3f}"


def cell(outcomes: Sequence[Outcome]) -> Cell:
    """outcomes: at least one."""
    found = np.array([(o.covered, o.error**2, o.half_width) for o in outcomes])
    coverage, square, half_width = found.mean(0)
    return Cell(len(found), float(coverage), math.sqrt(square), float(half_width))


def curves(dense: Recipe) -> list[list[Recipe]]:
    """Magnitude and random pruning, uniform levels, a codebook, and magnitude with a codebook."""
    place, shared = len(dense.steps), CodebookQuantization(levels=16)
    found = [
        sparsity_curve(dense, place, MagnitudePruning()),
        sparsity_curve(dense, place, RandomPruning()),
        levels_curve(dense, place, UniformQuantization(), "levels"),
        levels_curve(dense, place, CodebookQuantization(), "levels"),
        sparsity_curve(dense.then(MagnitudePruning(), shared), place, MagnitudePruning()),
    ]
    return [[recipe for _, recipe in curve] for curve in found]


def scorer(dense: Recipe, store: Store) -> Callable[[Recipe], Setting]:
    """A function that scores a recipe on the validation split, each one once."""
    data, memory, known = load(dense.dataset), Memory(), dict[str, Setting]()
    labels = data.validation.labels.numpy()

    def score(recipe: Recipe) -> Setting:
        if recipe.digest not in known:
            found = logits(build_up(recipe, store, memory).model, data, data.validation)
            known[recipe.digest] = Setting(answers(found) == labels, margins(found, labels))
        return known[recipe.digest]

    return score


def outcomes_of(network: str, dataset: str, store: Store, draws: int) -> Iterator[Outcome]:
    """All estimates of one network that are shown before all images are seen."""
    dense = baseline(network, dataset)
    score = scorer(dense, store)
    labels, before = load(dataset).validation.labels.numpy(), score(dense)
    prior, done = Prior(labels, before.margins), set[str]()
    for curve in curves(dense):
        for i, recipe in enumerate(curve):
            setting = score(recipe)
            changed = float((setting.right != before.right).mean())
            if not changed or recipe.digest in done:
                continue
            done.add(recipe.digest)
            neighbour = score(curve[i - 1 if i else 1])
            for name, known in zip(PRIORS, (prior, prior.beside(neighbour.margins)), strict=True):
                for draw in range(draws):
                    estimator = Estimator(known, int(recipe.digest[:8], 16) + draw)
                    for seen, covered, error, half_width in stages(estimator, setting.right):
                        yield Outcome(network, name, seen, changed, covered, error, half_width)


def stages(estimator: Estimator, right: np.ndarray) -> Iterator[tuple[int, bool, float, float]]:
    """Images seen, covered, error and half-width (points) of one setting at each stage shown."""
    truth = float(right.mean())
    for before, seen in itertools.pairwise((0, *SCHEDULE)):
        chosen = estimator.draw(seen - before)
        estimator.see(chosen, right[chosen])
        if seen in SHOWN:
            e = estimator.estimate()
            covered = e.low <= truth <= e.high
            yield seen, covered, 100 * (e.value - truth), 50 * (e.high - e.low)


def outcomes(networks: Iterable[str], datasets: Iterable[str], draws: int) -> list[Outcome]:
    with tempfile.TemporaryDirectory() as folder, one_thread():
        store = Store(f"sqlite:///{folder}/store.sqlite", f"{folder}/files")
        pairs = itertools.product(networks, datasets)
        found = [o for pair in pairs for o in outcomes_of(*pair, store, draws)]
        store.engine.dispose()
    return found


def summary(found: Sequence[Outcome]) -> dict[str, float]:
    """coverage: the lowest of all stages shown and both priors, 0..1; rms_points: of the first
    stage shown, dense prior.
    """
    by_stage = {
        (prior, seen): cell([o for o in found if (o.prior, o.seen) == (prior, seen)])
        for prior, seen in itertools.product(PRIORS, SHOWN)
    }
    return {
        "coverage": round(min(c.coverage for c in by_stage.values()), 4),
        "rms_points": round(by_stage[PRIORS[0], FIRST_SHOWN].rms, 3),
    }


def measure(network: str, draws: int = 5) -> dict[str, float]:
    """The summary of one network on both data sets, for one row of a table."""
    return summary(outcomes([network], DATASETS, draws))


def show(title: str, found: Sequence[Outcome]) -> None:
    """Print a table: stages down, groups by change across."""
    for prior in PRIORS:
        print(f"\n{title}, {prior} prior: coverage, rms error, half-width in points")
        heads = [f"{100 * a:g}-{100 * b:g} % changed" for a, b in itertools.pairwise(GROUPS)]
        print("  ".join(f"{head:>21}" for head in ("images seen", "all", *heads)))
        for seen in SHOWN:
            here = [o for o in found if (o.prior, o.seen) == (prior, seen)]
            groups = [here] + [
                [o for o in here if a < o.changed <= b] for a, b in itertools.pairwise(GROUPS)
            ]
            cells = [str(cell(group)) if group else "" for group in groups]
            print("  ".join(f"{text:>21}" for text in (f"{seen:,}", *cells)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=DATASETS)
    parser.add_argument("--draws", type=int, default=5, help="of each setting")
    asked = parser.parse_args()
    found = outcomes(asked.networks, asked.datasets, asked.draws)
    by_network = {n: [o for o in found if o.network == n] for n in asked.networks}
    if asked.json:
        rows = [{"network": name} | summary(own) for name, own in by_network.items()]
        print(json.dumps({"coverage": rows}))
        return
    for title, own in [*by_network.items(), ("all networks", found)]:
        show(title, own)


if __name__ == "__main__":
    main()
