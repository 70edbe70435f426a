"""The connection to the database: sessions that read, sessions that write; SQLite in WAL mode, or PostgreSQL.

A database of an earlier version is migrated when it is opened.
"""

import copy
import json
import math
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.orm import sessionmaker

from ..errors import ServiceError, UnavailableError
from .tables import REVISION

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
_WRITERS = 7_205_759_404  # key of the advisory lock: any number that no other program on the server uses


class Database:
    """Sessions on one database: `reading` sees a snapshot, `writing` is one transaction that locks from its start.

    Use `with database.writing() as session:`; the end commits, an error rolls back. Writers are serialized on either
    kind of database: what one reads cannot change before it commits. So a writer must be fast.

    Raises:
        ServiceError: the address is not that of a database, or PostgreSQL's driver is not installed.
        UnavailableError: the database does not answer.
        ConflictError: another version made the database, and this one cannot upgrade it.
    """

    def __init__(self, url: str):
        self.engine = _engine(url)
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
        except OperationalError as error:
            raise UnavailableError(f"The database does not answer: {str(error.orig).splitlines()[0]}") from None
        self._binds = reads, self.engine.execution_options(writes=True)
        self._make_sessions()

    def _make_sessions(self, **info: Any) -> None:
        reads, writes = self._binds
        self.reading = sessionmaker(reads, expire_on_commit=False, info=info)
        self.writing = sessionmaker(writes, expire_on_commit=False, info=info).begin

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


def _engine(url: str) -> Engine:
    try:
        if url.startswith("sqlite"):
            return create_engine(url, connect_args=_SQLITE, json_serializer=_json)
        return create_engine(url, connect_args=_POSTGRESQL, json_serializer=_json, pool_pre_ping=True)
    except ModuleNotFoundError:
        raise ServiceError("PostgreSQL needs psycopg: pip install 'loss-atlas[postgresql]'.") from None
    except ArgumentError:
        raise ServiceError(
            "LANDSCAPE_DATABASE is not the address of a database. Use postgresql://user:password@host/name."
        ) from None


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
