"""How long a slider's move takes: ours against the naive way, side by side in one run.

`python -m benchmarks.live [--json]`. Read the ratios: the machine decides the milliseconds.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable

import torch

from compression import checkpoint, storage
from compression.baselines import baseline
from compression.compressed import compress, decompress
from compression.data import load
from compression.evaluation import predict
from compression.inference import one_thread
from compression.models import NETWORKS, prunable_layers
from compression.pipeline import run
from compression.recipe import parse_step
from compression.store import Store


def milliseconds(action: Callable[[int], object], times: int = 5) -> float:
    """Median time of action(i), after one that is not counted."""
    action(0)
    taken = []
    for i in range(1, times + 1):
        start = time.perf_counter()
        action(i)
        taken.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(taken), 1)


def naive(model: torch.nn.Module, images: torch.Tensor, sparsity: float) -> None:
    """Copy the model, prune every layer by sorting, score all test images in batches of 1,000."""
    pruned = copy.deepcopy(model)
    with torch.no_grad(), one_thread():
        for _, layer in prunable_layers(pruned):
            size = layer.weight.abs()
            threshold = size.flatten().sort().values[int(sparsity * size.numel())]
            layer.weight.mul_(size >= threshold)
        for batch in images.split(1_000):
            pruned(batch).argmax(1)


def measure(name: str) -> dict[str, float | str]:
    """Figures of one network on MNIST, milliseconds on one thread."""
    dense, data = baseline(name, "mnist"), load("mnist")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.sqlite", f"{folder}/files")
        stored = store.checkpoint(dense.digest)
        assert stored is not None
        model = checkpoint.loads(stored).model
        images = data.to_input(data.test.images)

        def move(i: int) -> None:
            steps = (
                f"magnitude_pruning:sparsity={0.5 + i / 100}",
                "codebook_quantization:levels=16",
            )
            run(dense.then(*map(parse_step, steps)), store, split="validation", keep=False)

        compressed = compress(model, "mnist")
        file = storage.dumps(compressed)
        figures: dict[str, float | str] = {
            "network": name,
            "naive_ms": milliseconds(lambda i: naive(model, images, 0.5 + i / 100)),
            "full_ms": milliseconds(move),
            "score_validation_ms": milliseconds(lambda i: predict(model, data, data.validation)),
            "score_test_ms": milliseconds(lambda i: predict(model, data, data.test)),
            "write_ms": milliseconds(lambda i: storage.dumps(compressed)),
            "read_ms": milliseconds(lambda i: decompress(storage.loads(file))),
        }
        store.engine.dispose()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    rows = [measure(name) for name in NETWORKS]
    if as_json:
        print(json.dumps({"live": rows}))
        return
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
