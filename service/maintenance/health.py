"""Health checks of containers: does the part of the service on this machine work?"""

import json
import socket
import urllib.request

from ..errors import UnavailableError
from ..settings import Settings

_PARTS = ("database", "store", "broker")


def require_api(settings: Settings) -> None:
    """Check that the API answers and reports database, store and broker as "ok"; workers have a separate check.

    Raises:
        UnavailableError: one is not; the message says which.
    """
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.port}/api/health", timeout=8) as answer:
            health = json.load(answer)
    except (OSError, ValueError) as error:
        raise UnavailableError(f"The API does not answer: {type(error).__name__}.") from None
    wrong = {part: health[part] for part in _PARTS if health[part] != "ok"}
    if wrong:
        raise UnavailableError(", ".join(f"{part} is {state}" for part, state in wrong.items()))


def require_worker(settings: Settings, count: int) -> None:
    """Check in the database that at least `count` worker processes of this machine are alive.

    Raises:
        UnavailableError: there are fewer.
    """
    from sqlalchemy import create_engine, func, select
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    from ..database.tables import Worker, is_alive

    alive = select(func.count()).where(Worker.host == socket.gethostname(), is_alive())
    try:
        with create_engine(settings.database_url, poolclass=NullPool).connect() as connection:
            found = connection.scalar(alive) or 0
    except SQLAlchemyError as error:
        raise UnavailableError(f"The database does not answer: {type(error).__name__}.") from None
    if found < count:
        raise UnavailableError(f"{found} of {count} workers on this machine are alive.")
