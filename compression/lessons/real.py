"""The lessons' questions, asked of a real network. Each function runs in a worker, which gives it
its store as the last argument; the training of the recipe must be stored.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np

from ..compressed import CompressedTensor
from ..entropy import bits_of
from ..onnx_export import onnx_model, onnx_session
from ..pipeline import Memory, build_up, start_network
from ..recipe import Recipe, parse_steps
from ..storage import write
from ..store import Store
from ..timing import take_turns
from ..verdicts import moved, verdicts_of
from .huffman import Leaf, huffman, mean_bits

MOST_LEAVES = 33  # of a tree that can still be drawn
TURNS, SECONDS = 9, 0.04  # of each network
SUSPECTS = 6


def squared_share(recipe: Recipe, store: Store) -> float:
    """Share of the squared sum of all dense weights that the recipe's network has, 0..1."""
    memory = Memory()

    def total(tensors: tuple[CompressedTensor, ...]) -> float:
        weights = (t for t in tensors if t.kind != "raw")
        return sum(float(np.square(t.decoded(), dtype=np.float64).sum()) for t in weights)

    after = total(build_up(recipe, store, memory).compressed.tensors)
    return after / total(build_up(recipe.dense, store, memory).compressed.tensors)


class Rounding(NamedTuple):
    """What round(W*Q) makes of a network's weights. low, high: of all weights; levels: between
    them; numbers, counts: the whole numbers that occur, and how often; bits: of the entropy, per
    weight.
    """

    low: float
    high: float
    levels: int
    numbers: tuple[int, ...]
    counts: tuple[int, ...]
    bits: float


def rounding(recipe: Recipe, store: Store) -> Rounding:
    """recipe: its last step is a fixed point."""
    memory = Memory()
    dense = start_network(recipe.dense, store, memory).model
    weights = [W.detach().numpy().reshape(-1) for n, W in dense.named_parameters() if W.dim() > 1]
    low, high = min(float(W.min()) for W in weights), max(float(W.max()) for W in weights)
    coded = [t for t in build_up(recipe, store, memory).compressed.tensors if t.symbols is not None]
    symbols = np.concatenate([t.symbols.reshape(-1) for t in coded if t.symbols is not None])
    bits = sum(bits_of(t.counted.counts) for t in coded) / len(symbols)
    numbers, counts = np.unique(symbols, return_counts=True)
    levels = int(numbers[-1] - numbers[0]) + 1
    return Rounding(low, high, levels, tuple(numbers.tolist()), tuple(counts.tolist()), bits)


class LayerCode(NamedTuple):
    """How one layer is coded. weights, nonzero: counts; symbols: how many different ones;
    fixed, huffman, entropy: bits per weight; mask, codes: the entropy in two parts, where the zeros
    are and which level the others have; leaves: of the Huffman tree, of values by their place in
    the table, or none where it can't be drawn; table: their values.
    """

    name: str
    weights: int
    nonzero: int
    symbols: int
    fixed: int
    huffman: float
    entropy: float
    mask: float
    codes: float
    leaves: list[Leaf]
    table: list[float]


class FileCode(NamedTuple):
    """A file, part by part, in bytes. nominal: params x bits; mask, codes: entropies of all layers;
    tables: codebooks, and how often each symbol occurs; biases, header; total: the real length.
    """

    layers: list[LayerCode]
    nominal: int
    mask: float
    codes: float
    weights: int
    tables: int
    biases: int
    header: int
    total: int


def file_code(recipe: Recipe, store: Store) -> FileCode:
    """Where each byte of the .nnz file of a recipe is."""
    compressed = build_up(recipe, store, Memory()).compressed
    data, parts = write(compressed)
    layers = [_layer_code(t) for t in compressed.tensors if t.symbols is not None]
    by_part: dict[str, int] = {}
    for part in parts:
        kind = part.part if part.part in ("weights", "bias", "header") else "tables"
        by_part[kind] = by_part.get(kind, 0) + part.bytes
    return FileCode(
        layers,
        compressed.nominal_bytes(),
        sum(layer.mask * layer.weights for layer in layers) / 8,
        sum(layer.codes * layer.weights for layer in layers) / 8,
        by_part.get("weights", 0),
        by_part.get("tables", 0),
        by_part.get("bias", 0),
        by_part.get("header", 0),
        len(data),
    )


def _layer_code(t: CompressedTensor) -> LayerCode:
    alphabet, counts, _ = t.counted
    n, used = int(counts.sum()), len(alphabet)
    leaves = huffman({int(s): int(c) for s, c in zip(alphabet, counts, strict=True)})
    values = _values(t, alphabet)
    zeros = counts[values == 0]
    others = counts[values != 0]
    whole = bits_of(counts) / n
    mask = bits_of(np.array([int(zeros.sum()), int(others.sum())])) / n if len(zeros) else 0.0
    return LayerCode(
        t.name.rsplit(".", 1)[0],
        n,
        int(others.sum()),
        used,
        max(1, math.ceil(math.log2(used))),
        mean_bits(leaves),
        whole,
        mask,
        whole - mask,
        leaves if used <= MOST_LEAVES else [],
        [float(v) for v in values] if used <= MOST_LEAVES else [],
    )


def _values(t: CompressedTensor, alphabet: np.ndarray) -> np.ndarray:
    """What each symbol stands for, up to a factor for the grids of single output units."""
    if t.kind == "codebook" and t.table is not None:
        return t.table[alphabet]
    return alphabet.astype(np.float32)


class Speed(NamedTuple):
    """Milliseconds for one image in ONNX Runtime, one thread: the median of so many runs, and the
    fastest and the slowest quarter.
    """

    median: float
    low: float
    high: float
    runs: int


def speeds(dense: Recipe, others: tuple[str, ...], store: Store) -> tuple[Speed, ...]:
    """The dense network, and what these steps (as `steps_text` writes them) make of it; they take
    turns.
    """
    memory, runs = Memory(), []
    for recipe in (dense, *(dense.then(*parse_steps(text)) for text in others)):
        model = build_up(recipe, store, memory).model
        image = {"images": np.zeros((1, *model.architecture.shape), np.uint8)}
        session = onnx_session(onnx_model(model, recipe.dataset, {}))
        runs.append(partial(session.run, ["logits"], image))
    found = take_turns(runs, TURNS, SECONDS)
    return tuple(Speed(*found.ms(i), found.runs(i)) for i in range(len(runs)))


class Suspect(NamedTuple):
    """An image that the dense network gets right. place: in its split; answer: of the compressed
    network; before, after: shares that the right class got and gets.
    """

    place: int
    label: int
    answer: int
    before: float
    after: float


def suspects(recipe: Recipe, split: str, store: Store) -> tuple[Suspect, ...]:
    """SUSPECTS images, one of which the network of the recipe gets wrong now: the one that fell
    most; in an order by chance, the same each time. None where it gets no such image wrong.
    """
    base, run = verdicts_of(recipe.dense, split, store), verdicts_of(recipe, split, store)
    lost = moved(base, run).lost
    if not len(lost):
        return ()
    chance = np.random.default_rng(int(recipe.digest, 16))
    both = np.flatnonzero(base.right & run.right)
    others = chance.choice(both, min(len(both), SUSPECTS - 1), replace=False)
    places = chance.permutation(np.append(others, lost[0]))
    return tuple(
        Suspect(
            int(i),
            int(run.labels[i]),
            int(run.answers[i]),
            float(base.truth[i]),
            float(run.truth[i]),
        )  # fmt: skip
        for i in places
    )
