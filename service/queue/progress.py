"""Progress of a job: how far it is prepared; then points, level, speed, time left."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..database.tables import Job, Tile, grid_of, now

RECENT_TILES = 12
STEPS = ("checkpoints", "path", "first", "other")  # of preparing: faces say what each does; "other" for unknown ones
MOST = 1_000_000_000  # a count of parts that is larger is none


def of(session: Session, job: Job) -> dict[str, Any]:
    """Points done and in total, the level being computed, points per second, seconds left."""
    speed = _points_per_second(session, job)
    left = job.points - job.points_done
    running = job.state == "running"
    return {
        "done": job.points_done,
        "total": job.points,
        "level": _level(session, job) if running else 0,
        "levels": level_count(job) if job.grid else 1,
        "points_per_second": round(speed, 3) if speed else None,
        "eta_seconds": round(left / speed, 1) if speed and running else None,
        "preparing": job.preparing,
    }


def prepared(report: Mapping[str, Any]) -> dict[str, Any]:
    """How far preparing is, from a report of the process that does it: a stranger's network runs in there."""
    step, done, total = (report.get(name) for name in ("step", "done", "total"))
    counted = type(done) is type(total) is int and 0 <= done <= total <= MOST
    return {
        "step": step if step in STEPS else "other",
        "done": done if counted else 0,
        "total": total if counted else 0,
    }


def level_count(job: Job) -> int:
    """Refinement levels of a job's grid."""
    grid = grid_of(job)
    return len({max(level, 2) for axis in (grid.alpha, grid.beta) if axis for level in axis.levels})


def _level(session: Session, job: Job) -> int:
    unfinished = select(func.min(Tile.level)).where(Tile.job_id == job.id, Tile.state.in_(("waiting", "leased")))
    return session.scalar(unfinished) or 0


def _points_per_second(session: Session, job: Job) -> float | None:
    """Over the whole time of a finished job; over the last tiles of a running one, so that a pause drops out."""
    if not job.started or not job.points_done:
        return None
    if job.finished:
        reused = (job.provenance or {}).get("reused") or {}
        copied = 0 if "seeds" in reused else reused.get("points", 0)
        return (job.points_done - copied) / max(job.finished - job.started, 1e-3)
    own = Tile.finished >= job.started  # others were copied from an earlier job
    last = select(Tile.points, Tile.finished).where(
        Tile.job_id == job.id, Tile.sequence > job.tiles_done - RECENT_TILES, own
    )
    tiles = list(session.execute(last.order_by(Tile.sequence)))
    before = job.started if len(tiles) < RECENT_TILES else tiles.pop(0).finished or job.started
    current = session.scalar(select(now())) or before
    return sum(len(tile.points) for tile in tiles) / max(current - before, 1e-3)
