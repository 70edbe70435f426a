"""Unfinished tiles return to the queue: expired leases, dead workers, errors, and the limit of attempts."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from service.database.tables import Tile
from service.library import uploads
from service.queue import leases, requeue
from tests.service.queue.steps import compute_all, expire_leases, finish, lease_next, log_of, prepared_job, reclaim


def test_a_silent_worker_loses_its_tile_and_its_late_values_change_nothing(session: Session) -> None:
    job = prepared_job(session)
    late = lease_next(session)
    expire_leases(session)
    assert requeue.any_overdue(session, 60)
    assert reclaim(session) == 1
    assert not leases.heartbeat(session, late, 60)
    assert not finish(session, late)
    again = lease_next(session)
    assert again.tile == late.tile
    assert again.attempts == 2
    assert finish(session, again)
    assert not finish(session, again)
    session.refresh(job)
    assert job.points_done == len(again.points)


def test_a_silent_worker_loses_its_tile_even_when_the_clock_was_set_back_by_an_hour(session: Session) -> None:
    prepared_job(session)
    held = lease_next(session)
    session.execute(update(Tile).where(Tile.id == held.tile).values(leased_until=Tile.leased_until + 3600))
    assert requeue.any_overdue(session, 60)
    assert reclaim(session) == 1
    assert not finish(session, held)


def test_a_clock_set_forward_by_an_hour_costs_one_lease_and_no_value(session: Session) -> None:
    job = prepared_job(session)
    held = lease_next(session)
    session.execute(update(Tile).where(Tile.id == held.tile).values(leased_until=Tile.leased_until - 3600))
    assert reclaim(session) == 1
    assert not finish(session, held)
    compute_all(session)
    session.refresh(job)
    assert job.state == "done"


def test_a_tile_released_on_a_graceful_stop_does_not_count_as_an_attempt(session: Session) -> None:
    prepared_job(session)
    for _ in range(5):
        requeue.release(session, lease_next(session))
    assert lease_next(session).attempts == 1


def test_the_tiles_of_a_dead_worker_are_requeued_at_once_with_the_reason(session: Session) -> None:
    job = prepared_job(session)
    dead, alive = leases.lease(session, 60, worker="dead"), leases.lease(session, 60, worker="alive")
    assert dead is not None
    assert alive is not None
    assert requeue.after_worker_death(session, "dead", 3, "its worker was killed") == 1
    assert lease_next(session).points == dead.points
    assert finish(session, alive)
    assert not finish(session, dead)
    assert log_of(session, job)[-1] == "Attempt 1 of 3 at 4 points failed: its worker was killed."


def test_a_poison_tile_fails_its_job_after_three_attempts(session: Session) -> None:
    job = prepared_job(session)
    for _ in range(3):
        lease_next(session)
        expire_leases(session)
        reclaim(session)
    session.expire_all()
    assert job.state == "failed"
    assert job.error == "3 attempts at one part of this job failed; the last: its worker fell silent."
    assert leases.count_waiting(session) == 0


def test_a_file_that_kills_its_reader_is_rejected(session: Session) -> None:
    checkpoint = uploads.add_checkpoint(session, name="a.pt", sha256="0" * 64, size=1)
    for _ in range(3):
        lease_next(session)
        expire_leases(session)
        reclaim(session)
    session.expire_all()
    assert checkpoint.state == "rejected"
    assert "3 attempts at reading this file failed" in (checkpoint.reason or "")


def test_an_unexpected_error_requeues_the_tile_and_finally_fails_the_job(session: Session) -> None:
    job = prepared_job(session)
    for _ in range(3):
        requeue.after_error(session, lease_next(session), 3, "an internal error")
    session.expire_all()
    assert job.state == "failed"
    assert "internal error" in (job.error or "")
