"""The smallest files: `python -m benchmarks.records [--json] [--names ...] [--seeds 0 1 2]
[--folder assets/records]` rebuilds them from their recipes and writes each beside its recipe, and
what it measured into `records.json`.

Every choice in the recipes was made on validation images; the test images are looked at here, once.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

from compression.baselines import baseline
from compression.pipeline import nnz_file, run
from compression.recipe import Recipe, layer_text
from compression.settings import ROOT
from compression.smallest import TrainForBytes
from compression.store import Store

FOLDER = ROOT / "assets" / "records"
LIST = "records.json"  # of a folder


@dataclass(frozen=True)
class Record:
    """What is to be reached, mean of the seeds. most_bytes; most_error: on test images, percent."""

    model: str
    dataset: str
    most_bytes: int
    most_error: float
    step: TrainForBytes

    def recipe(self, seed: int) -> Recipe:
        """The dense network is the shipped one; the seed is the draw of what comes behind."""
        return baseline(self.model, self.dataset).then(self.step.changed(draw=seed))


@dataclass(frozen=True)
class Row:
    """errors in percent; seconds of the whole run."""

    name: str
    seed: int
    bytes: int
    validation_error: float
    test_error: float
    nonzero: int
    seconds: float


_MLP = TrainForBytes(
    epochs=80,
    learning_rate=0.002,
    widths=layer_text(dict(fc1=0.33, fc2=0.5)),
    copies=1,
    teacher="resnet20",
    second="mobilenet_mini",
)
_CONV = TrainForBytes(
    epochs=40,
    learning_rate=0.003,
    widths=layer_text(dict(conv1=0.3, conv2=0.28, fc1=0.14)),
    layers="conv1=3",
    copies=1,
    teacher="mobilenet_mini",
)
RECORDS = {
    "mlp": Record("lenet_300_100", "mnist", 5_300, 1.6, _MLP.changed(bytes=5_300)),
    "mlp-small": Record("lenet_300_100", "mnist", 4_300, 1.9, _MLP.changed(bytes=4_300)),
    "conv": Record("lenet5", "mnist", 2_600, 0.86, _CONV.changed(bytes=2_600)),
    "conv-small": Record("lenet5", "mnist", 2_300, 0.96, _CONV.changed(bytes=2_300)),
    "resnet": Record(
        "resnet20",
        "fashion_mnist",
        25_000,
        6.4,  # half a point more than dense
        TrainForBytes(bytes=25_000, epochs=12, mirror="yes", learning_rate=0.004),
    ),
}


def build(name: str, seed: int, folder: Path) -> Row:
    """One record from nothing but the shipped networks; its file and recipe go into the folder."""
    recipe = RECORDS[name].recipe(seed)
    with tempfile.TemporaryDirectory() as own:
        store = Store(f"sqlite:///{own}/store.sqlite", f"{own}/files")
        found = run(recipe, store)
        file = nnz_file(recipe, store)
        store.engine.dispose()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}-{seed}.nnz").write_bytes(file)
    (folder / f"{name}-{seed}.json").write_text(recipe.to_json(indent=1) + "\n")
    assert found.test is not None
    return Row(
        name,
        seed,
        found.cost.bytes,
        round(100 * (1 - found.validation.value), 2),
        round(100 * (1 - found.test.value), 2),
        found.cost.nonzero_weights,
        found.seconds,
    )


def note(row: Row, folder: Path) -> None:
    """Put a row among those that the folder has."""
    place = folder / LIST
    known = read_rows(folder) if place.exists() else []
    others = [r for r in known if (r.name, r.seed) != (row.name, row.seed)]
    every = sorted([*others, row], key=lambda r: (list(RECORDS).index(r.name), r.seed))
    place.write_text(json.dumps([asdict(r) for r in every], indent=1) + "\n")


def read_rows(folder: Path = FOLDER) -> list[Row]:
    """What was measured of the files of a folder."""
    return [Row(**row) for row in json.loads((folder / LIST).read_text())]


def summary(rows: Iterable[Row]) -> list[dict[str, object]]:
    """Of each record: means over its seeds, what was to be reached, and the best by itself."""
    lines: list[dict[str, object]] = []
    rows = list(rows)
    for name, record in RECORDS.items():
        own = [r for r in rows if r.name == name]
        if own:
            best = min(own, key=lambda r: r.validation_error)
            lines.append(
                {
                    "record": name,
                    "network": record.model,
                    "bytes": round(mean(r.bytes for r in own)),
                    "at most": record.most_bytes,
                    "test error": round(mean(r.test_error for r in own), 3),
                    "error at most": record.most_error,
                    "seeds": len(own),
                    "best on validation": f"{best.bytes} B, {best.test_error} %",
                }
            )
    return lines


def table(lines: list[dict[str, object]]) -> str:
    """Markdown."""
    heads = list(lines[0])
    body = [heads, ["---"] * len(heads), *([str(v) for v in line.values()] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--names", nargs="+", choices=RECORDS, default=list(RECORDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    asked = parser.parse_args()
    rows = []
    for name in asked.names:
        for seed in asked.seeds:
            rows.append(build(name, seed, asked.folder))
            print(json.dumps(asdict(rows[-1])), file=sys.stderr, flush=True)
            note(rows[-1], asked.folder)
    lines = summary(rows)
    print(
        json.dumps({"records": lines, "runs": [asdict(r) for r in rows]})
        if asked.json
        else table(lines)
    )


if __name__ == "__main__":
    main()
