"""Creates the administrator's first token at start, or reads it from a file; the messages about access control."""

from sqlalchemy import and_, delete, or_, select

from ..database.sessions import Database
from ..database.tables import Access
from ..errors import InvalidError
from ..settings import Settings
from .tokens import LONGEST_SECRET, create, create_token, digest_of, unexpired

SHORTEST_SECRET = 32  # characters, of a secret that the operator chose
FROM_FILE = "from the file of the settings"
_SCOPES = ("read", "submit", "admin")


def startup_messages(database: Database, settings: Settings) -> list[str]:
    """Make sure that an administrator can log in when access control is on.

    Returns:
        Messages for the operator; one contains the secret of the administrator's token if it was just created.

    Raises:
        InvalidError: the file named in the settings contains no secret.
    """
    if not settings.protected:
        warning = "Access control is off: anyone who can reach this address can see and change everything."
        return [] if settings.loopback else [warning]
    if settings.admin_token_file is not None:
        _take_from_file(database, settings)
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


def _take_from_file(database: Database, settings: Settings) -> None:
    secret = settings.admin_token()
    if len(secret) < SHORTEST_SECRET or len(secret) > LONGEST_SECRET or not secret.isascii():
        raise InvalidError(
            f"The file of admin_token_file must hold a secret of at least {SHORTEST_SECRET} characters, "
            "for example of: openssl rand -hex 32"
        )
    with database.writing() as session:
        of_file = (Access.kind == "token", Access.name == FROM_FILE)
        known = session.scalars(select(Access).where(*of_file)).all()
        if [row.digest for row in known] != [digest_of(secret)]:
            session.execute(delete(Access).where(or_(and_(*of_file), Access.digest == digest_of(secret))))
            create(session, "token", owner="admin", scopes=_SCOPES, name=FROM_FILE, secret=secret)
