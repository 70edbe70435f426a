"""The queue against a small model of it: random requests, workers that finish, fail, die or come too late, and time.

The functions are the real ones, on a real database. After every call the database is compared with the model, and at
the end everything that waits is computed. `make fuzz` runs more: LANDSCAPE_FUZZ=EXAMPLES.
"""

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from landscape.grid import Point
from service.database.sessions import Database
from service.database.tables import TERMINAL, Base, Checkpoint, Job, Tile, grid_of, now
from service.errors import ConflictError
from service.jobs import lifecycle
from service.jobs.refine import Refinement, refine
from service.jobs.spec import AxisSpec, SurfaceGrid, SurfaceSpec
from service.library import uploads
from service.queue import completion, fair_queue, leases, requeue
from service.queue.leases import LONGEST_PAUSE, Lease
from service.queue.values import is_intact
from tests.service.queue.steps import ready_checkpoint, values_for

EXAMPLES = int(os.environ.get("LANDSCAPE_FUZZ", "8"))
CALLS = 50  # in an example
LEASE_SECONDS = 3650.0  # no lease ends and no pause but by the rule `time_passes`: an example takes seconds
ATTEMPTS = 3
OWNERS = (None, "ada", "bob")
SIZES = ((2, 2), (5, 3), (9, 4))
REASON = "the network crashed"
WHICH = st.integers(0, 999)


@dataclass
class Expected:
    """What the model knows about a job."""

    owner: str
    points: set[Point]  # all of its grid
    state: str = "queued"
    repeats: int = 1
    prepared: bool = False
    started: bool = False
    done: set[Point] = field(default_factory=set)
    end: tuple[Any, ...] = ()  # its row once it has ended, which never changes


@dataclass
class Held:
    """A lease that a worker believes to hold."""

    worker: str
    lease: Lease
    until: float  # by the clock of the model
    valid: bool = True


def _if_any(what: str) -> Callable[[Any], Any]:
    """The rule does nothing while there are none of these: what may be drawn must not depend on the time.

    A precondition of hypothesis would make it depend on that: a pause ends sooner on a slow machine.
    """

    def changed(method: Any) -> Any:
        @functools.wraps(method)
        def call(self: Any, **drawn: Any) -> None:
            if getattr(self, what):
                method(self, **drawn)

        return call

    return changed


class Queue(RuleBasedStateMachine):
    """The calls of the API, of workers and of the reconciler, in any order."""

    database: Database  # empty; set by the test

    @initialize()
    def begin(self) -> None:
        self.jobs: dict[str, Expected] = {}
        self.uploads: dict[str, str] = {}  # id → state
        self.held: list[Held] = []
        self.clock, self.services = 0.0, 0
        self.last_served: dict[str, int] = {}
        with self.transaction() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(delete(table))
            self.checkpoint = ready_checkpoint(session).id
            self.last_served[""] = self._count_service()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with self.database.writing() as session:
            yield session

    def _count_service(self) -> int:
        self.services += 1
        return self.services

    # what users do
    @rule(owner=st.sampled_from(OWNERS), size=st.sampled_from(SIZES))
    def submit(self, owner: str | None, size: tuple[int, int]) -> None:
        alpha, beta = (AxisSpec(count=count) for count in size)
        with self.transaction() as session:
            spec = SurfaceSpec(checkpoint=self.checkpoint, grid=SurfaceGrid(alpha=alpha, beta=beta))
            job = lifecycle.submit(session, spec, owner=owner)
            self.jobs[job.id] = Expected(owner or "", _points(job))

    @rule(owner=st.sampled_from(OWNERS))
    def upload(self, owner: str | None) -> None:
        with self.transaction() as session:
            row = uploads.add_checkpoint(session, name="x", sha256="0" * 64, size=1, owner=owner)
            self.uploads[row.id] = "received"

    @rule(which=WHICH)
    @_if_any("uploads")
    def delete_upload(self, which: int) -> None:
        upload = list(self.uploads)[which % len(self.uploads)]
        with self.transaction() as session:
            uploads.delete_checkpoint(session, upload)
        del self.uploads[upload]
        self._invalidate(upload)

    @rule(which=WHICH)
    @_if_any("jobs")
    def cancel(self, which: int) -> None:
        job_id, job = self._any_job(which)
        with self.transaction() as session, _refused(job.state in TERMINAL):
            lifecycle.cancel(session, job_id)
        self._end(job_id, "cancelled")

    @rule(which=WHICH)
    @_if_any("jobs")
    def delete_job(self, which: int) -> None:
        job_id, job = self._any_job(which)
        with self.transaction() as session, _refused(job.state not in TERMINAL):
            lifecycle.delete_job(session, job_id)
        if job.state in TERMINAL:
            del self.jobs[job_id]

    @rule(which=WHICH)
    @_if_any("jobs")
    def retry(self, which: int) -> None:
        job_id, old = self._any_job(which)
        with self.transaction() as session, _refused(old.state not in ("failed", "cancelled")):
            job = lifecycle.retry(session, job_id)
            again = Expected(old.owner, set(old.points), repeats=old.repeats, prepared=old.started)
            again.started, again.done = old.started, set(old.done)
            again.state = "running" if old.started else "queued"
            self.jobs[job.id] = again

    @rule(which=WHICH, factor=st.integers(1, 2), seeds=st.integers(1, 2), owner=st.sampled_from(OWNERS))
    @_if_any("jobs")
    def refine(self, which: int, factor: int, seeds: int, owner: str | None) -> None:
        job_id, old = self._any_job(which)
        wrong = not old.prepared or len(old.points) > 40
        if wrong or seeds < old.repeats or (factor == 1 and seeds == old.repeats):
            return
        with self.transaction() as session:
            job = refine(session, job_id, Refinement(factor=factor, repeats=seeds), owner=owner)
            new = Expected(owner or "", _points(job), repeats=seeds)
            new.done = {(factor * i, factor * j) for i, j in old.done} if seeds == old.repeats else set()
            new.prepared = True  # provisionally, with the settings of the earlier one
            self.jobs[job.id] = new

    # what workers do
    @rule(worker=st.sampled_from("klm"), size=st.integers(1, 9))
    def lease(self, worker: str, size: int) -> None:
        with self.transaction() as session:
            due = _due(session)
            held = leases.lease(session, LEASE_SECONDS, worker=worker, sizes=dict.fromkeys(self.jobs, size))
            if held is None:
                assert not due, "a worker got none of the work that waits"
                return
            tile = session.get_one(Tile, held.tile)
            assert not session.scalar(select(Tile.id).where(Tile.id == held.tile, _paused())), "before its time"
            self._require_fair(due, tile)
            assert held.attempts <= ATTEMPTS
            assert 1 <= len(held.points) <= size or held.purpose != "points"
        if held.subject in self.uploads:
            self.uploads[held.subject] = "reading"
        self.last_served[tile.owner] = self._count_service()
        self.held.append(Held(worker, held, self.clock + LEASE_SECONDS))

    def _require_fair(self, due: list[tuple[int, str]], tile: Tile) -> None:
        """The user who was served longest ago, and of this user's work the coarsest level."""
        owners = {owner for _, owner in due} or {tile.owner}
        assert tile.owner == min(owners, key=lambda owner: (self.last_served.get(owner, 0), owner))
        assert tile.level == min((level for level, owner in due if owner == tile.owner), default=tile.level)

    @rule(which=WHICH, report=st.sampled_from([None, {"step": "path", "done": 1, "total": 2}]))
    @_if_any("held")
    def heartbeat(self, which: int, report: dict[str, Any] | None) -> None:
        one = self._any_lease(which)
        with self.transaction() as session:
            assert leases.heartbeat(session, one.lease, LEASE_SECONDS, report) == one.valid
        one.until = self.clock + LEASE_SECONDS

    @rule(which=WHICH)
    @_if_any("held")
    def finish(self, which: int) -> None:
        """In time, too late, or once more."""
        one = self._any_lease(which)
        with self.transaction() as session:
            assert self._write(session, one.lease) == one.valid
        if one.valid:
            one.valid = False
            self._finished(one.lease)

    def _write(self, session: Session, held: Lease) -> bool:
        if held.purpose == "read":
            return completion.finish_reading(session, held, {"state": "ready"}, seconds=0.1)
        if held.purpose == "prepare":
            job = session.get(Job, held.subject)
            grid = grid_of(job) if job else None
            return completion.finish_preparing(session, held, {}, grid, 4, seconds=0.1)  # type: ignore[arg-type]
        return completion.finish_points(session, held, values_for(held), seconds=0.1)

    def _finished(self, held: Lease) -> None:
        if held.purpose == "read":
            self.uploads[held.subject] = "ready"
            return
        job = self.jobs[held.subject]
        if held.purpose == "prepare":
            job.state, job.prepared, job.started = "running", True, True
        assert job.done.isdisjoint(held.points)
        job.done |= set(held.points)
        if job.done == job.points:
            self._end(held.subject, "done")

    @rule(which=WHICH)
    @_if_any("held")
    def crash(self, which: int) -> None:
        one = self._any_lease(which)
        with self.transaction() as session:
            requeue.after_error(session, one.lease, ATTEMPTS, REASON)
        self._failed_attempt(one)

    @rule(which=WHICH)
    @_if_any("held")
    def give_up(self, which: int) -> None:
        """The request cannot be carried out."""
        one = self._any_lease(which)
        with self.transaction() as session:
            assert completion.fail(session, one.lease, REASON) == one.valid
        if one.valid:
            self._failed(one.lease.subject)

    @rule(which=WHICH, pause=st.sampled_from([0.0, 2.0]))
    @_if_any("held")
    def release(self, which: int, pause: float) -> None:
        one = self._any_lease(which)
        with self.transaction() as session:
            requeue.release(session, one.lease, pause=pause)
        one.valid = False

    @rule(worker=st.sampled_from("klm"))
    def worker_dies(self, worker: str) -> None:
        lost = [one for one in self.held if one.worker == worker and one.valid]
        with self.transaction() as session:
            assert requeue.after_worker_death(session, worker, ATTEMPTS, REASON) == len(lost)
        for one in lost:
            self._failed_attempt(one)

    @rule(seconds=st.sampled_from([3.0, 100.0, 2000.0, -10_000.0]))
    def time_passes(self, seconds: float) -> None:
        """Or the clock is set back; then the reconciler looks for leases that ended."""
        self.clock += seconds
        gone = [one for one in self.held if one.valid and not 0 <= one.until - self.clock <= 1.5 * LEASE_SECONDS]
        with self.transaction() as session:
            for column in (Tile.leased_until, Tile.not_before):
                session.execute(update(Tile).where(column.is_not(None)).values({column: column - seconds}))
            assert requeue.reclaim(session, lease_seconds=LEASE_SECONDS, max_attempts=ATTEMPTS) == len(gone)
        for one in gone:
            self._failed_attempt(one)

    def _failed_attempt(self, one: Held) -> None:
        """The tile waits again, or has failed too often."""
        if not one.valid:
            return
        one.valid = False
        if one.lease.attempts >= ATTEMPTS:
            self._failed(one.lease.subject)
            return
        with self.database.reading() as session:
            tile = session.get_one(Tile, one.lease.tile)
            same = Tile.job_id == tile.job_id if tile.job_id else Tile.id == tile.id
            unpaused = select(Tile.id).where(same, Tile.state == "waiting", Tile.not_before.is_(None))
            assert not session.scalars(unpaused).all(), "every tile of the job pauses"

    def _failed(self, subject: str) -> None:
        if subject in self.uploads:
            self.uploads[subject] = "rejected"
            self._invalidate(subject)
        else:
            self._end(subject, "failed")

    def _end(self, job_id: str, state: str) -> None:
        job = self.jobs[job_id]
        if job.state not in TERMINAL:
            job.state = state
            self._invalidate(job_id)
            with self.database.reading() as session:
                job.end = _end_of(session.get_one(Job, job_id))

    def _invalidate(self, subject: str) -> None:
        for one in self.held:
            one.valid = one.valid and one.lease.subject != subject

    def _any_job(self, which: int) -> tuple[str, Expected]:
        return list(self.jobs.items())[which % len(self.jobs)]

    def _any_lease(self, which: int) -> Held:
        """One that is valid, three times of four, if there is any."""
        valid = [one for one in self.held if one.valid]
        among = valid if valid and which % 4 else self.held
        return among[which // 4 % len(among)]

    # what must hold at any time
    @invariant()
    def the_database_is_as_the_model_says(self) -> None:
        with self.database.reading() as session:
            rows = {row.id: row for row in session.scalars(select(Job))}
            assert set(rows) == set(self.jobs)
            tiles: dict[str | None, list[Tile]] = {}
            for tile in session.scalars(select(Tile)):
                assert tile.attempts <= ATTEMPTS
                tiles.setdefault(tile.job_id, []).append(tile)
            for job_id, job in self.jobs.items():
                _require_as_expected(rows[job_id], job, tiles.get(job_id, []))
            leased = {tile.lease for many in tiles.values() for tile in many if tile.state == "leased"}
            assert leased == {one.lease.token for one in self.held if one.valid}
            states = {row.id: row.state for row in session.scalars(select(Checkpoint))}
            for upload, state in self.uploads.items():
                assert states[upload] == state or {states[upload], state} == {"received", "reading"}

    def teardown(self) -> None:
        """Workers that never fail compute everything: each job ends once, as the model says."""
        for _ in range(10_000):
            self.time_passes(100.0)
            before = len(self.held)
            self.lease("k", 9)
            valid = [one for one in self.held if one.valid]
            if not valid and len(self.held) == before:
                break
            for one in valid:
                if one.valid:  # the last of its job's, if an earlier one ended it
                    with self.transaction() as session:
                        assert self._write(session, one.lease)
                    one.valid = False
                    self._finished(one.lease)
        self.the_database_is_as_the_model_says()
        assert all(job.state in TERMINAL for job in self.jobs.values())
        assert all(state in ("ready", "rejected") for state in self.uploads.values())


@contextmanager
def _refused(expected: bool) -> Iterator[None]:
    """The block is refused if that is expected, and only then."""
    if expected:
        with pytest.raises(ConflictError):
            yield
    else:
        yield


def _points(job: Job) -> set[Point]:
    return {point for level in grid_of(job).levels() for point in level}


def _paused() -> Any:
    return (Tile.not_before > now()) & (Tile.not_before < now() + LONGEST_PAUSE)


def _due(session: Session) -> list[tuple[int, str]]:
    """Level and owner of every tile that waits and is not paused, in Python; a pause of an hour is of another clock."""
    clock = session.scalar(select(now())) or 0.0
    waiting = session.execute(select(Tile.level, Tile.owner, Tile.not_before).where(Tile.state == "waiting"))
    return [(level, owner) for level, owner, until in waiting if until is None or not 0 < until - clock < 1000]


def _end_of(row: Job) -> tuple[Any, ...]:
    return row.state, row.error, row.finished, row.points_done, row.tiles_done, row.values_sha256


def _require_as_expected(row: Job, job: Expected, tiles: list[Tile]) -> None:
    assert row.state == job.state
    assert job.end in ((), _end_of(row)), "a job that has ended never changes"
    done = [tile for tile in tiles if tile.state == "done" and tile.purpose == "points" and tile.values]
    computed = Counter((i, j) for tile in done for i, j in tile.points)
    assert computed == Counter(job.done), "no point is computed twice, and none but those that were finished"
    assert row.points_done == len(job.done)
    assert all(is_intact(tile) for tile in done)
    assert sorted(tile.sequence or 0 for tile in done) == list(range(1, row.tiles_done + 1))
    open_tiles = [tile for tile in tiles if tile.state != "done"]
    if job.state in TERMINAL:
        assert not open_tiles
        assert row.preparing is None
    elif job.state == "running":
        levels = fair_queue.levels(grid_of(row))
        left = Counter(point for tile in open_tiles for point in levels[tile.level][tile.rank : tile.rank + tile.count])
        assert left + computed == Counter(job.points), "every point is computed, or will be, once"
    else:
        assert [tile.purpose for tile in open_tiles] == ["prepare"]


def test_the_queue_does_what_its_model_does(database: Database) -> None:
    class OnDatabase(Queue):
        pass

    OnDatabase.database = database
    most = EXAMPLES if database.engine.dialect.name == "sqlite" else max(2, EXAMPLES // 4)
    run_state_machine_as_test(
        OnDatabase,
        settings=settings(
            max_examples=most,
            stateful_step_count=CALLS,
            phases=[Phase.generate] if "LANDSCAPE_FUZZ" not in os.environ else list(Phase),  # shrinking takes minutes
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
