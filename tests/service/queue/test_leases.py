"""Leases: which tile a worker gets, and of which size."""

from sqlalchemy.orm import Session

from service.jobs import lifecycle
from service.queue import completion, leases
from tests.service.queue.steps import GRID, prepared_job, ready_checkpoint, submit


def test_a_job_is_computed_only_by_the_kind_of_device_that_prepared_it(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    job = submit(session, checkpoint)
    held = leases.lease(session, 60, device="a GPU")
    assert held is not None
    assert completion.finish_preparing(session, held, {}, GRID, 4, seconds=0.1, device="a GPU")
    assert leases.lease(session, 60, device="CPU") is None
    other = submit(session, checkpoint)
    preparing = leases.lease(session, 60, device="CPU")
    assert preparing is not None
    assert preparing.subject == other.id
    of_the_gpu = leases.lease(session, 60, device="a GPU")
    assert of_the_gpu is not None
    assert of_the_gpu.subject == job.id
    lifecycle.cancel(session, job.id)
    again = lifecycle.retry(session, job.id)
    assert leases.lease(session, 60, device="CPU") is None
    taken = leases.lease(session, 60, device="a GPU")
    assert taken is not None
    assert taken.subject == again.id


def test_a_worker_leases_as_many_points_as_its_speed_allows(session: Session) -> None:
    job = prepared_job(session, points_per_tile=4)
    slow, fast = leases.lease(session, 60), leases.lease(session, 60, sizes={job.id: 7})
    assert slow is not None
    assert fast is not None
    assert (len(slow.points), len(fast.points)) == (4, 7)
    assert set(slow.points).isdisjoint(fast.points)


def test_a_tile_is_leased_to_one_worker_at_a_time(session: Session) -> None:
    prepared_job(session)
    held = []
    while lease := leases.lease(session, 60):
        held.append(lease.tile)
    assert len(held) == len(set(held)) == 4
