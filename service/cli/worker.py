"""`landscape worker`: workers for a service that was started separately."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..open_files import raise_limit
from .common import Broker, Data, report, settings_from, with_clear_errors

PROCESS = (sys.executable, "-P", "-m", "worker.process")


def worker(
    data: Data = None,
    broker: Broker = None,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL of the service's database.")] = None,
    store: Annotated[
        str | None, typer.Option(help="Storage: a folder, s3://bucket/prefix, or the https://… address of the service.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="Token of scope `work`, for --store https://…")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of processes, restarted when they end [this process alone].")
    ] = None,
) -> None:
    """Start workers for a running service, on this machine or another.

    Example: landscape worker --broker redis://lab:6379/0 --database postgresql+psycopg://landscape@lab/landscape
    --store https://lab.example --token-file worker-token
    """
    settings = settings_from(data=data, broker=broker, database=database, store=store, store_token_file=token_file)
    os.environ.update(settings.environment())
    with with_clear_errors():
        from ..data_folder import open_data_folder
        from ..errors import ConflictError
        from ..versions import OTHER_VERSION, require_same, wait_for_same

        open_data_folder(settings)
        if workers is not None:
            from ..supervisor.run import run_workers

            wait_for_same(settings.database_url, report)
            run_workers(settings, workers=workers, report=report)
            return
        try:
            require_same(settings.database_url)
        except ConflictError as error:
            report(str(error), err=True)
            raise typer.Exit(OTHER_VERSION) from None
    raise_limit()
    os.execv(PROCESS[0], PROCESS)  # replaces this process: the service does not import the worker
