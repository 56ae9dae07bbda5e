"""Do settings for single layers beat the same setting for all, at equal bytes?

`python -m benchmarks.suggest [--json] [--dataset mnist] [--seconds 0.3]`: for each network, the
even setting (each layer pruned by the same share, 16 values each) that first loses about 2 points,
and the suggestion of `compression.suggest` for as many bytes; both scored on all validation images.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass

from compression.baselines import baseline
from compression.live import Ask, Live
from compression.models import layer_names
from compression.networks import NETWORKS, architecture_for, why_not
from compression.pruning import MagnitudePruning
from compression.quantization import CodebookQuantization
from compression.recipe import Recipe
from compression.result import Preview, Result
from compression.store import Store
from compression.suggest import Option, choose, option, with_layers
from compression.sweep import layer_curves, replace_step

LOST = 0.02  # accuracy that the even setting may have lost
SPARSITIES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95)


@dataclass(frozen=True)
class Row:
    """accuracy: validation, 0..1; bytes: of the file; even: one share for all layers."""

    network: str
    dense: float
    sparsity: float
    even_bytes: int
    even: float
    bytes: int
    suggested: float
    seconds: float

    @property
    def better(self) -> bool:
        return self.suggested > self.even and self.bytes <= self.even_bytes


def accuracy(found: Preview | Result) -> float:
    return found.estimate.value if isinstance(found, Preview) else found.validation.value


def measure(network: str, dataset: str, store: Store, seconds: float) -> Row:
    """seconds: how long each setting of a single layer may be looked at."""
    live, dense = Live(store), baseline(network, dataset)
    start, place = time.perf_counter(), len(dense.steps)

    def exact(recipe: Recipe) -> Preview | Result:
        return live.advance(Ask(recipe), "exact")

    def brief(recipe: Recipe) -> Preview | Result:
        return live.advance(Ask(recipe), "exact", time.perf_counter() + seconds)

    before = accuracy(exact(dense))
    for sparsity in SPARSITIES:
        pruning = MagnitudePruning(sparsity=sparsity, scope="layer")
        recipe = dense.then(pruning, CodebookQuantization(levels=16))
        even = exact(recipe)
        if before - accuracy(even) >= LOST:
            break
    untouched = brief(replace_step(recipe, place, pruning.changed(sparsity=0.0)))
    assert isinstance(untouched, Preview)
    names = layer_names(architecture_for(network, dataset))
    options: dict[str, list[Option]] = {}
    for name, curve in layer_curves(recipe, place, "sparsity", names, alone=True).items():
        found = [(0.0, untouched), *((v, brief(r)) for v, r in curve)]
        own = [option(name, v, f, untouched.loss) for v, f in found]
        options[name] = [o for o in own if o is not None]
    rest = untouched.cost.bytes - sum(own[0].bytes for own in options.values())
    chosen = choose(options, even.cost.bytes - rest)
    assert chosen is not None
    ours = exact(with_layers(recipe, place, chosen))
    return Row(
        network,
        before,
        sparsity,
        even.cost.bytes,
        accuracy(even),
        ours.cost.bytes,
        accuracy(ours),
        round(time.perf_counter() - start, 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--seconds", type=float, default=0.3, help="per setting of a layer")
    parser.add_argument("--network", action="append", help="only these")
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.sqlite", f"{folder}/files")
        for network in asked.network or NETWORKS:
            if why_not(network, asked.dataset):
                continue
            row = measure(network, asked.dataset, store, asked.seconds)
            rows.append(row)
            if not asked.json:
                print(
                    f"| {row.network} | {100 * row.dense:.2f} | {100 * row.sparsity:.0f} % |"
                    f" {row.even_bytes} | {100 * row.even:.2f} | {row.bytes} |"
                    f" {100 * row.suggested:.2f} | {'yes' if row.better else 'no'} |",
                    flush=True,
                )
        store.engine.dispose()
    if asked.json:
        print(json.dumps({"suggest": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
