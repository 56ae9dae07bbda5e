"""What compression is worth in milliseconds: dense, fewer channels, int8 and both, in one engine.

`python -m benchmarks.speed [--json] [--model net ...] [--dataset mnist] [--turns 21]`: each network
trained on after each cut, scored on validation and test, and timed in ONNX Runtime beside its dense
floats, by turns: 1 and 256 images, one thread and all cores. What is trained is kept in the store
of the settings, so a second call only measures.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass

from compression.baselines import baseline
from compression.channels import ChannelPruning
from compression.exports import int8_recipe
from compression.machine import this_machine, versions
from compression.networks import NETWORKS
from compression.pipeline import run
from compression.presets import PRESETS
from compression.recipe import Recipe
from compression.speed import BATCHES, Pace, Speed, measure
from compression.store import Store
from compression.training import FineTune

PRESET = "small_and_fast"


@dataclass(frozen=True)
class Cell:
    """How many times faster than dense floats in ONNX Runtime; ms, dense_ms: of one batch; others:
    cores that other programs kept busy meanwhile.
    """

    batch: int
    threads: int
    faster: float
    low: float
    high: float
    ms: float
    dense_ms: float
    others: float


@dataclass(frozen=True)
class Row:
    """A trained network. points: lost on validation, test_points: on test, below 0 where it is
    better than dense; preset: whether the lab offers it as small and fast.
    """

    network: str
    what: str
    recipe: str
    bytes: int
    accuracy: float
    points: float
    test_accuracy: float
    test_points: float
    preset: bool
    cells: tuple[Cell, ...]


def cut(model: str, dataset: str) -> dict[str, Recipe]:
    """Recipes of floats by name: dense, half of the channels, and the share that the preset cuts
    where that is another one; all trained on as the preset does.
    """
    start = baseline(model, dataset)
    chosen = [s for s in PRESETS[PRESET].steps(model) if s.family != "quantized"]
    pruning, *rest = chosen
    assert isinstance(pruning, ChannelPruning) and all(isinstance(s, FineTune) for s in rest)
    half = pruning.changed(ratio=0.5)
    found = {"dense": start, "half of the channels": start.then(half, *rest)}
    if pruning != half:
        found[f"channels -{100 * pruning.ratio:.0f} %"] = start.then(*chosen)
    return found


def rows(model: str, dataset: str, store: Store, pace: Pace) -> list[Row]:
    """All of a network: what has no int8 name is of floats."""
    wanted = baseline(model, dataset).then(*PRESETS[PRESET].steps(model))
    found = []
    for name, recipe in cut(model, dataset).items():
        run(recipe, store)
        speed = measure(recipe, store, pace=pace, engines=("onnxruntime",))
        for kind, one in (("fp32", recipe), ("int8", int8_recipe(recipe))):
            what = name if kind == "fp32" else "int8" if name == "dense" else f"{name}, int8"
            found.append(_row(one, what, kind, speed, store, one == wanted))
            print(table(found[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    return found


def _row(recipe: Recipe, what: str, kind: str, speed: Speed, store: Store, preset: bool) -> Row:
    result = run(recipe, store)
    base = result.baseline
    assert result.test is not None and base.test is not None
    return Row(
        recipe.model,
        what,
        recipe.label,
        result.cost.bytes,
        result.validation.value,
        _points(base.validation, result.validation.value),
        result.test.value,
        _points(base.test, result.test.value),
        preset,
        tuple(
            Cell(
                t.batch,
                t.threads,
                round(t.faster, 3),
                round(t.faster_low, 3),
                round(t.faster_high, 3),
                t.median_ms,
                speed.beside(t).median_ms,
                round(t.others, 2),
            )
            for t in speed.timings
            if t.kind == kind
        ),
    )


def _points(before: float, after: float) -> float:
    return round(100 * (before - after), 3)


def table(found: list[Row]) -> str:
    """Markdown: times faster, with quartiles."""
    cells = found[0].cells
    heads = ["network", "what", "bytes", "points", "test points"]
    heads += [f"{c.batch} × {c.threads} thread{'s' if c.threads > 1 else ''}" for c in cells]
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    for row in found:
        name = f"**{row.what}**" if row.preset else row.what
        values = [f"`{row.network}`", name, f"{row.bytes:,}"]
        values += [f"{row.points:+.2f}", f"{row.test_points:+.2f}"]
        values += [f"{c.faster:.2f} ({c.low:.2f} to {c.high:.2f})" for c in row.cells]
        lines.append(" | ".join(values))
    return "\n".join(f"| {line} |" for line in lines)


def reaches(row: Row, points: float = 0.2) -> bool:
    """Three times at 256 images and twice at one, in one thread, for so many points on both splits
    at most.
    """
    single = {c.batch: c.faster for c in row.cells if c.threads == 1}
    few, many = (single[batch] for batch in BATCHES)
    return few >= 2 and many >= 3 and max(row.points, row.test_points) <= points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--model", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--turns", type=int, default=21)
    asked = parser.parse_args()
    store, pace = Store(), Pace(turns=asked.turns)
    found = [row for m in asked.model for row in rows(m, asked.dataset, store, pace)]
    there = sorted({row.network for row in found if reaches(row)})
    if asked.json:
        about = {"machine": asdict(this_machine()), "versions": versions(), "reached": there}
        print(json.dumps({**about, "speed": [asdict(r) for r in found]}))
    else:
        print(table(found))
        print(f"3 times at 256 images, 2 at one, 0.2 points at most: {', '.join(there) or 'none'}")


if __name__ == "__main__":
    main()
