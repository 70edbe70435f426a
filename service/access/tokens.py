"""Authentication: creates, checks, lists and revokes the secrets of tokens, sessions and links.

Never keeps a secret: it is shown once, and its SHA-256 is stored.
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
from .callers import LINK, SCOPES, USER, Caller

LONGEST_SECRET = 512
_DAY = 86400.0


def digest_of(secret: str) -> str:
    """SHA-256 (hex) of a secret: what is stored of it."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def create(
    session: Session,
    kind: str,
    *,
    owner: str,
    scopes: Iterable[str],
    seconds: float | None = None,
    secret: str | None = None,
    **columns: Any,
) -> tuple[Access, str]:
    """Create a secret of 256 bits, valid for `seconds` or until it is revoked.

    Returns:
        Its row, and the secret, which is not stored.
    """
    secret = secret or f"ll_{secrets.token_urlsafe(32)}"
    row = Access(kind=kind, digest=digest_of(secret), owner=owner, scopes=sorted(scopes), **columns)
    if seconds is not None:
        row.expires = now() + seconds
    session.add(row)
    session.flush()
    session.refresh(row)
    return row, secret


def create_token(
    session: Session, *, user: str, scopes: Sequence[str], days: float | None = None, name: str = ""
) -> tuple[Access, str]:
    """Create a token for a user, for programs and for logging in.

    Raises:
        InvalidError: a name, a scope or the number of days is not allowed.
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
    return create(session, "token", owner=user, scopes=set(scopes), name=name, seconds=days and days * _DAY)


def authenticate(session: Session, secret: str, kinds: Sequence[str]) -> Caller | None:
    """The caller with this secret; None if it is unknown, revoked, expired or of another kind."""
    if not secret or len(secret) > LONGEST_SECRET:
        return None
    digest = digest_of(secret)
    row = session.scalar(select(Access).where(Access.digest == digest, Access.kind.in_(kinds), unexpired()))
    if row is None or not hmac.compare_digest(row.digest, digest):
        return None
    if row.kind == "link":
        return Caller("", frozenset({LINK}), row.id, frozenset(filter(None, [row.job_id])))
    return Caller(row.owner, frozenset(row.scopes), row.id)


def log_in(session: Session, token: str, hours: float) -> tuple[Access, str]:
    """Start a session of the page with a valid token; it ends with the token, and after `hours` at the latest.

    Raises:
        UnauthorizedError: the token is not valid.
    """
    caller = authenticate(session, token, ("token",))
    if caller is None or caller.key is None:
        raise UnauthorizedError("This token is not known here, has expired or was revoked.")
    parent = session.get_one(Access, caller.key)
    seconds = hours * 3600
    row, secret = create(session, "session", owner=caller.name, scopes=caller.scopes, seconds=seconds, parent=parent.id)
    if parent.expires is not None:
        row.expires = min(row.expires or parent.expires, parent.expires)
    return row, secret


def still_valid(session: Session, caller: Caller) -> bool:
    """Whether the credential that authenticated a caller is still valid."""
    return (
        caller.key is None or session.scalar(select(Access.id).where(Access.id == caller.key, unexpired())) is not None
    )


def list_tokens(session: Session) -> Sequence[Access]:
    """Every token, newest first."""
    return session.scalars(select(Access).where(Access.kind == "token").order_by(Access.created.desc())).all()


def list_links(session: Session, job_id: str) -> Sequence[Access]:
    """Valid links to the result of a job, newest first."""
    of_job = and_(Access.kind == "link", Access.job_id == job_id, unexpired())
    return session.scalars(select(Access).where(of_job).order_by(Access.created.desc())).all()


def revoke(session: Session, access_id: str, kind: str, **columns: Any) -> Access:
    """Revoke a secret and the sessions that were opened with it, at once.

    Raises:
        NotFoundError: there is none of this kind with this id.
    """
    row = session.scalar(select(Access).filter_by(id=access_id, kind=kind, **columns))
    if row is None:
        raise NotFoundError(f"There is no {kind} with this id.")
    session.delete(row)
    return row


def record_use(database: Database, keys: Iterable[str]) -> None:
    """Store when these credentials were last used, and delete expired sessions and links.

    Raises:
        BusyError: too many others write to the database.
    """
    keys = list(keys)
    with database.reading() as session:
        expired = session.scalars(select(Access.id).where(Access.kind != "token", Access.expires < now())).all()
    if keys or expired:
        with database.writing() as session:
            session.execute(update(Access).where(Access.id.in_(keys)).values(used=now()))
            session.execute(delete(Access).where(Access.id.in_(expired)))


def unexpired() -> ColumnElement[bool]:
    """SQL condition: a secret has not expired, by the clock of the database."""
    return or_(Access.expires.is_(None), Access.expires > now())
