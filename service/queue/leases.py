"""Whose turn it is: tiles are leased, finished, given back and taken back here, each change one transaction.

Imports tables, runs, counts, journal, results; no torch.
Never computes, never talks to the broker: hints.py tells workers that something waits.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import CursorResult, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from landscape.grid import Grid, Point

from ..database import counters
from ..database.job_log import some, tell
from ..database.tables import TERMINAL, Checkpoint, Dataset, Job, Tile, Turn, now, require
from ..database.tables import Worker as WorkerRow
from . import line
from .progress import level_count
from .values import seal

logger = logging.getLogger(__name__)

Sizes = Mapping[str, int]  # points in about `tile_seconds` of a worker's time, by job

_READ: dict[str, type[Checkpoint] | type[Dataset]] = {"read": Checkpoint, "read-data": Dataset}  # what a tile reads


@dataclass(frozen=True)
class Lease:
    """A tile held by one worker until its lease runs out."""

    tile: int
    token: str
    purpose: str
    subject: str  # id of the checkpoint or data set to read, or of the job
    level: int
    points: list[Point]
    attempts: int  # times it was started, this one included


def lease(
    session: Session, seconds: float, *, worker: str = "", device: str = "", sizes: Sizes | None = None
) -> Lease | None:
    """Take the tile whose turn it is: coarse levels of every job before fine levels of any, users and jobs in turn.

    Args:
        worker: id of the worker that takes it.
        device: its kind: what another kind has prepared is left to that kind.
        sizes: as this worker found; as the worker that prepared the job found where absent.
    """
    waiting = _next(session, device)
    if waiting is None:
        return None
    tile = waiting
    if waiting.purpose == "points" and not waiting.points:
        job = require(session, Job, waiting.job_id or "")
        tile = line.cut(session, waiting, job, max(1, (sizes or {}).get(job.id, job.points_per_tile)))
    tile.state, tile.lease, tile.worker, tile.attempts = "leased", uuid4().hex, worker, tile.attempts + 1
    session.flush()
    session.execute(update(Tile).where(Tile.id == tile.id).values(leased_until=now() + seconds))
    session.execute(update(WorkerRow).where(WorkerRow.id == worker).values(busy_since=now()))
    subject = _subject(tile)
    if tile.purpose in _READ:
        table = _READ[tile.purpose]
        session.execute(update(table).where(table.id == subject).values(state="reading"))
    points = [(i, j) for i, j in tile.points]
    return Lease(tile.id, tile.lease, tile.purpose, subject, tile.level, points, tile.attempts)


def _next(session: Session, device: str) -> Tile | None:
    """The first in the line of the user who is next, among those with something of the coarsest level that waits."""
    free = and_(Tile.state == "waiting", or_(Tile.device.is_(None), Tile.device == device))
    here = and_(free, Tile.level == session.scalar(select(func.min(Tile.level)).where(free)))
    served = exists().where(here, Tile.owner == Turn.owner)
    owner = session.scalar(select(Turn.owner).where(served).order_by(Turn.served, Turn.owner).limit(1))
    if owner is None:
        return None
    last = select(func.max(Turn.served)).scalar_subquery()
    session.execute(update(Turn).where(Turn.owner == owner).values(served=last + 1))
    return session.scalar(select(Tile).where(here, Tile.owner == owner).order_by(Tile.turn, Tile.id).limit(1))


def beat(session: Session, held: Lease, seconds: float) -> bool:
    """Extend a lease. False: it was lost, or the job is no longer wanted, and the work should stop."""
    return _changed(session, update(Tile).where(_is_held(held)).values(leased_until=now() + seconds)) == 1


def finish_reading(session: Session, held: Lease, verdict: dict[str, Any], *, seconds: float) -> bool:
    """Write what an upload was read as: the columns of its row that `verdict` names.

    Returns:
        Whether it counted: a worker that lost its lease changes nothing.
    """
    if not _finish(session, held, seconds):
        return False
    table = _READ[held.purpose]
    session.execute(update(table).where(table.id == held.subject).values(**verdict))
    counters.add_tile(session, held.purpose, points=0, seconds=seconds)
    return True


def finish_preparing(
    session: Session,
    held: Lease,
    provenance: dict[str, Any],
    grid: Grid,
    points_per_tile: int,
    *,
    seconds: float,
    device: str | None = None,
    warning: str | None = None,
) -> bool:
    """Write how a job's numbers are made, and have its points wait, coarse first; `warning` goes to the job's log."""
    if not _finish(session, held, seconds):
        return False
    job = require(session, Job, held.subject)
    job.provenance, job.points_per_tile, job.device = provenance, points_per_tile, device
    job.grid, job.points = asdict(grid), math.prod(grid.shape)
    place = session.scalar(select(Tile.turn).where(Tile.id == held.tile))
    line.enqueue_points(session, job, turn=place)
    session.execute(update(Job).where(Job.id == job.id, Job.state == "queued").values(state="running", started=now()))
    engine = (provenance.get("engine") or {}).get("engine", "plain")
    size = f"{some(job.points, 'point')} in {some(level_count(job), 'level')}, about {points_per_tile} at a time"
    tell(
        session,
        job.id,
        f"Prepared in {seconds:.1f} s: {size}, computed by the {engine} engine on {device or 'any device'}.",
    )
    if warning:
        tell(session, job.id, warning, level="warning")
    counters.add_tile(session, held.purpose, points=0, seconds=seconds)
    return True


def finish_points(session: Session, held: Lease, values: bytes, *, seconds: float) -> bool:
    """Write the values of a tile; the last tile of a job finishes it."""
    if not _finish(session, held, seconds):
        return False
    counted = (
        update(Job)
        .where(Job.id == held.subject, Job.state == "running")
        .values(tiles_done=Job.tiles_done + 1, points_done=Job.points_done + len(held.points))
        .returning(Job.tiles_done, Job.points_done, Job.points)
    )
    row = session.execute(counted).one()
    written = {"values": values, "sha256": seal(held.points, values), "sequence": row.tiles_done, "finished": now()}
    session.execute(update(Tile).where(Tile.id == held.tile).values(**written))
    unfinished = and_(Tile.job_id == held.subject, Tile.state.in_(("waiting", "leased")), Tile.level == held.level)
    if session.scalar(select(Tile.id).where(unfinished).limit(1)) is None:
        of = level_count(require(session, Job, held.subject))
        tell(session, held.subject, f"Level {held.level + 1} of {of} is complete: {row.points_done} of {row.points}.")
    if row.points_done == row.points:
        end(session, held.subject, "done")
    counters.add_tile(session, held.purpose, points=len(held.points), seconds=seconds)
    return True


def fail(session: Session, held: Lease, reason: str) -> bool:
    """End what the tile belongs to, with the reason in words."""
    if not _finish(session, held, None):
        return False
    _fail_subject(session, held.purpose, held.subject, reason)
    return True


def give_back(session: Session, held: Lease, max_attempts: int, reason: str) -> None:
    """Offer a tile again after an error nobody foresaw; end its job when that happened too often."""
    tile = session.scalar(select(Tile).where(_is_held(held)))
    if tile is not None:
        _take_back(session, tile, max_attempts, reason)


def put_back(session: Session, held: Lease) -> None:
    """Offer a tile again that was not finished for no fault of its own; the attempt does not count."""
    offered = update(Tile).where(_is_held(held))
    session.execute(offered.values(state="waiting", lease=None, leased_until=None, attempts=Tile.attempts - 1))


def reclaim(session: Session, *, lease_seconds: float, max_attempts: int) -> int:
    """Offer tiles again whose worker fell silent; give up those that were started too often.

    Returns:
        The number of leases that had run out.
    """
    lost = list(session.scalars(select(Tile).where(_is_overdue(lease_seconds))))
    for tile in lost:
        _take_back(session, tile, max_attempts, "its worker fell silent")
    if lost:
        counters.add(session, "leases_lost", by=len(lost))
    return len(lost)


def abandon(session: Session, worker: str, max_attempts: int, reason: str) -> int:
    """Offer the tiles of a worker that is known to be dead, at once.

    Returns:
        Their number.
    """
    lost = list(session.scalars(select(Tile).where(Tile.state == "leased", Tile.worker == worker)))
    for tile in lost:
        _take_back(session, tile, max_attempts, reason)
    session.execute(delete(WorkerRow).where(WorkerRow.id == worker))
    if lost:
        counters.add(session, "leases_lost", by=len(lost))
    return len(lost)


def overdue(session: Session, lease_seconds: float) -> bool:
    """Whether some worker fell silent while it held a tile."""
    return session.scalar(select(Tile.id).where(_is_overdue(lease_seconds)).limit(1)) is not None


def waiting(session: Session, most: int = 100) -> int:
    """Roughly the number of tiles nobody works on, counted up to `most`."""
    some = select(Tile.count, Tile.job_id).where(Tile.state == "waiting").limit(most).subquery()
    tiles = some.c.count // func.coalesce(Job.points_per_tile, 1) + 1
    found = session.scalar(select(func.sum(tiles)).select_from(some).outerjoin(Job, Job.id == some.c.job_id))
    return min(most, int(found or 0))


def end(session: Session, job_id: str, state: str, error: str | None = None) -> bool:
    """Compare-and-set into a terminal state; what waits or runs for the job is no longer wanted."""
    ended = (
        update(Job)
        .where(Job.id == job_id, Job.state.not_in(TERMINAL))
        .values(state=state, error=error, finished=now())
        .returning(Job.points_done, Job.points, Job.started, Job.finished)
    )
    row = session.execute(ended).one_or_none()
    if row is None:
        return False
    session.execute(delete(Tile).where(Tile.job_id == job_id, Tile.state.in_(("waiting", "leased"))))
    points = f"{row.points_done} of {some(row.points, 'point')}"
    took = f" in {row.finished - row.started:.1f} s" if row.started else ""
    words = {"done": f"Done: {points}{took}.", "cancelled": f"Cancelled after {points}.", "failed": f"Failed: {error}"}
    tell(session, job_id, words[state], "error" if state == "failed" else "info")
    counters.add(session, "jobs_finished", state)
    logger.info("job %s", state, extra={"job": job_id, "error": error})
    return True


def _take_back(session: Session, tile: Tile, max_attempts: int, reason: str) -> None:
    """A tile whose attempt came to nothing waits again, or ends what it belongs to."""
    subject, read = _subject(tile), tile.purpose in _READ
    tile.state, tile.lease, tile.leased_until = "waiting", None, None
    tile.state = "done" if tile.attempts >= max_attempts else "waiting"
    session.flush()
    logger.warning("attempt failed", extra={"tile": tile.id, "job": subject, "attempt": tile.attempts, "why": reason})
    if tile.state == "done":
        what = "reading this file" if read else "one part of this job"
        _fail_subject(
            session, tile.purpose, subject, f"{some(tile.attempts, 'attempt')} at {what} failed; the last: {reason}."
        )
    elif not read:
        what = some(len(tile.points), "point") if tile.points else "preparing the job"
        tell(session, subject, f"Attempt {tile.attempts} of {max_attempts} at {what} failed: {reason}.", "warning")


def _subject(tile: Tile) -> str:
    subject = tile.job_id or tile.checkpoint_id or tile.dataset_id
    assert subject is not None
    return subject


def _is_held(held: Lease) -> Any:
    return and_(Tile.id == held.tile, Tile.state == "leased", Tile.lease == held.token)


def _is_overdue(lease_seconds: float) -> Any:
    """Run out; or further ahead than any lease reaches, because the clock was set back since."""
    return and_(Tile.state == "leased", or_(Tile.leased_until < now(), Tile.leased_until > now() + 1.5 * lease_seconds))


def _finish(session: Session, held: Lease, seconds: float | None) -> bool:
    done = update(Tile).where(_is_held(held))
    return _changed(session, done.values(state="done", lease=None, leased_until=None, seconds=seconds)) == 1


def _fail_subject(session: Session, purpose: str, subject: str, reason: str) -> None:
    if purpose in _READ:
        table = _READ[purpose]
        rejected = update(table).where(table.id == subject, table.state.in_(("received", "reading")))
        session.execute(rejected.values(state="rejected", reason=reason))
    else:
        end(session, subject, "failed", reason)


def _changed(session: Session, statement: Any) -> int:
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount
