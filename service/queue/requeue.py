"""Returns unfinished tiles to the queue: after a graceful stop, an error, an expired lease or a dead worker.

After a failed attempt the whole job pauses, twice as long each time: workers, which other jobs need, never do.
"""

import logging

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from ..database import counters
from ..database.job_log import plural, write_line
from ..database.tables import Job, Tile, now
from ..database.tables import Worker as WorkerRow
from .completion import fail_subject
from .leases import LONGEST_PAUSE, READS, Lease, is_held, subject_of

logger = logging.getLogger(__name__)


def release(session: Session, held: Lease, *, pause: float = 0.0) -> None:
    """Return a tile that could not be finished for reasons outside it; the attempt does not count.

    Args:
        pause: seconds until a worker may take this tile, or another of its job.
    """
    tile = session.scalar(select(Tile).where(is_held(held)))
    if tile is not None:
        _return(session, tile)
        tile.attempts -= 1
        if pause:
            _pause(session, tile, pause)


def after_error(session: Session, held: Lease, max_attempts: int, reason: str) -> None:
    """Return a tile after an unexpected error; fail its job after `max_attempts`."""
    tile = session.scalar(select(Tile).where(is_held(held)))
    if tile is not None:
        _retry_or_fail(session, tile, max_attempts, reason)


def reclaim(session: Session, *, lease_seconds: float, max_attempts: int) -> int:
    """Return tiles whose lease expired, because their worker fell silent; fail those started too often.

    Returns:
        The number of expired leases.
    """
    lost = list(session.scalars(select(Tile).where(_is_overdue(lease_seconds))))
    return _lost(session, lost, max_attempts, "its worker fell silent")


def after_worker_death(session: Session, worker: str, max_attempts: int, reason: str) -> int:
    """Return the tiles of a worker that is known to be dead, without waiting for its leases to expire.

    Returns:
        Their number.
    """
    lost = list(session.scalars(select(Tile).where(Tile.state == "leased", Tile.worker == worker)))
    session.execute(delete(WorkerRow).where(WorkerRow.id == worker))
    return _lost(session, lost, max_attempts, reason)


def any_overdue(session: Session, lease_seconds: float) -> bool:
    """Whether any lease has expired."""
    return session.scalar(select(Tile.id).where(_is_overdue(lease_seconds)).limit(1)) is not None


def _is_overdue(lease_seconds: float) -> ColumnElement[bool]:
    """Expired; or further ahead than any lease reaches, because the clock was set back since."""
    return and_(Tile.state == "leased", or_(Tile.leased_until < now(), Tile.leased_until > now() + 1.5 * lease_seconds))


def _lost(session: Session, tiles: list[Tile], max_attempts: int, reason: str) -> int:
    for tile in tiles:
        _retry_or_fail(session, tile, max_attempts, reason)
    if tiles:
        counters.add(session, "leases_lost", by=len(tiles))
    return len(tiles)


def _retry_or_fail(session: Session, tile: Tile, max_attempts: int, reason: str) -> None:
    """Requeue a tile after a failed attempt; after `max_attempts` fail its job or upload."""
    subject, read = subject_of(tile), tile.purpose in READS
    _return(session, tile, state="done" if tile.attempts >= max_attempts else "waiting")
    logger.warning("attempt failed", extra={"tile": tile.id, "job": subject, "attempt": tile.attempts, "why": reason})
    if tile.state == "done":
        what = "reading this file" if read else "one part of this job"
        message = f"{plural(tile.attempts, 'attempt')} at {what} failed; the last: {reason}."
        fail_subject(session, tile.purpose, subject, message)
        return
    _pause(session, tile, min(LONGEST_PAUSE, 2.0 ** min(tile.attempts, 10)))
    if not read:
        what = plural(len(tile.points), "point") if tile.points else "preparing the job"
        write_line(
            session, subject, f"Attempt {tile.attempts} of {max_attempts} at {what} failed: {reason}.", "warning"
        )


def _return(session: Session, tile: Tile, state: str = "waiting") -> None:
    tile.state, tile.lease, tile.leased_until = state, None, None
    session.flush()
    if tile.purpose == "prepare":
        session.execute(update(Job).where(Job.id == tile.job_id).values(preparing=None))


def _pause(session: Session, tile: Tile, seconds: float) -> None:
    """Keep this tile, and every other of its job, from all workers for so many seconds."""
    until = now() + seconds
    same = Tile.id == tile.id if tile.job_id is None else Tile.job_id == tile.job_id
    sooner = or_(Tile.not_before.is_(None), Tile.not_before < until)
    session.execute(update(Tile).where(same, Tile.state == "waiting", sooner).values(not_before=until))
