"""Points that an earlier job has computed become points of a new one: of a retry, or of a refinement on another grid.

Finished tiles are copied with their values. If the new job is the mean over more seeds, earlier values are no results
yet: a tile starts from those of its points, and the worker evaluates only the further seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from landscape.grid import Overlap, Point, overlap

from ..database.tables import Job, Tile, grid_of
from . import fair_queue
from .values import digest_of, is_intact


class Part(NamedTuple):
    """The points of a finished tile that are on one level of another job's grid, in the order of that level."""

    level: int
    rank: int  # of the first point within the level
    points: list[Point]  # on the other grid
    values: bytes
    tile: Tile


def inherit(session: Session, job: Job, earlier: Job, provenance: Mapping[str, Any]) -> None:
    """Give a new job what the values of an earlier one depend on, so that its own are computed in the same way.

    Its tile that prepares it goes to the same kind of device.

    Args:
        provenance: with the settings that the new job must have too, once it is prepared.
    """
    job.provenance, job.points_per_tile, job.device = dict(provenance), earlier.points_per_tile, earlier.device
    preparing = update(Tile).where(Tile.job_id == job.id, Tile.purpose == "prepare")
    session.execute(preparing.values(device=earlier.device))
    session.flush()


def copy_finished(session: Session, job: Job, parts: Sequence[Part]) -> None:
    """Copy finished points of an earlier job to a new one, as finished."""
    for sequence, part in enumerate(parts, 1):
        seconds = part.tile.seconds and part.tile.seconds * len(part.points) / len(part.tile.points)
        session.add(
            Tile(
                **_columns(part, job),
                owner=job.owner or "",
                level=part.level,
                state="done",
                sha256=digest_of(part.points, part.values),
                seconds=seconds,
                sequence=sequence,
                finished=part.tile.finished,
            )
        )
    job.tiles_done, job.points_done = len(parts), sum(len(part.points) for part in parts)
    session.flush()


def with_note(job: Job, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance found for a job, with the note about what it reuses, if it does."""
    note = (job.provenance or {}).get("reused")
    return {**provenance, **({"reused": note} if note else {})}


def enqueue_missing(session: Session, job: Job, *, turn: int | None = None) -> None:
    """Add every point of a prepared job that is not computed; those of the first level at `turn` if given.

    Where the mean over more seeds starts from the values of an earlier job, a point is added with them; if that job is
    deleted, the points are computed from the beginning.
    """
    finished = select(Tile.points).where(Tile.job_id == job.id, Tile.state == "done", Tile.purpose == "points")
    known: set[Point] = {(i, j) for points in session.scalars(finished) for i, j in points}
    earlier = session.get(Job, job.provenance["reused"]["job"]) if job.provenance and seeds_reused(job) else None
    for part in shared_parts(session, earlier, job) if earlier else ():
        if part.points[0] not in known:
            place = turn if part.level == fair_queue.PREPARE_LEVEL else None
            columns = {**_columns(part, job), "device": job.device}
            fair_queue.enqueue(session, owner=job.owner, level=part.level, turn=place, **columns)
            known |= set(part.points)
    fair_queue.enqueue_points(session, job, computed=known, turn=turn)


def seeds_reused(job: Job) -> int | None:
    """Over how many seeds the earlier values of a job are means; None unless it is a mean over more than those."""
    found: int | None = ((job.provenance or {}).get("reused") or {}).get("seeds")
    return found


def intact_tiles(session: Session, job_id: str) -> list[Tile]:
    """The finished tiles of a job whose values are as their worker wrote them, in the order they were finished."""
    done = select(Tile).where(Tile.job_id == job_id, Tile.sequence > 0).order_by(Tile.sequence)
    return [tile for tile in session.scalars(done) if is_intact(tile)]


def shared_parts(session: Session, earlier: Job, job: Job) -> list[Part]:
    """The finished points of an earlier job that are on the new one's grid: its tiles, cut by that grid's levels."""
    found = []
    shared, levels = overlap(grid_of(earlier), grid_of(job)), fair_queue.levels(grid_of(job))
    place = {point: (level, rank) for level, points in enumerate(levels) for rank, point in enumerate(points)}
    for tile in intact_tiles(session, earlier.id):
        for level, rows in _by_level(tile, shared, place).items():
            ranks = sorted(rows)
            points = [levels[level][rank] for rank in ranks]
            found.append(Part(level, ranks[0], points, b"".join(rows[rank] for rank in ranks), tile))
    return found


def _by_level(tile: Tile, shared: Overlap, place: Mapping[Point, tuple[int, int]]) -> dict[int, dict[int, bytes]]:
    """The values of the tile's points that are on another grid: level -> index within the level -> row."""
    values, found = tile.values or b"", dict[int, dict[int, bytes]]()
    width = len(values) // len(tile.points)
    for index, (i, j) in enumerate(tile.points):
        if (later := shared.later((i, j))) is not None:
            level, rank = place[later]
            found.setdefault(level, {})[rank] = values[index * width : (index + 1) * width]
    return found


def _columns(part: Part, job: Job) -> dict[str, Any]:
    points = [list(point) for point in part.points]
    return {
        "purpose": "points",
        "job_id": job.id,
        "rank": part.rank,
        "count": len(points),
        "points": points,
        "values": part.values,
    }
