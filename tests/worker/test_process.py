"""One worker process by itself: it needs no broker, and it shuts down gracefully."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from service.database.sessions import Database
from service.database.tables import Checkpoint, Tile
from service.database.tables import Worker as WorkerRow
from service.jobs import lifecycle
from service.jobs.spec import AxisSpec, SurfaceGrid, SurfaceSpec
from service.library import uploads
from service.settings import Settings
from service.storage.open import open_store
from tests.support.paths import GALLERY
from tests.support.service import wait_for

NO_BROKER = "redis://127.0.0.1:1/0"  # nothing listens there


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, broker=NO_BROKER, tile_seconds=4)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database_url)
    yield database
    database.engine.dispose()


@pytest.fixture
def process(settings: Settings) -> "Iterator[subprocess.Popen[bytes]]":
    environment = {**os.environ, **settings.environment()}
    with subprocess.Popen(
        [sys.executable, "-m", "worker.process"], stderr=subprocess.DEVNULL, env=environment
    ) as process:
        yield process
        process.kill()


def test_a_worker_without_a_broker_computes_and_finishes_its_tile_before_it_ends(
    settings: Settings, database: Database, process: "subprocess.Popen[bytes]"
) -> None:
    sha256 = open_store(settings, min_free_bytes=0).copy_in(GALLERY / "resnet20-w8-skip.safetensors")
    with database.writing() as session:
        checkpoint_id = uploads.add_checkpoint(session, name="a", sha256=sha256, size=1).id

    def state() -> str:
        with database.reading() as session:
            return session.get_one(Checkpoint, checkpoint_id).state

    wait_for(lambda: state() == "ready", "the checkpoint to be read", 120)
    axis = AxisSpec(count=51)
    with database.writing() as session:
        spec = SurfaceSpec(checkpoint=checkpoint_id, grid=SurfaceGrid(alpha=axis, beta=axis))
        job_id = lifecycle.submit(session, spec).id
    taken = select(Tile).where(Tile.job_id == job_id, Tile.purpose == "points", Tile.attempts > 0)

    def working() -> bool:
        with database.reading() as session:
            return any(tile.state == "leased" and tile.level > 0 for tile in session.scalars(taken))

    wait_for(working, "a tile in the middle of the job", 180)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    with database.reading() as session:
        tiles = list(session.scalars(taken))
        assert {tile.state for tile in tiles} == {"done"}  # finished, not dropped
        assert {tile.attempts for tile in tiles} == {1}
        assert session.scalar(select(WorkerRow)) is None
