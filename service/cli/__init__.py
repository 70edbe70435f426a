"""The commands of `landscape` that run and maintain a service; added through an entry point."""

import typer

from . import tokens
from .health import healthy
from .maintenance import backup, clean, restore
from .serve import serve
from .up import up
from .worker import worker


def register(app: typer.Typer) -> None:
    """Add the commands to `landscape`."""
    app.command()(up)
    app.command()(serve)
    app.command()(worker)
    app.add_typer(tokens.commands, name="token")
    app.command()(backup)
    app.command()(restore)
    app.command()(clean)
    app.command(hidden=True)(healthy)
