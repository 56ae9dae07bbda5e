"""How long the Trade-off page takes with thousands of stored runs.

`python -m benchmarks.runs [--json] [--runs 5000]`. benchmarks/README.md says what each field is.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from compression import figures
from compression.baselines import baseline
from compression.figures import LIGHT, Axes
from compression.networks import NETWORKS
from compression.pipeline import run
from compression.pruning import MagnitudePruning, RandomPruning
from compression.quantization import CodebookQuantization, UniformQuantization
from compression.recipe import Recipe, Step
from compression.result import Change, Result
from compression.settings import ROOT
from compression.store import Shelf, Store

REPEATS = 7
TITLES = {name: n.title for name, n in NETWORKS.items()}


def recipes(dense: Recipe) -> Iterator[Recipe]:
    """As many different recipes as one asks for: pruned, with levels, both, and for reference."""
    for seed in range(1_000):
        start = replace(dense, seed=seed)
        for percent in range(1, 100):
            pruning = MagnitudePruning(sparsity=percent / 100)
            yield start.then(pruning)
            if percent % 5 == 0:
                yield start.then(RandomPruning(sparsity=percent / 100))
            for levels in (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256):
                yield start.then(pruning, CodebookQuantization(levels=levels))
                if percent == 1:
                    yield start.then(CodebookQuantization(levels=levels))
                    yield start.then(UniformQuantization(levels=levels))


def made(real: Result, recipe: Recipe, chance: random.Random) -> Result:
    """What a run of a recipe might have given: a real result with other figures in it."""
    density, bits, spoilt = 1.0, 27.0, 0.0
    for step in recipe.steps:
        density, bits, spoilt = _after(step, density, bits, spoilt)
    share = max(0.1, real.validation.value - spoilt - abs(chance.gauss(0, 0.002)))
    lost = real.validation.value - share
    metric = replace(real.validation.metric, value=share, low=share - 0.005, high=share + 0.005)
    change = Change(-lost, -lost - 0.004, 0.004 - lost, math.exp(-400 * lost))
    score = replace(real.validation, metric=metric, change=change)
    weights = max(1, round(density * real.cost.weights))
    cost = replace(
        real.cost,
        bytes=round(weights * (bits + 1.5) / 8) + 2_000,
        nonzero_weights=weights,
        nonzero_macs=max(1, round(density * real.cost.macs)),
    )
    return replace(real, recipe=recipe, cost=cost, validation=score, test=score)


def _after(step: Step, density: float, bits: float, spoilt: float) -> tuple[float, float, float]:
    """Density, bits per weight and lost share of right answers behind a step."""
    if isinstance(step, MagnitudePruning | RandomPruning):
        harm = 8 if isinstance(step, MagnitudePruning) else 2
        return density * (1 - step.sparsity), bits, spoilt + step.sparsity**harm / 3
    if isinstance(step, CodebookQuantization | UniformQuantization):
        return density, math.log2(step.levels + 1), spoilt + 0.3 / step.levels**2
    return density, bits, spoilt


def many(real: Result, n: int, seed: int = 0) -> list[Result]:
    """n plausible results, each of another recipe."""
    chance = random.Random(seed)
    chosen = (r for r, _ in zip(recipes(real.recipe.dense), range(n), strict=False))
    return [made(real, recipe, chance) for recipe in chosen]


class Taken(NamedTuple):
    """Milliseconds by the clock, and of the processor, whatever else the machine does."""

    ms: float
    cpu_ms: float


def taken(action: Callable[[], object], repeats: int = REPEATS) -> Taken:
    """Medians of several times, after one that warms up."""
    action()
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        action()
        walls.append(1e3 * (time.perf_counter() - wall))
        cpus.append(1e3 * (time.process_time() - cpu))
    return Taken(round(statistics.median(walls), 1), round(statistics.median(cpus), 1))


def measure(n: int) -> dict[str, Any]:
    """All times with n runs in the store."""
    from streamlit.dataframe_util import convert_pandas_df_to_arrow_bytes

    from pages.parts import listing

    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "COMPRESSION_ENGINE": "inline",
            "COMPRESSION_STORE": f"sqlite:///{Path(folder) / 'store.sqlite'}",
            "COMPRESSION_FILES": str(Path(folder) / "files"),
        }
        store = Store()
        dense = baseline("lenet_300_100", "mnist")
        real = run(dense.then(MagnitudePruning(sparsity=0.5)), store, keep=False)
        results = many(real, n)
        for result in results:
            store.put(result, {}, kept=True)
        start = time.perf_counter()
        stored = Shelf(store, "mnist").results("lenet_300_100")
        read_ms = round(1e3 * (time.perf_counter() - start), 1)

        def cloud() -> figures.Cloud:
            return figures.cloud(stored, Axes(), "validation", TITLES)

        def table() -> object:
            order = listing.ordered(results, drawn, "validation")
            rows = listing.frame_of(order, drawn, {}, "validation", False)
            return convert_pandas_df_to_arrow_bytes(rows)

        def plot() -> object:
            return figures.draw_runs(cloud(), None, LIGHT, 420).to_json()

        drawn = cloud()
        return {
            "runs": n,
            **fields("table", taken(table)),
            **fields("plot", taken(plot)),
            **fields("page", page()),
            "read_ms": read_ms,
            "plot_kb": round(len(str(plot())) / 1e3),
        }


def fields(name: str, t: Taken) -> dict[str, float]:
    return {f"{name}_ms": t.ms, f"{name}_cpu_ms": t.cpu_ms}


def page() -> Taken:
    """A rerun of the whole page in process, tables and plots written for the browser."""
    from streamlit.testing.v1 import AppTest

    at = AppTest.from_file(ROOT / "app.py", default_timeout=120)
    at.query_params["network"] = "lenet_300_100"
    at.switch_page("pages/tradeoff.py").run()
    assert not at.exception, [e.value for e in at.exception]
    return taken(at.run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--runs", type=int, default=5_000, help="stored runs")
    args = parser.parse_args()
    found = measure(args.runs)
    if args.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:>14} {value:>10,}")


if __name__ == "__main__":
    main()
