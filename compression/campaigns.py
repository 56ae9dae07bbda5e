"""What is being worked off: sweeps and searches, in the store's database, so that they go on after
a restart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from .database import insert, with_tables
from .errors import CompressionError, JobError
from .goals import Goal
from .grid import Sweep
from .language import as_read, in_all
from .store import Store

MOST_RUNNING = 8  # of all people together
BEAT = 2.0  # seconds between two signs that a server works on one
PATIENCE = 10.0  # seconds after which a server that does not say that it works is taken for gone
STATES = ("running", "stopped", "done", "failed")
KINDS: dict[str, Callable[[Mapping[str, Any]], Sweep | Goal]] = {
    "sweep": Sweep.from_dict,
    "goal": Goal.from_dict,
}
_tables = sa.MetaData()
_campaigns = sa.Table(
    "campaigns",
    _tables,
    sa.Column("digest", sa.String(16), primary_key=True),
    sa.Column("kind", sa.String(16)),
    sa.Column("dataset", sa.String(64), index=True),
    sa.Column("content", sa.Text),
    sa.Column("state", sa.String(16), index=True),
    sa.Column("error", sa.Text),
    sa.Column("spent", sa.Float),
    sa.Column("created", sa.Float),
    sa.Column("holder", sa.String(40)),
    sa.Column("beat", sa.Float),
)


@dataclass(frozen=True)
class Campaign:
    """A sweep or a search. state: one of STATES; error: why it failed; spent: seconds of work;
    created: seconds since 1970.
    """

    content: Sweep | Goal
    state: str
    error: str
    spent: float
    created: float

    @property
    def digest(self) -> str:
        return self.content.digest


class Campaigns:
    """All campaigns of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _engine(self) -> sa.Engine:
        return with_tables(self._store.engine, _tables)

    def start(self, content: Sweep | Goal) -> None:
        """Begin it, or go on with it, for the longer time that a goal may name now. Raises JobError
        where too many are running.
        """
        now = time.time()
        kind = "sweep" if isinstance(content, Sweep) else "goal"
        with self._engine.begin() as c:
            running = _campaigns.c.state == "running"
            others = running & (_campaigns.c.digest != content.digest)
            busy = c.execute(sa.select(sa.func.count()).where(others)).scalar_one()
            if busy >= MOST_RUNNING:
                raise JobError(
                    "{most} sweeps and searches are running; stop one, or wait for it",
                    most=MOST_RUNNING,
                )
            mine = _campaigns.c.digest == content.digest
            text = json.dumps(content.to_dict())
            fresh = dict(content=text, state="running", error="", beat=0.0)
            again = sa.update(_campaigns).where(mine).values(**fresh)
            begun = dict(kind=kind, dataset=content.dataset, spent=0.0, created=now, holder="")
            key = dict(digest=content.digest)
            if not c.execute(again).rowcount and not insert(c, _campaigns, key, fresh | begun):
                c.execute(again)  # somebody else has begun it in this moment

    def get(self, digest: str) -> Campaign | None:
        return next(iter(self._read(_campaigns.c.digest == digest)), None)

    def all(self, dataset: str) -> list[Campaign]:
        """Those of a data set, the newest first."""
        return self._read(_campaigns.c.dataset == dataset)

    def running(self) -> bool:
        """Whether any is."""
        query = sa.select(_campaigns.c.digest).where(_campaigns.c.state == "running").limit(1)
        with self._engine.connect() as c:
            return c.execute(query).first() is not None

    def claim(self, holder: str) -> list[Campaign]:
        """The running ones that this server works on: its own, and those that nobody works on any
        more; the oldest first.
        """
        now, running = time.time(), _campaigns.c.state == "running"
        mine = _campaigns.c.holder == holder
        due = (_campaigns.c.beat < now - PATIENCE) | (mine & (_campaigns.c.beat < now - BEAT))
        with self._engine.begin() as c:
            beat = sa.update(_campaigns).where(running & due).values(holder=holder, beat=now)
            c.execute(beat)
        return self._read(running & mine)[::-1]

    def note(self, digest: str, **values: Any) -> None:
        """Change its state or spent seconds."""
        with self._engine.begin() as c:
            c.execute(sa.update(_campaigns).where(_campaigns.c.digest == digest).values(**values))

    def fail(self, digest: str, error: CompressionError) -> None:
        """Note why it can't go on."""
        self.note(digest, state="failed", error=json.dumps(in_all(error.__str__)))

    def stop(self, digest: str) -> None:
        """Stop one that is running; `start` goes on with it."""
        mine = (_campaigns.c.digest == digest) & (_campaigns.c.state == "running")
        with self._engine.begin() as c:
            c.execute(sa.update(_campaigns).where(mine).values(state="stopped"))

    def forget(self, digest: str) -> None:
        """Take one off the list; its runs stay."""
        with self._engine.begin() as c:
            c.execute(sa.delete(_campaigns).where(_campaigns.c.digest == digest))

    def _read(self, where: sa.ColumnElement[bool]) -> list[Campaign]:
        query = sa.select(_campaigns).where(where).order_by(_campaigns.c.created.desc())
        with self._engine.connect() as c:
            rows = c.execute(query).all()
        found = []
        for row in rows:
            try:
                content = KINDS[row.kind](json.loads(row.content))
            except (CompressionError, KeyError, ValueError):
                continue  # of another version of the lab
            found.append(Campaign(content, row.state, _reason(row.error), row.spent, row.created))
        return found


def _reason(noted: str) -> str:
    """Why it failed; earlier versions of the lab noted that in English alone."""
    return as_read(json.loads(noted) if noted.startswith("{") else noted)
