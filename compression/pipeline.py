"""run(recipe) -> Result: compress, write the file, read it back, rebuild the network, score that
one.

The longest prefix of the recipe whose checkpoint is stored is not run again.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from cachetools import LRUCache

from . import checkpoint as checkpoints
from . import storage
from .checkpoint import Checkpoint
from .compressed import CompressedModel, compress, decompress
from .cost import count, framework_bytes, framework_file, sizes_of, zip_size
from .data import Dataset, load
from .errors import Cancelled, NotOffered, StoreError
from .evaluation import Seen, accuracy, change, predict, seen
from .language import FIRST, speaking
from .models import Chain, build, layer_names, same_weights, twin
from .networks import architecture_for, refusals
from .ratios import Ratios
from .recipe import Recipe, Step, one_of
from .result import Accuracy, Baseline, Change, Cost, Epoch, Layer, Part, Result, Stage
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
MOST_FACTS = 128  # of one network: a few for each layer


class Memory:
    """What a process keeps between runs, all of it bounded; one thread at a time.

    networks: checkpoints by their recipe's digest; facts: what steps found out about a network, by
    the digest of the recipe that made it (see `Context.once`); sizes: of `.nnz` files, by digest;
    files: the last of them, and where their bytes are; ratios: what the coder made of them.
    """

    def __init__(self) -> None:
        self.networks: LRUCache[str, Checkpoint] = LRUCache(8)
        self.facts: LRUCache[str, LRUCache[str, Any]] = LRUCache(4)
        self.sizes: LRUCache[str, int] = LRUCache(10_000)
        self.files: LRUCache[str, tuple[bytes, tuple[Part, ...]]] = LRUCache(8)
        self.ratios = Ratios()

    def file(self, recipe: Recipe, compressed: CompressedModel) -> tuple[bytes, tuple[Part, ...]]:
        """The file of a recipe's network and where its bytes are, written once."""
        if recipe.digest not in self.files:
            file, parts = self.files[recipe.digest] = storage.write(compressed)
            self.sizes[recipe.digest] = len(file)
            self.ratios.learn(recipe, storage.coder_ratio(compressed, parts))
        return self.files[recipe.digest]

    def network(self, recipe: Recipe, store: Store, share: bool) -> Checkpoint:
        """A copy of the stored network of exactly this recipe. share: it has the same tensors, so
        that it must not be trained. Raises StoreError if it is gone.
        """
        found = self.networks.get(recipe.digest)
        if found is None:
            stored = store.checkpoint(recipe.digest)
            if stored is None:
                raise StoreError("the checkpoint of {digest} is gone", digest=recipe.digest)
            found = self.networks[recipe.digest] = checkpoints.loads(stored)
        return replace(found, model=twin(found.model) if share else copy.deepcopy(found.model))

    def about(self, recipe: Recipe) -> LRUCache[str, Any]:
        return self.facts.setdefault(recipe.digest, LRUCache(MOST_FACTS))


def run(
    recipe: Recipe,
    store: Store | None = None,
    *,
    split: str = "test",
    keep: bool = True,
    listen: Listen = lambda progress: None,
    stopped: Callable[[], bool] = lambda: False,
    memory: Memory | None = None,
    answers: Mapping[str, Seen] | None = None,
) -> Result:
    """The result of a recipe, from the store if it is there.

    split: `validation` scores only that, `test` both. keep: store the file too and count the run as
    kept.
    listen: called during training. stopped: asked between training steps; True raises Cancelled,
    nothing is kept.
    answers: what this recipe's network answered when it was looked at, by split; they count if the
    file gives the same weights back, to the bit.
    Raises NotOffered or InvalidInput before anything is run.
    """
    store, memory = store or Store(), memory or Memory()
    one_of("split", split, ("validation", "test"))
    check(recipe)
    found = store.get(recipe.digest, split)
    if found and not keep:
        return found
    start = time.perf_counter()
    made = build_up(recipe, store, memory, listen, stopped)
    file, parts = memory.file(recipe, made.compressed)
    model = decompress(storage.loads(file))
    if found:  # the figures are there, only the file is missing
        result, predictions = found, {}
    else:
        data = load(recipe.dataset)
        splits = ("validation",) if split == "validation" else ("validation", "test")
        known = answers if answers and same_weights(model, made.model) else {}
        looks = {s: known[s] if s in known else seen(model, data, data.split(s)) for s in splits}
        predictions = {s: look.classes for s, look in looks.items()}
        dense = _dense_first(recipe, split, store, memory)
        before = {s: store.predictions(recipe.dense.digest, s) if dense else None for s in splits}
        scores = {
            s: accuracy(look.classes, data.split(s), before[s], look.loss)
            for s, look in looks.items()
        }
        framework = framework_file(model)
        cost = cost_of(model, made, len(file), parts, zip_size(framework))
        test = scores.get("test")
        result = Result(
            recipe,
            cost,
            scores["validation"],
            test,
            dense.baseline if dense else _as_baseline(recipe, cost, scores),
            made.history,
            storage.file_digest(file),
            round(time.perf_counter() - start, 3),
        )
    if stopped():
        raise Cancelled("stopped on request")
    if keep:
        store.put_file(recipe.digest, file)
    store.put(result, predictions, keep)
    return result


def check(recipe: Recipe) -> None:
    """Raise NotOffered, with the reason, for a recipe that can't be run; nothing is run."""
    if refusals(recipe):
        raise NotOffered("{model}: {reason}", model=recipe.model, reason=partial(_refusal, recipe))


def _refusal(recipe: Recipe) -> str:
    return next(iter(refusals(recipe).values()))


def _dense_first(recipe: Recipe, split: str, store: Store, memory: Memory) -> Result | None:
    """The result of the dense network that a recipe is compared with; None for that one itself."""
    if recipe.dense == recipe:
        return None
    return run(recipe.dense, store, split=split, keep=False, memory=memory)


def _as_baseline(recipe: Recipe, cost: Cost, scores: Mapping[str, Accuracy]) -> Baseline:
    return Baseline(
        recipe.digest,
        cost.fp32_bytes,
        cost.weights,
        cost.macs,
        scores["validation"].value,
        scores["test"].value if "test" in scores else None,
    )


def nnz_file(recipe: Recipe, store: Store) -> bytes:
    """The .nnz file of a recipe: as stored, or made again without scoring. The training of the
    recipe must be stored.
    """
    kept = store.file(recipe.digest)
    if kept is not None:
        return kept
    return storage.dumps(build_up(recipe, store, Memory()).compressed)


def rebuilt(recipe: Recipe, store: Store) -> Chain:
    """The network of a recipe as its file gives it back. Its training must be stored."""
    return decompress(storage.loads(nnz_file(recipe, store)))


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
            "the network of this file takes images of shape {shape}, {name} has {other}",
            shape=compressed.architecture.shape,
            name=name,
            other=samples.shape,
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


def start_of(recipe: Recipe, store: Store) -> Recipe:
    """The longest prefix whose network is stored; only behind training there is one."""
    for prefix in recipe.prefixes():
        if not prefix.steps or (
            prefix.steps[-1].is_training and store.has_checkpoint(prefix.digest)
        ):
            return prefix
    return recipe.prefix(0)


def missing_training(recipe: Recipe, store: Store) -> tuple[int, ...]:
    """Places of the training steps that a run of this recipe would have to do; empty: it can run
    live.
    """
    done = len(start_of(recipe, store).steps)
    return tuple(i for i, s in enumerate(recipe.steps) if i >= done and s.is_training)


@dataclass(frozen=True)
class Made:
    """A network as a recipe makes it, and the same as whole numbers.

    stages: sizes of all steps but the last, whose size is that of the file.
    """

    model: Chain
    dataset: str
    history: tuple[Epoch, ...]
    stages: tuple[Stage, ...]
    last: Step | None

    @cached_property
    def compressed(self) -> CompressedModel:
        return compress(self.model, self.dataset)


def start_network(recipe: Recipe, store: Store, memory: Memory) -> Checkpoint:
    """A copy of the stored network that a run of this recipe starts from, or random weights."""
    start = start_of(recipe, store)
    if start.steps:
        trains = any(s.is_training for s in recipe.steps[len(start.steps) :])
        return memory.network(start, store, share=not trains)
    model = build(architecture_for(recipe.model, recipe.dataset, recipe.width), recipe.seed)
    return Checkpoint(start, model)


def build_up(
    recipe: Recipe,
    store: Store,
    memory: Memory,
    listen: Listen = lambda progress: None,
    stopped: Callable[[], bool] = lambda: False,
    exact: bool = True,
) -> Made:
    """Apply the steps behind the longest stored prefix; store a checkpoint behind each step that
    trains. exact: whether sizes in between are those of files, or estimated where none was written.
    """
    start = start_network(recipe, store, memory)
    model, history, stages = start.model, list(start.history), list(start.stages)
    first = len(start.recipe.steps)
    for i, step in enumerate(recipe.steps[first:], first):
        data = load(recipe.dataset)  # not for a stored network: its data may not be here
        listener = _listener(recipe, first, i, data, history, listen)
        generator = torch.Generator().manual_seed(recipe.seed * 1_000 + i)
        facts = memory.about(recipe.prefix(i))
        reason = partial(step.why_not, model.architecture, ())
        if reason():  # of the network as it has become
            raise NotOffered("{model}: {reason}", model=recipe.model, reason=reason)
        changed = step.apply(model, Context(data, generator, listener, stopped, facts))
        assert isinstance(changed, Chain)
        model, here = changed, recipe.prefix(i + 1)
        if step.is_training or i + 1 < len(recipe.steps):
            size = _size(here, model, memory, exact or step.is_training)
            stages.append(_stage(step, size))
        if step.is_training:
            reached = Checkpoint(here, model, tuple(history), tuple(stages))
            store.put_checkpoint(here.digest, checkpoints.dumps(reached))
    last = recipe.steps[-1] if recipe.steps else None
    before = tuple(stages[: max(0, len(recipe.steps) - 1)])
    return Made(model, recipe.dataset, tuple(history), before, last)


def _size(recipe: Recipe, model: Chain, memory: Memory, exact: bool) -> int:
    """Length of the file of a recipe in the middle of a longer one."""
    if recipe.digest in memory.sizes:
        return memory.sizes[recipe.digest]
    compressed = compress(model, recipe.dataset)
    if exact:
        return len(memory.file(recipe, compressed)[0])
    return storage.estimate(compressed, memory.ratios.of(recipe))[0]


def _stage(step: Step, size: int) -> Stage:
    """Size after a step. It is stored, so it speaks the first language, whoever reads."""
    with speaking(FIRST):
        return Stage(step.label(), step.family, size)


def cost_of(
    model: Chain, made: Made, size: int, parts: tuple[Part, ...], zip_bytes: int | None
) -> Cost:
    """The cost of a network whose file has this length and these parts."""
    last = (_stage(made.last, size),) if made.last else ()
    sizes = sizes_of(model.architecture)
    tensors = made.compressed.tensors
    nonzero = {t.name: t.nonzero for t in tensors}
    entropy = {t.name: math.ceil(t.entropy_bits() / 8) for t in tensors}
    return Cost(
        bytes=size,
        fp32_bytes=framework_bytes(model.architecture),
        zip_bytes=zip_bytes,
        nominal_bytes=made.compressed.nominal_bytes(),
        entropy_bytes=made.compressed.entropy_bytes(),
        **vars(count(model.architecture, nonzero)),
        parts=parts,
        stages=made.stages + last,
        layers=tuple(
            Layer(name, *(values[f"{name}.weight"] for values in (sizes, nonzero, entropy)))
            for name in layer_names(model.architecture)
        ),
        hidden=model.architecture.hidden,
    )


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
