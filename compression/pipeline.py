"""run(recipe) -> Result: compress, write the file, read it back, rebuild the network, score that
one.

The longest prefix of the recipe whose checkpoint is stored is not run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from . import checkpoint as checkpoints
from . import storage
from .checkpoint import Checkpoint
from .compressed import CompressedModel, compress, decompress
from .cost import count, framework_file, zip_size
from .data import Dataset, load
from .errors import Cancelled, NotOffered
from .evaluation import accuracy, change, predict
from .models import Chain, architecture_for, build
from .recipe import Recipe, one_of
from .result import Accuracy, Baseline, Change, Cost, Epoch, Part, Result, Stage
from .store import Store
from .training import Context, Report


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    done: 0..1 of all its training; seconds_left: estimated; epoch: only when one has just ended.
    """

    step: int
    label: str
    done: float
    loss: float
    seconds_left: float
    epoch: Epoch | None = None


Listen = Callable[[Progress], None]


def run(
    recipe: Recipe,
    store: Store | None = None,
    *,
    split: str = "test",
    keep: bool = True,
    listen: Listen = lambda progress: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Result:
    """The result of a recipe, from the store if it is there.

    split: `validation` scores only that, `test` both. keep: store the file too and count the run as
    kept.
    listen: called during training. stopped: asked between training steps; True raises Cancelled,
    nothing is kept.
    Raises NotOffered or InvalidInput before anything is run.
    """
    store = store or Store()
    one_of("split", split, ("validation", "test"))
    architecture_for(recipe.model, recipe.dataset, recipe.width)
    found = store.get(recipe.digest, split)
    if found and not keep:
        return found
    start = time.perf_counter()
    reached = _longest_prefix(recipe, store)
    data = load(recipe.dataset)
    reached = _apply_rest(recipe, reached, data, store, listen, stopped)
    compressed = compress(reached.model, recipe.dataset)
    file, parts = storage.write(compressed)
    model = decompress(storage.loads(file))
    splits = ("validation",) if split == "validation" else ("validation", "test")
    if found:  # the figures are there, only the file is missing
        result, predictions = found, {}
    else:
        predictions = {s: predict(model, data, data.split(s)) for s in splits}
        result = _result(
            recipe, reached, compressed, model, file, parts, predictions, data, store, start
        )
    if stopped():
        raise Cancelled("stopped on request")
    if keep:
        store.put_file(recipe.digest, file)
    store.put(result, predictions, keep)
    return result


def nnz_file(recipe: Recipe, store: Store) -> bytes:
    """The .nnz file of a recipe: as stored, or made again without scoring. The training of the
    recipe must be stored.
    """
    kept = store.file(recipe.digest)
    if kept is not None:
        return kept
    data = load(recipe.dataset)
    reached = _apply_rest(
        recipe, _longest_prefix(recipe, store), data, store, lambda p: None, lambda: False
    )
    return storage.dumps(compress(reached.model, recipe.dataset))


@dataclass(frozen=True)
class FileScore:
    """What a .nnz file scores by itself. digest: of the file's content."""

    network: str
    dataset: str
    split: str
    accuracy: Accuracy
    bytes: int
    digest: str


def evaluate_file(data: bytes, dataset: str | None = None, split: str = "test") -> FileScore:
    """Score the network of a .nnz file.

    dataset: by default the one that the file names. Raises FormatError.
    """
    compressed = storage.loads(data)
    name = dataset or compressed.dataset
    samples = load(name)
    if samples.shape != compressed.architecture.shape:
        raise NotOffered(
            f"the network of this file takes images of shape {compressed.architecture.shape},"
            f" {name} has {samples.shape}"
        )
    chosen = samples.split(split)
    score = accuracy(predict(decompress(compressed), samples, chosen), chosen)
    return FileScore(
        compressed.architecture.network, name, split, score, len(data), storage.file_digest(data)
    )


def compare(before: str, after: str, dataset: str, split: str, store: Store) -> Change | None:
    """Paired difference of two stored runs (digests) on the same images; None where one was not
    scored on the split.
    """
    first, second = store.predictions(before, split), store.predictions(after, split)
    if first is None or second is None:
        return None
    labels = load(dataset).split(split).labels.numpy()
    return change(first == labels, second == labels)


def missing_training(recipe: Recipe, store: Store) -> tuple[int, ...]:
    """Places of the training steps that a run of this recipe would have to do; empty: it can run
    live.
    """
    for prefix in recipe.prefixes():
        if store.has_checkpoint(prefix.digest):
            done = len(prefix.steps)
            break
    else:
        done = 0
    return tuple(i for i, s in enumerate(recipe.steps) if i >= done and s.is_training)


def _longest_prefix(recipe: Recipe, store: Store) -> Checkpoint:
    for prefix in recipe.prefixes():
        if not prefix.steps:
            break
        stored = store.checkpoint(prefix.digest)
        if stored is not None:
            return checkpoints.loads(stored)
    model = build(architecture_for(recipe.model, recipe.dataset, recipe.width), recipe.seed)
    return Checkpoint(recipe.prefix(0), model)


def _apply_rest(
    recipe: Recipe,
    start: Checkpoint,
    data: Dataset,
    store: Store,
    listen: Listen,
    stopped: Callable[[], bool],
) -> Checkpoint:
    """Apply the steps behind the checkpoint; store one behind each step that trains."""
    model, history, stages = start.model, list(start.history), list(start.stages)
    first = len(start.recipe.steps)
    for i, step in enumerate(recipe.steps[first:], first):
        listener = _listener(recipe, first, i, data, history, listen)
        generator = torch.Generator().manual_seed(recipe.seed * 1_000 + i)
        changed = step.apply(model, Context(data, generator, listener, stopped))
        assert isinstance(changed, Chain)
        model = changed
        size = len(storage.dumps(compress(model, recipe.dataset)))
        stages.append(Stage(step.label(), step.family, size))
        reached = Checkpoint(recipe.prefix(i + 1), model, tuple(history), tuple(stages))
        if step.is_training:
            store.put_checkpoint(reached.recipe.digest, checkpoints.dumps(reached))
    return Checkpoint(recipe, model, tuple(history), tuple(stages))


def _listener(
    recipe: Recipe, first: int, place: int, data: Dataset, history: list[Epoch], listen: Listen
) -> Callable[[Report], None]:
    """Turn a step's reports into the progress of the whole run; measure after each epoch."""
    epochs = [
        getattr(s, "epochs", 0) if i >= first and s.is_training else 0
        for i, s in enumerate(recipe.steps)
    ]
    before, total = sum(epochs[:place]), max(1, sum(epochs))

    def report(r: Report) -> None:
        epoch = None
        if r.model is not None:
            assert isinstance(r.model, Chain)
            right = predict(r.model, data, data.validation) == data.validation.labels.numpy()
            size = len(storage.dumps(compress(r.model, recipe.dataset)))
            epoch = Epoch(
                place, r.epoch, r.epochs, r.loss, float(right.mean()), size, round(r.seconds, 2)
            )
            history.append(epoch)
        done = before + r.done * r.epochs
        left = r.seconds / (r.done * r.epochs) * (total - done)
        listen(Progress(place, recipe.steps[place].label(), done / total, r.loss, left, epoch))

    return report


def _result(
    recipe: Recipe,
    reached: Checkpoint,
    compressed: CompressedModel,
    model: Chain,
    file: bytes,
    parts: tuple[Part, ...],
    predictions: Mapping[str, np.ndarray],
    data: Dataset,
    store: Store,
    start: float,
) -> Result:
    seconds = time.perf_counter() - start
    dense = recipe.dense
    framework = framework_file(model)
    counts = count(model)
    before: dict[str, np.ndarray | None] = {s: None for s in predictions}
    if dense != recipe:
        base = run(
            dense, store, split="test" if "test" in predictions else "validation", keep=False
        )
        reference = base.baseline
        before = {s: store.predictions(dense.digest, s) for s in predictions}
    scores = {s: accuracy(predictions[s], data.split(s), before[s]) for s in predictions}
    test = scores.get("test")
    if dense == recipe:
        reference = Baseline(
            recipe.digest,
            len(framework),
            counts.weights,
            counts.macs,
            scores["validation"].value,
            test.value if test else None,
        )
    cost = Cost(
        bytes=len(file),
        fp32_bytes=len(framework),
        zip_bytes=zip_size(framework),
        nominal_bytes=compressed.nominal_bytes(),
        entropy_bytes=compressed.entropy_bytes(),
        **vars(counts),
        parts=parts,
        stages=reached.stages,
    )
    return Result(
        recipe,
        cost,
        scores["validation"],
        test,
        reference,
        reached.history,
        storage.file_digest(file),
        round(seconds, 3),
    )
