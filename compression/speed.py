"""How fast a network is in the engine that it is taken to, beside the dense network in that engine.

Both take turns, so that a busy moment hits both. torch is timed apart: what another engine gains is
not what compression gains.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import sqlalchemy as sa
import torch

from .data import load
from .database import upsert, with_tables
from .errors import Cancelled
from .exports import int8_recipe, why_not
from .inference import frozen_weights
from .language import marked
from .machine import Machine, this_machine, versions
from .models import Chain
from .onnx_export import onnx_model, onnx_session
from .pipeline import Listen, Progress, rebuilt
from .recipe import Recipe
from .store import Store
from .timing import Run, Turns, take_turns

ENGINES = {"onnxruntime": "ONNX Runtime", "torch": "torch, eager"}
KINDS = {"fp32": marked("floats"), "int8": "int8"}
BATCHES = (1, 256)
LABELS = {1: marked("Speed of 1 image"), 256: marked("Speed of 256 images")}  # of each of BATCHES
QUIET = 0.25  # cores that others may keep busy; above, it is measured again
_tables = sa.MetaData()
_speeds = sa.Table(
    "speeds",
    _tables,
    sa.Column("digest", sa.String(16), primary_key=True),
    sa.Column("machine", sa.String(120), primary_key=True),
    sa.Column("content", sa.Text),
    sa.Column("measured", sa.Float),  # seconds since 1970
)


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one batch: the median of so many runs and their quartiles. faster: how many
    times against the dense floats in the same engine, turn by turn, with quartiles; others: cores
    that other programs kept busy meanwhile.
    """

    engine: str  # of ENGINES
    kind: str  # of KINDS
    batch: int  # images
    threads: int
    median_ms: float
    low_ms: float
    high_ms: float
    runs: int
    faster: float
    faster_low: float
    faster_high: float
    others: float


@dataclass(frozen=True)
class Pace:
    """How long is measured: turns of so many seconds each, and how often at most, until others are
    quiet.
    """

    turns: int = 11
    seconds: float = 0.04
    tries: int = 2


@dataclass(frozen=True)
class Speed:
    """What was measured of a recipe's network. digest: of the recipe; dense: the dense network it
    is compared with, measured in the same turns; versions: by name; when: seconds since 1970.
    """

    digest: str
    timings: tuple[Timing, ...]
    dense: tuple[Timing, ...]
    machine: Machine
    versions: Mapping[str, str]
    when: float

    def timing(self, engine: str, kind: str, batch: int, threads: int) -> Timing | None:
        """That of the recipe's network; None where there is no such file of it."""
        return _of(self.timings, engine, kind, batch, threads)

    def beside(self, timing: Timing) -> Timing:
        """The dense floats that this one is compared with."""
        found = _of(self.dense, timing.engine, "fp32", timing.batch, timing.threads)
        assert found is not None
        return found

    @property
    def others(self) -> float:
        """Cores that other programs kept busy, the most of any timing."""
        return max(t.others for t in self.timings)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Speed:
        timings, dense = (tuple(Timing(**t) for t in d[name]) for name in ("timings", "dense"))
        machine, versions = Machine(**d["machine"]), dict(d["versions"])
        return cls(d["digest"], timings, dense, machine, versions, float(d["when"]))


def _of(
    timings: tuple[Timing, ...], engine: str, kind: str, batch: int, threads: int
) -> Timing | None:
    wanted = engine, kind, batch, threads
    return next((t for t in timings if (t.engine, t.kind, t.batch, t.threads) == wanted), None)


# measuring


def measure(
    recipe: Recipe,
    store: Store,
    *,
    listen: Listen = lambda progress: None,
    stopped: Callable[[], bool] = lambda: False,
    pace: Pace = Pace(),
    engines: Collection[str] = tuple(ENGINES),
) -> Speed:
    """The speed of a recipe's network, whose training must be stored; measured now, and kept.

    As floats and as int8, where there are such files. stopped: asked before each block; True raises
    Cancelled, nothing is kept.
    """
    networks = {"dense": recipe.dense}
    networks |= {"fp32": recipe} if not why_not("onnx", recipe) else {}
    networks |= {"int8": int8_recipe(recipe)} if not why_not("onnx-int8", recipe) else {}
    models = {name: rebuilt(one, store) for name, one in networks.items()}
    mine: list[Timing] = []
    dense: list[Timing] = []
    cells = [(b, t, e) for b in BATCHES for t in sorted({1, this_machine().cores}) for e in engines]
    begun = time.monotonic()
    for i, (batch, threads, engine) in enumerate(cells):
        spent = time.monotonic() - begun
        left = spent / i * (len(cells) - i) if i else 0.0
        listen(Progress(len(recipe.steps), LABELS[batch], i / len(cells), math.nan, left))
        found = _cell(models, recipe.dataset, batch, threads, engine, stopped, pace)
        dense.append(found.pop("dense"))
        mine += found.values()
    speed = Speed(recipe.digest, tuple(mine), tuple(dense), this_machine(), versions(), time.time())
    put(store, speed)
    return speed


def _cell(
    models: Mapping[str, Chain],
    dataset: str,
    batch: int,
    threads: int,
    engine: str,
    stopped: Callable[[], bool],
    pace: Pace,
) -> dict[str, Timing]:
    """All networks that an engine can run, with one batch and so many threads; again where others
    were busy meanwhile, and the quietest counts.
    """

    def between() -> None:
        if stopped():
            raise Cancelled("stopped on request")

    with RUNS[engine](models, dataset, batch, threads) as runs:
        tries: list[Turns] = []
        while not tries or (tries[-1].others > QUIET and len(tries) < pace.tries):
            tries.append(take_turns([*runs.values()], pace.turns, pace.seconds, between))
    best = min(tries, key=lambda turns: turns.others)
    return {
        name: Timing(
            engine,
            "int8" if name == "int8" else "fp32",
            batch,
            threads,
            *best.ms(i),
            best.runs(i),
            *best.faster(i),
            best.others,
        )
        for i, name in enumerate(runs)
    }


@contextmanager
def _in_onnxruntime(
    models: Mapping[str, Chain], dataset: str, batch: int, threads: int
) -> Iterator[dict[str, Run]]:
    images = _images(dataset, batch)
    yield {
        name: partial(
            onnx_session(onnx_model(model, dataset, {}), threads).run,
            ["logits"],
            {"images": images},
        )
        for name, model in models.items()
    }


@contextmanager
def _in_torch(
    models: Mapping[str, Chain], dataset: str, batch: int, threads: int
) -> Iterator[dict[str, Run]]:
    """Floats only: whole numbers are simulated here, which says nothing of their speed."""
    data, images = load(dataset), torch.from_numpy(_images(dataset, batch))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)

    def run(model: Chain) -> torch.Tensor:
        return model(data.to_input(images))

    try:
        with frozen_weights():
            yield {n: partial(run, m.eval()) for n, m in models.items() if n != "int8"}
    finally:
        torch.set_num_threads(before)


def _images(dataset: str, batch: int) -> np.ndarray:
    """Those of validation, from the first on again where there are not as many."""
    images = load(dataset).validation.images.numpy()
    return np.resize(images, (batch, *images.shape[1:]))


RUNS = {"onnxruntime": _in_onnxruntime, "torch": _in_torch}

# the store


def put(store: Store, speed: Speed) -> None:
    """Keep it, in place of what was measured of the same recipe on the same machine before."""
    machine = f"{speed.machine.cores} x {speed.machine.processor}"
    key = dict(digest=speed.digest, machine=machine[:120])
    values = dict(content=json.dumps(speed.to_dict()), measured=speed.when)
    with with_tables(store.engine, _tables).begin() as c:
        upsert(c, _speeds, key, values)


def stored(store: Store, digest: str) -> Speed | None:
    """The newest of a recipe, whatever machine it was measured on; None where there is none."""
    mine = _speeds.c.digest == digest
    query = sa.select(_speeds.c.content).where(mine).order_by(_speeds.c.measured.desc())
    with with_tables(store.engine, _tables).connect() as c:
        for text in c.execute(query).scalars():
            try:
                return Speed.from_dict(json.loads(text))
            except (KeyError, TypeError, ValueError):
                continue  # of another version of the lab
    return None
