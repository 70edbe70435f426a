"""`landscape healthy`: health check of a container."""

from enum import StrEnum
from typing import Annotated

import typer

from .common import Port, settings_from, with_clear_errors


class Part(StrEnum):
    """What a container runs."""

    api = "api"
    worker = "worker"


def healthy(
    part: Part,
    port: Port = None,
    workers: Annotated[int, typer.Option(min=1, help="Expected number of worker processes on this machine.")] = 1,
) -> None:
    """Health check: exit with 0 if the part of the service on this machine works, else report what does not."""
    from ..maintenance.health import require_api, require_worker

    settings = settings_from(port=port)
    with with_clear_errors():
        require_api(settings) if part is Part.api else require_worker(settings, workers)
