"""The reconciler recovers lost work on either kind of database, and reports devices that are missing."""

import time
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from service.database.sessions import Database
from service.database.tables import Job, Tile
from service.database.tables import Worker as WorkerRow
from service.queue import completion, leases
from service.queue.reconciler import Reconciler
from service.queue.wakeups import WakeUps
from service.settings import Settings
from tests.service.queue.steps import GRID, lease_next, log_of, ready_checkpoint, submit


@pytest.fixture
def reconciler(database: Database, tmp_path: Path) -> Reconciler:
    settings = Settings(data=tmp_path, broker="redis://127.0.0.1:1/0", lease_seconds=1)
    return Reconciler(database, WakeUps(settings.broker), settings)


def begin(database: Database, device: str) -> str:
    """A job prepared by a worker of this kind; its first tile is taken and never finished."""
    with database.writing() as session:
        job = submit(session, ready_checkpoint(session))
        completion.finish_preparing(session, lease_next(session), {}, GRID, 4, seconds=0.1, device=device)
        assert leases.lease(session, 1, device=device)
        return job.id


def leased(database: Database) -> int:
    with database.reading() as session:
        return len(session.scalars(select(Tile).where(Tile.state == "leased")).all())


def test_a_tile_of_a_silent_worker_is_requeued_without_a_broker(database: Database, reconciler: Reconciler) -> None:
    begin(database, "CPU")
    assert leased(database) == 1
    with database.writing() as session:
        session.execute(update(Tile).where(Tile.state == "leased").values(leased_until=0.0))
    reconciler.run_once()
    assert leased(database) == 0


def test_new_work_wakes_the_reconciler_at_once_without_a_broker(reconciler: Reconciler) -> None:
    started = time.monotonic()
    reconciler.wakeups.notify()
    reconciler.wakeups.wait(3600)
    assert time.monotonic() - started < 60


def test_after_an_outage_of_the_database_workers_get_the_time_of_a_lease_for_a_heartbeat(
    database: Database, reconciler: Reconciler
) -> None:
    begin(database, "CPU")
    with database.writing() as session:
        session.execute(update(Tile).where(Tile.state == "leased").values(leased_until=0.0))
        session.connection().exec_driver_sql("ALTER TABLE tiles RENAME TO away")
    with pytest.raises(SQLAlchemyError):
        reconciler.run_once()
    with database.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE away RENAME TO tiles")
    reconciler._reclaim()
    assert leased(database) == 1
    time.sleep(1.1)
    reconciler._reclaim()
    assert leased(database) == 0


def test_the_log_of_a_job_says_once_that_its_kind_of_device_is_missing(
    database: Database, reconciler: Reconciler
) -> None:
    job_id = begin(database, "a GPU")
    with database.writing() as session:
        session.add(WorkerRow(id="one", device="CPU"))
    reconciler.report_missing_devices()
    for _ in range(3):
        reconciler.report_missing_devices(after_seconds=0)
    with database.writing() as session:
        lines = log_of(session, session.get_one(Job, job_id))
        assert [line for line in lines if "a GPU" in line][1:] == [
            "No worker of the kind that began this job (a GPU) is running. The job continues when one is; "
            "or cancel it and submit it again, to have it computed by the workers that are running."
        ]
        session.add(WorkerRow(id="two", device="a GPU"))
    reconciler.report_missing_devices(after_seconds=0)
    assert reconciler._missing_since == {}
