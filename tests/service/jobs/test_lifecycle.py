"""State transitions of jobs: submit, cancel, retry, delete."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.database.tables import Tile
from service.errors import ConflictError, InvalidError
from service.jobs import lifecycle, results
from service.library import uploads
from service.queue import completion, leases
from tests.service.queue.steps import compute_all, compute_next, finish, lease_next, prepared_job, submit


def test_no_job_is_accepted_for_a_rejected_or_unread_checkpoint(session: Session) -> None:
    checkpoint = uploads.add_checkpoint(session, name="a.pt", sha256="0" * 64, size=1)
    with pytest.raises(InvalidError, match="still being read"):
        submit(session, checkpoint)
    completion.fail(session, lease_next(session), "It is a picture.")
    session.expire_all()
    with pytest.raises(InvalidError, match="It is a picture"):
        submit(session, checkpoint)


def test_a_terminal_state_never_changes(session: Session) -> None:
    job = prepared_job(session)
    held = lease_next(session)
    lifecycle.cancel(session, job.id)
    assert not leases.heartbeat(session, held, 60)
    assert not finish(session, held)
    assert not completion.fail(session, held, "too late")
    with pytest.raises(ConflictError, match="already cancelled"):
        lifecycle.cancel(session, job.id)
    session.expire_all()
    assert (job.state, job.error) == ("cancelled", None)


def test_a_cancelled_job_has_no_waiting_tile_and_keeps_its_finished_ones(session: Session) -> None:
    job = prepared_job(session)
    held = lease_next(session)
    finish(session, held)
    lifecycle.cancel(session, job.id)
    assert leases.count_waiting(session) == 0
    assert results.load(session, job).computed.sum() == len(held.points)


def test_a_retry_computes_only_what_is_missing(session: Session) -> None:
    job = prepared_job(session)
    held = lease_next(session)
    finish(session, held)
    lifecycle.cancel(session, job.id)
    again = lifecycle.retry(session, job.id)
    session.refresh(again)
    missing = []
    while lease := leases.lease(session, 60):
        missing += lease.points
        finish(session, lease)
    assert sorted(missing + held.points) == [(i, j) for i in range(5) for j in range(3)]
    session.refresh(again)
    assert again.state == "done"
    with pytest.raises(ConflictError, match="only a failed or cancelled"):
        lifecycle.retry(session, again.id)


def test_a_flipped_bit_is_detected_and_a_retry_computes_the_damaged_tile_again(session: Session) -> None:
    job = prepared_job(session, points_per_tile=8)
    compute_all(session)
    with pytest.raises(ConflictError, match="only a failed or cancelled"):
        lifecycle.retry(session, job.id)
    first, *_ = results.finished_tiles(session, job.id)
    flipped = bytearray(first.values or b"")
    flipped[3] ^= 1
    first.values = bytes(flipped)
    assert results.damaged(session, job.id) == [first.id]
    again = lifecycle.retry(session, job.id)
    assert compute_next(session) == (0, "points", again.id)
    assert compute_next(session) is None
    session.refresh(again)
    assert again.state == "done"
    assert results.load(session, again).losses.tolist() == [[10.0 * i + j for j in range(3)] for i in range(5)]


def test_deleting_a_job_deletes_its_tiles(session: Session) -> None:
    job = prepared_job(session)
    with pytest.raises(ConflictError, match="Cancel it first"):
        lifecycle.delete_job(session, job.id)
    lifecycle.cancel(session, job.id)
    lifecycle.delete_job(session, job.id)
    session.flush()
    assert session.scalars(select(Tile).where(Tile.job_id == job.id)).all() == []
