"""Results out of the database: rows of tiles into landscape.result.Result, and events for the page.

Imports tables, landscape.result; no torch. Never changes a row.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from landscape.grid import Grid
from landscape.result import VALUES, Result, finite_or_none, name_of

from .spec import job_spec
from .tables import Job, Tile


def pack(values: Sequence[tuple[float, float, float]]) -> bytes:
    """Loss, accuracy, standard error of each point as float64, little-endian."""
    return np.array(values, dtype="<f8").tobytes()


def unpack(values: bytes) -> Any:
    """The array (points, 3) behind `pack`."""
    return np.frombuffer(values, dtype="<f8").reshape(-1, len(VALUES))


def grid_of(job: Job) -> Grid:
    """The grid a job asks for."""
    return job_spec.validate_python(job.spec).grid.grid()


def load(session: Session, job: Job) -> Result:
    """What has been computed of a job so far, with its provenance."""
    result = Result.empty(grid_of(job), job.provenance or {})
    for tile in finished_tiles(session, job.id):
        result.put([(i, j) for i, j in tile.points], unpack(tile.values or b""))
    if job.provenance and job.finished and job.started:
        return result.closed(seconds=round(job.finished - job.started, 3))
    return result


def finished_tiles(session: Session, job_id: str, after: int = 0) -> list[Tile]:
    """Tiles of a job in the order they were done, from the one after number `after`."""
    done = select(Tile).where(Tile.job_id == job_id, Tile.sequence > after).order_by(Tile.sequence)
    return list(session.scalars(done))


def tile_event(tile: Tile) -> dict[str, Any]:
    """A finished tile as the page gets it: null for what is not finite, and those listed by name."""
    values = unpack(tile.values or b"").tolist()
    columns = {name: [finite_or_none(row[k]) for row in values] for k, name in enumerate(VALUES)}
    odd = [
        {"i": i, "j": j, "value": name_of(row[0])}
        for (i, j), row in zip(tile.points, values, strict=True)
        if finite_or_none(row[0]) is None
    ]
    return {"level": tile.level, "points": tile.points, **columns, "non_finite": odd}
