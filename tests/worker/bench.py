"""A worker in this process, without broker or service: uploads are read and jobs are computed step by step."""

from pathlib import Path
from typing import Any

from sqlalchemy import select

from service.database.sessions import Database
from service.database.tables import Checkpoint, Job, LogLine, Tile
from service.jobs import lifecycle, results
from service.jobs.spec import job_spec
from service.library import uploads
from service.settings import Settings
from service.storage.open import open_store
from worker.process import Worker

NO_BROKER = "redis://127.0.0.1:1/0"  # nothing listens there


class Bench:
    """A worker, its database and its store in one folder."""

    def __init__(self, folder: Path, **settings: Any):
        self.settings = Settings(data=folder, broker=NO_BROKER, **settings)
        self.database = Database(self.settings.database_url)
        self.store = open_store(self.settings, min_free_bytes=0)
        self.worker = Worker(self.settings)

    def close(self) -> None:
        self.worker.tiles.close()
        self.database.engine.dispose()

    def upload(self, path: Path, *, owner: str = "") -> str:
        """The id of a checkpoint that has been read."""
        sha256 = self.store.copy_in(path)
        with self.database.writing() as session:
            checkpoint = uploads.add_checkpoint(
                session, name=path.name, sha256=sha256, size=path.stat().st_size, owner=owner
            )
        assert self.worker.work()
        with self.database.reading() as session:
            found = session.get_one(Checkpoint, checkpoint.id)
            assert found.state == "ready", found.reason
        return checkpoint.id

    def submit(self, checkpoint: str, *, owner: str = "", **spec: Any) -> str:
        order = job_spec.validate_python({"kind": "slice", "checkpoint": checkpoint, **spec})
        with self.database.writing() as session:
            return lifecycle.submit(session, order, owner=owner).id

    def finish(self, job_id: str) -> Job:
        """The job, when nothing waits any more."""
        self.drain()
        return self.job(job_id)

    def drain(self) -> None:
        """Work until nothing waits, without the pauses after failed attempts."""
        while self.unfinished():
            self.retry_now()
            self.worker.work()

    def unfinished(self) -> bool:
        with self.database.reading() as session:
            return session.scalar(select(Tile.id).where(Tile.state != "done").limit(1)) is not None

    def retry_now(self) -> None:
        """End the pause after a failed attempt."""
        with self.database.writing() as session:
            for tile in session.scalars(select(Tile).where(Tile.not_before.is_not(None))):
                tile.not_before = None

    def job(self, job_id: str) -> Job:
        with self.database.reading() as session:
            return session.get_one(Job, job_id)

    def losses(self, job_id: str) -> list[Any]:
        with self.database.reading() as session:
            found: list[Any] = results.load(session, session.get_one(Job, job_id)).losses.tolist()
            return found

    def log(self, job_id: str) -> list[str]:
        with self.database.reading() as session:
            return list(session.scalars(select(LogLine.text).where(LogLine.job_id == job_id)))
