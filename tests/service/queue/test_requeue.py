"""Unfinished tiles return to the queue: expired leases, dead workers, errors, and the limit of attempts."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from landscape.grid import Axis, Grid
from service.database.tables import Tile, now
from service.library import uploads
from service.queue import completion, leases, requeue
from tests.service.queue.steps import (
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
    submit_square,
)


def test_a_silent_worker_loses_its_tile_and_its_late_values_change_nothing(session: Session) -> None:
    job = prepared_job(session)
    late = lease_next(session)
    expire_leases(session)
    assert requeue.any_overdue(session, 60)
    assert reclaim(session) == 1
    assert not leases.heartbeat(session, late, 60)
    assert not finish(session, late)
    end_pauses(session)
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
    end_pauses(session)
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
    end_pauses(session)
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
        end_pauses(session)
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
        end_pauses(session)
    session.expire_all()
    assert checkpoint.state == "rejected"
    assert "3 attempts at reading this file failed" in (checkpoint.reason or "")


def test_an_unexpected_error_requeues_the_tile_and_finally_fails_the_job(session: Session) -> None:
    job = prepared_job(session)
    for _ in range(3):
        requeue.after_error(session, lease_next(session), 3, "an internal error")
        end_pauses(session)
    session.expire_all()
    assert job.state == "failed"
    assert "internal error" in (job.error or "")


def test_a_failed_attempt_pauses_its_job_and_no_other(session: Session) -> None:
    prepared_job(session)
    first, second = lease_next(session), lease_next(session)
    requeue.after_error(session, first, 3, "its network crashed")
    assert leases.lease(session, 60) is None
    assert leases.count_waiting(session) == 0
    other = submit(session, ready_checkpoint(session))
    assert lease_next(session).subject == other.id
    assert finish(session, second), "a tile that another worker holds is not disturbed"
    end_pauses(session)
    assert lease_next(session).tile == first.tile


def test_each_pause_of_a_job_is_twice_as_long_and_a_minute_at_most(session: Session) -> None:
    prepared_job(session)
    pauses = []
    for _ in range(8):
        held = lease_next(session)
        requeue.after_error(session, held, 100, "its network crashed")
        pauses.append(session.scalar(select(Tile.not_before - now()).where(Tile.id == held.tile)) or 0)
        end_pauses(session)
    assert [round(pause) for pause in pauses] == [2, 4, 8, 16, 32, 60, 60, 60]


def test_a_shorter_pause_does_not_end_a_longer_one(session: Session) -> None:
    prepared_job(session)
    first, second = lease_next(session), lease_next(session)
    requeue.release(session, first, pause=50)
    requeue.after_error(session, second, 3, "its network crashed")
    waiting = select(Tile.not_before - now()).where(Tile.id == first.tile)
    assert 40 < (session.scalar(waiting) or 0) <= 50


def test_a_clock_set_back_by_an_hour_does_not_prolong_a_pause(session: Session) -> None:
    prepared_job(session)
    requeue.after_error(session, lease_next(session), 3, "its network crashed")
    session.execute(update(Tile).where(Tile.not_before.is_not(None)).values(not_before=Tile.not_before + 3600))
    assert leases.count_waiting(session) > 0
    assert lease_next(session).attempts == 2


def test_a_paused_file_lets_the_other_files_of_its_owner_be_read(session: Session) -> None:
    hostile, good = (uploads.add_checkpoint(session, name=name, sha256="0" * 64, size=1) for name in ("x", "y"))
    held = lease_next(session)
    assert held.subject == hostile.id
    requeue.after_error(session, held, 3, "the process that read it was killed")
    assert lease_next(session).subject == good.id


def test_coarse_tiles_that_are_paused_do_not_hold_up_finer_ones_of_another_job(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    fine = submit_square(session, checkpoint, 9)
    while (held := lease_next(session)).level < 1:
        if held.purpose == "prepare":
            completion.finish_preparing(session, held, {}, Grid(Axis(count=9), Axis(count=9)), 4, seconds=0.1)
        else:
            finish(session, held)
    requeue.release(session, held)
    coarse = submit(session, checkpoint)
    preparing = lease_next(session)
    assert preparing.subject == coarse.id
    requeue.after_error(session, preparing, 3, "its network crashed")
    assert lease_next(session).subject == fine.id
