"""Jobs and tiles change state as promised: leases, attempts, terminal states, turns."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from landscape.grid import Axis, Grid
from worker import jobs, library, queue, results
from worker.database import Database
from worker.errors import ConflictError, InvalidError
from worker.queue import Lease
from worker.spec import AxisSpec, SurfaceGrid, SurfaceSpec
from worker.tables import Checkpoint, Job, Tile

ARCHITECTURE = {"label": "ResNet-8, width 4, with shortcuts", "classes": 10, "channels": 1, "parameters": 1}
ALPHA, BETA = AxisSpec(count=5), AxisSpec(count=3)
GRID = Grid(Axis(count=5), Axis(count=3))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite'}")
    yield database
    database.engine.dispose()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.writing() as session:
        yield session


def ready_checkpoint(session: Session) -> Checkpoint:
    checkpoint = library.receive_checkpoint(session, name="a.pt", sha256="0" * 64, size=1)
    held = take(session)
    verdict = {"state": "ready", "architecture": ARCHITECTURE, "candidates": [ARCHITECTURE], "weights_sha256": "1" * 64}
    assert queue.finish_reading(session, held, verdict)
    session.refresh(checkpoint)
    return checkpoint


def take(session: Session) -> Lease:
    held = queue.lease(session, 60)
    assert held is not None
    return held


def submit(session: Session, checkpoint: Checkpoint) -> Job:
    return jobs.submit(session, SurfaceSpec(checkpoint=checkpoint.id, grid=SurfaceGrid(alpha=ALPHA, beta=BETA)))


def prepared_job(session: Session, points_per_tile: int = 4) -> Job:
    job = submit(session, ready_checkpoint(session))
    assert queue.finish_preparing(session, take(session), {}, GRID, points_per_tile)
    session.expire_all()
    return job


def values_for(held: Lease) -> bytes:
    return results.pack([(10.0 * i + j, 0.5, 0.1) for i, j in held.points])


def run_out(session: Session) -> None:
    session.execute(update(Tile).where(Tile.state == "leased").values(leased_until=0.0))
    session.expire_all()


def test_a_database_of_another_version_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "old.sqlite") as connection:
        connection.execute("CREATE TABLE jobs (id VARCHAR PRIMARY KEY)")
    connection.close()
    with pytest.raises(ConflictError, match="another version"):
        Database(f"sqlite:///{tmp_path / 'old.sqlite'}").engine.dispose()


def test_a_job_is_done_when_every_point_is_in(session: Session) -> None:
    job = prepared_job(session)
    assert job.state == "running"
    seen = []
    while held := queue.lease(session, 60):
        seen += held.points
        assert queue.finish_points(session, held, values_for(held))
    session.refresh(job)
    assert job.state == "done"
    assert sorted(seen) == [(i, j) for i in range(5) for j in range(3)]
    assert results.load(session, job).losses.tolist() == [[10.0 * i + j for j in range(3)] for i in range(5)]


def test_coarse_levels_of_every_job_come_before_fine_levels_of_any(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    spec = SurfaceSpec(checkpoint=checkpoint.id, grid=SurfaceGrid(alpha=AxisSpec(count=9), beta=AxisSpec(count=9)))
    for _ in range(2):
        jobs.submit(session, spec)
        queue.finish_preparing(session, take(session), {}, Grid.square(9), 8)
    turns = []
    while held := queue.lease(session, 60):
        level = session.scalar(select(Tile.level).where(Tile.id == held.tile))
        turns.append((level, held.subject))
        queue.finish_points(session, held, values_for(held))
    levels = [level for level, _ in turns]
    assert levels == sorted(levels)
    assert len({subject for _, subject in turns[:2]}) == 2  # jobs take turns within a level


def test_a_tile_is_leased_to_one_worker_at_a_time(session: Session) -> None:
    prepared_job(session)
    held = []
    while lease := queue.lease(session, 60):
        held.append(lease.tile)
    assert len(held) == len(set(held)) == 4


def test_a_silent_worker_loses_its_tile_and_its_late_values_change_nothing(session: Session) -> None:
    job = prepared_job(session)
    late = take(session)
    run_out(session)
    assert queue.overdue(session)
    assert queue.reclaim(session, 3) == 1
    assert not queue.beat(session, late, 60)
    assert not queue.finish_points(session, late, values_for(late))
    again = take(session)
    assert again.tile == late.tile
    assert again.attempts == 2
    assert queue.finish_points(session, again, values_for(again))
    assert not queue.finish_points(session, again, values_for(again))
    session.refresh(job)
    assert job.points_done == len(again.points)


def test_a_poison_tile_fails_its_job_after_three_attempts(session: Session) -> None:
    job = prepared_job(session)
    for _ in range(3):
        take(session)
        run_out(session)
        queue.reclaim(session, 3)
    session.expire_all()
    assert job.state == "failed"
    assert job.error == "Worker lost: the process died 3 times in a row."
    assert queue.waiting(session) == 0


def test_a_file_that_kills_its_reader_is_rejected(session: Session) -> None:
    checkpoint = library.receive_checkpoint(session, name="a.pt", sha256="0" * 64, size=1)
    for _ in range(3):
        take(session)
        run_out(session)
        queue.reclaim(session, 3)
    session.expire_all()
    assert checkpoint.state == "rejected"
    assert "died 3 times" in (checkpoint.reason or "")


def test_an_unforeseen_error_offers_the_tile_again_and_at_last_fails_the_job(session: Session) -> None:
    job = prepared_job(session)
    for _ in range(3):
        queue.give_back(session, take(session), 3)
    session.expire_all()
    assert job.state == "failed"
    assert "internal error" in (job.error or "")


def test_a_terminal_state_never_changes(session: Session) -> None:
    job = prepared_job(session)
    held = take(session)
    jobs.cancel(session, job.id)
    assert not queue.beat(session, held, 60)
    assert not queue.finish_points(session, held, values_for(held))
    assert not queue.fail(session, held, "too late")
    with pytest.raises(ConflictError, match="cancelled already"):
        jobs.cancel(session, job.id)
    session.expire_all()
    assert (job.state, job.error) == ("cancelled", None)


def test_a_cancelled_job_leaves_no_tile_to_do_and_keeps_the_done_ones(session: Session) -> None:
    job = prepared_job(session)
    held = take(session)
    queue.finish_points(session, held, values_for(held))
    jobs.cancel(session, job.id)
    assert queue.waiting(session) == 0
    assert results.load(session, job).computed.sum() == len(held.points)


def test_a_retry_computes_only_what_is_missing(session: Session) -> None:
    job = prepared_job(session)
    held = take(session)
    queue.finish_points(session, held, values_for(held))
    jobs.cancel(session, job.id)
    again = jobs.retry(session, job.id)
    session.refresh(again)
    missing = []
    while lease := queue.lease(session, 60):
        missing += lease.points
        queue.finish_points(session, lease, values_for(lease))
    assert sorted(missing + held.points) == [(i, j) for i in range(5) for j in range(3)]
    session.refresh(again)
    assert again.state == "done"
    with pytest.raises(ConflictError, match="only a failed or cancelled"):
        jobs.retry(session, again.id)


def test_deleting_a_job_deletes_its_tiles(session: Session) -> None:
    job = prepared_job(session)
    with pytest.raises(ConflictError, match="Cancel it first"):
        jobs.delete_job(session, job.id)
    jobs.cancel(session, job.id)
    jobs.delete_job(session, job.id)
    session.flush()
    assert session.scalars(select(Tile).where(Tile.job_id == job.id)).all() == []


def test_a_rejected_or_unread_checkpoint_takes_no_job(session: Session) -> None:
    checkpoint = library.receive_checkpoint(session, name="a.pt", sha256="0" * 64, size=1)
    with pytest.raises(InvalidError, match="still being read"):
        submit(session, checkpoint)
    queue.fail(session, take(session), "It is a picture.")
    session.expire_all()
    with pytest.raises(InvalidError, match="It is a picture"):
        submit(session, checkpoint)
