"""The goal solver against a grid and random search, in equal time, in one run.

`python -m benchmarks.goals [--json] [--model lenet5] [--dataset mnist] [--points 0.5]
[--seconds 600] [--epochs 2] [--seeds 0 1 2] [--methods ours grid random]`: the smallest file that
loses at most so many points on the validation images. All three choose from the same recipes
(`compression.search.Space`), find what they trained before in a store of their own, and stop after
the same seconds of processor time; only the choice differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from compression.goals import Goal, Tried, answer
from compression.pipeline import run
from compression.search import Search, solve
from compression.store import Store

GRID: dict[str, list[float]] = {
    "channels": [0.0, 0.4],
    "sparsity": [0.7, 0.8, 0.9, 0.95, 0.97, 0.98],
    "levels": [4, 8, 16, 32],
    "rate": [0.0, 1.0],
}
METHODS = ("ours", "grid", "random")


@dataclass(frozen=True)
class Row:
    """bytes: of the smallest file within the limit, points: lost on validation, test_points: on
    test, 0 bytes where nothing was within it; tried: recipes.
    """

    method: str
    seed: int
    bytes: int
    points: float
    test_points: float
    tried: int
    seconds: float
    recipe: str


def sampler(method: str, goal: Goal) -> optuna.samplers.BaseSampler | None:
    if method == "random":
        return optuna.samplers.RandomSampler(seed=goal.seed)
    if method == "grid":
        every: dict[str, list[Any]] = {"model": list(goal.models), **GRID, "tune": [0, 1]}
        every["epochs"] = list(range(goal.epochs + 1))
        return optuna.samplers.GridSampler(every, seed=goal.seed)
    return None


def measure(method: str, goal: Goal) -> Row:
    """One search from nothing."""

    def listen(spent: float, found: Tried) -> None:
        if found.bytes and found.points <= (goal.most_points or 0):
            words = f"{found.bytes} bytes, {found.points:.2f} points, {found.recipe.label}"
            print(f"{method} {goal.seed}: {spent:.0f} s: {words}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.sqlite", f"{folder}/files")
        search = Search(goal, store, sampler(method, goal), clever=method == "ours")
        start = time.process_time()
        solve(goal, store, search=search, clock=time.process_time, listen=listen)
        spent, found = time.process_time() - start, search.found()
        best = answer(goal, found).best
        if best is None:
            return Row(method, goal.seed, 0, 0.0, 0.0, len(found), round(spent), "")
        result = run(best.recipe, store)
        assert result.test is not None and result.baseline.test is not None
        lost = 100 * (result.baseline.test - result.test.value)
        points, words = round(best.points, 3), best.recipe.label
        row = Row(
            method, goal.seed, best.bytes, points, round(lost, 3), len(found), round(spent), words
        )
        store.engine.dispose()
        return row


def table(rows: list[Row]) -> str:
    """Markdown."""
    heads = list(asdict(rows[0]))
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    lines += [" | ".join(str(v) for v in asdict(row).values()) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--points", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=600, help="of processor time, each")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    asked = parser.parse_args()
    rows = []
    with threadpool_limits(1, "blas"):
        for seed in asked.seeds:
            goal = Goal(
                dataset=asked.dataset,
                models=(asked.model,),
                most_points=asked.points,
                seconds=asked.seconds,
                epochs=asked.epochs,
                seed=seed,
            )
            for method in asked.methods:
                rows.append(measure(method, goal))
                print(table(rows[-1:]), file=sys.stderr, flush=True)
    print(json.dumps({"goals": [asdict(r) for r in rows]}) if asked.json else table(rows))


if __name__ == "__main__":
    main()
