"""How far a job is prepared: workers report it with their heartbeats, and every face shows it."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from service.jobs import lifecycle
from service.queue import completion, leases, progress, requeue
from service.queue.leases import Lease
from tests.service.queue.steps import GRID, finish, lease_next, ready_checkpoint, submit

HALF = {"step": "path", "done": 500, "total": 1000}


def preparing(session: Session) -> tuple[Any, Lease]:
    """A job that a worker is preparing, half done."""
    job = submit(session, ready_checkpoint(session))
    held = lease_next(session)
    assert leases.heartbeat(session, held, 60, HALF)
    session.expire_all()
    assert progress.of(session, job)["preparing"] == HALF
    return job, held


def test_how_far_preparing_is_is_shown_until_the_job_is_prepared(session: Session) -> None:
    job, held = preparing(session)
    assert leases.heartbeat(session, held, 60), "a heartbeat without a report"
    session.expire_all()
    assert job.preparing == HALF
    assert completion.finish_preparing(session, held, {}, GRID, 4, seconds=0.1)
    points = lease_next(session)
    assert leases.heartbeat(session, points, 60, HALF), "a late report"
    assert finish(session, points)
    session.expire_all()
    assert progress.of(session, job)["preparing"] is None


@pytest.mark.parametrize("end", ["cancelled", "failed", "released", "crashed"])
def test_a_job_whose_preparing_ended_otherwise_no_longer_shows_it(session: Session, end: str) -> None:
    job, held = preparing(session)
    if end == "cancelled":
        lifecycle.cancel(session, job.id)
    elif end == "failed":
        completion.fail(session, held, "enough")
    elif end == "released":
        requeue.release(session, held)
    else:
        requeue.after_error(session, held, 3, "its network crashed")
    assert not leases.heartbeat(session, held, 60, HALF), "its worker is told to stop"
    session.flush()
    session.expire_all()
    assert job.preparing is None


@pytest.mark.parametrize(
    ("report", "kept"),
    [
        ({"step": "checkpoints", "done": 0, "total": 0}, {"step": "checkpoints", "done": 0, "total": 0}),
        ({"step": "<b>", "done": 1, "total": 2}, {"step": "other", "done": 1, "total": 2}),
        ({"step": ["path"], "done": 3, "total": 2}, {"step": "other", "done": 0, "total": 0}),
        ({"step": "path", "done": -1, "total": 2}, {"step": "path", "done": 0, "total": 0}),
        ({"step": "path", "done": 1, "total": 10**30}, {"step": "path", "done": 0, "total": 0}),
        ({"step": "path", "done": float("nan"), "total": 2.0}, {"step": "path", "done": 0, "total": 0}),
        ({"step": "path", "done": True, "total": True}, {"step": "path", "done": 0, "total": 0}),
        ({}, {"step": "other", "done": 0, "total": 0}),
    ],
)
def test_nothing_but_a_known_step_and_two_counts_is_kept_of_a_report(
    report: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert progress.prepared(report) == kept
