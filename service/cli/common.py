"""Shared by the commands of the service: options, settings, error messages, output."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from landscape.errors import LandscapeError
from landscape.terminal import printable

from ..errors import ServiceError

Data = Annotated[Path | None, typer.Option(help="Folder of the database, the store and the logs [landscape-data].")]
Host = Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")]
Port = Annotated[int | None, typer.Option(help="Port to listen on [8000].")]
Broker = Annotated[str | None, typer.Option(help="Redis or Valkey that Celery uses, redis://… or unix://…")]


@contextlib.contextmanager
def with_clear_errors() -> Iterator[None]:
    """Report an error of the service, its database or its disk like one of the library: one sentence and exit code 1.

    Raises:
        LandscapeError: in place of a ServiceError, with the same message; of an error of the database or the disk.
    """
    from sqlalchemy.exc import DatabaseError

    from ..database.sessions import unusable

    try:
        yield
    except ServiceError as error:
        raise LandscapeError(str(error)) from None
    except DatabaseError as error:
        raise LandscapeError(str(unusable(error))) from None
    except OSError as error:
        if error.filename is None:
            raise
        raise LandscapeError(
            f"{error.filename} cannot be used: {error.strerror}. Correct that and repeat the command."
        ) from None


def settings_from(**given: Any) -> Any:
    """The settings of the environment, overridden by those given as options.

    Raises:
        LandscapeError: a setting has an invalid value; the message names it.
    """
    from pydantic import ValidationError

    from ..settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise LandscapeError(f"Setting {name!r} cannot be {first['input']!r}: {first['msg']}.") from None


def report(text: str, *, err: bool = False) -> None:
    """Print a line and flush it; names in it cannot steer the terminal."""
    with contextlib.suppress(OSError):  # the terminal may be gone; a signal stops the service, not this error
        print(printable(text), file=sys.stderr if err else sys.stdout, flush=True)
