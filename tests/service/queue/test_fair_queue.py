"""Fair queueing: coarse levels first, users and jobs in turn."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from service.database.tables import Job, Turn
from service.database.tables import Worker as WorkerRow
from service.library import uploads
from service.queue import leases
from service.queue.completion import end_job
from tests.service.queue.steps import compute_all, compute_next, ready_checkpoint, submit_square


def test_coarse_levels_of_every_job_come_before_fine_levels_of_any(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    two = [submit_square(session, checkpoint, 9).id for _ in range(2)]
    turns = compute_all(session)
    levels = [level for level, _, _ in turns]
    assert levels == sorted(levels)
    assert {subject for _, _, subject in turns} == set(two)


def test_jobs_of_one_user_take_turns_within_a_level(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    ids = [submit_square(session, checkpoint, 17).id for _ in range(3)]
    fine = [subject for level, _, subject in compute_all(session) if level == 2]
    assert len(fine) == 3 * 26  # 208 points each
    for k in range(len(fine) - 6):
        served = [fine[:k].count(one) for one in ids]
        assert max(served) - min(served) <= 3  # those first in the queue are ahead by no more


def test_users_take_turns_however_many_jobs_each_has(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    many = {submit_square(session, checkpoint, 9, owner="ada").id for _ in range(5)}
    one = submit_square(session, checkpoint, 9, owner="grace").id
    turns = [subject for _, _, subject in compute_all(session, 10)]
    assert {subject in many for subject in turns[::2]} == {True}
    assert set(turns[1::2]) == {one}


def test_a_new_job_gets_its_coarse_grid_while_a_large_one_is_at_its_fine_levels(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    large = submit_square(session, checkpoint, 33)
    while (compute_next(session) or (9,))[0] < 3:
        pass
    small = submit_square(session, checkpoint, 17)
    turns = compute_all(session, 5)
    assert turns == [(0, "prepare", small.id), *[(0, "points", small.id)] * 4]  # 25 points, 8 at a time
    assert session.get_one(Job, large.id).state == "running"


def test_the_first_of_a_thousand_jobs_are_completed_first(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    ids = [submit_square(session, checkpoint, 5).id for _ in range(1000)]
    turns = compute_all(session, 100)
    complete = [subject for _, purpose, subject in turns if purpose == "points"]
    assert [complete.count(one) for one in ids[:10]] == [4] * 10  # all 25 points, 8 at a time
    assert len({subject for _, _, subject in turns}) < 30


def test_a_new_user_is_served_next(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    for _ in range(50):
        submit_square(session, checkpoint, 5, owner="ada")
    compute_all(session, 60)
    job = submit_square(session, checkpoint, 5, owner="grace")
    assert (0, "prepare", job.id) in compute_all(session, 2)


def test_uploads_of_one_user_keep_no_job_of_another_waiting(session: Session) -> None:
    """Uploads are read before the jobs of the same user, not before those of others."""
    job = submit_square(session, ready_checkpoint(session), 9, owner="grace")
    for number in range(20):
        uploads.add_checkpoint(session, name=f"{number}.pt", sha256="0" * 64, size=1, owner="ada")
    assert any(leases.lease(session, 60).subject == job.id for _ in range(2))  # type: ignore[union-attr]


def test_of_two_workers_one_is_kept_for_a_user_who_was_served_just_now(session: Session) -> None:
    session.add_all([WorkerRow(id=name, device="CPU") for name in "kl"])
    checkpoint = ready_checkpoint(session)
    grace = submit_square(session, checkpoint, 5, owner="grace")
    assert taken(session, "k") == grace.id
    end_job(session, grace.id, "cancelled")
    ada = submit_square(session, checkpoint, 33, owner="ada")
    submit_square(session, checkpoint, 33, owner="ada")
    assert taken(session, "k") == ada.id
    assert taken(session, "l") is None  # though another job of hers waits
    again = submit_square(session, checkpoint, 5, owner="grace")
    assert taken(session, "l") == again.id
    end_job(session, again.id, "cancelled")
    session.execute(update(Turn).where(Turn.owner.in_(("grace", ""))).values(served=Turn.served - 61_000_000))
    assert taken(session, "l") is not None


def taken(session: Session, worker: str) -> str | None:
    """The job of the tile that a worker gets."""
    held = leases.lease(session, 60, worker=worker)
    return held.subject if held else None
