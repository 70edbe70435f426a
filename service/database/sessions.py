"""The connection to the database: sessions that read, sessions that write; SQLite in WAL mode, or PostgreSQL.

A database of an earlier version is migrated when it is opened.
"""

import contextlib
import copy
import json
import math
import os
import sqlite3
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.orm import Session, sessionmaker

from ..errors import DamagedError, ServiceError, UnavailableError
from .tables import REVISION
from .turns import Turns

_SQLITE = {"timeout": 30}
_POSTGRESQL = {
    "connect_timeout": 5,
    "keepalives_idle": 10,  # a dead host is noticed in half a minute instead of two hours
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    # A process that stops in the middle of a transaction blocks all others: its session and its lock are ended.
    "options": "-c idle_in_transaction_session_timeout=20s -c lock_timeout=30s",
}
_ADVICE = {  # by what SQLite says
    "unable to open": "Is it a file of this account, in a folder that it can write to?",
    "readonly": "Make the file and its folder writable for this account, or name another data folder.",
    "is locked": "Another program has locked it: end that program, or wait for it, and try again.",
    "disk I/O": "Does the disk work, and is there space left on it?",
    "is full": "Free some space on its disk.",
}
_WRITERS = 7_205_759_404  # key of the advisory lock: any number that no other program on the server uses


class Database:
    """Sessions on one database: `reading` sees a snapshot, `writing` is one transaction that locks from its start.

    Use `with database.writing() as session:`; the end commits, an error rolls back. Writers are serialized on either
    kind of database: what one reads cannot change before it commits. So a writer must be fast. Of the threads of one
    process only one waits for the database, and holds a connection, at a time; the others wait for their turn.

    Args:
        writer_timeout: seconds for which most writers wait while one of this process waits for another program; then
            `writing` raises a `BusyError`. By default all wait for as long as it takes.

    Raises:
        ServiceError: the address is not that of a database, the database is another program's, or PostgreSQL's driver
            is not installed.
        UnavailableError: the database does not answer.
        DamagedError: the file is damaged, or not a database.
        ConflictError: another version made the database, and this one cannot upgrade it.
    """

    def __init__(self, url: str, *, writer_timeout: float | None = None):
        self.engine = _engine(url)
        self._turns = Turns(writer_timeout)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
            reads = self.engine
        else:
            event.listen(self.engine, "begin", _begin_postgresql)
            reads = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        try:
            if self._revision() != REVISION:
                from .migrations import upgrade

                upgrade(self.engine)
        except DatabaseError as error:
            raise unusable(error) from None
        self._binds = reads, self.engine.execution_options(writes=True)
        self._make_sessions()

    def _make_sessions(self, **info: Any) -> None:
        reads, writes = self._binds
        self.reading = sessionmaker(reads, expire_on_commit=False, info=info)
        self._writing = sessionmaker(writes, expire_on_commit=False, info=info)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A session for one transaction that writes.

        Raises:
            BusyError: other writers of this process have waited for the database for too long.
        """
        with self._turns.take(), self._writing.begin() as session:
            yield session

    def with_info(self, **info: Any) -> "Database":
        """The same database; its sessions carry `info`."""
        other = copy.copy(self)
        other._make_sessions(**info)
        return other

    def _revision(self) -> str | None:
        try:
            with self.engine.connect() as connection:
                return str(connection.scalar(text("SELECT version_num FROM alembic_version")))
        except DatabaseError:  # no such table; or no such database, which the upgrade reports
            return None


def unusable(error: DatabaseError) -> ServiceError:
    """An error of a database that cannot be used at all, as a sentence for the operator."""
    said = str(error.orig).splitlines()[0]
    if "malformed" in said or "not a database" in said:
        return DamagedError(
            f"The database is damaged: {said}. Nothing was changed. Restore a backup into a new data folder: "
            "landscape restore BACKUP --data NEW-FOLDER"
        )
    advice = [words for begin, words in _ADVICE.items() if begin in said]
    return UnavailableError(" ".join([f"The database does not answer: {said}.", *advice]))


def _engine(url: str) -> Engine:
    try:
        if url.startswith("sqlite"):
            engine = create_engine(url, connect_args=_SQLITE, json_serializer=_json)
            if (file := engine.url.database) and file != ":memory:":
                _require_own(file)
                _create_private(file)
            return engine
        return create_engine(url, connect_args=_POSTGRESQL, json_serializer=_json, pool_pre_ping=True)
    except ModuleNotFoundError:
        raise ServiceError("PostgreSQL needs psycopg: pip install 'loss-atlas[postgresql]'.") from None
    except ArgumentError:
        raise ServiceError(
            "LANDSCAPE_DATABASE is not the address of a database. Use postgresql://user:password@host/name."
        ) from None


def _require_own(file: str) -> None:
    """Refuse the database of another program before a connection of ours changes its journal."""
    from .migrations import require_own_tables

    tables: list[str] = []
    with contextlib.suppress(sqlite3.Error), contextlib.ExitStack() as stack:  # none yet, or it is reported later
        connection = sqlite3.connect(f"file:{quote(file)}?mode=ro", uri=True)
        stack.enter_context(contextlib.closing(connection))
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    require_own_tables(tables)


def _create_private(file: str) -> None:
    """Create the file of a new database for this account alone; SQLite gives its other files the same permissions."""
    with contextlib.suppress(OSError):  # SQLite reports it
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))


def _json(value: Any) -> str:
    """Strict JSON: null in place of NaN and infinity, as in all our JSON."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # BEGIN is issued below
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start of a transaction that writes: upgrading a read lock later can fail."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get("writes"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
