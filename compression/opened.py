"""A `.nnz` file from outside: checked, scored here, and what its layers hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import storage
from .baselines import baseline
from .pipeline import FileScore, evaluate_file
from .result import Accuracy
from .store import Store


@dataclass(frozen=True)
class FileLayer:
    """name: of a layer or norm; shape: of its weight; kind: how that is stored, see docs/format.md;
    values: different ones in it; nonzero: of its weights; bytes: of all that the file holds of it.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    values: int | None
    nonzero: int
    bytes: int

    @property
    def weights(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Opened:
    """score: of the file's network; dense: the lab's own dense network on the same images."""

    score: FileScore
    layers: tuple[FileLayer, ...]
    dense: Accuracy | None


def open_file(data: bytes, split: str, store: Store) -> Opened:
    """What a file holds and scores. Raises FormatError for anything that is not a whole one."""
    compressed = storage.loads(data)
    score = evaluate_file(data, split=split)
    sizes: dict[str, int] = {}
    for part in storage.write(compressed)[1]:
        sizes[part.layer] = sizes.get(part.layer, 0) + part.bytes
    layers = tuple(
        FileLayer(
            name=(name := t.name.removesuffix(".weight")),
            shape=t.shape,
            kind=t.kind,
            values=None if t.symbols is None else len(t.counted.alphabet),
            nonzero=t.nonzero,
            bytes=sizes[name] + sizes.get(f"{name}.input", 0),
        )
        for t in compressed.tensors
        if t.name.endswith(".weight")
    )
    known = store.get(baseline(score.network, score.dataset).digest, split)
    return Opened(score, layers, known.accuracy(split) if known else None)
