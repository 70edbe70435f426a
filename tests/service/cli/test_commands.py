"""The commands that the service adds to `landscape`, and the library's list of them for installations without it."""

import typer

from landscape.cli.main import SERVICE_COMMANDS
from service.cli import register


def test_the_library_knows_every_visible_command_of_the_service() -> None:
    app = typer.Typer()
    register(app)
    commands = {
        each.name or each.callback.__name__ for each in app.registered_commands if not each.hidden and each.callback
    }
    groups = {group.name for group in app.registered_groups}
    assert commands | groups == set(SERVICE_COMMANDS)
