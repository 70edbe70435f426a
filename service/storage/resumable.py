"""Resumable uploads that are not complete: their rows here, their bytes beside the store's unfinished files.

Imports tables, library, store; no torch. Never speaks HTTP: that is app/routes/tus.py.
"""

from pathlib import Path

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ..database.tables import Upload, now
from ..errors import GoneError, NotFoundError
from .store import Store

_HOUR = 3600.0


def begin(session: Session, *, purpose: str, name: str, size: int, owner: str | None, hours: float) -> Upload:
    """Note that `size` bytes are to come; the id will be that of the checkpoint or data set they become."""
    upload = Upload(purpose=purpose, name=name, size=size, owner=owner, expires=now() + hours * _HOUR)
    session.add(upload)
    session.flush()
    session.refresh(upload)
    return upload


def find(session: Session, upload_id: str) -> Upload:
    """The upload under way with this id.

    Raises:
        NotFoundError: there is none.
        GoneError: nobody went on with it in time.
    """
    upload = session.get(Upload, upload_id)
    if upload is None:
        raise NotFoundError("There is no upload under way with this id.")
    if session.scalar(select(Upload.expires < now()).where(Upload.id == upload_id)):
        raise GoneError("Nobody went on with this upload in time, and its bytes were forgotten. Begin again.")
    return upload


def extend(session: Session, upload_id: str, hours: float) -> float:
    """Somebody goes on with it: its time begins anew.

    Returns:
        When it is over, in seconds since 1970.

    Raises:
        GoneError: it was ended meanwhile.
    """
    longer = update(Upload).where(Upload.id == upload_id).values(expires=now() + hours * _HOUR)
    expires: float | None = session.scalar(longer.returning(Upload.expires))
    if expires is None:
        raise GoneError("This upload was ended.")
    return expires


def remove(session: Session, upload_id: str) -> bool:
    """Remove the row; the caller removes the bytes afterwards (`remove_bytes`).

    Returns:
        Whether it was there: of several who end an upload, one is told so.
    """
    return session.execute(delete(Upload).where(Upload.id == upload_id).returning(Upload.id)).first() is not None


def expired(session: Session) -> list[str]:
    """Ids of uploads nobody went on with in time."""
    return list(session.scalars(select(Upload.id).where(Upload.expires < now())))


def path_of(store: Store, upload_id: str) -> Path:
    """Where the bytes of an upload gather."""
    return store.resumable / upload_id


def unchecked_path_of(store: Store, upload_id: str) -> Path:
    """Where bytes wait that come with a checksum, until it is found right."""
    return store.resumable / f"{upload_id}.unchecked"


def remove_bytes(store: Store, upload_id: str) -> None:
    """Remove what has arrived of an upload."""
    for path in (path_of(store, upload_id), unchecked_path_of(store, upload_id)):
        path.unlink(missing_ok=True)
