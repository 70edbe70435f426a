"""`landscape up`: everything on this machine."""

from typing import Annotated

import typer

from .common import Data, Host, Port, in_a_sentence, say, settings_from


def up(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes [one per GPU, else per core].")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Add the two shipped comparisons.")] = False,
) -> None:
    """Start everything on this machine: page, API, private broker, workers. Ctrl-C stops all of it."""
    from ..supervisor.supervisor import run

    with in_a_sentence():
        run(settings_from(data=data, host=host, port=port), workers=workers, demo=demo, say=say)
