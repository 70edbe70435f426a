"""Creates the first token at start, or reads it from a file; the messages about access control, and the address."""

from collections.abc import Iterable
from pathlib import Path
from secrets import token_urlsafe

from sqlalchemy import and_, delete, or_, select

from landscape.disk import write_durably

from ..database.sessions import Database
from ..database.tables import Access
from ..errors import InvalidError
from ..settings import Settings
from .callers import LOCAL
from .local_peer import can_tell
from .tokens import LONGEST_SECRET, create, create_token, digest_of, unexpired

SHORTEST_SECRET = 32  # characters, of a secret that the operator chose
FROM_FILE = "from the file of the settings"
IN_ADDRESS = "in the address of this machine"
_SCOPES = ("read", "submit", "admin")


def startup_messages(database: Database, settings: Settings) -> list[str]:
    """Make sure that an administrator can log in when access control is on.

    Returns:
        Messages for the operator; one contains the secret of the administrator's token if it was just created.

    Raises:
        InvalidError: the file named in the settings contains no secret.
        BusyError: too many others write to the database.
    """
    if settings.access == "off":
        who = "every account of this machine" if settings.loopback else "anyone who can reach this address"
        return [f"Access control is off: {who} can see and change everything."]
    if settings.trusts_own_account:
        if not can_tell():
            _take(database, _local_token(settings.data), owner=LOCAL.name, scopes=LOCAL.scopes, name=IN_ADDRESS)
        return []
    if settings.admin_token_file is not None:
        _take(database, _admin_token(settings), owner="admin", scopes=_SCOPES, name=FROM_FILE)
        return []
    with database.writing() as session:
        valid = session.scalars(select(Access).where(Access.kind == "token", unexpired()))
        if any("admin" in row.scopes for row in valid):
            return []
        _, secret = create_token(session, user="admin", scopes=_SCOPES, name="made at the first start")
    return [
        f"The administrator's token, shown only once: {secret}",
        "Create more tokens with: landscape token make --user NAME",
    ]


def address(settings: Settings) -> str:
    """The address of the service for a browser on this machine; it logs in, where accounts cannot be told apart."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    local = settings.trusts_own_account and not can_tell()
    return f"http://{host}:{settings.port}" + (f"/?token={_local_token(settings.data)}" if local else "")


def _local_token(data: Path) -> str:
    """The token in the address: made once, in a file of the data folder, which only this account can read."""
    file = data / "local-token"
    if not file.exists():
        write_durably(file, f"ll_{token_urlsafe(32)}\n".encode(), mode=0o600)
    return file.read_text().strip()


def _admin_token(settings: Settings) -> str:
    secret = settings.admin_token()
    if len(secret) < SHORTEST_SECRET or len(secret) > LONGEST_SECRET or not secret.isascii():
        raise InvalidError(
            f"The file of admin_token_file must hold a secret of at least {SHORTEST_SECRET} characters, "
            "for example of: openssl rand -hex 32"
        )
    return secret


def _take(database: Database, secret: str, *, owner: str, scopes: Iterable[str], name: str) -> None:
    """Make a secret the only token of this name."""
    with database.writing() as session:
        of_file = (Access.kind == "token", Access.name == name)
        known = session.scalars(select(Access).where(*of_file)).all()
        if [row.digest for row in known] != [digest_of(secret)]:
            session.execute(delete(Access).where(or_(and_(*of_file), Access.digest == digest_of(secret))))
            create(session, "token", owner=owner, scopes=scopes, name=name, secret=secret)
