"""Writers killed in the middle of a commit, a hundred times: every acknowledged tile is stored, none partially."""

import contextlib
import multiprocessing
import os
import random
import signal
import time
from multiprocessing import connection
from multiprocessing.connection import Connection

import pytest
from sqlalchemy import select

from service.database.sessions import Database
from service.database.tables import Job, Tile
from service.queue import completion, fair_queue, leases
from service.queue.rows import pack
from service.queue.values import is_intact
from tests.support.api_alone import prepared_job

KILLS, AT_ONCE = 100, 5


def write(url: str, pipe: Connection) -> None:
    """A worker that only writes; it reports each finished tile after the transaction has ended."""
    database = Database(url)
    while True:
        with database.writing() as session:
            held = leases.lease(session, 60)
        if held is None:
            return
        values = pack([[i + 10 * j] for i, j in held.points])
        with database.writing() as session:
            counted = completion.finish_points(session, held, values, seconds=0.1)
        if counted:
            pipe.send(held.tile)


@pytest.mark.timeout(600)
def test_a_writer_killed_a_hundred_times_loses_no_acknowledged_tile(database_url: str, seed: int) -> None:
    rng, database = random.Random(seed), Database(database_url)
    with database.writing() as session:
        job = prepared_job(241, 199, points_per_tile=4)
        session.add(job)
        session.flush()
        fair_queue.enqueue_points(session, job)
        job_id = job.id
    acknowledged: set[int] = set()
    killed = 0
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.test_commits"])
    while killed < KILLS or len(acknowledged) <= KILLS:  # a slow machine needs more kills
        acknowledged |= _start_and_kill_writers(context, database_url, rng.uniform(0.05, 0.5))
        killed += AT_ONCE
        _require_consistent(database, job_id, acknowledged)
        with database.writing() as session:  # requeue the tiles of the killed writers
            session.execute(Tile.__table__.update().where(Tile.state == "leased").values(state="waiting", lease=None))
    print(f"{len(acknowledged)} acknowledged tiles, {killed} kills")
    database.engine.dispose()


def _start_and_kill_writers(context: multiprocessing.context.ForkServerContext, url: str, seconds: float) -> set[int]:
    """Tiles acknowledged by some writers that are killed together, one of them writing, the others waiting to write."""
    pipes = [context.Pipe(duplex=False) for _ in range(AT_ONCE)]
    writers = [context.Process(target=write, args=(url, pipe)) for _, pipe in pipes]
    for writer, (_, pipe) in zip(writers, pipes, strict=True):
        writer.start()
        pipe.close()
    received: set[int] = set()
    connection.wait([reader for reader, _ in pipes])  # one has finished a tile; the others are at any point
    time.sleep(seconds)
    for writer in writers:
        os.kill(writer.pid or 0, signal.SIGKILL)
    for writer, (reader, _) in zip(writers, pipes, strict=True):
        writer.join()
        writer.close()
        with contextlib.suppress(EOFError), reader:
            while True:
                received.add(reader.recv())
    return received


def _require_consistent(database: Database, job_id: str, acknowledged: set[int]) -> None:
    with database.reading() as session:
        job = session.get(Job, job_id)
        assert job is not None
        done = session.scalars(select(Tile).where(Tile.job_id == job_id, Tile.state == "done")).all()
        assert acknowledged <= {tile.id for tile in done}
        assert len(done) == job.tiles_done
        assert sum(len(tile.points) for tile in done) == job.points_done
        assert all(tile.values is not None and is_intact(tile) for tile in done)
        assert sorted(tile.sequence or 0 for tile in done) == list(range(1, len(done) + 1))
