"""Completes or fails tiles and jobs, and writes their results; each change is one transaction.

A worker that lost its lease changes nothing: every function returns whether its write took effect.
"""

import logging
import math
from dataclasses import asdict
from typing import Any

from sqlalchemy import and_, delete, select, update
from sqlalchemy.orm import Session

from landscape.evaluation.reuse import first_difference
from landscape.grid import Grid

from ..database import counters
from ..database.job_log import plural, write_line
from ..database.tables import TERMINAL, Job, Tile, now, require
from .leases import READS, Lease, changed_rows, is_held
from .progress import level_count
from .reuse import enqueue_missing, seeds_reused, with_note
from .values import digest_of, digest_of_tiles

logger = logging.getLogger(__name__)


def finish_reading(session: Session, held: Lease, verdict: dict[str, Any], *, seconds: float) -> bool:
    """Write the outcome of reading an upload: the columns of its row that `verdict` names.

    Returns:
        Whether it took effect: a worker that lost its lease changes nothing.
    """
    if not _finish(session, held, seconds):
        return False
    table = READS[held.purpose]
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
    """Write how a job is computed, and enqueue its points, coarse levels first; `warning` goes to the job's log.

    Returns:
        Whether it took effect: a worker that lost its lease changes nothing.
    """
    if not _finish(session, held, seconds):
        return False
    job = require(session, Job, held.subject)
    if difference := _difference_from_earlier(job, provenance):
        fail_subject(session, held.purpose, job.id, difference)
        return True
    job.provenance, job.points_per_tile, job.device = with_note(job, provenance), points_per_tile, device
    job.grid, job.points, job.preparing = asdict(grid), math.prod(grid.shape), None
    turn = session.scalar(select(Tile.turn).where(Tile.id == held.tile))
    enqueue_missing(session, job, turn=turn)
    session.execute(update(Job).where(Job.id == job.id, Job.state == "queued").values(state="running", started=now()))
    engine = (provenance.get("engine") or {}).get("engine", "plain")
    size = f"{plural(job.points, 'point')} in {plural(level_count(job), 'level')}, about {points_per_tile} at a time"
    write_line(
        session,
        job.id,
        f"Prepared in {seconds:.1f} s: {size}, computed by the {engine} engine on {device or 'any device'}.",
    )
    if warning:
        write_line(session, job.id, warning, level="warning")
    counters.add_tile(session, held.purpose, points=0, seconds=seconds)
    if job.points_done == job.points:  # all of them were copied
        end_job(session, job.id, "done")
    return True


def _difference_from_earlier(job: Job, provenance: dict[str, Any]) -> str | None:
    """Why a job cannot have the values of an earlier one, in a sentence; None if it can, or has none."""
    if job.provenance is None:
        return None
    found = first_difference(job.provenance, provenance, but=("repeated",) if seeds_reused(job) else ())
    if found is None:
        return None
    words, then, current = found
    return (
        f"The earlier job differs in {words}: {then} then, {current} now, so its values cannot be part of this one. "
        "Submit the request as a new job, without them."
    )


def finish_points(session: Session, held: Lease, values: bytes, *, seconds: float) -> bool:
    """Write the values of a tile; the last tile of a job finishes the job.

    Returns:
        Whether it took effect: a worker that lost its lease changes nothing.
    """
    if not _finish(session, held, seconds):
        return False
    counted = (
        update(Job)
        .where(Job.id == held.subject, Job.state == "running")
        .values(tiles_done=Job.tiles_done + 1, points_done=Job.points_done + len(held.points))
        .returning(Job.tiles_done, Job.points_done, Job.points)
    )
    row = session.execute(counted).one()
    digest = digest_of(held.points, values)
    written = {"values": values, "sha256": digest, "sequence": row.tiles_done, "finished": now()}
    session.execute(update(Tile).where(Tile.id == held.tile).values(**written))
    unfinished = and_(Tile.job_id == held.subject, Tile.state.in_(("waiting", "leased")), Tile.level == held.level)
    if session.scalar(select(Tile.id).where(unfinished).limit(1)) is None:
        level = f"Level {held.level + 1} of {level_count(require(session, Job, held.subject))}"
        write_line(session, held.subject, f"{level} is complete: {row.points_done} of {row.points}.")
    if row.points_done == row.points:
        end_job(session, held.subject, "done")
    counters.add_tile(session, held.purpose, points=len(held.points), seconds=seconds)
    return True


def fail(session: Session, held: Lease, reason: str) -> bool:
    """End the job or upload that the tile belongs to, with a reason in plain words."""
    if not _finish(session, held, None):
        return False
    fail_subject(session, held.purpose, held.subject, reason)
    return True


def fail_subject(session: Session, purpose: str, subject: str, reason: str) -> None:
    """Fail a job, or reject the upload that was being read."""
    if purpose in READS:
        table = READS[purpose]
        rejected = update(table).where(table.id == subject, table.state.in_(("received", "reading")))
        session.execute(rejected.values(state="rejected", reason=reason))
    else:
        end_job(session, subject, "failed", reason)


def end_job(session: Session, job_id: str, state: str, error: str | None = None) -> bool:
    """Compare-and-set into a terminal state; its unfinished tiles are deleted, its finished ones get a digest."""
    ended = (
        update(Job)
        .where(Job.id == job_id, Job.state.not_in(TERMINAL))
        .values(state=state, error=error, finished=now(), preparing=None)
        .returning(Job.points_done, Job.points, Job.started, Job.finished)
    )
    row = session.execute(ended).one_or_none()
    if row is None:
        return False
    session.execute(delete(Tile).where(Tile.job_id == job_id, Tile.state.in_(("waiting", "leased"))))
    session.execute(update(Job).where(Job.id == job_id).values(values_sha256=digest_of_tiles(session, job_id)))
    points = f"{row.points_done} of {plural(row.points, 'point')}"
    took = f" in {row.finished - row.started:.1f} s" if row.started else ""
    lines = {"done": f"Done: {points}{took}.", "cancelled": f"Cancelled after {points}.", "failed": f"Failed: {error}"}
    write_line(session, job_id, lines[state], "error" if state == "failed" else "info")
    counters.add(session, "jobs_finished", state)
    logger.info("job %s", state, extra={"job": job_id, "error": error})
    return True


def _finish(session: Session, held: Lease, seconds: float | None) -> bool:
    done = update(Tile).where(is_held(held))
    return changed_rows(session, done.values(state="done", lease=None, leased_until=None, seconds=seconds)) == 1
