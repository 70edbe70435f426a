"""Fair queueing: coarse levels first, users and jobs in turn."""

from sqlalchemy.orm import Session

from service.database.tables import Job
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
