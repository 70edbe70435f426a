"""Jobs and tiles change state as promised: leases, attempts, terminal states, turns."""

from collections.abc import Iterator
from itertools import islice

import pytest
from pydantic import ValidationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from landscape.grid import Axis, Grid
from service.database import counters
from service.database.sessions import Database
from service.database.tables import Checkpoint, Job, LogLine, Tile
from service.errors import ConflictError, InvalidError
from service.jobs import lifecycle, results
from service.jobs.spec import AxisSpec, SurfaceGrid, SurfaceSpec
from service.library import uploads
from service.queue import leases
from service.queue.leases import Lease
from service.queue.values import pack

ARCHITECTURE = {"label": "ResNet-8, width 4, with shortcuts", "classes": 10, "channels": 1, "parameters": 1}
ALPHA, BETA = AxisSpec(count=5), AxisSpec(count=3)
GRID = Grid(Axis(count=5), Axis(count=3))


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.writing() as session:
        yield session


def ready_checkpoint(session: Session) -> Checkpoint:
    checkpoint = uploads.receive_checkpoint(session, name="a.pt", sha256="0" * 64, size=1)
    held = take(session)
    verdict = {"state": "ready", "architecture": ARCHITECTURE, "candidates": [ARCHITECTURE], "weights_sha256": "1" * 64}
    assert leases.finish_reading(session, held, verdict, seconds=0.1)
    session.refresh(checkpoint)
    return checkpoint


def take(session: Session) -> Lease:
    held = leases.lease(session, 60)
    assert held is not None
    return held


def submit(session: Session, checkpoint: Checkpoint) -> Job:
    return lifecycle.submit(session, SurfaceSpec(checkpoint=checkpoint.id, grid=SurfaceGrid(alpha=ALPHA, beta=BETA)))


def prepared_job(session: Session, points_per_tile: int = 4) -> Job:
    job = submit(session, ready_checkpoint(session))
    assert leases.finish_preparing(session, take(session), {}, GRID, points_per_tile, seconds=0.1)
    session.expire_all()
    return job


def values_for(held: Lease) -> bytes:
    return pack([(10.0 * i + j, 0.5, 0.1) for i, j in held.points])


def finish(session: Session, held: Lease) -> bool:
    return leases.finish_points(session, held, values_for(held), seconds=2.0)


def reclaim(session: Session) -> int:
    return leases.reclaim(session, lease_seconds=60, max_attempts=3)


def run_out(session: Session) -> None:
    session.execute(update(Tile).where(Tile.state == "leased").values(leased_until=0.0))
    session.expire_all()


def test_a_job_is_done_when_every_point_is_in(session: Session) -> None:
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


def square(session: Session, checkpoint: Checkpoint, count: int, owner: str | None = None) -> Job:
    axis = AxisSpec(count=count)
    spec = SurfaceSpec(checkpoint=checkpoint.id, grid=SurfaceGrid(alpha=axis, beta=axis))
    return lifecycle.submit(session, spec, owner=owner)


def serve(session: Session, points_per_tile: int = 8) -> tuple[int, str, str] | None:
    """One turn of a worker: level, purpose and subject of the tile it did."""
    held = leases.lease(session, 60)
    if held is None:
        return None
    if held.purpose == "prepare":
        grid = Grid(*(Axis(**axis) for axis in session.get_one(Job, held.subject).grid.values()))  # type: ignore[union-attr]
        leases.finish_preparing(session, held, {}, grid, points_per_tile, seconds=0.1)
    else:
        finish(session, held)
    return held.level, held.purpose, held.subject


def serve_all(session: Session, most: int = 10_000) -> list[tuple[int, str, str]]:
    return list(islice(iter(lambda: serve(session), None), most))


def test_coarse_levels_of_every_job_come_before_fine_levels_of_any(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    two = [square(session, checkpoint, 9).id for _ in range(2)]
    turns = serve_all(session)
    levels = [level for level, _, _ in turns]
    assert levels == sorted(levels)
    assert {subject for _, _, subject in turns} == set(two)


def test_jobs_of_one_user_take_turns_within_a_level(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    ids = [square(session, checkpoint, 17).id for _ in range(3)]
    fine = [subject for level, _, subject in serve_all(session) if level == 2]
    assert len(fine) == 3 * 26  # 208 points each
    for k in range(len(fine) - 6):
        served = [fine[:k].count(one) for one in ids]
        assert max(served) - min(served) <= 3  # the first in line stay that much ahead, and no more


def test_users_take_turns_however_many_jobs_each_has(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    many = {square(session, checkpoint, 9, owner="ada").id for _ in range(5)}
    one = square(session, checkpoint, 9, owner="grace").id
    turns = [subject for _, _, subject in serve_all(session, 10)]
    assert {subject in many for subject in turns[::2]} == {True}
    assert set(turns[1::2]) == {one}


def test_a_new_job_shows_its_coarse_grid_while_a_large_one_is_at_its_fine_levels(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    large = square(session, checkpoint, 33)
    while (serve(session) or (9,))[0] < 3:
        pass
    small = square(session, checkpoint, 17)
    turns = serve_all(session, 5)
    assert turns == [(0, "prepare", small.id), *[(0, "points", small.id)] * 4]  # 25 points, 8 at a time
    assert session.get_one(Job, large.id).state == "running"


def test_of_a_thousand_jobs_the_first_pictures_come_first(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    ids = [square(session, checkpoint, 5).id for _ in range(1000)]
    turns = serve_all(session, 100)
    complete = [subject for _, purpose, subject in turns if purpose == "points"]
    assert [complete.count(one) for one in ids[:10]] == [4] * 10  # all 25 points, 8 at a time
    assert len({subject for _, _, subject in turns}) < 30


def test_a_new_user_is_served_next(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    for _ in range(50):
        square(session, checkpoint, 5, owner="ada")
    serve_all(session, 60)
    job = square(session, checkpoint, 5, owner="grace")
    assert (0, "prepare", job.id) in serve_all(session, 2)


def test_what_one_kind_of_device_has_prepared_is_computed_by_that_kind_alone(session: Session) -> None:
    checkpoint = ready_checkpoint(session)
    job = submit(session, checkpoint)
    held = leases.lease(session, 60, device="a GPU")
    assert held is not None
    assert leases.finish_preparing(session, held, {}, GRID, 4, seconds=0.1, device="a GPU")
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


def test_a_worker_takes_as_many_points_as_suit_it(session: Session) -> None:
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


def test_a_silent_worker_loses_its_tile_and_its_late_values_change_nothing(session: Session) -> None:
    job = prepared_job(session)
    late = take(session)
    run_out(session)
    assert leases.overdue(session, 60)
    assert reclaim(session) == 1
    assert not leases.beat(session, late, 60)
    assert not finish(session, late)
    again = take(session)
    assert again.tile == late.tile
    assert again.attempts == 2
    assert finish(session, again)
    assert not finish(session, again)
    session.refresh(job)
    assert job.points_done == len(again.points)


def test_a_clock_set_back_by_an_hour_costs_a_silent_worker_its_tile_all_the_same(session: Session) -> None:
    prepared_job(session)
    held = take(session)
    session.execute(update(Tile).where(Tile.id == held.tile).values(leased_until=Tile.leased_until + 3600))
    assert leases.overdue(session, 60)
    assert reclaim(session) == 1
    assert not finish(session, held)


def test_a_clock_set_forward_by_an_hour_costs_one_lease_and_no_value(session: Session) -> None:
    job = prepared_job(session)
    held = take(session)
    session.execute(update(Tile).where(Tile.id == held.tile).values(leased_until=Tile.leased_until - 3600))
    assert reclaim(session) == 1
    assert not finish(session, held)
    serve_all(session)
    session.refresh(job)
    assert job.state == "done"


def test_a_tile_put_back_on_a_graceful_stop_does_not_count_as_an_attempt(session: Session) -> None:
    prepared_job(session)
    for _ in range(5):
        leases.put_back(session, take(session))
    assert take(session).attempts == 1


def test_the_tiles_of_a_dead_worker_are_offered_at_once_with_the_reason(session: Session) -> None:
    job = prepared_job(session)
    dead, alive = leases.lease(session, 60, worker="dead"), leases.lease(session, 60, worker="alive")
    assert dead is not None
    assert alive is not None
    assert leases.abandon(session, "dead", 3, "its worker was killed") == 1
    assert take(session).points == dead.points
    assert finish(session, alive)
    assert not finish(session, dead)
    assert log_of(session, job)[-1] == "Attempt 1 of 3 at 4 points failed: its worker was killed."


def log_of(session: Session, job: Job) -> list[str]:
    session.flush()
    return list(session.scalars(select(LogLine.text).where(LogLine.job_id == job.id).order_by(LogLine.id)))


def test_a_fact_that_is_not_finite_is_null_on_either_database(session: Session) -> None:
    job = submit(session, ready_checkpoint(session))
    facts = {"center": {"loss": float("nan")}, "path": [1.0, float("inf")], "engine": None}
    assert leases.finish_preparing(session, take(session), facts, GRID, 4, seconds=0.1)
    session.flush()
    session.expire_all()
    assert job.provenance == {"center": {"loss": None}, "path": [1.0, None], "engine": None}


def test_a_name_that_one_of_the_databases_cannot_store_is_refused_for_both() -> None:
    for field in ("name", "dataset"):
        with pytest.raises(ValidationError, match=field):
            SurfaceSpec(checkpoint="a" * 32, **{field: "a\x00b"})  # type: ignore[arg-type]


def test_the_log_of_a_job_tells_its_life(session: Session) -> None:
    job = prepared_job(session, points_per_tile=8)
    leases.give_back(session, take(session), 3, "an internal error")
    serve_all(session)
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


def test_counts_are_those_of_what_was_committed(session: Session) -> None:
    prepared_job(session, points_per_tile=8)
    held = take(session)
    run_out(session)
    reclaim(session)
    assert not finish(session, held)
    serve_all(session)
    counted = counters.all_of(session, ["tiles", "points", "tile_seconds", "leases_lost", "jobs_finished"])
    assert counted == {
        ("tiles", "read"): 1.0,
        ("tiles", "prepare"): 1.0,
        ("tiles", "points"): 2.0,
        ("points", ""): 15.0,
        ("tile_seconds", "2.0"): 2.0,
        ("leases_lost", ""): 1.0,
        ("jobs_finished", "done"): 1.0,
    }


def test_values_are_sealed_and_a_job_with_a_flipped_bit_can_be_computed_again(session: Session) -> None:
    job = prepared_job(session, points_per_tile=8)
    serve_all(session)
    with pytest.raises(ConflictError, match="only a failed or cancelled"):
        lifecycle.retry(session, job.id)
    first, *_ = results.finished_tiles(session, job.id)
    flipped = bytearray(first.values or b"")
    flipped[3] ^= 1
    first.values = bytes(flipped)
    assert [tile.id for tile in results.damaged(session, job.id)] == [first.id]
    again = lifecycle.retry(session, job.id)
    assert serve(session) == (0, "points", again.id)
    assert serve(session) is None
    session.refresh(again)
    assert again.state == "done"
    assert results.load(session, again).losses.tolist() == [[10.0 * i + j for j in range(3)] for i in range(5)]


def test_a_poison_tile_fails_its_job_after_three_attempts(session: Session) -> None:
    job = prepared_job(session)
    for _ in range(3):
        take(session)
        run_out(session)
        reclaim(session)
    session.expire_all()
    assert job.state == "failed"
    assert job.error == "3 attempts at one part of this job failed; the last: its worker fell silent."
    assert leases.waiting(session) == 0


def test_a_file_that_kills_its_reader_is_rejected(session: Session) -> None:
    checkpoint = uploads.receive_checkpoint(session, name="a.pt", sha256="0" * 64, size=1)
    for _ in range(3):
        take(session)
        run_out(session)
        reclaim(session)
    session.expire_all()
    assert checkpoint.state == "rejected"
    assert "3 attempts at reading this file failed" in (checkpoint.reason or "")


def test_an_unforeseen_error_offers_the_tile_again_and_at_last_fails_the_job(session: Session) -> None:
    job = prepared_job(session)
    for _ in range(3):
        leases.give_back(session, take(session), 3, "an internal error")
    session.expire_all()
    assert job.state == "failed"
    assert "internal error" in (job.error or "")


def test_a_terminal_state_never_changes(session: Session) -> None:
    job = prepared_job(session)
    held = take(session)
    lifecycle.cancel(session, job.id)
    assert not leases.beat(session, held, 60)
    assert not finish(session, held)
    assert not leases.fail(session, held, "too late")
    with pytest.raises(ConflictError, match="cancelled already"):
        lifecycle.cancel(session, job.id)
    session.expire_all()
    assert (job.state, job.error) == ("cancelled", None)


def test_a_cancelled_job_leaves_no_tile_to_do_and_keeps_the_done_ones(session: Session) -> None:
    job = prepared_job(session)
    held = take(session)
    finish(session, held)
    lifecycle.cancel(session, job.id)
    assert leases.waiting(session) == 0
    assert results.load(session, job).computed.sum() == len(held.points)


def test_a_retry_computes_only_what_is_missing(session: Session) -> None:
    job = prepared_job(session)
    held = take(session)
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


def test_deleting_a_job_deletes_its_tiles(session: Session) -> None:
    job = prepared_job(session)
    with pytest.raises(ConflictError, match="Cancel it first"):
        lifecycle.delete_job(session, job.id)
    lifecycle.cancel(session, job.id)
    lifecycle.delete_job(session, job.id)
    session.flush()
    assert session.scalars(select(Tile).where(Tile.job_id == job.id)).all() == []


def test_a_rejected_or_unread_checkpoint_takes_no_job(session: Session) -> None:
    checkpoint = uploads.receive_checkpoint(session, name="a.pt", sha256="0" * 64, size=1)
    with pytest.raises(InvalidError, match="still being read"):
        submit(session, checkpoint)
    leases.fail(session, take(session), "It is a picture.")
    session.expire_all()
    with pytest.raises(InvalidError, match="It is a picture"):
        submit(session, checkpoint)
