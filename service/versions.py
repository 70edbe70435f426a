"""Version check between a worker and its service: both must have the same version and the same database schema.

A database of another version is never changed.
"""

import time
from importlib.metadata import version

from sqlalchemy import create_engine, delete, select, text
from sqlalchemy.exc import DatabaseError

from .database.sessions import Database
from .database.tables import REVISION, Count
from .errors import ConflictError

NAME = "version"  # of the row in which the service writes its version


def announce(database: Database) -> None:
    """Write the version of the service to the database; called when it starts."""
    with database.writing() as session:
        session.execute(delete(Count).where(Count.name == NAME))
        session.add(Count(name=NAME, label=version("loss-atlas"), value=time.time()))


def require_same_schema(url: str) -> None:
    """Refuse a database with another schema before anything is done to it: only the service upgrades it.

    Raises:
        ConflictError: its schema is not the one that this code needs.
    """
    found = _revision(url)
    if found not in (None, REVISION):
        raise ConflictError(
            f"The database has schema {found}; this worker needs {REVISION}. Start the service of this worker's "
            "version first, which upgrades the database, or install the version of the service here."
        )


def require_same_version(database: Database) -> None:
    """Refuse a service of another version: its results and ours might differ.

    Raises:
        ConflictError: the service has another version.
    """
    with database.reading() as session:
        theirs = session.scalar(select(Count.label).where(Count.name == NAME))
    ours = version("loss-atlas")
    if theirs not in (None, ours):
        raise ConflictError(
            f"This worker is Loss Landscape {ours}; the service is {theirs}. Install the same version on both."
        )


def _revision(url: str) -> str | None:
    """The schema of a database; None if it has none yet, or does not answer."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return str(connection.scalar(text("SELECT version_num FROM alembic_version")))
    except DatabaseError:
        return None
    finally:
        engine.dispose()
