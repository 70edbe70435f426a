"""The HTTP face alone, as `landscape serve` starts it, the database in the hands of the test: no worker interferes."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from service.database.sessions import Database
from service.database.tables import Job, new_id
from service.queue import leases, line
from service.queue.values import pack
from tests.conftest import wait_for
from tests.support.servers import free_port

LEASE_SECONDS = 3600.0  # the test takes its time
_LEASE = {"lease_seconds": str(LEASE_SECONDS)}


@dataclass
class Face:
    """A running face, a client for it, and the database behind it."""

    process: psutil.Process
    url: str
    api: httpx.Client
    database: Database
    data: Path

    def job(self, alphas: int = 9, betas: int = 7, *, points_per_tile: int = 5) -> str:
        """A job as a worker leaves it when it is prepared."""
        with self.database.writing() as session:
            job = by_hand(alphas, betas, points_per_tile)
            session.add(job)
            session.flush()
            line.enqueue_points(session, job)
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
            return leases.waiting(session, 1)

    def compute(self, tiles: int = 1, *, seconds: float = 0.3) -> None:
        """What a worker does, with α + 10 β of the indices as the loss."""
        for _ in range(tiles):
            held = self.lease()
            values = pack([[i + 10 * j] for i, j in held.points])
            with self.database.writing() as session:
                assert leases.finish_points(session, held, values, seconds=seconds)


def by_hand(alphas: int, betas: int, points_per_tile: int) -> Job:
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
def running(folder: Path, broker: str, **settings: str) -> Iterator[Face]:
    """Start it, wait until it answers, stop it at the end."""
    port = free_port()
    command = [sys.executable, "-m", "landscape.cli", "serve", "--data", str(folder), "--port", str(port)]
    given = {f"LANDSCAPE_{name.upper()}": value for name, value in {"broker": broker, **_LEASE, **settings}.items()}
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **given}, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    api = httpx.Client(base_url=f"{url}/api", timeout=60, trust_env=False)

    def answers() -> bool:
        assert process.poll() is None, (folder / "serve.log").read_text()
        with contextlib.suppress(httpx.TransportError):
            return api.get("/version").status_code == 200
        return False

    try:
        wait_for(answers, "the face to answer")
        database = Database(settings.get("database") or f"sqlite:///{folder / 'landscape.sqlite'}")
        yield Face(psutil.Process(process.pid), url, api, database, folder)
        database.engine.dispose()
    finally:
        api.close()
        process.terminate()
        process.wait(60)
