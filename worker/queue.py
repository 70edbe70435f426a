"""Whose turn it is: tiles are leased, finished, given back and reclaimed here, each change one transaction.

Imports tables. Never computes, never talks to the broker: hints.py tells workers that something waits.
"""

import logging
import math
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import CursorResult, and_, delete, func, select, update
from sqlalchemy.orm import Session

from landscape.grid import Grid, Point, tiles

from .tables import TERMINAL, Checkpoint, Dataset, Job, Tile, grid_of, now, require

logger = logging.getLogger(__name__)

READ_LEVEL, PREPARE_LEVEL = -2, -1
_READ: dict[str, type[Checkpoint] | type[Dataset]] = {"read": Checkpoint, "read-data": Dataset}  # what a tile reads


@dataclass(frozen=True)
class Lease:
    """A tile held by one worker until its lease runs out."""

    tile: int
    token: str
    purpose: str
    subject: str  # id of the checkpoint to read, or of the job
    points: list[Point]
    attempts: int  # times it was started, this one included


def lease(session: Session, seconds: float) -> Lease | None:
    """Take the tile whose turn it is: coarse levels of every job before fine levels of any, jobs in turn."""
    tile = session.scalar(
        select(Tile)
        .where(Tile.state == "waiting")
        .order_by(Tile.level, Tile.rank, Tile.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if tile is None:
        return None
    tile.state, tile.lease, tile.attempts = "leased", uuid4().hex, tile.attempts + 1
    session.execute(update(Tile).where(Tile.id == tile.id).values(leased_until=now() + seconds))
    subject = tile.job_id or tile.checkpoint_id or tile.dataset_id
    assert subject is not None
    if tile.purpose in _READ:
        table = _READ[tile.purpose]
        session.execute(update(table).where(table.id == subject).values(state="reading"))
    return Lease(tile.id, tile.lease, tile.purpose, subject, [(i, j) for i, j in tile.points], tile.attempts)


def beat(session: Session, held: Lease, seconds: float) -> bool:
    """Extend a lease. False: it was lost, or the job is no longer wanted, and the work should stop."""
    return _changed(session, update(Tile).where(_is_held(held)).values(leased_until=now() + seconds)) == 1


def finish_reading(session: Session, held: Lease, verdict: dict[str, Any]) -> bool:
    """Write what an upload was read as: the columns of its row that `verdict` names.

    Returns:
        Whether it counted: a worker that lost its lease changes nothing.
    """
    if not _finish(session, held):
        return False
    table = _READ[held.purpose]
    session.execute(update(table).where(table.id == held.subject).values(**verdict))
    return True


def finish_preparing(
    session: Session, held: Lease, provenance: dict[str, Any], grid: Grid, points_per_tile: int
) -> bool:
    """Write how a job's numbers are made, and cut its grid into tiles, coarse first."""
    if not _finish(session, held):
        return False
    job = require(session, Job, held.subject)
    job.provenance, job.points_per_tile = provenance, points_per_tile
    job.grid, job.points = asdict(grid), math.prod(grid.shape)
    cut(session, job)
    session.execute(update(Job).where(Job.id == job.id, Job.state == "queued").values(state="running", started=now()))
    return True


def cut(session: Session, job: Job, computed: list[Tile] | None = None) -> None:
    """Tiles for every point of the job that is not in `computed`."""
    there = {(i, j) for tile in computed or [] for i, j in tile.points}
    for level, points in enumerate(grid_of(job).levels()):
        first = sum(1 for tile in computed or [] if tile.level == level)
        missing = [point for point in points if point not in there]
        for rank, part in enumerate(tiles(missing, job.points_per_tile) if missing else [], first):
            session.add(
                Tile(purpose="points", job_id=job.id, owner=job.owner or "", level=level, rank=rank, points=part)
            )


def finish_points(session: Session, held: Lease, values: bytes) -> bool:
    """Write the values of a tile; the last tile of a job finishes it."""
    counted = (
        update(Job)
        .where(Job.id == held.subject, Job.state == "running")
        .values(tiles_done=Job.tiles_done + 1, points_done=Job.points_done + len(held.points))
        .returning(Job.tiles_done, Job.points_done, Job.points)
    )
    if not _finish(session, held):
        return False
    row = session.execute(counted).one()
    session.execute(
        update(Tile).where(Tile.id == held.tile).values(values=values, sequence=row.tiles_done, finished=now())
    )
    if row.points_done == row.points:
        end(session, held.subject, "done")
    return True


def fail(session: Session, held: Lease, reason: str) -> bool:
    """End what the tile belongs to, with the reason in words."""
    if not _finish(session, held):
        return False
    _fail_subject(session, held.purpose, held.subject, reason)
    return True


def give_back(session: Session, held: Lease, max_attempts: int) -> None:
    """Offer a tile again after an error nobody foresaw; end its job when that happened too often."""
    if held.attempts >= max_attempts:
        fail(session, held, f"An internal error came up {held.attempts} times on one tile; the worker's log has it.")
    else:
        session.execute(update(Tile).where(_is_held(held)).values(state="waiting", lease=None))


def _is_held(held: Lease) -> Any:
    return and_(Tile.id == held.tile, Tile.state == "leased", Tile.lease == held.token)


def _finish(session: Session, held: Lease) -> bool:
    done = update(Tile).where(_is_held(held)).values(state="done", lease=None, leased_until=None)
    return _changed(session, done) == 1


def _fail_subject(session: Session, purpose: str, subject: str, reason: str) -> None:
    if purpose in _READ:
        table = _READ[purpose]
        rejected = update(table).where(table.id == subject, table.state.in_(("received", "reading")))
        session.execute(rejected.values(state="rejected", reason=reason))
    else:
        end(session, subject, "failed", reason)


def end(session: Session, job_id: str, state: str, error: str | None = None) -> bool:
    """Compare-and-set into a terminal state; what waits or runs for the job is no longer wanted."""
    ended = update(Job).where(Job.id == job_id, Job.state.not_in(TERMINAL))
    if _changed(session, ended.values(state=state, error=error, finished=now())) == 0:
        return False
    session.execute(delete(Tile).where(Tile.job_id == job_id, Tile.state != "done"))
    logger.info("job %s", state, extra={"job": job_id, "error": error})
    return True


def waiting(session: Session, most: int = 1000) -> int:
    """Number of tiles nobody works on, counted up to `most`."""
    some = select(Tile.id).where(Tile.state == "waiting").limit(most).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def overdue(session: Session) -> bool:
    """Whether some worker fell silent while it held a tile."""
    return session.scalar(select(Tile.id).where(Tile.state == "leased", Tile.leased_until < now()).limit(1)) is not None


def reclaim(session: Session, max_attempts: int) -> int:
    """Offer tiles again whose worker fell silent; give up those that were started too often.

    Returns:
        The number of leases that had run out.
    """
    expired = select(Tile).where(Tile.state == "leased", Tile.leased_until < now()).with_for_update(skip_locked=True)
    lost = list(session.scalars(expired))
    for tile in lost:
        tile.state, tile.lease = "waiting", None
        if tile.attempts >= max_attempts:
            subject = tile.job_id or tile.checkpoint_id or tile.dataset_id or ""
            tile.state = "done"
            session.flush()
            reason = "The reader died" if tile.purpose in _READ else "Worker lost: the process died"
            _fail_subject(session, tile.purpose, subject, f"{reason} {tile.attempts} times in a row.")
    return len(lost)


def _changed(session: Session, statement: Any) -> int:
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount
