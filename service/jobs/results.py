"""Results from the database: finished tiles as a `landscape.result.Result`, and as events for the page.

Every tile's digest is verified when its values are read: damaged values are never returned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from landscape.result import Result
from landscape.results import metrics
from landscape.results.arrays import VALUES, name_of
from landscape.results.metrics import Number

from ..database.tables import TERMINAL, Job, Tile, grid_of
from ..errors import ConflictError, DamagedError
from ..queue.rows import unpack
from ..queue.values import is_intact

_TILES_AT_ONCE = 4  # in memory while a result is loaded: the points of a large one are hundreds of megabytes of lists


def damaged(session: Session, job_id: str) -> list[int]:
    """Ids of the finished tiles of a job whose stored values have changed."""
    return [tile.id for tile in _each_finished(session, job_id) if not is_intact(tile)]


def damage_message(job: Job, tiles: int) -> str | None:
    """A sentence that describes the damage of so many tiles; None if there is none."""
    if not tiles:
        return None
    parts = "1 part" if tiles == 1 else f"{tiles} parts"
    advice = "Retry computes the damaged parts again." if job.state in TERMINAL else "Cancel the job and retry it."
    return f"{parts} of this result changed on the disk after being computed, and nothing of it is shown. {advice}"


def columns_of(job: Job) -> tuple[str, ...]:
    """Names of the numbers a job computes per point."""
    return tuple((job.provenance or {}).get("columns", VALUES))


def load(session: Session, job: Job) -> Result:
    """The points of a job that are computed so far, with its provenance.

    Raises:
        ConflictError: its grid is not known yet.
        DamagedError: some stored values have changed.
    """
    if job.grid is None:
        raise ConflictError(
            "The range of this job is not known until its checkpoints are loaded. Try again in a moment."
        )
    provenance, columns = dict(job.provenance or {}), columns_of(job)
    path = provenance.pop("path", None)
    result = Result.empty(grid_of(job), provenance, kind=job.kind, columns=columns)
    broken = 0
    for tile in _each_finished(session, job.id):
        if is_intact(tile):
            result.put(tile.points, unpack(tile.values or b"", columns))
        else:
            broken += 1
    if message := damage_message(job, broken):
        raise DamagedError(message)
    result = replace(result, path=path)
    if job.provenance and job.finished and job.started:
        return result.closed(seconds=round(job.finished - job.started, 3))
    return result


def numbers(result: Result, level: float, radius: float) -> list[Number]:
    """The metrics shown beside the plot.

    Raises:
        GridError: the radius is not above 0.
    """
    return metrics.numbers(result, levels=[level], radius=radius)


def finished_tiles(session: Session, job_id: str, after: int = 0, *, most: int | None = None) -> list[Tile]:
    """Tiles of a job in the order they were finished, from the one after number `after`."""
    return list(session.scalars(_finished(job_id, after).limit(most)))


def _each_finished(session: Session, job_id: str) -> Iterator[Tile]:
    """The same, a few in memory at a time."""
    yield from session.scalars(_finished(job_id), execution_options={"yield_per": _TILES_AT_ONCE})


def _finished(job_id: str, after: int = 0) -> Select[Tile]:
    return select(Tile).where(Tile.job_id == job_id, Tile.sequence > after).order_by(Tile.sequence)


def tile_event(tile: Tile, columns: Sequence[str]) -> dict[str, Any]:
    """A finished tile as an event for the page; losses that are not finite, which JSON lacks, are listed by name."""
    values = unpack(tile.values or b"", columns)
    numbers: dict[str, Any] = {name: values[:, k].tolist() for k, name in enumerate(columns)}
    extra = {name: numbers.pop(name) for name in columns if name not in VALUES}
    wrong = [(tile.points[k], values[k, 0]) for k in np.flatnonzero(~np.isfinite(values[:, 0]))]
    non_finite = [{"i": i, "j": j, "value": name_of(loss)} for (i, j), loss in wrong]
    return {"level": tile.level, "points": tile.points, **numbers, "extra": extra, "non_finite": non_finite}
