"""Garbage collection: unreferenced bytes, expired uploads and, if the settings say so, old jobs and unused uploads.

Bytes that a row refers to, or is about to, are never removed: the search for references and the removal are one
transaction, and code that writes a row checks in its own transaction that the bytes are still stored (Store.require).
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from ..database.sessions import Database
from ..database.tables import TERMINAL, Checkpoint, Dataset, Job, Upload, now
from ..errors import ConflictError, NotFoundError
from ..jobs import lifecycle
from ..library import uploads
from ..settings import Settings
from ..storage import resumable
from ..storage.store import Store

logger = logging.getLogger(__name__)

_DAY = 86400.0


@dataclass
class Removed:
    """What was removed, or would be: digests and ids."""

    files: list[str] = field(default_factory=list)
    size: int = 0  # of the files, bytes
    uploads: list[str] = field(default_factory=list)  # resumable ones that have expired
    jobs: list[str] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))


def clean(database: Database, store: Store, settings: Settings, *, dry_run: bool = False) -> Removed:
    """Remove what is no longer needed: jobs before the uploads that they used, and files last.

    Args:
        dry_run: remove nothing; list what would be removed now, not what that would make unused.

    Raises:
        UnavailableError: the store does not answer.
        ForbiddenError: see `Store.remove`.
        BusyError: see `Database.writing`.
    """
    removed = Removed(uploads=_remove_expired(database, store, dry_run))
    if settings.keep_results_days is not None:
        removed.jobs = _delete(database, _old_jobs(settings.keep_results_days), lifecycle.delete_job, dry_run)
    if settings.keep_uploads_days is not None:
        unused = _unused_since(settings.keep_uploads_days)
        removed.checkpoints = _delete(database, unused[0], uploads.delete_checkpoint, dry_run)
        removed.datasets = _delete(database, unused[1], uploads.delete_dataset, dry_run)
    _collect(database, store, settings.collect_after_seconds, removed, dry_run)
    if not dry_run:
        _measure(database, store)
        store.sweep()
    if removed and not dry_run:
        logger.info("cleaned", extra={name: len(ids) for name, ids in vars(removed).items() if name != "size"})
    return removed


def remove_unused(database: Database, store: Store, digests: Iterable[str], *, older_than: float = 0.0) -> list[str]:
    """Remove the files among these that are unreferenced and older than this many seconds.

    Returns:
        Their digests.

    Raises:
        NotFoundError: one of them is not a SHA-256.
        UnavailableError, ForbiddenError: see `Store.remove`.
        BusyError: see `Database.writing`.
    """
    removed = []
    for sha256 in digests:
        with database.writing() as session:  # one per file, so that other writers do not wait for long
            found = store.find(sha256)
            if found and found.age >= older_than and not uploads.is_used(session, sha256):
                store.remove(sha256)
                removed.append(sha256)
    return removed


def _collect(database: Database, store: Store, older_than: float, removed: Removed, dry_run: bool) -> None:
    with database.reading() as session:
        used = uploads.used_digests(session)
    sizes = {one.sha256: one.size for one in store.stored() if one.sha256 not in used and one.age >= older_than}
    found = sorted(sizes)
    removed.files = found if dry_run else remove_unused(database, store, found, older_than=older_than)
    removed.size = sum(sizes[sha256] for sha256 in removed.files)


def _measure(database: Database, store: Store) -> None:
    """Write the sizes of sanitized files that earlier versions did not write, so that they count for quotas."""
    for table, digest in ((Checkpoint, Checkpoint.weights_sha256), (Dataset, Dataset.data_sha256)):
        unknown = select(table.id, digest).where(table.sanitized_size == 0, digest.is_not(None))
        with database.reading() as session:
            found = session.execute(unknown).all()
        for row_id, sha256 in found:
            if (stored := store.find(sha256 or "")) is not None:
                with database.writing() as session:
                    session.execute(update(table).where(table.id == row_id).values(sanitized_size=stored.size))


def _remove_expired(database: Database, store: Store, dry_run: bool) -> list[str]:
    """Remove resumable uploads that have expired, and bytes of resumable uploads without a row."""
    with database.reading() as session:
        expired = resumable.expired(session)
    if not dry_run:
        for upload_id in expired:
            with database.writing() as session:
                resumable.remove(session, upload_id)
            resumable.remove_bytes(store, upload_id)
        _remove_orphans(database, store)
    return expired


def _remove_orphans(database: Database, store: Store) -> None:
    """Remove files of resumable uploads without a row; listed before the rows, so that a new upload is safe."""
    arrived = {path.name.split(".")[0] for path in store.resumable.iterdir()}
    with database.reading() as session:
        known = set(session.scalars(select(Upload.id)))
    for upload_id in arrived - known:
        resumable.remove_bytes(store, upload_id)


def _old_jobs(days: float) -> Callable[[Session], list[str]]:
    """A query for jobs that ended at least this many days ago; those of the gallery are kept."""
    expired: ColumnElement[bool] = Job.finished < now() - days * _DAY
    old = select(Job.id).where(Job.state.in_(TERMINAL), expired, Job.gallery.is_(None))
    return lambda session: list(session.scalars(old))


def _unused_since(days: float) -> tuple[Callable[[Session], list[str]], ...]:
    """Queries for checkpoints and data sets that were neither uploaded nor used by a job in this time."""

    def checkpoints(session: Session) -> list[str]:
        old = select(Checkpoint.id).where(Checkpoint.created < now() - days * _DAY, Checkpoint.gallery.is_(None))
        used = {one for spec in recent(session) for one in uploads.checkpoints_of(spec)}
        return [one for one in session.scalars(old) if one not in used]

    def datasets(session: Session) -> list[str]:
        old = select(Dataset.id).where(Dataset.created < now() - days * _DAY)
        used = {spec["dataset"] for spec in recent(session)}
        return [one for one in session.scalars(old) if one not in used]

    def recent(session: Session) -> list[dict[str, object]]:
        lately = select(Job.spec).where(Job.created >= now() - days * _DAY)
        return list(session.scalars(lately))

    return checkpoints, datasets


def _delete(
    database: Database,
    find: Callable[[Session], list[str]],
    delete: Callable[[Session, str], object],
    dry_run: bool,
) -> list[str]:
    """Delete the rows found, one per transaction; skip those that were used again or deleted since."""
    with database.reading() as session:
        found = find(session)
    if dry_run:
        return found
    deleted = []
    for one in found:
        try:
            with database.writing() as session:
                delete(session, one)
            deleted.append(one)
        except (ConflictError, NotFoundError):
            continue
    return deleted
