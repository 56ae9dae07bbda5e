"""How fast a network is in the engine that it is taken to, beside the dense network in that engine.

Both take turns, so that a busy moment hits both. torch is timed apart: what another engine gains is
not what compression gains.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from .store import Store

ENGINES = {"onnxruntime": "ONNX Runtime", "torch": "torch, eager"}
KINDS = {"fp32": "floats", "int8": "int8"}
BATCHES = (1, 256)
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
class Machine:
    processor: str
    cores: int

    @property
    def name(self) -> str:
        return f"{self.processor}, {self.cores} core{'s' if self.cores > 1 else ''}"


@dataclass(frozen=True)
class Versions:
    onnxruntime: str
    torch: str
    python: str


@dataclass(frozen=True)
class Speed:
    """What was measured of a recipe's network. digest: of the recipe; dense: the dense network it
    is compared with, measured in the same turns; when: seconds since 1970.
    """

    digest: str
    timings: tuple[Timing, ...]
    dense: tuple[Timing, ...]
    machine: Machine
    versions: Versions
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
        machine, versions = Machine(**d["machine"]), Versions(**d["versions"])
        return cls(d["digest"], timings, dense, machine, versions, d["when"])


def _of(
    timings: tuple[Timing, ...], engine: str, kind: str, batch: int, threads: int
) -> Timing | None:
    wanted = engine, kind, batch, threads
    return next((t for t in timings if (t.engine, t.kind, t.batch, t.threads) == wanted), None)


# the store


def put(store: Store, speed: Speed) -> None:
    """Keep it, in place of what was measured of the same recipe on the same machine before."""
    _tables.create_all(store.engine)
    key = dict(digest=speed.digest, machine=speed.machine.name[:120])
    values = dict(content=json.dumps(speed.to_dict()), measured=speed.when)
    mine = sa.and_(*(_speeds.c[k] == v for k, v in key.items()))
    change = sa.update(_speeds).where(mine).values(**values)
    with store.engine.begin() as c:
        if c.execute(change).rowcount:
            return
        try:
            with c.begin_nested():
                c.execute(sa.insert(_speeds).values(**key, **values))
        except IntegrityError:  # somebody else has put one in this moment
            c.execute(change)


def stored(store: Store, digest: str) -> Speed | None:
    """The newest of a recipe, whatever machine it was measured on; None where there is none."""
    _tables.create_all(store.engine)
    mine = _speeds.c.digest == digest
    query = sa.select(_speeds.c.content).where(mine).order_by(_speeds.c.measured.desc())
    with store.engine.connect() as c:
        for text in c.execute(query).scalars():
            try:
                return Speed.from_dict(json.loads(text))
            except (KeyError, TypeError, ValueError):
                continue  # of another version of the lab
    return None
