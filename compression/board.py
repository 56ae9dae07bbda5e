"""The class board: who has the smallest file at or above a target accuracy. An entry is a nickname
and a recipe, which the lab runs itself: there is no number that anybody could hand in.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from .database import insert, upsert, with_tables
from .errors import CompressionError, InvalidInput
from .labels import readable
from .language import marked
from .networks import refusals
from .recipe import Recipe
from .result import Result
from .store import Store

NICKNAME = 24  # characters, at most
MOST, MOST_EACH = 500, 20  # entries of one board, and of one person on it
MARKUP = frozenset("<>[]()*_`$:\\~#|&")
_tables = sa.MetaData()
_entries = sa.Table(
    "board_entries",
    _tables,
    sa.Column("digest", sa.String(16), primary_key=True),
    sa.Column("model", sa.String(64), index=True),
    sa.Column("dataset", sa.String(64), index=True),
    sa.Column("nickname", sa.String(NICKNAME)),
    sa.Column("owner", sa.String(40)),
    sa.Column("recipe", sa.Text),
    sa.Column("created", sa.Float),
)
_closed = sa.Table(  # boards that take no more entries
    "boards_closed",
    _tables,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("dataset", sa.String(64), primary_key=True),
    sa.Column("since", sa.Float),
)


@dataclass(frozen=True)
class Entry:
    """created: seconds since 1970."""

    nickname: str
    recipe: Recipe
    created: float

    @property
    def digest(self) -> str:
        return self.recipe.digest

    @property
    def who(self) -> str:
        """Nicknames that differ in capitals alone are one."""
        return self.nickname.casefold()


@dataclass(frozen=True)
class Place:
    """An entry where it stands. rank: from 1 on, 0 without one; result: None until it is run."""

    entry: Entry
    rank: int
    result: Result | None


def checked_nickname(text: str) -> str:
    """The nickname as it is shown. Raises InvalidInput for what can't be one."""
    name = " ".join(readable(marked("a nickname"), text, NICKNAME).split())
    if not name:
        raise InvalidInput("a nickname has at least one character")
    if bad := sorted(MARKUP & set(name)):
        raise InvalidInput(
            "a nickname has none of {signs}, got {got!r}",
            signs=" ".join(sorted(MARKUP)),
            got=bad[0],
        )
    return name


class Board:
    """The board of a network on a data set."""

    def __init__(self, store: Store, model: str, dataset: str) -> None:
        self._store, self.model, self.dataset = store, model, dataset

    def enter(self, nickname: str, recipe: Recipe, owner: str) -> Entry:
        """Put a recipe on the board; the first who has it keeps it. owner: of the browser session.
        Raises InvalidInput, or NotOffered for a recipe that can't be run.
        """
        entry = Entry(checked_nickname(nickname), recipe, time.time())
        if (recipe.model, recipe.dataset) != (self.model, self.dataset):
            raise InvalidInput(
                "this is the board of {model} on {dataset}, the recipe is for {other_model} on"
                " {other_dataset}",
                model=self.model,
                dataset=self.dataset,
                other_model=recipe.model,
                other_dataset=recipe.dataset,
            )
        if reasons := refusals(recipe):
            place, reason = next(iter(reasons.items()))
            raise InvalidInput(
                "step {place} of the recipe can't be done: {reason}", place=place + 1, reason=reason
            )
        values = dict(
            model=self.model,
            dataset=self.dataset,
            nickname=entry.nickname,
            owner=owner[:40],
            recipe=recipe.to_json(),
            created=entry.created,
        )
        with self._engine.begin() as c:
            self._check_room(c, owner[:40])
            if not insert(c, _entries, dict(digest=entry.digest), values):
                mine = _entries.c.digest == entry.digest
                first = c.execute(sa.select(_entries.c.nickname).where(mine)).scalar_one()
                raise InvalidInput(
                    "{nickname} has put this very recipe on the board already", nickname=first
                )
        return entry

    def _check_room(self, c: sa.Connection, owner: str) -> None:
        if self._since(c) is not None:
            raise InvalidInput("the board is closed: it takes no more entries")
        owners = c.execute(sa.select(_entries.c.owner).where(self._here(_entries))).scalars().all()
        if len(owners) >= MOST:
            raise InvalidInput("the board is full: it has {most} entries", most=MOST)
        if owners.count(owner) >= MOST_EACH:
            raise InvalidInput(
                "you have {most} entries on this board, which is the most", most=MOST_EACH
            )

    def entries(self) -> list[Entry]:
        """All of them, the first that came first."""
        query = sa.select(_entries).where(self._here(_entries)).order_by(_entries.c.created)
        with self._engine.connect() as c:
            rows = c.execute(query).all()
        found = []
        for row in rows:
            try:
                recipe = Recipe.from_json(row.recipe)
            except CompressionError:
                continue  # of another version of the lab
            found.append(Entry(row.nickname, recipe, row.created))
        return found

    def remove(self, digest: str) -> None:
        """Take an entry off the board; its run stays."""
        with self._engine.begin() as c:
            mine = self._here(_entries) & (_entries.c.digest == digest)
            c.execute(sa.delete(_entries).where(mine))

    def clear(self) -> None:
        """Take all entries off the board, and open it."""
        with self._engine.begin() as c:
            c.execute(sa.delete(_entries).where(self._here(_entries)))
        self.open()

    def close(self) -> None:
        """Take no more entries."""
        with self._engine.begin() as c:
            upsert(c, _closed, dict(model=self.model, dataset=self.dataset), {"since": time.time()})

    def open(self) -> None:
        with self._engine.begin() as c:
            c.execute(sa.delete(_closed).where(self._here(_closed)))

    @property
    def closed(self) -> bool:
        with self._engine.connect() as c:
            return self._since(c) is not None

    def stamp(self) -> tuple[object, ...]:
        """What changes when the board does: for those who look at it."""
        count = sa.select(sa.func.count(), sa.func.max(_entries.c.created))
        with self._engine.connect() as c:
            return (*c.execute(count.where(self._here(_entries))).one(), self._since(c))

    @property
    def _engine(self) -> sa.Engine:
        return with_tables(self._store.engine, _tables)

    def _since(self, c: sa.Connection) -> float | None:
        query = sa.select(_closed.c.since).where(self._here(_closed))
        return c.execute(query).scalar_one_or_none()

    def _here(self, table: sa.Table) -> sa.ColumnElement[bool]:
        return (table.c.model == self.model) & (table.c.dataset == self.dataset)


def standing(entries: Iterable[Entry], results: Mapping[str, Result], target: float) -> list[Place]:
    """Who stands where: of each nickname the smallest file at or above the target; behind them who
    has none, the most accurate first; then what is still to be run. results: by digest; target:
    validation accuracy, 0..1, for what one chooses by is no test any more.
    """
    known = [(e, results[e.digest]) for e in entries if e.digest in results]
    reached = [(e, r) for e, r in known if r.validation.value >= target]
    reached.sort(key=lambda pair: (pair[1].cost.bytes, pair[0].created))
    ranked = _first_of_each(reached)
    there = {e.who for e, _ in ranked}
    below = [(e, r) for e, r in known if e.who not in there]
    below.sort(key=lambda pair: (-pair[1].validation.value, pair[0].created))
    places = [Place(e, i, r) for i, (e, r) in enumerate(ranked, 1)]
    places += [Place(e, 0, r) for e, r in _first_of_each(below)]
    return places + [Place(e, 0, None) for e in entries if e.digest not in results]


def _first_of_each(pairs: list[tuple[Entry, Result]]) -> list[tuple[Entry, Result]]:
    """Of each person the first."""
    found: dict[str, tuple[Entry, Result]] = {}
    for entry, result in pairs:
        found.setdefault(entry.who, (entry, result))
    return list(found.values())
