"""Steps of a job for tests, without a worker: submit, lease, finish, expire."""

from itertools import islice

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from landscape.grid import Axis, Grid
from service.database.tables import Checkpoint, Job, LogLine, Tile
from service.jobs import lifecycle
from service.jobs.spec import AxisSpec, SurfaceGrid, SurfaceSpec
from service.library import uploads
from service.queue import completion, leases, requeue
from service.queue.leases import Lease
from service.queue.rows import pack

ARCHITECTURE = {"label": "ResNet-8, width 4, with shortcuts", "classes": 10, "channels": 1, "parameters": 1}
ALPHA, BETA = AxisSpec(count=5), AxisSpec(count=3)
GRID = Grid(Axis(count=5), Axis(count=3))


def ready_checkpoint(session: Session) -> Checkpoint:
    checkpoint = uploads.add_checkpoint(session, name="a.pt", sha256="0" * 64, size=1)
    held = lease_next(session)
    verdict = {"state": "ready", "architecture": ARCHITECTURE, "candidates": [ARCHITECTURE], "weights_sha256": "1" * 64}
    assert completion.finish_reading(session, held, verdict, seconds=0.1)
    session.refresh(checkpoint)
    return checkpoint


def lease_next(session: Session) -> Lease:
    held = leases.lease(session, 60)
    assert held is not None
    return held


def submit(session: Session, checkpoint: Checkpoint) -> Job:
    return lifecycle.submit(session, SurfaceSpec(checkpoint=checkpoint.id, grid=SurfaceGrid(alpha=ALPHA, beta=BETA)))


def prepared_job(session: Session, points_per_tile: int = 4) -> Job:
    job = submit(session, ready_checkpoint(session))
    assert completion.finish_preparing(session, lease_next(session), {}, GRID, points_per_tile, seconds=0.1)
    session.expire_all()
    return job


def values_for(held: Lease) -> bytes:
    return pack([(10.0 * i + j, 0.5, 0.1) for i, j in held.points])


def finish(session: Session, held: Lease) -> bool:
    return completion.finish_points(session, held, values_for(held), seconds=2.0)


def reclaim(session: Session) -> int:
    return requeue.reclaim(session, lease_seconds=60, max_attempts=3)


def expire_leases(session: Session) -> None:
    session.execute(update(Tile).where(Tile.state == "leased").values(leased_until=0.0))
    session.expire_all()


def end_pauses(session: Session) -> None:
    """Let the time pass until jobs are tried again."""
    session.flush()
    session.execute(update(Tile).where(Tile.not_before.is_not(None)).values(not_before=0.0))
    session.expire_all()


def submit_square(session: Session, checkpoint: Checkpoint, count: int, owner: str | None = None) -> Job:
    axis = AxisSpec(count=count)
    spec = SurfaceSpec(checkpoint=checkpoint.id, grid=SurfaceGrid(alpha=axis, beta=axis))
    return lifecycle.submit(session, spec, owner=owner)


def compute_next(session: Session, points_per_tile: int = 8) -> tuple[int, str, str] | None:
    """Process one tile as a worker does; its level, purpose and subject."""
    held = leases.lease(session, 60)
    if held is None:
        return None
    if held.purpose == "prepare":
        grid = Grid(*(Axis(**axis) for axis in session.get_one(Job, held.subject).grid.values()))  # type: ignore[union-attr]
        completion.finish_preparing(session, held, {}, grid, points_per_tile, seconds=0.1)
    else:
        finish(session, held)
    return held.level, held.purpose, held.subject


def compute_all(session: Session, most: int = 10_000) -> list[tuple[int, str, str]]:
    return list(islice(iter(lambda: compute_next(session), None), most))


def log_of(session: Session, job: Job) -> list[str]:
    session.flush()
    return list(session.scalars(select(LogLine.text).where(LogLine.job_id == job.id).order_by(LogLine.id)))
