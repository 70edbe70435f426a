"""The connection to the database: sessions that read, sessions that write; SQLite in WAL mode, or PostgreSQL.

Imports SQLAlchemy and tables. Never changes a row by itself.
"""

from typing import Any

from sqlalchemy import Connection, create_engine, event, inspect
from sqlalchemy.orm import sessionmaker

from .errors import ConflictError
from .tables import Base


class Database:
    """Sessions on one database: `reading` sees a snapshot, `writing` is one transaction that holds from its start.

    Use `with database.writing() as session:`; the end commits, an error undoes everything.
    """

    def __init__(self, url: str):
        self.engine = create_engine(url, connect_args={"timeout": 30} if url.startswith("sqlite") else {})
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        Base.metadata.create_all(self.engine)
        self._require_this_version()
        self.reading = sessionmaker(self.engine, expire_on_commit=False)
        self.writing = sessionmaker(self.engine.execution_options(writes=True), expire_on_commit=False).begin

    def _require_this_version(self) -> None:
        """A database of another version is refused with a sentence instead of failing at the first query."""
        inspector = inspect(self.engine)
        for table in Base.metadata.sorted_tables:
            missing = {column.name for column in table.columns} - {
                one["name"] for one in inspector.get_columns(table.name)
            }
            if missing:
                raise ConflictError(
                    f"The database was made by another version of Loss Landscape (no {table.name}.{min(missing)}). "
                    "Move its folder away, or choose another with --data."
                )


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that will write says so at once: turning a read into a write later can fail in the middle."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
