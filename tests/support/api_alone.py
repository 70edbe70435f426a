"""The API without workers: the test writes to its database in place of workers."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from service.database.sessions import Database
from service.database.tables import Job, new_id
from service.queue import completion, fair_queue, leases
from service.queue.rows import pack
from tests.support.service import Api, serve

LEASE_SECONDS = 3600.0  # no lease runs out during a test


@dataclass
class ApiAlone(Api):
    """A running API and its database."""

    database: Database

    def job(self, alphas: int = 9, betas: int = 7, *, points_per_tile: int = 5) -> str:
        """Id of a new job, prepared as by a worker."""
        with self.database.writing() as session:
            job = prepared_job(alphas, betas, points_per_tile)
            session.add(job)
            session.flush()
            fair_queue.enqueue_points(session, job)
            return job.id

    def lease(self) -> leases.Lease:
        with self.database.writing() as session:
            held = leases.lease(session, LEASE_SECONDS)
        assert held is not None
        return held

    def compute_all(self) -> None:
        while self._waiting():
            self.compute()

    def _waiting(self) -> int:
        with self.database.reading() as session:
            return leases.count_waiting(session, 1)

    def compute(self, tiles: int = 1, *, seconds: float = 0.3) -> None:
        """Finish tiles as a worker does; the loss is α + 10 β of the indices."""
        for _ in range(tiles):
            held = self.lease()
            values = pack([[i + 10 * j] for i, j in held.points])
            with self.database.writing() as session:
                assert completion.finish_points(session, held, values, seconds=seconds)


def prepared_job(alphas: int, betas: int, points_per_tile: int) -> Job:
    """The row of a prepared surface, not yet in a database."""
    grid = {"alpha": {"min": -1.0, "max": 1.0, "count": alphas}, "beta": {"min": -1.0, "max": 1.0, "count": betas}}
    return Job(
        id=new_id(),
        kind="surface",
        name="by hand",
        state="running",
        spec={"kind": "surface", "grid": grid},
        checkpoint={"id": new_id(), "name": "none", "label": "none", "gallery": None},
        checkpoint_id=new_id(),
        provenance={"columns": ["losses"]},
        grid=grid,
        points=alphas * betas,
        points_per_tile=points_per_tile,
    )


@contextlib.contextmanager
def api_alone(folder: Path, broker: str, **settings: str) -> Iterator[ApiAlone]:
    """Start the API and open its database, for the length of the block."""
    with serve(folder, **{"broker": broker, "lease_seconds": str(LEASE_SECONDS), **settings}) as api:
        database = Database(settings.get("database") or f"sqlite:///{folder / 'landscape.sqlite'}")
        try:
            yield ApiAlone(**vars(api), database=database)
        finally:
            database.engine.dispose()
