"""Version check between a worker and its service: both must have the same version and the same database schema.

A database of another version is never changed.
While a lab is upgraded, host by host, workers of another version wait.
"""

import time
from collections.abc import Callable
from importlib.metadata import version

from sqlalchemy import create_engine, delete, select, text
from sqlalchemy.exc import DatabaseError

from .database.sessions import Database
from .database.tables import REVISION, Count
from .errors import ConflictError

NAME = "version"  # of the row in which the service writes its version
OTHER_VERSION = 75  # exit code of a worker: nothing is wrong with it, and it may be tried again (EX_TEMPFAIL)
LONGEST_PAUSE = 30.0  # seconds between two looks at the version of the service


def announce(database: Database) -> None:
    """Write the version of the service to the database; called when it starts.

    Raises:
        BusyError: other writers have waited for the database for too long.
    """
    with database.writing() as session:
        session.execute(delete(Count).where(Count.name == NAME))
        session.add(Count(name=NAME, label=version("loss-atlas"), value=time.time()))


def require_same(url: str) -> None:
    """Refuse a service or a database of another version.

    Raises:
        ConflictError: the version of the service, or the schema of its database, is not this code's.
        ServiceError, UnavailableError, DamagedError: the database cannot be used; see `Database`.
    """
    require_same_schema(url)
    database = Database(url)
    try:
        require_same_version(database)
    finally:
        database.engine.dispose()


def wait_for_same(url: str, report: Callable[[str], None], pause: float = 1.0) -> None:
    """Return once the service has this version: a lab is upgraded host by host.

    Args:
        report: gets a line before each pause.
        pause: seconds, doubled each time, up to `LONGEST_PAUSE`.

    Raises:
        ServiceError, UnavailableError, DamagedError: the database cannot be used; see `Database`.
    """
    while True:
        try:
            return require_same(url)
        except ConflictError as error:
            report(f"{error} Waiting for the other to be upgraded; looking again in {pause:g} s.")
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, 2 * pause)


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
