"""Finished jobs with many points, written into a database in seconds, as if workers had computed them."""

import time

import numpy as np
from sqlalchemy.orm import Session

from landscape.result import Result
from service.database.tables import Job, Tile, grid_of
from service.queue.rows import pack
from service.queue.values import digest_of, digest_of_tiles
from tests.support.api_alone import prepared_job

COLUMNS = ["losses", "accuracies", "standard_errors"]


def finished_surface(session: Session, count: int, *, owner: str | None = None, points_per_tile: int = 4000) -> Job:
    """A surface of count × count points: a bowl with waves, so that it has many minima."""
    job = prepared_job(count, count, points_per_tile)
    job.state, job.owner, job.provenance = "done", owner, None
    job.points_done, job.started, job.finished = count * count, time.time() - 60, time.time()
    session.add(job)
    session.flush()
    for rank in range(0, count * count, points_per_tile):
        points = [list(divmod(index, count)) for index in range(rank, min(rank + points_per_tile, count * count))]
        values = pack(_values(job, points))
        job.tiles_done += 1
        about = {"state": "done", "values": values, "sha256": digest_of(points, values), "sequence": job.tiles_done}
        session.add(
            Tile(purpose="points", job_id=job.id, level=0, rank=rank, count=len(points), points=points, **about)
        )
        session.flush()
    job.values_sha256 = digest_of_tiles(session, job.id)
    return job


def _values(job: Job, points: list[list[int]]) -> list[list[float]]:
    empty = Result.empty(grid_of(job))
    rows, columns = np.array(points).T
    alphas, betas = empty.alphas[rows], empty.betas[columns]
    losses = 0.7 + alphas**2 + 3 * betas**2 + 0.05 * np.sin(40 * alphas) * np.cos(30 * betas)
    found: list[list[float]] = np.stack([losses, np.exp(-losses), losses / 30], axis=1).tolist()
    return found
