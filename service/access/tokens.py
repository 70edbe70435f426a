"""Who may come in: secrets and their digests, what each opens, whose things a caller sees and may change.

Imports SQLAlchemy, tables, settings. Never keeps a secret: it is shown once, its SHA-256 is stored.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from ..database.sessions import Database
from ..database.tables import Access, now
from ..errors import InvalidError, NotFoundError, UnauthorizedError
from ..settings import Settings
from .callers import LINK, SCOPES, USER, Caller

LONGEST_SECRET = 512
LEAST_SECRET = 32  # characters; of one that the operator chose
FROM_FILE = "from the file of the settings"
_DAY = 86400.0
_ALL = ("read", "submit", "admin")


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def make(
    session: Session,
    kind: str,
    *,
    owner: str,
    scopes: Iterable[str],
    seconds: float | None = None,
    secret: str | None = None,
    **columns: Any,
) -> tuple[Access, str]:
    """A new secret of 256 bits that opens something, for `seconds` or until it is revoked.

    Returns:
        Its row, and the secret, which is kept nowhere.
    """
    secret = secret or f"ll_{secrets.token_urlsafe(32)}"
    row = Access(kind=kind, digest=digest_of(secret), owner=owner, scopes=sorted(scopes), **columns)
    if seconds is not None:
        row.expires = now() + seconds
    session.add(row)
    session.flush()
    session.refresh(row)
    return row, secret


def make_token(
    session: Session, *, user: str, scopes: Sequence[str], days: float | None = None, name: str = ""
) -> tuple[Access, str]:
    """A token of a user, for programs and for logging in.

    Raises:
        InvalidError: a name or a scope cannot be.
    """
    if not re.fullmatch(USER, user):
        raise InvalidError(
            "A user's name has 1 to 64 letters, digits or . _ @ + -, a letter or digit first.", field="user"
        )
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise InvalidError(f"Scopes are {', '.join(SCOPES)}; got {', '.join(unknown)[:100] or 'none'}.", field="scopes")
    if not name.isprintable() or len(name) > 100:
        raise InvalidError("A token's name has at most 100 characters, all of them printable.", field="name")
    if days is not None and not 0 < days <= 36_500:
        raise InvalidError("days must be above 0 and at most 36500.", field="days")
    return make(session, "token", owner=user, scopes=set(scopes), name=name, seconds=days and days * _DAY)


def recognise(session: Session, secret: str, kinds: Sequence[str]) -> Caller | None:
    """Who shows this secret; none where it is unknown, revoked, expired or of another kind."""
    if not secret or len(secret) > LONGEST_SECRET:
        return None
    digest = digest_of(secret)
    row = session.scalar(select(Access).where(Access.digest == digest, Access.kind.in_(kinds), _living()))
    if row is None or not hmac.compare_digest(row.digest, digest):
        return None
    if row.kind == "link":
        return Caller("", frozenset({LINK}), row.id, frozenset(filter(None, [row.job_id])))
    return Caller(row.owner, frozenset(row.scopes), row.id)


def begin_session(session: Session, token: str, hours: float) -> tuple[Access, str]:
    """A session of the page for whoever shows a token; it ends with the token, and after `hours` at the latest.

    Raises:
        UnauthorizedError: nobody has this token.
    """
    caller = recognise(session, token, ("token",))
    if caller is None or caller.key is None:
        raise UnauthorizedError("This token is not known here, has expired or was revoked.")
    parent = session.get_one(Access, caller.key)
    seconds = hours * 3600
    row, secret = make(session, "session", owner=caller.name, scopes=caller.scopes, seconds=seconds, parent=parent.id)
    if parent.expires is not None:
        row.expires = min(row.expires or parent.expires, parent.expires)
    return row, secret


def still_valid(session: Session, caller: Caller) -> bool:
    """Whether what a caller came in with still opens anything."""
    return caller.key is None or session.scalar(select(Access.id).where(Access.id == caller.key, _living())) is not None


def tokens(session: Session) -> Sequence[Access]:
    """Every token, newest first."""
    return session.scalars(select(Access).where(Access.kind == "token").order_by(Access.created.desc())).all()


def links(session: Session, job_id: str) -> Sequence[Access]:
    """Links to the result of a job that still open it, newest first."""
    of_job = and_(Access.kind == "link", Access.job_id == job_id, _living())
    return session.scalars(select(Access).where(of_job).order_by(Access.created.desc())).all()


def revoke(session: Session, access_id: str, kind: str, **columns: Any) -> Access:
    """End a secret and what was opened with it, at once.

    Raises:
        NotFoundError: there is none of this kind with this id.
    """
    row = session.scalar(select(Access).filter_by(id=access_id, kind=kind, **columns))
    if row is None:
        raise NotFoundError(f"There is no {kind} with this id.")
    session.delete(row)
    return row


def note_used(database: Database, keys: Iterable[str]) -> None:
    """Write down that these were shown, and forget sessions and links that ended."""
    keys = list(keys)
    with database.reading() as session:
        over = session.scalars(select(Access.id).where(Access.kind != "token", Access.expires < now())).all()
    if keys or over:
        with database.writing() as session:
            session.execute(update(Access).where(Access.id.in_(keys)).values(used=now()))
            session.execute(delete(Access).where(Access.id.in_(over)))


def startup_notices(database: Database, settings: Settings) -> list[str]:
    """What whoever starts the service must know; under access control it sees that an administrator can come in.

    Returns:
        Sentences; one of them the secret of the administrator's token where one was made just now.

    Raises:
        InvalidError: the file of the settings holds no secret.
    """
    if not settings.protected:
        open_wide = "Access control is off: whoever reaches this address sees and changes everything."
        return [] if settings.loopback else [open_wide]
    if settings.admin_token_file is not None:
        _take_from_file(database, settings)
        return []
    with database.writing() as session:
        living = session.scalars(select(Access).where(Access.kind == "token", _living()))
        if any("admin" in row.scopes for row in living):
            return []
        _, secret = make_token(session, user="admin", scopes=_ALL, name="made at the first start")
    return [f"The administrator's token, shown this once: {secret}", "More of them: landscape token make --user NAME"]


def _take_from_file(database: Database, settings: Settings) -> None:
    secret = settings.admin_token()
    if len(secret) < LEAST_SECRET or len(secret) > LONGEST_SECRET or not secret.isascii():
        raise InvalidError(
            f"The file of admin_token_file must hold a secret of at least {LEAST_SECRET} characters, "
            "for example of: openssl rand -hex 32"
        )
    with database.writing() as session:
        of_file = (Access.kind == "token", Access.name == FROM_FILE)
        known = session.scalars(select(Access).where(*of_file)).all()
        if [row.digest for row in known] != [digest_of(secret)]:
            session.execute(delete(Access).where(or_(and_(*of_file), Access.digest == digest_of(secret))))
            make(session, "token", owner="admin", scopes=_ALL, name=FROM_FILE, secret=secret)


def _living() -> ColumnElement[bool]:
    return or_(Access.expires.is_(None), Access.expires > now())
