"""What may go: bytes nothing refers to, uploads nobody finished and, by the settings, what is old and unused.

Imports tables, library, partial, store; no torch. Never removes bytes that a row refers to or is about to: the search
for references and the removal are one transaction, and whoever writes a row asks within its own whether the bytes are
still there (Store.require).
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields

from sqlalchemy import ColumnElement, select
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
class Cleaned:
    """What went, or would go: digests and ids."""

    files: list[str] = field(default_factory=list)
    size: int = 0  # of the files, bytes
    uploads: list[str] = field(default_factory=list)  # resumable ones that nobody finished
    jobs: list[str] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))


def clean(database: Database, store: Store, settings: Settings, *, dry_run: bool = False) -> Cleaned:
    """Remove what may go, in the order in which one makes the other unused.

    Args:
        dry_run: find only what would go now; what goes after it is left out.
    """
    gone = Cleaned(uploads=_end_uploads(database, store, dry_run))
    if settings.keep_results_days is not None:
        gone.jobs = _delete(database, _old_jobs(settings.keep_results_days), lifecycle.delete_job, dry_run)
    if settings.keep_uploads_days is not None:
        unused = _unused_since(settings.keep_uploads_days)
        gone.checkpoints = _delete(database, unused[0], uploads.delete_checkpoint, dry_run)
        gone.datasets = _delete(database, unused[1], uploads.delete_dataset, dry_run)
    _collect(database, store, settings.collect_after_seconds, gone, dry_run)
    if not dry_run:
        store.sweep()
    if gone and not dry_run:
        logger.info("cleaned", extra={name: len(ids) for name, ids in vars(gone).items() if name != "size"})
    return gone


def remove_unused(database: Database, store: Store, digests: Iterable[str], *, older_than: float = 0.0) -> list[str]:
    """Remove those bytes that nothing refers to and that were written so many seconds ago.

    Returns:
        Digests of what was removed.
    """
    removed = []
    for sha256 in digests:
        with database.writing() as session:  # one each: nobody waits long for the right to write
            found = store.find(sha256)
            if found and found.age >= older_than and not uploads.is_used(session, sha256):
                store.remove(sha256)
                removed.append(sha256)
    return removed


def _collect(database: Database, store: Store, older_than: float, gone: Cleaned, dry_run: bool) -> None:
    with database.reading() as session:
        used = uploads.used_digests(session)
    sizes = {one.sha256: one.size for one in store.stored() if one.sha256 not in used and one.age >= older_than}
    gone.files = sorted(sizes) if dry_run else remove_unused(database, store, sorted(sizes), older_than=older_than)
    gone.size = sum(sizes[sha256] for sha256 in gone.files)


def _end_uploads(database: Database, store: Store, dry_run: bool) -> list[str]:
    """Forget resumable uploads whose time is over, and bytes of such that have no row any more."""
    with database.reading() as session:
        over = resumable.expired(session)
    if not dry_run:
        for upload_id in over:
            with database.writing() as session:
                resumable.remove(session, upload_id)
            resumable.remove_bytes(store, upload_id)
        _remove_orphans(database, store)
    return over


def _remove_orphans(database: Database, store: Store) -> None:
    """Files first, rows second: an upload begun in between has a row, or no file yet."""
    arrived = {path.name.split(".")[0] for path in store.resumable.iterdir()}
    with database.reading() as session:
        known = set(session.scalars(select(Upload.id)))
    for upload_id in arrived - known:
        resumable.remove_bytes(store, upload_id)


def _old_jobs(days: float) -> Callable[[Session], list[str]]:
    """Finished jobs that ended long ago; those of the gallery are no one's to lose."""
    over: ColumnElement[bool] = Job.finished < now() - days * _DAY
    old = select(Job.id).where(Job.state.in_(TERMINAL), over, Job.gallery.is_(None))
    return lambda session: list(session.scalars(old))


def _unused_since(days: float) -> tuple[Callable[[Session], list[str]], ...]:
    """Checkpoints and data sets that were neither uploaded nor asked for in this time."""

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
    """Those found, each deleted in a transaction of its own; what came into use meanwhile, or went, is left out."""
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
