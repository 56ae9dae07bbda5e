"""The database of a lab: opened, with tables of its own for each module that keeps something, and
rows that several writers may put at once; SQLite and PostgreSQL alike.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from .errors import StoreError

_made: WeakKeyDictionary[sa.Engine, list[sa.MetaData]] = WeakKeyDictionary()
_making = threading.Lock()


def open_database(address: str, tables: sa.MetaData) -> sa.Engine:
    """The database at this SQLAlchemy address, with these tables. Raises StoreError."""
    try:
        url = sa.engine.make_url(address)
        sqlite = url.get_backend_name() == "sqlite"
        if sqlite and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        if sqlite:
            engine = sa.create_engine(url, connect_args={"timeout": 30})
        else:  # the server may have restarted since we asked it last
            engine = sa.create_engine(url, pool_pre_ping=True)
        if sqlite:
            sa.event.listen(engine, "connect", _sqlite_pragmas)
            sa.event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
        return with_tables(engine, tables)
    except (SQLAlchemyError, OSError, ImportError) as e:
        raise StoreError(
            "the store can't be opened: {reason}", reason=str(e).splitlines()[0]
        ) from None


def with_tables(engine: sa.Engine, tables: sa.MetaData) -> sa.Engine:
    """The same database; those tables that are not there are made, once for each engine. Several
    processes may begin at once.
    """
    with _making:
        made = _made.setdefault(engine, [])
        if not any(tables is known for known in made):
            _create(tables, engine)
            made.append(tables)
    return engine


def _create(tables: sa.MetaData, engine: sa.Engine) -> None:
    for left in range(len(tables.tables), -1, -1):
        try:
            return tables.create_all(engine)
        except DBAPIError:  # another one has made it in this moment
            if not left:
                raise


def upsert(
    c: sa.Connection, table: sa.Table, key: Mapping[str, str], values: Mapping[str, Any]
) -> None:
    """Insert or update one row; two writers at once end with one row."""
    where = sa.and_(*(table.c[k] == v for k, v in key.items()))
    change = sa.update(table).where(where).values(**(values or key))
    if not c.execute(change).rowcount and not insert(c, table, key, values):
        c.execute(change)


def insert(
    c: sa.Connection, table: sa.Table, key: Mapping[str, str], values: Mapping[str, Any]
) -> bool:
    """Insert a row unless it is there. Returns whether it was not."""
    try:
        with c.begin_nested():
            c.execute(sa.insert(table).values(**key, **values))
    except IntegrityError:
        return False
    return True


def _sqlite_pragmas(connection: Any, _: object) -> None:
    connection.isolation_level = None  # we begin ourselves
    connection.execute("PRAGMA busy_timeout=30000")
    for attempt in range(100):  # the first to open a new file locks out others, who do not wait
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError:
            if attempt == 99:
                raise
            time.sleep(0.05)
    connection.execute("PRAGMA synchronous=NORMAL")
