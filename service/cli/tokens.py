"""`landscape token make | list | revoke`: manage access tokens in the database, without the service.

A secret is shown once, when its token is created.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from .common import Data, report, settings_from, with_clear_errors

commands = typer.Typer(
    help="Manage access tokens of users. Works on the database; the service need not run.",
    no_args_is_help=True,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@commands.command()
def make(
    user: Annotated[str, typer.Option(help="Owner of the token and of everything created with it.")],
    scopes: Annotated[
        str, typer.Option(help="Any of read, submit, admin and work (for a worker elsewhere), separated by commas.")
    ] = "read,submit",
    days: Annotated[float | None, typer.Option(help="Days until it expires [never].")] = None,
    name: Annotated[str, typer.Option(help="Description.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Create a token and show its secret, only this once.

    Example: landscape token make --user ada --scopes read,submit --days 365
    """
    from ..access import tokens

    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    with _writing(data) as session:
        row, secret = tokens.create_token(session, user=user, scopes=wanted, days=days, name=name)
        about = _about(row)
    print(json.dumps({**about, "token": secret}) if as_json else secret)
    until = f"until {about['expires']}" if about["expires"] else "until it is revoked"
    words = f"Token {about['id']} of {user} ({', '.join(about['scopes'])}), valid {until}."
    report(f"{words} The secret is shown only this once.", err=True)


@commands.command("list")
def list_tokens(data: Data = None, as_json: AsJson = False) -> None:
    """List tokens: owner, scopes, and when each was last used."""
    from ..access import tokens

    with _writing(data) as session:
        found = [_about(row) for row in tokens.list_tokens(session)]
    if as_json:
        print(json.dumps(found))
    for one in [] if as_json else found:
        until = f"until {one['expires']}" if one["expires"] else ""
        used = f"used {one['used']}" if one["used"] else "never used"
        report("  ".join(filter(None, [one["id"], one["user"], ",".join(one["scopes"]), one["name"], used, until])))


@commands.command()
def revoke(token: Annotated[str, typer.Argument(help="Its id, as `list` shows it.")], data: Data = None) -> None:
    """Revoke a token and the sessions that were started with it, at once."""
    from ..access import tokens

    with _writing(data) as session:
        user = tokens.revoke(session, token, "token").owner
    report(f"The token {token} of {user} is revoked.")


@contextmanager
def _writing(data: Path | None) -> Iterator[Any]:
    from ..data_folder import open_data_folder
    from ..database.sessions import Database

    settings = settings_from(data=data)
    with with_clear_errors():
        open_data_folder(settings)
        with Database(settings.database_url).writing() as session:
            yield session


def _about(row: Any) -> dict[str, Any]:
    about = {"id": row.id, "user": row.owner, "scopes": row.scopes, "name": row.name}
    return about | {name: _moment(getattr(row, name)) for name in ("created", "expires", "used")}


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
