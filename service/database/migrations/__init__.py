"""Brings a database of any earlier version to this one, in one transaction, while every other process waits.

Imports Alembic and SQLAlchemy. Never goes back, and touches nothing of a database that a newer version has made.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from ...errors import ConflictError
from ..tables import REVISION, Base

FIRST = "0001"  # releases before there were revisions made this one


def upgrade(engine: Engine) -> None:
    """Bring the database to `REVISION`; a failure leaves it as it was.

    Raises:
        ConflictError: it is of a version that this code does not know.
    """
    with engine.execution_options(writes=True).connect() as connection:
        connection.detach()  # its settings are not for others
        if engine.dialect.name == "sqlite":  # a table with others that refer to it is rebuilt by taking its place
            connection.connection.cursor().execute("PRAGMA foreign_keys = OFF")
        with connection.begin():  # one at a time, as all that writes
            _upgrade(connection)


def config(connection: Connection) -> Config:
    """Alembic's configuration for this connection, for code that runs one of its commands."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    tables = inspect(connection).get_table_names()
    try:
        if tables and "alembic_version" not in tables:
            command.stamp(config(connection), FIRST)
        command.upgrade(config(connection), REVISION)
    except (SQLAlchemyError, CommandError, KeyError) as error:
        raise _unknown(str(error)) from error
    _require_complete(connection)


def _require_complete(connection: Connection) -> None:
    """A database that only looked like one of ours is refused with a sentence instead of failing at the first query."""
    inspector = inspect(connection)
    for table in Base.metadata.sorted_tables:
        there = {column["name"] for column in inspector.get_columns(table.name)}
        if missing := {column.name for column in table.columns} - there:
            raise _unknown(f"no {table.name}.{min(missing)}")


def _unknown(what: str) -> ConflictError:
    return ConflictError(
        "The database was made by another version of Loss Landscape, and this one cannot bring it up to date "
        f"({what.splitlines()[0][:200]}). Nothing was changed. Use that version, or another database."
    )
