"""Migrates a database of any earlier version to this one, in one transaction, while every other process waits.

There are no downgrades, and a database made by a newer version is left untouched.
"""

from collections.abc import Collection
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from ...errors import ConflictError, ServiceError
from ..tables import REVISION, Base

FIRST = "0001"  # schema of the releases that had no revisions yet


def upgrade(engine: Engine) -> None:
    """Upgrade the database to `REVISION`; a failure leaves it as it was.

    Raises:
        ConflictError: its version is not known to this code.
        ServiceError: it is another program's.
    """
    with engine.execution_options(writes=True).connect() as connection:
        connection.detach()  # its settings must not return to the pool
        if engine.dialect.name == "sqlite":  # tables that others reference are rebuilt and renamed
            connection.connection.cursor().execute("PRAGMA foreign_keys = OFF")
        with connection.begin():  # one process at a time, as all writers
            _upgrade(connection)


def config(connection: Connection) -> Config:
    """Alembic's configuration for this connection, for code that runs one of its commands."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # other processes wait: it must not be ended because it is slow
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '10min'")
    tables = set(inspect(connection).get_table_names())
    require_own_tables(tables)
    try:
        if tables and "alembic_version" not in tables:
            command.stamp(config(connection), FIRST)
        command.upgrade(config(connection), REVISION)
    except (SQLAlchemyError, CommandError, KeyError) as error:
        raise _unknown(str(error)) from error
    _require_complete(connection)


def require_own_tables(tables: Collection[str]) -> None:
    """Refuse the database of another program.

    Raises:
        ServiceError: it has tables, and none of ours.
    """
    if tables and not {"jobs", "tiles"} & set(tables):
        raise ServiceError(
            f"The database is that of another program: it has a table {min(tables)!r}, and none of Loss Landscape's. "
            "Nothing was changed. Name another data folder, or another database."
        )


def _require_complete(connection: Connection) -> None:
    """Refuse a database with missing columns, with a clear error instead of a failing query."""
    inspector = inspect(connection)
    for table in Base.metadata.sorted_tables:
        present = {column["name"] for column in inspector.get_columns(table.name)}
        if missing := {column.name for column in table.columns} - present:
            raise _unknown(f"no {table.name}.{min(missing)}")


def _unknown(what: str) -> ConflictError:
    return ConflictError(
        "The database was made by another version of Loss Landscape, and this one cannot upgrade it "
        f"({what.splitlines()[0][:200]}). Nothing was changed. Use that version, or another database."
    )
