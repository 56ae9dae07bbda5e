"""How long a slider's move takes: ours against the naive way, side by side in one run.

`python -m benchmarks.live [--json] [--threads 1] [--no-coverage]`. Read the ratios: the machine
decides the milliseconds. benchmarks/README.md says what each column is.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch.nn import functional as F
from torch.nn.utils import prune

from benchmarks import coverage
from compression import inference
from compression.baselines import baseline
from compression.data import load
from compression.inference import Forward
from compression.live import Ask, Live
from compression.models import Chain, prunable_layers
from compression.networks import NETWORKS
from compression.pipeline import Memory, start_network
from compression.pruning import MagnitudePruning
from compression.recipe import Recipe
from compression.store import Store
from compression.sweep import CURVE_SPARSITIES, sparsity_curve

MOVES = (0.62, 0.91, 0.33, 0.78, 0.47, 0.86, 0.55)  # far apart: no neighbour helps the estimate


@dataclass(frozen=True)
class Row:
    """One network on MNIST. Ratios are ours against naive; shares are of the GEMM peak, 0..1."""

    network: str
    naive_ms: float
    first_ms: float
    full_ms: float
    full_test_ms: float
    curve_naive_s: float
    curve_first_s: float
    curve_full_s: float
    gemm_share: float
    coverage: float | None = None
    rms_points: float | None = None

    @property
    def ratios(self) -> dict[str, float]:
        return {
            "first": self.naive_ms / self.first_ms,
            "full": self.naive_ms / self.full_ms,
            "full, test": self.naive_ms / self.full_test_ms,
            "curve first": self.curve_naive_s / self.curve_first_s,
            "curve full": self.curve_naive_s / self.curve_full_s,
        }


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def naive(model: Chain, images: torch.Tensor, sparsity: float) -> torch.Tensor:
    """Copy the model, prune it as torch does, score all images in batches of 1,000."""
    pruned = copy.deepcopy(model)
    weights = [(layer, "weight") for _, layer in prunable_layers(pruned)]
    prune.global_unstructured(weights, prune.L1Unstructured, amount=sparsity)
    data = load("mnist")
    with torch.no_grad():
        return torch.cat([pruned(data.to_input(b)).argmax(1) for b in images.split(1_000)])


def moves(live: Live, dense: Recipe, split: str) -> tuple[float, float]:
    """Milliseconds until the first estimate, and until the full score: median of a few moves."""
    first, full = [], []
    for sparsity in MOVES:
        ask = Ask(dense.then(MagnitudePruning(sparsity=sparsity)), split)
        first.append(seconds(lambda ask=ask: live.advance(ask, "estimate")))  # type: ignore[misc]
        rest = seconds(lambda ask=ask: live.advance(ask, "exact"))  # type: ignore[misc]
        full.append(first[-1] + rest)
    return 1e3 * statistics.median(first), 1e3 * statistics.median(full)


def curve(live: Live, recipes: Iterable[Recipe]) -> tuple[float, float]:
    """Seconds until all points have an estimate, and until all are scored in full."""
    asks = [Ask(recipe) for recipe in recipes]
    first = seconds(lambda: [live.advance(ask, "estimate") for ask in asks])
    return first, first + seconds(lambda: [live.advance(ask, "exact") for ask in asks])


def peak() -> float:
    """Multiply-adds per second of a large matrix product, the better of torch's two ways."""
    a = torch.randn(1024, 1024)
    quick, none = a.to_mkldnn(), torch.zeros(1024).to_mkldnn()
    ways = [lambda: a @ a, lambda: F.linear(quick, quick, none)]
    return 1024**3 / min(seconds(way) for way in ways for _ in range(8))


def measure(name: str, store: Store, checked: bool) -> Row:
    """All figures of one network; ours and naive take turns."""
    dense, data = baseline(name, "mnist"), load("mnist")
    model = start_network(dense, store, Memory()).model.eval()
    live, images = Live(store), data.test.images
    for split in ("validation", "test"):  # what is kept while one looks: the dense network
        live.advance(Ask(dense, split), "exact")
    warm = dense.then(MagnitudePruning(sparsity=0.1))
    live.advance(Ask(warm), "exact"), naive(model, images, 0.5)
    usual = statistics.median(seconds(lambda: naive(model, images, 0.9)) for _ in range(5))
    first, full = moves(live, dense, "validation")
    _, full_test = moves(live, dense, "test")
    points = sparsity_curve(warm, len(dense.steps), MagnitudePruning())
    alone = Live(store)
    alone.advance(Ask(dense), "exact")
    first_s, full_s = curve(alone, (recipe for _, recipe in points))
    curve_naive = seconds(lambda: [naive(model, images, s) for s in CURVE_SPARSITIES])
    forward, inputs = Forward(model), data.inputs(data.validation)
    scoring = min(seconds(lambda: forward(inputs)) for _ in range(5))
    result = store.get(dense.digest)
    assert result is not None
    share = result.cost.macs * len(inputs) / scoring / peak()
    honest = coverage.measure(name) if checked else {}
    times = (1e3 * usual, first, full, full_test, curve_naive, first_s, full_s, share)
    return Row(name, *(round(t, 3) for t in times), **honest)


def table(rows: list[Row]) -> str:
    """Markdown: times, and ratios against naive."""
    heads = [*asdict(rows[0]), *rows[0].ratios]
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    for row in rows:
        own = [f"{v:.3g}" if isinstance(v, float) else str(v) for v in asdict(row).values()]
        lines.append(" | ".join([*own, *(f"{r:.1f}×" for r in row.ratios.values())]))
    return "\n".join(f"| {line} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--threads", type=int, default=1, help="of torch, for both ways")
    parser.add_argument("--no-coverage", action="store_true", help="leave out the three minutes")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    inference.THREADS = asked.threads
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1, "blas"):  # as in workers
        store = Store(f"sqlite:///{folder}/store.sqlite", f"{folder}/files")
        rows = [measure(name, store, not asked.no_coverage) for name in NETWORKS]
        store.engine.dispose()
    print(json.dumps({"live": [asdict(r) for r in rows]}) if asked.json else table(rows))


if __name__ == "__main__":
    main()
