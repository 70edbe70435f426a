"""A refined job starts from the points of an earlier one: on a finer, wider or smaller grid, or over more seeds."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from landscape.grid import Axis, Grid
from landscape.kinds.prepare import grid_as_json
from service.database.tables import Job, Tile, grid_of, now
from service.errors import ConflictError, InvalidError, NotFoundError
from service.jobs import lifecycle, results
from service.jobs.refine import RangeSpec, Refinement, refine
from service.jobs.spec import job_spec
from service.queue import completion, leases, progress
from service.queue.leases import Lease
from service.queue.rows import pack
from tests.service.queue.steps import log_of, ready_checkpoint

GRID = Grid(Axis(-1, 1, 5), Axis(-0.5, 1, 4))  # 0 is a coordinate of both
PROVENANCE = {
    "weights_sha256": "1" * 64,
    "seed": 0,
    "versions": {"landscape": "1", "torch": "2"},
    "engine": {"engine": "lanes"},
    "dataset": "digits",
    "split": "train",
    "samples": 10,
    "samples_in_split": 10,
    "normalization": "filter",
    "precision": "float32",
    "center": {"on_grid": True, "point": [2, 1], "loss": 1.0},
}
SPREAD = ("losses", "accuracies", "standard_errors", "seed_deviations", "lowest_losses", "highest_losses")


def submitted(session: Session, **options: Any) -> Job:
    spec = {"kind": "surface", "checkpoint": ready_checkpoint(session).id, "grid": grid_as_json(GRID), **options}
    return lifecycle.submit(session, job_spec.validate_python(spec), owner="ada")


def lease_next(session: Session) -> Lease:
    held = leases.lease(session, 60, device="CPU (test)")
    assert held is not None
    return held


def prepare(session: Session, **more: Any) -> Job:
    """Prepare the next job, as a worker does."""
    held = lease_next(session)
    assert held.purpose == "prepare"
    grid = grid_of(session.get_one(Job, held.subject))
    found = {**PROVENANCE, **more}
    assert completion.finish_preparing(session, held, found, grid, 3, seconds=0.1, device="CPU (test)")
    session.expire_all()
    return session.get_one(Job, held.subject)


def loss_at(alpha: float, beta: float) -> float:
    return 100 * round(alpha, 6) + round(beta, 6)


def compute(session: Session, *, most: int = 1000) -> list[Lease]:
    """Compute waiting tiles, as workers on the device of the job do; the leases."""
    done: list[Lease] = []
    while len(done) < most and (held := leases.lease(session, 60, device="CPU (test)")):
        grid = grid_of(session.get_one(Job, held.subject))
        rows = [(loss_at(grid.alphas[i], grid.betas[j]), 0.5, 0.1) for i, j in held.points]
        assert completion.finish_points(session, held, pack(rows), seconds=1.0)
        done.append(held)
    session.expire_all()
    return done


def computed_job(session: Session, *, most: int = 1000) -> Job:
    job = submitted(session)
    prepare(session)
    compute(session, most=most)
    return job


def expected(grid: Grid) -> Any:
    return np.array([[loss_at(alpha, beta) for beta in grid.betas] for alpha in grid.alphas])


REFINEMENTS = [
    (Refinement(factor=2), (9, 7), 20),
    (Refinement(factor=3), (13, 10), 20),
    (Refinement(alpha=RangeSpec(min=-2, max=1.5)), (8, 4), 20),
    (Refinement(factor=4, alpha=RangeSpec(min=-0.5, max=0.5), beta=RangeSpec(min=0, max=0.5)), (9, 5), 6),
    (Refinement(alpha=RangeSpec(min=0, max=1)), (3, 4), 12),
]


@pytest.mark.parametrize(("refinement", "shape", "reused"), REFINEMENTS)
def test_a_refined_job_computes_only_the_points_that_are_missing(
    session: Session, refinement: Refinement, shape: tuple[int, int], reused: int
) -> None:
    earlier = computed_job(session)
    job = refine(session, earlier.id, refinement, owner="ada")
    session.expire_all()
    assert (job.state, job.points_done, job.points) == ("queued", reused, shape[0] * shape[1])
    at_once = results.load(session, job)
    assert at_once.computed.sum() == reused
    assert at_once.provenance["center"]["point"] == ([int(k) for k in np.argwhere(expected(grid_of(job)) == 0)[0]])
    prepare(session)
    done = compute(session)
    assert sum(len(held.points) for held in done) == job.points - reused
    assert job.state == "done"
    result = results.load(session, job)
    assert (result.losses == expected(grid_of(job))).all()
    assert result.losses.shape == shape
    note = result.provenance["reused"]
    assert (note["job"], note["points"]) == (earlier.id, reused)
    assert note["coordinate_difference"] < 1e-15
    assert log_of(session, job)[1] == f"Starts from {reused} points of {job.points} of job {earlier.id}."


def test_points_of_a_cancelled_job_that_are_intact_are_reused_nan_and_infinity_too(session: Session) -> None:
    earlier = submitted(session)
    prepare(session)
    held = lease_next(session)
    rows = [(float("nan") if k else float("inf"), 0.1, 0.1) for k, _ in enumerate(held.points)]
    completion.finish_points(session, held, pack(rows), seconds=1.0)
    [damaged] = compute(session, most=1)
    lifecycle.cancel(session, earlier.id)
    session.get_one(Tile, damaged.tile).values = pack([(5.0, 5.0, 5.0)] * len(damaged.points))
    job = refine(session, earlier.id, Refinement(factor=2))
    session.expire_all()
    assert job.points_done == len(held.points)
    found = results.load(session, job)
    assert {point["value"] for point in found.non_finite} == {"nan", "inf"}
    assert [tuple(2 * k for k in point) for point in held.points] == [tuple(p) for p in np.argwhere(found.computed)]


def rows_of(tile: Tile) -> list[bytes]:
    """The bytes of each of its points, three numbers of 8."""
    values = tile.values or b""
    return [values[start : start + 24] for start in range(0, len(values), 24)]


def test_the_values_are_the_same_bytes_and_the_device_is_the_same_kind(session: Session) -> None:
    earlier = computed_job(session)
    job = refine(session, earlier.id, Refinement(factor=2))
    session.expire_all()
    rows = [
        {tuple(point): row for tile in tiles for point, row in zip(tile.points, rows_of(tile), strict=True)}
        for tiles in (results.finished_tiles(session, one.id) for one in (earlier, job))
    ]
    assert rows[1] == {(2 * i, 2 * j): row for (i, j), row in rows[0].items()}
    assert results.damaged(session, job.id) == []
    assert leases.lease(session, 60, device="another GPU") is None
    assert lease_next(session).purpose == "prepare"


def test_the_speed_of_a_refined_job_is_that_of_the_points_it_computes(session: Session) -> None:
    earlier = computed_job(session)
    session.execute(update(Tile).where(Tile.job_id == earlier.id).values(finished=Tile.finished - 1000))
    job = refine(session, earlier.id, Refinement(factor=2))
    prepare(session)
    session.execute(update(Job).where(Job.id == job.id).values(started=now() - 10))
    session.expire_all()
    held = lease_next(session)
    completion.finish_points(session, held, pack([(1.0, 0.5, 0.1)] * len(held.points)), seconds=1.0)
    session.expire_all()
    assert progress.of(session, job)["points_per_second"] == pytest.approx(len(held.points) / 10, rel=0.2)
    compute(session)
    session.execute(update(Job).where(Job.id == job.id).values(started=Job.finished - 10))
    session.expire_all()
    assert progress.of(session, job)["points_per_second"] == pytest.approx((63 - 20) / 10, rel=0.01)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"versions": {"landscape": "1", "torch": "3"}}, "the versions: {'torch': '2'} then, {'torch': '3'} now"),
        ({"engine": {"engine": "plain"}}, "the engine's choice"),
        ({"weights_sha256": "2" * 64}, "the checkpoint"),
    ],
)
def test_a_job_whose_settings_turn_out_to_differ_fails_with_both_values(
    session: Session, more: dict[str, Any], words: str
) -> None:
    job = refine(session, computed_job(session).id, Refinement(factor=2))
    held = lease_next(session)
    provenance = {**PROVENANCE, **more}
    assert completion.finish_preparing(session, held, provenance, grid_of(job), 3, seconds=0.1)
    session.expire_all()
    assert job.state == "failed"
    assert words in (job.error or "")
    assert leases.lease(session, 60, device="CPU (test)") is None


def test_more_seeds_start_from_the_values_of_the_first(session: Session) -> None:
    earlier = computed_job(session)
    job = refine(session, earlier.id, Refinement(repeats=3, alpha=RangeSpec(min=-1, max=2)))
    session.expire_all()
    assert (job.points_done, job.spec["repeats"]) == (0, 3)
    prepare(session, columns=list(SPREAD), repeated={"seeds": [0, 1, 2]})
    started, others = 0, 0
    while held := leases.lease(session, 60, device="CPU (test)"):
        grid = grid_of(job)
        if held.earlier is None:
            others += len(held.points)
        else:
            values, seeds = held.earlier
            assert seeds == 1
            found = np.frombuffer(values, "<f8").reshape(-1, 3)[:, 0]
            assert found.tolist() == [loss_at(grid.alphas[i], grid.betas[j]) for i, j in held.points]
            started += len(held.points)
        completion.finish_points(session, held, pack([(1.0,) * 6 for _ in held.points]), seconds=1.0)
    assert (started, others) == (20, 8)
    session.expire_all()
    assert job.state == "done"
    assert results.load(session, job).provenance["reused"] == {
        "job": earlier.id,
        "points": 20,
        "coordinate_difference": 0.0,
        "exact": False,
        "seeds": 1,
    }


def test_a_retry_of_a_refined_job_keeps_what_it_started_from(session: Session) -> None:
    earlier = computed_job(session)
    job = refine(session, earlier.id, Refinement(factor=2))
    lifecycle.cancel(session, job.id)  # before it is prepared
    again = lifecycle.retry(session, job.id)
    session.expire_all()
    assert (again.state, again.points_done) == ("queued", 20)
    prepare(session)
    compute(session, most=2)
    lifecycle.cancel(session, again.id)
    session.expire_all()
    third = lifecycle.retry(session, again.id)
    done = compute(session)
    assert third.state == "done"
    assert sum(len(held.points) for held in done) == third.points - again.points_done
    assert (results.load(session, third).losses == expected(grid_of(third))).all()


def test_a_retry_of_a_job_over_more_seeds_starts_from_the_same_values_unless_they_are_deleted(session: Session) -> None:
    earlier = computed_job(session)
    job = refine(session, earlier.id, Refinement(repeats=2))
    prepare(session, columns=list(SPREAD))
    held = lease_next(session)
    completion.finish_points(session, held, pack([(1.0,) * 6 for _ in held.points]), seconds=1.0)
    lifecycle.cancel(session, job.id)
    session.expire_all()
    again = lifecycle.retry(session, job.id)
    assert again.points_done == len(held.points)
    waiting = select(Tile.values).where(Tile.job_id == again.id, Tile.state == "waiting")
    assert all(session.scalars(waiting).all())
    lifecycle.cancel(session, again.id)
    lifecycle.delete_job(session, earlier.id)
    session.flush()
    third = lifecycle.retry(session, job.id)
    found = session.scalars(select(Tile.values).where(Tile.job_id == third.id, Tile.state == "waiting")).all()
    assert found
    assert not any(found)


@pytest.mark.parametrize(
    ("options", "refinement", "sentence"),
    [
        ({}, Refinement(), "adds nothing to the job. Give a factor above 1"),
        ({}, Refinement(repeats=1, alpha=RangeSpec(min=-1, max=1)), "adds nothing"),
        ({"repeats": 3}, Refinement(repeats=2), "at least those of the job, 3; got 2"),
        ({}, Refinement(alpha=RangeSpec(min=1, max=-1)), "empty or reversed"),
        ({}, Refinement(factor=64, alpha=RangeSpec(min=-1e5, max=1e5)), "at most|less than or equal to"),
        ({"kind": "curvature"}, Refinement(repeats=2), "curvature has no repeats"),
        ({"directions": "gradient"}, Refinement(repeats=2), "repeats above 1 take random directions"),
    ],
)
def test_a_refinement_that_is_not_possible_is_refused(
    session: Session, options: dict[str, Any], refinement: Refinement, sentence: str
) -> None:
    job = submitted(session, **options)
    prepare(session)
    with pytest.raises(InvalidError, match=sentence):
        refine(session, job.id, refinement)


def test_a_job_without_a_grid_yet_or_that_does_not_exist_cannot_be_refined(session: Session) -> None:
    job = submitted(session)
    with pytest.raises(ConflictError, match="queued and has no grid yet"):
        refine(session, job.id, Refinement(factor=2))
    with pytest.raises(NotFoundError, match="no job with this id"):
        refine(session, "0" * 32, Refinement(factor=2))
