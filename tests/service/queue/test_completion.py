"""Finished tiles: a job is done when all its points are; its log, counters and stored values."""

from sqlalchemy.orm import Session

from service.database import counters
from service.database.tables import Checkpoint
from service.jobs import lifecycle, results
from service.queue import completion, leases, requeue
from tests.service.queue.steps import (
    GRID,
    compute_all,
    end_pauses,
    expire_leases,
    finish,
    lease_next,
    log_of,
    prepared_job,
    ready_checkpoint,
    reclaim,
    submit,
)


def test_a_job_is_done_when_every_point_is_computed(session: Session) -> None:
    job = prepared_job(session)
    assert job.state == "running"
    seen = []
    while held := leases.lease(session, 60):
        seen += held.points
        assert finish(session, held)
    session.refresh(job)
    assert job.state == "done"
    assert sorted(seen) == [(i, j) for i in range(5) for j in range(3)]
    assert results.load(session, job).losses.tolist() == [[10.0 * i + j for j in range(3)] for i in range(5)]


def test_a_number_that_is_not_finite_is_stored_as_null_on_either_database(session: Session) -> None:
    job = submit(session, ready_checkpoint(session))
    facts = {"center": {"loss": float("nan")}, "path": [1.0, float("inf")], "engine": None}
    assert completion.finish_preparing(session, lease_next(session), facts, GRID, 4, seconds=0.1)
    session.flush()
    session.expire_all()
    assert job.provenance == {"center": {"loss": None}, "path": [1.0, None], "engine": None}


def test_the_log_of_a_job_records_every_step(session: Session) -> None:
    job = prepared_job(session, points_per_tile=8)
    requeue.after_error(session, lease_next(session), 3, "an internal error")
    end_pauses(session)
    compute_all(session)
    *lines, done = log_of(session, job)
    assert lines == [
        "Submitted: surface of ResNet-8, width 4, with shortcuts on digits.",
        "Prepared in 0.1 s: 15 points in 1 level, about 8 at a time, computed by the plain engine on any device.",
        "Attempt 1 of 3 at 8 points failed: an internal error.",
        "Level 1 of 1 is complete: 15 of 15.",
    ]
    assert done.startswith("Done: 15 of 15 points in ")
    cancelled = submit(session, session.get_one(Checkpoint, job.checkpoint_id))
    lifecycle.cancel(session, cancelled.id)
    assert log_of(session, cancelled)[-1] == "Cancelled after 0 of 15 points."


def test_counters_count_what_was_committed(session: Session) -> None:
    prepared_job(session, points_per_tile=8)
    held = lease_next(session)
    expire_leases(session)
    reclaim(session)
    assert not finish(session, held)
    end_pauses(session)
    compute_all(session)
    counted = counters.read_all(session, ["tiles", "points", "tile_seconds", "leases_lost", "jobs_finished"])
    assert counted == {
        ("tiles", "read"): 1.0,
        ("tiles", "prepare"): 1.0,
        ("tiles", "points"): 2.0,
        ("points", ""): 15.0,
        ("tile_seconds", "2.0"): 2.0,
        ("leases_lost", ""): 1.0,
        ("jobs_finished", "done"): 1.0,
    }
