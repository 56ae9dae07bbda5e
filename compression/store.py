"""Finished runs, their files and checkpoints: a database and a folder, with the shipped networks as
first layer.

Everything is addressed by a recipe's digest, written atomically, and checked when it is read.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import threading
import time
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import numpy as np
import sqlalchemy as sa

from .database import insert, open_database, upsert
from .errors import CompressionError, InvalidInput, StoreError
from .labels import NOTHING, Label
from .language import FIRST, in_all
from .result import Result
from .settings import ROOT, settings

log = logging.getLogger(__name__)
ZOO = ROOT / "assets" / "zoo"
SHELF_SECONDS = 0.3
LATE = 10.0  # seconds: clocks of machines that share a store differ by less
_opening = threading.Lock()  # several threads may be the first to ask
_tables = sa.MetaData()
_runs = sa.Table(
    "runs",
    _tables,
    sa.Column("digest", sa.String(16), primary_key=True),
    sa.Column("model", sa.String(64), index=True),
    sa.Column("dataset", sa.String(64), index=True),
    sa.Column("result", sa.Text),
    sa.Column("kept", sa.Boolean, index=True),
    sa.Column("changed", sa.Float, index=True),  # seconds since 1970
)
_predictions = sa.Table(
    "predictions",
    _tables,
    sa.Column("digest", sa.String(16), primary_key=True),
    sa.Column("split", sa.String(16), primary_key=True),
    sa.Column("classes", sa.LargeBinary),
)
_files = sa.Table(
    "files",
    _tables,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("checksum", sa.String(32)),
)
_labels = sa.Table(
    "labels",
    _tables,
    sa.Column("digest", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(60)),
    sa.Column("note", sa.Text),
    sa.Column("starred", sa.Boolean),
)
_deleted = sa.Table(  # what is gone, for those who have it in memory; a run that comes back is not
    "deleted", _tables, sa.Column("digest", sa.String(16), primary_key=True)
)


def _pack(classes: np.ndarray) -> bytes:
    return zlib.compress(classes.astype(np.uint8).tobytes(), 6)


def _unpack(data: bytes) -> np.ndarray:
    return np.frombuffer(zlib.decompress(data), np.uint8)


def _checksum(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True)
class ZooEntry:
    """A shipped network: its result, its predictions by split, and where its checkpoint lies."""

    result: Result
    predictions: Mapping[str, np.ndarray]
    checkpoint: Path
    checksum: str


def read_zoo(folder: Path = ZOO) -> dict[str, ZooEntry]:
    """The shipped networks by digest: every *.json of the folder with the safetensors file beside
    it.
    """
    entries = {}
    for path in sorted(folder.glob("*.json")):
        d = json.loads(path.read_text())
        result = Result.from_dict(d["result"])
        predictions = {s: _unpack(bytes.fromhex(text)) for s, text in d["predictions"].items()}
        entries[result.digest] = ZooEntry(
            result, predictions, path.with_suffix(".safetensors"), d["checksum"]
        )
    return entries


def write_zoo(
    result: Result, predictions: Mapping[str, np.ndarray], checkpoint: bytes, folder: Path = ZOO
) -> None:
    """Put a network among the shipped ones."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{result.recipe.model}-{result.recipe.dataset}"
    entry = {
        "result": result.to_dict(),
        "predictions": {split: _pack(classes).hex() for split, classes in predictions.items()},
        "checksum": _checksum(checkpoint),
    }
    (folder / f"{name}.safetensors").write_bytes(checkpoint)
    (folder / f"{name}.json").write_text(json.dumps(entry, sort_keys=True) + "\n")


class Stamp(NamedTuple):
    """Of all stored runs. last: when one was changed last, seconds since 1970; total: the sum of
    all these times, which shows a change by a machine whose clock is behind.
    """

    runs: int
    last: float
    total: float
    deleted: int


class Store:
    """Runs by digest.

    database: SQLAlchemy address; files: folder or fsspec address; both from the settings if None.
    """

    def __init__(
        self, database: str | None = None, files: str | None = None, zoo: Path = ZOO
    ) -> None:
        self.database = database or settings().store
        self.address = files or settings().files
        self._zoo_folder = zoo
        self._zoo: dict[str, ZooEntry] | None = None
        self._engine: sa.Engine | None = None

    @property
    def zoo(self) -> dict[str, ZooEntry]:
        if self._zoo is None:
            self._zoo = read_zoo(self._zoo_folder)
        return self._zoo

    @property
    def engine(self) -> sa.Engine:
        with _opening:
            if self._engine is None:
                self._engine = open_database(self.database, _tables)
            return self._engine

    @property
    def home(self) -> str:
        """Where everything is kept, without user and password: equal for all who share it."""
        url = sa.engine.make_url(self.database).set(username=None, password=None)
        return f"{url.render_as_string()} and {self.address}"

    @property
    def late(self) -> float:
        """Seconds by which a run may seem to have changed before one that was seen already: with
        SQLite there is one clock, and one writer at a time.
        """
        return 0.0 if self.engine.dialect.name == "sqlite" else LATE

    # runs -----------------------------------------------------------------------------------------
    # -------------

    def get(self, digest: str, split: str = "validation") -> Result | None:
        """The result of this recipe, if it is there and was scored on the split."""
        return self.get_many([digest], split).get(digest)

    def get_many(self, digests: Sequence[str], split: str = "validation") -> dict[str, Result]:
        """The results of those of these recipes that are there and were scored on the split."""
        found = {d: self.zoo[d].result for d in digests if d in self.zoo}
        others = [d for d in digests if d not in found]
        if others:
            query = sa.select(_runs.c.result).where(_runs.c.digest.in_(others))
            with self.engine.connect() as c:
                rows = [_readable(text) for text in c.execute(query).scalars()]
            found |= {r.digest: r for r in rows if r is not None and r.accuracy(split)}
        return found

    def predictions(self, digest: str, split: str) -> np.ndarray | None:
        """Class answered for each image of the split, uint8 (N,), if the run was scored on it."""
        if digest in self.zoo:
            return self.zoo[digest].predictions.get(split)
        where = (_predictions.c.digest == digest) & (_predictions.c.split == split)
        with self.engine.connect() as c:
            packed = c.execute(sa.select(_predictions.c.classes).where(where)).scalar()
        return None if packed is None else _unpack(packed)

    def put(self, result: Result, predictions: Mapping[str, np.ndarray], kept: bool) -> None:
        """Keep a result and its predictions. kept: False for what a slider passed. A fuller result
        is never replaced
        by a poorer one, and a kept run stays kept."""
        digest, recipe = result.digest, result.recipe
        row: dict[str, Any] = dict(
            model=recipe.model, dataset=recipe.dataset, result=json.dumps(result.to_dict())
        )
        with self.engine.begin() as c:
            insert(c, _runs, {"digest": digest}, {})
            mine = sa.select(_runs.c.result, _runs.c.kept).where(_runs.c.digest == digest)
            old = c.execute(mine.with_for_update()).first()  # who else puts it waits for us
            before = _readable(old.result) if old and old.result else None
            if before and before.test and result.test is None:
                row.pop("result")
            row["changed"] = time.time()
            row["kept"] = bool(kept or (old and old.kept))
            upsert(c, _runs, {"digest": digest}, row)
            c.execute(sa.delete(_deleted).where(_deleted.c.digest == digest))
            for split, classes in predictions.items():
                upsert(
                    c, _predictions, {"digest": digest, "split": split}, {"classes": _pack(classes)}
                )

    def runs(
        self,
        dataset: str,
        model: str | None = None,
        kept: bool | None = None,
        since: float = 0.0,
    ) -> list[Result]:
        """All results of a data set, and of one network if named, newest first, the shipped
        networks among them. since: seconds since 1970, only what was changed then or later.
        """
        query = (
            sa.select(_runs.c.result)
            .where((_runs.c.dataset == dataset) & (_runs.c.changed >= since))
            .order_by(_runs.c.changed.desc())
        )
        if model:
            query = query.where(_runs.c.model == model)
        if kept is not None:
            query = query.where(_runs.c.kept == kept)
        with self.engine.connect() as c:
            found = [_readable(text) for text in c.execute(query).scalars()]
        own = [r for r in found if r is not None and r.digest not in self.zoo]
        shipped = [
            e.result
            for e in self.zoo.values()
            if e.result.recipe.dataset == dataset and model in (None, e.result.recipe.model)
        ]
        return own + shipped

    def stamp(self) -> Stamp:
        """Changes whenever a run is added, changed or deleted: for caches of `runs`."""
        gone = sa.select(sa.func.count()).select_from(_deleted).scalar_subquery()
        when = _runs.c.changed
        query = sa.select(sa.func.count(), sa.func.max(when), sa.func.sum(when), gone)
        with self.engine.connect() as c:
            n, last, total, deleted = c.execute(query.select_from(_runs)).one()
        return Stamp(int(n), float(last or 0), float(total or 0), int(deleted))

    def delete(self, digest: str) -> None:
        """Remove a run: its figures, its answers, its file, its label, and its checkpoint unless
        a stored run starts from that. Raises InvalidInput for a shipped network, StoreError for a
        run that is not there.
        """
        if digest in self.zoo:
            raise InvalidInput("a shipped network can't be deleted")
        names = [f"{digest}.nnz"]
        with self.engine.begin() as c:
            row = c.execute(sa.select(_runs).where(_runs.c.digest == digest)).first()
            if row is None:
                raise StoreError("run {digest} is not in the store", digest=digest)
            if not self._starts_another(c, row):
                names.append(f"{digest}.safetensors")
            for table in (_runs, _predictions, _labels):
                c.execute(sa.delete(table).where(table.c.digest == digest))
            there = _files.c.name.in_(names)
            names = [*c.execute(sa.select(_files.c.name).where(there)).scalars()]
            c.execute(sa.delete(_files).where(there))
            upsert(c, _deleted, {"digest": digest}, {})
        for name in names:
            self._remove(name)

    def _starts_another(self, c: sa.Connection, row: sa.Row[Any]) -> bool:
        """Whether a run has a checkpoint, and another run's recipe goes on from its own."""
        checkpoint = _files.c.name == f"{row.digest}.safetensors"
        if c.execute(sa.select(_files.c.name).where(checkpoint)).first() is None:
            return False
        others = sa.select(_runs.c.result).where(
            (_runs.c.model == row.model)
            & (_runs.c.dataset == row.dataset)
            & (_runs.c.digest != row.digest)
        )
        mine = _recipe_of(row.result)
        return any(_goes_on(mine, _recipe_of(text)) for text in c.execute(others).scalars())

    def deleted(self) -> set[str]:
        """Digests of the runs that were deleted and have not come back."""
        with self.engine.connect() as c:
            return set(c.execute(sa.select(_deleted.c.digest)).scalars())

    # labels ---------------------------------------------------------------------------------------
    # -------------

    def labels(self) -> dict[str, Label]:
        """What people say of runs, by digest; runs of which nothing is said are not in it."""
        with self.engine.connect() as c:
            rows = c.execute(sa.select(_labels)).all()
        return {r.digest: Label(r.name, r.note, bool(r.starred)) for r in rows}

    def put_label(self, digest: str, label: Label) -> None:
        """Say this of a run, in place of what was said. Raises StoreError if it is not there."""
        with self.engine.begin() as c:
            there = c.execute(sa.select(_runs.c.digest).where(_runs.c.digest == digest)).first()
            if there is None and digest not in self.zoo:
                raise StoreError("run {digest} is not in the store", digest=digest)
            if label == NOTHING:
                c.execute(sa.delete(_labels).where(_labels.c.digest == digest))
            else:
                upsert(c, _labels, {"digest": digest}, dataclasses.asdict(label))

    # files ----------------------------------------------------------------------------------------
    # -------------

    def file(self, digest: str) -> bytes | None:
        """The .nnz file of a kept run."""
        return self._read(f"{digest}.nnz")

    def put_file(self, digest: str, data: bytes) -> None:
        self._write(f"{digest}.nnz", data)

    def checkpoint(self, digest: str) -> bytes | None:
        """The checkpoint behind this recipe's last step."""
        if digest in self.zoo:
            entry = self.zoo[digest]
            return _checked(entry.checkpoint.name, entry.checkpoint.read_bytes(), entry.checksum)
        return self._read(f"{digest}.safetensors")

    def has_checkpoint(self, digest: str) -> bool:
        if digest in self.zoo:
            return True
        name = f"{digest}.safetensors"
        with self.engine.connect() as c:
            return (
                c.execute(sa.select(_files.c.name).where(_files.c.name == name)).first() is not None
            )

    def put_checkpoint(self, digest: str, data: bytes) -> None:
        self._write(f"{digest}.safetensors", data)

    def _path(self, name: str) -> tuple[fsspec.AbstractFileSystem, str]:
        fs, root = fsspec.core.url_to_fs(self.address)
        return fs, f"{root.rstrip('/')}/{name[:2]}/{name}"

    def _read(self, name: str) -> bytes | None:
        with self.engine.connect() as c:
            checksum = c.execute(sa.select(_files.c.checksum).where(_files.c.name == name)).scalar()
        if checksum is None:
            return None
        fs, path = self._path(name)
        try:
            return _checked(name, fs.cat_file(path), checksum)
        except OSError as e:
            raise StoreError(
                "{name} is in the store's list, but can't be read: {reason}",
                name=name,
                reason=str(e),
            ) from None

    def _remove(self, name: str) -> None:
        """A file whose row is gone. One that can't be removed is in nobody's way."""
        fs, path = self._path(name)
        try:
            fs.rm_file(path)
        except FileNotFoundError:
            return
        except OSError as e:
            log.warning("%s is deleted, but its file can't be removed: %s", name, e)

    def _write(self, name: str, data: bytes) -> None:
        """The file under another name, then moved, and noted when it is whole; who writes the same
        one waits meanwhile, so that a row never names the checksum of another's bytes.
        """
        fs, path = self._path(name)
        part = f"{path}.{uuid.uuid4().hex}.part"
        try:
            fs.makedirs(os.path.dirname(path), exist_ok=True)
            fs.pipe_file(part, data)
            with self.engine.begin() as c:
                upsert(c, _files, {"name": name}, {"checksum": _checksum(data)})
                fs.mv(part, path)
        except OSError as e:
            raise StoreError(
                "{name} can't be written: {reason}", name=name, reason=str(e)
            ) from None


class Shelf:
    """All results of a data set in memory, for many readers: only what is new is read again."""

    def __init__(self, store: Store, dataset: str) -> None:
        self._store, self._dataset = store, dataset
        self._results: dict[str, Result] = {}  # the newest last
        self._stamp = Stamp(-1, 0.0, 0.0, 0)
        self._looked = -math.inf
        self._lock = threading.Lock()

    def results(self, model: str | None = None) -> list[Result]:
        """Newest first; of one network if named. What is new or deleted is seen within
        SHELF_SECONDS.
        """
        with self._lock:
            if time.monotonic() - self._looked > SHELF_SECONDS:
                self._looked, stamp = time.monotonic(), self._store.stamp()
                if stamp != self._stamp:
                    for digest in self._store.deleted():
                        self._results.pop(digest, None)
                    since = self._stamp.last - self._store.late
                    new = self._store.runs(self._dataset, since=since)
                    for result in reversed(new):
                        self._results.pop(result.digest, None)
                        self._results[result.digest] = result
                    self._stamp = stamp
            return [r for r in reversed(self._results.values()) if model in (None, r.recipe.model)]

    def look_again(self) -> None:
        """Look at the store for the next results, however short ago the last look was."""
        with self._lock:
            self._looked = -math.inf


def _readable(text: str) -> Result | None:
    """The result of a row; None for one of another version of the lab, or a damaged one."""
    try:
        return Result.from_dict(json.loads(text))
    except (CompressionError, KeyError, TypeError, ValueError) as e:
        log.warning("a stored run can't be read and is left out: %s", in_all(e.__str__)[FIRST])
        return None


def _recipe_of(text: str) -> dict[str, Any]:
    """The recipe of a row as it was written; an empty one where it can't be read."""
    try:
        return dict(json.loads(text)["recipe"])
    except (KeyError, TypeError, ValueError):
        return {}


def _goes_on(start: Mapping[str, Any], recipe: Mapping[str, Any]) -> bool:
    """Whether a recipe, as written, begins with all of another one."""
    first, steps = start.get("steps", []), recipe.get("steps", [])
    same = all(start.get(k) == recipe.get(k) for k in ("model", "dataset", "width", "seed"))
    return bool(first) and same and steps[: len(first)] == first


def _checked(name: str, data: bytes, checksum: str) -> bytes:
    if _checksum(data) != checksum:
        raise StoreError("{name} is damaged: its checksum is not the one that was noted", name=name)
    return data
