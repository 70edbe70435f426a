"""The service's part of the `landscape` command: up, serve, worker. landscape/cli.py finds it by its entry point.

Imports typer; what a command needs is imported when it runs. Never computes.
"""

import contextlib
import os
from collections.abc import Iterator
from enum import StrEnum
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
    from . import tokens
    from .upkeep import backup, clean, restore

    app.command()(up)
    app.command()(serve)
    app.command()(worker)
    app.add_typer(tokens.commands, name="token")
    app.command()(backup)
    app.command()(restore)
    app.command()(clean)
    app.command(hidden=True)(healthy)


def up(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes [one per GPU, else per core].")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Add the two shipped comparisons.")] = False,
) -> None:
    """Start everything on this machine: page, API, private broker, workers. Ctrl-C stops all of it."""
    from .supervisor import run

    with in_a_sentence():
        run(settings_from(data=data, host=host, port=port), workers=workers, demo=demo, say=_say)


def serve(data: Data = None, host: Host = None, port: Port = None, broker: Broker = None) -> None:
    """Start the API and the page alone; workers run elsewhere, and so does the broker."""
    import uvicorn

    settings = settings_from(data=data, host=host, port=port, broker=broker)
    settings.data.mkdir(parents=True, exist_ok=True)
    with in_a_sentence():
        from .access import greetings
        from .database import Database

        for line in greetings(Database(settings.database_url), settings):
            _say(line)
    os.environ.update(settings.environment())  # read again where uvicorn builds the application
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        log_config=None,
        http="app.patience:PatientProtocol",
        server_header=False,
    )


def worker(
    data: Data = None,
    broker: Broker = None,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL of the service's database.")] = None,
    store: Annotated[
        str | None, typer.Option(help="Where bytes lie: a folder, s3://bucket/prefix, or the service's own https://…")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="Token of scope `work`, for --store https://…")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, watched and started again where they end [this one alone].")
    ] = None,
) -> None:
    """Start workers for a running service, on this machine or another.

    Example: landscape worker --broker redis://lab:6379/0 --database postgresql+psycopg://landscape@lab/landscape
    --store https://lab.example --token-file worker-token
    """
    settings = settings_from(data=data, broker=broker, database=database, store=store, store_token_file=token_file)
    os.environ.update(settings.environment())
    with in_a_sentence():
        from .database import Database
        from .versions import require_same_schema, require_same_version

        require_same_schema(settings.database_url)
        require_same_version(Database(settings.database_url))
    if workers is not None:
        from .supervisor import run_workers

        run_workers(settings, workers=workers, say=_say)
        return
    from .tasks import main

    main()


class Part(StrEnum):
    """What a container runs."""

    api = "api"
    worker = "worker"


def healthy(
    part: Part,
    port: Port = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes there should be on this machine.")] = 1,
) -> None:
    """Exit with 0 when this machine's part of the service works, else say what does not: for health checks."""
    from .healthy import require_api, require_worker

    settings = settings_from(port=port)
    with in_a_sentence():
        require_api(settings) if part is Part.api else require_worker(settings, workers)


@contextlib.contextmanager
def in_a_sentence() -> Iterator[None]:
    """Errors of the service end a command like those of the library: one sentence, exit code 1."""
    try:
        yield
    except ServiceError as error:
        raise LandscapeError(str(error)) from None


def settings_from(**given: Any) -> Any:
    """The settings of the environment, with those that options give."""
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
