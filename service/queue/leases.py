"""Leases: a worker takes the next tile, holds it for a while and extends the lease by heartbeats.

Each change is one transaction. Nothing here uses the broker: wakeups.py sends the wake-up messages to workers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, CursorResult, and_, exists, false, func, not_, or_, select, update
from sqlalchemy.orm import Session, aliased

from landscape.grid import Point

from ..database.tables import Checkpoint, Dataset, Job, Tile, Turn, is_alive, now, require
from ..database.tables import Worker as WorkerRow
from . import fair_queue
from .progress import prepared
from .reuse import seeds_reused

Sizes = Mapping[str, int]  # points in about `tile_seconds` of a worker's time, by job

MICROSECONDS = 1_000_000  # `Turn.served` is the time of the turn in these
KEPT_SECONDS = 60.0  # one worker of several is kept free for users who were served in this time
LONGEST_PAUSE = 60.0  # seconds between two attempts at a job

READS: dict[str, type[Checkpoint] | type[Dataset]] = {"read": Checkpoint, "read-data": Dataset}  # table by purpose


@dataclass(frozen=True)
class Lease:
    """A tile held by one worker until its lease expires."""

    tile: int
    token: str
    purpose: str
    subject: str  # id of the checkpoint or data set to read, or of the job
    level: int
    points: list[Point]
    attempts: int  # times it was started, this one included
    earlier: "tuple[bytes, int] | None" = None  # values that its points have already, means over so many seeds


def lease(
    session: Session, seconds: float, *, worker: str = "", device: str = "", sizes: Sizes | None = None
) -> Lease | None:
    """Lease the next tile: users in turn; of one user, coarse levels of every job before fine levels of any.

    Of several workers, one is kept free for users who were served in the last minute.

    Args:
        worker: id of the worker that takes it.
        device: its kind of device; jobs that were prepared on another kind are left to that kind.
        sizes: as this worker measured; a job without one uses the size measured when it was prepared.
    """
    waiting = _next(session, device)
    if waiting is None:
        return None
    tile = waiting
    if waiting.purpose == "points" and not waiting.points:
        job = require(session, Job, waiting.job_id or "")
        tile = fair_queue.cut_tile(session, waiting, job, max(1, (sizes or {}).get(job.id, job.points_per_tile)))
    tile.state, tile.lease, tile.worker, tile.attempts = "leased", uuid4().hex, worker, tile.attempts + 1
    session.flush()
    session.execute(update(Tile).where(Tile.id == tile.id).values(leased_until=now() + seconds))
    session.execute(update(WorkerRow).where(WorkerRow.id == worker).values(busy_since=now()))
    subject = subject_of(tile)
    if tile.purpose in READS:
        table = READS[tile.purpose]
        session.execute(update(table).where(table.id == subject).values(state="reading"))
    points = [(i, j) for i, j in tile.points]
    earlier = None if tile.values is None else (tile.values, seeds_reused(require(session, Job, subject)) or 1)
    return Lease(tile.id, tile.lease, tile.purpose, subject, tile.level, points, tile.attempts, earlier)


def _next(session: Session, device: str) -> Tile | None:
    """The first tile of the user served next, at the coarsest level at which this user has work."""
    free = and_(is_due(), or_(Tile.device.is_(None), Tile.device == device))
    has_work = exists().where(free, Tile.owner == Turn.owner)
    ready = select(Turn.owner).where(has_work, not_(_holds_all_but_one(session)))
    owner = session.scalar(ready.order_by(Turn.served, Turn.owner).limit(1))
    if owner is None:
        return None
    clock, last = session.execute(select(now(), func.max(Turn.served))).one()
    turn = max(int(clock * MICROSECONDS), last + 1)  # the clock may be set back, the order of turns may not
    session.execute(update(Turn).where(Turn.owner == owner).values(served=turn))
    theirs = and_(free, Tile.owner == owner)
    return session.scalar(select(Tile).where(theirs).order_by(Tile.level, Tile.turn, Tile.id).limit(1))


def _holds_all_but_one(session: Session) -> ColumnElement[bool]:
    """SQL condition: the user of a turn holds every worker but one, which is kept for users who were served just now.

    A tile cannot be interrupted, so without this the next small job of another waits for the large tiles of one user.
    """
    workers = session.scalar(select(func.count()).select_from(WorkerRow).where(is_alive())) or 0
    if workers < 2:
        return false()
    other = aliased(Turn)
    just_now = (now() - KEPT_SECONDS) * MICROSECONDS
    others = exists().where(other.owner != Turn.owner, other.served > just_now)
    leased = select(func.count()).select_from(Tile).where(Tile.state == "leased", Tile.owner == Turn.owner)
    return and_(others, leased.correlate(Turn).scalar_subquery() >= workers - 1)


def heartbeat(session: Session, held: Lease, seconds: float, preparing: Mapping[str, Any] | None = None) -> bool:
    """Extend a lease. False: it was lost, or the job was cancelled or deleted; stop the work.

    Args:
        preparing: how far preparing the job is, {"step", "done", "total"}, if it is reported.
    """
    if changed_rows(session, update(Tile).where(is_held(held)).values(leased_until=now() + seconds)) != 1:
        return False
    if preparing is not None and held.purpose == "prepare":
        session.execute(update(Job).where(Job.id == held.subject).values(preparing=prepared(preparing)))
    return True


def count_waiting(session: Session, most: int = 100) -> int:
    """Roughly the number of tiles that a worker could take now, counted up to `most`."""
    rows = select(Tile.count, Tile.job_id).where(is_due()).limit(most).subquery()
    tiles = rows.c.count // func.coalesce(Job.points_per_tile, 1) + 1
    found = session.scalar(select(func.sum(tiles)).select_from(rows).outerjoin(Job, Job.id == rows.c.job_id))
    return min(most, int(found or 0))


def is_due() -> ColumnElement[bool]:
    """SQL condition: a tile waits, and its job is not paused; or the clock was set back since it was paused."""
    paused = and_(Tile.not_before > now(), Tile.not_before < now() + 1.5 * LONGEST_PAUSE)
    return and_(Tile.state == "waiting", or_(Tile.not_before.is_(None), not_(paused)))


def is_held(held: Lease) -> ColumnElement[bool]:
    """SQL condition: a tile is still held under this lease."""
    return and_(Tile.id == held.tile, Tile.state == "leased", Tile.lease == held.token)


def subject_of(tile: Tile) -> str:
    """Id of the job, checkpoint or data set that a tile belongs to."""
    subject = tile.job_id or tile.checkpoint_id or tile.dataset_id
    assert subject is not None
    return subject


def changed_rows(session: Session, statement: Any) -> int:
    """Execute a statement; the number of rows it changed."""
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount
