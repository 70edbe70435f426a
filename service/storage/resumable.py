"""Unfinished resumable uploads: their rows in the database and their bytes in the store's local folder.

The tus protocol itself is in app/routes/tus.py.
"""

from pathlib import Path

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ..database.tables import Upload, now
from ..errors import GoneError, NotFoundError
from .store import Store

_HOUR = 3600.0


def begin(session: Session, *, purpose: str, name: str, size: int, owner: str | None, hours: float) -> Upload:
    """Add an upload of `size` bytes; its id will be that of the checkpoint or data set it becomes."""
    upload = Upload(purpose=purpose, name=name, size=size, owner=owner, expires=now() + hours * _HOUR)
    session.add(upload)
    session.flush()
    session.refresh(upload)
    return upload


def find(session: Session, upload_id: str) -> Upload:
    """The unfinished upload with this id.

    Raises:
        NotFoundError: there is none.
        GoneError: it has expired.
    """
    upload = session.get(Upload, upload_id)
    if upload is None:
        raise NotFoundError("There is no upload under way with this id.")
    if session.scalar(select(Upload.expires < now()).where(Upload.id == upload_id)):
        raise GoneError("This upload was not continued in time and has expired. Start again.")
    return upload


def extend(session: Session, upload_id: str, hours: float) -> float:
    """Extend the expiry of an upload.

    Returns:
        When it expires, in seconds since 1970.

    Raises:
        GoneError: it was removed meanwhile.
    """
    longer = update(Upload).where(Upload.id == upload_id).values(expires=now() + hours * _HOUR)
    expires: float | None = session.scalar(longer.returning(Upload.expires))
    if expires is None:
        raise GoneError("This upload was completed or cancelled.")
    return expires


def remove(session: Session, upload_id: str) -> bool:
    """Remove the row; the caller removes the bytes afterwards (`remove_bytes`).

    Returns:
        Whether it existed: of several concurrent requests, one gets True.
    """
    return session.execute(delete(Upload).where(Upload.id == upload_id).returning(Upload.id)).first() is not None


def expired(session: Session) -> list[str]:
    """Ids of expired uploads."""
    return list(session.scalars(select(Upload.id).where(Upload.expires < now())))


def path_of(store: Store, upload_id: str) -> Path:
    """The file that collects the bytes of an upload."""
    return store.resumable / upload_id


def unchecked_path_of(store: Store, upload_id: str) -> Path:
    """The file for bytes sent with a checksum, until the checksum is verified."""
    return store.resumable / f"{upload_id}.unchecked"


def remove_bytes(store: Store, upload_id: str) -> None:
    """Remove the bytes that have arrived."""
    for path in (path_of(store, upload_id), unchecked_path_of(store, upload_id)):
        path.unlink(missing_ok=True)
