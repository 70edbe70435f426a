"""The service's part of the `landscape` command: up, serve, worker. landscape/cli.py finds it by its entry point.

Imports typer; what a command needs is imported when it runs. Never computes.
"""

import contextlib
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from landscape.errors import LandscapeError

from .errors import ServiceError

Data = Annotated[Path | None, typer.Option(help="Folder of database, store and private broker [landscape-data].")]
Host = Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")]
Port = Annotated[int | None, typer.Option(help="Port to listen on [8000].")]


Broker = Annotated[str | None, typer.Option(help="Redis or Valkey that Celery uses, redis://… or unix://…")]


def register(app: typer.Typer) -> None:
    """Add the commands to `landscape`."""
    app.command()(up)
    app.command()(serve)
    app.command()(worker)


def up(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes [one per GPU, else per core].")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Add the two shipped comparisons.")] = False,
) -> None:
    """Start everything on this machine: page, API, private broker, workers. Ctrl-C stops all of it."""
    from .supervisor import run

    try:
        run(_settings(data=data, host=host, port=port), workers=workers, demo=demo, say=_say)
    except ServiceError as error:
        raise LandscapeError(str(error)) from None


def serve(data: Data = None, host: Host = None, port: Port = None, broker: Broker = None) -> None:
    """Start the API and the page alone; workers run elsewhere, and so does the broker."""
    import uvicorn

    settings = _settings(data=data, host=host, port=port, broker=broker)
    os.environ.update(settings.environment())  # read again where uvicorn builds the application
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        log_config=None,
        server_header=False,
    )


def worker(data: Data = None, broker: Broker = None) -> None:
    """Start one worker on the broker and the database of a running service."""
    os.environ.update(_settings(data=data, broker=broker).environment())
    from .tasks import main

    main()


def _settings(**given: Any) -> Any:
    from pydantic import ValidationError

    from .settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise LandscapeError(f"Setting {name!r} cannot be {first['input']!r}: {first['msg']}.") from None


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone; the service stops by the signal, not by this
        print(text, flush=True)
