"""`landscape up`: everything on this machine."""

from typing import Annotated

import typer

from .common import Data, Host, Port, report, settings_from, with_clear_errors


def up(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes [one per GPU, else per core].")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Add the two shipped comparisons.")] = False,
) -> None:
    """Start everything on this machine: page, API, private broker, workers. Ctrl-C stops all of it."""
    from ..supervisor.run import run_service

    with with_clear_errors():
        run_service(settings_from(data=data, host=host, port=port), workers=workers, demo=demo, report=report)
