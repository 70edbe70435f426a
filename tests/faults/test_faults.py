"""One fault at a time during a running job: acknowledged work completes with the same losses as without faults."""

import contextlib
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis
from sqlalchemy import select, update

from service.database.sessions import Database
from service.database.tables import Job, Tile
from service.database.tables import Worker as WorkerRow
from tests.faults import breaking
from tests.faults.oracle import (
    NETWORK,
    ClientLog,
    reference_losses,
    require_nothing_lost,
    slice_of,
    surface,
)
from tests.support import processes
from tests.support.service import Service, wait_for

LONG = {**surface(27, 23, 7), "subset": {"count": 150, "seed": 1}}
SHORT = surface(7, 5, 8)


def started(service: Service, log: ClientLog, checkpoint: str, spec: dict[str, Any] = LONG) -> str:
    """Id of a job with some tiles computed and most still waiting."""
    job_id = log.submit(service, checkpoint, spec)
    assert job_id is not None
    wait_for(lambda: service.job(job_id)["progress"]["done"], "the first values")
    return job_id


def more(service: Service, job_id: str) -> None:
    """Wait until the job makes progress (or has ended)."""
    before = service.job(job_id)["progress"]["done"]
    wait_for(
        lambda: (now := service.job(job_id))["progress"]["done"] > before or now["state"] == "done",
        "the job to make progress",
    )


def tiles_of(service: Service, job_id: str) -> list[Tile]:
    database = Database(service.database_url)
    with database.reading() as session:
        found = list(session.scalars(select(Tile).where(Tile.job_id == job_id, Tile.sequence.is_not(None))))
    database.engine.dispose()
    return found


def test_killed_workers_lose_no_work(victim: Service, log: ClientLog, checkpoint: str) -> None:
    started(victim, log, checkpoint)
    for worker in processes.workers(victim):
        breaking.kill(worker)
    assert require_nothing_lost(victim, log) > 5


def test_a_killed_api_and_a_killed_broker_are_started_again(victim: Service, log: ClientLog, checkpoint: str) -> None:
    started(victim, log, checkpoint)
    breaking.kill(processes.brokers(victim)[0])
    breaking.kill(processes.api_processes(victim)[0])
    breaking.wait_until_it_answers(victim)
    require_nothing_lost(victim, log)


def test_a_file_is_read_again_when_its_reader_is_killed(victim: Service, log: ClientLog) -> None:
    content = NETWORK.read_bytes()
    killed = 0
    for _ in range(20):
        log.upload(victim, content)
        with contextlib.suppress(AssertionError):
            breaking.kill(wait_for(lambda: processes.readers(victim), "the reader", 3)[0])
            killed += 1
        if killed == 2:
            break
    assert killed == 2
    wait_for(lambda: {state(victim, one) for one in log.uploads} == {"ready"}, "every upload to be read")


def state(service: Service, checkpoint: str) -> str:
    return str(service.api.get(f"/checkpoints/{checkpoint}").json()["state"])


def test_a_worker_that_resumes_after_its_lease_expired_changes_nothing(
    victim: Service, log: ClientLog, checkpoint: str
) -> None:
    job_id = started(victim, log, checkpoint)
    [holder, *_] = processes.workers(victim)
    with breaking.stopped(holder):
        victim.wait(job_id)
        before = {tile.id: (tile.sequence, tile.sha256, tile.finished) for tile in tiles_of(victim, job_id)}
    time.sleep(2)  # it resumes, and may try to write its values
    assert {tile.id: (tile.sequence, tile.sha256, tile.finished) for tile in tiles_of(victim, job_id)} == before
    require_nothing_lost(victim, log)


def test_a_flushed_broker_loses_no_work(victim: Service, log: ClientLog, checkpoint: str) -> None:
    job_id = started(victim, log, checkpoint)
    for _ in range(5):
        breaking.flush(breaking.broker_url(victim))
        more(victim, job_id)
    require_nothing_lost(victim, log)


def test_a_broker_that_restarts_without_its_file_loses_no_work(
    victim: Service, log: ClientLog, checkpoint: str
) -> None:
    started(victim, log, checkpoint)
    for _ in range(30):
        log.submit(victim, checkpoint, SHORT)
    [broker] = processes.brokers(victim)
    folder = Path(broker.cmdline()[0] if broker.cwd() == "/" else broker.cwd())
    broker.send_signal(signal.SIGSTOP)
    for path in folder.glob("appendonlydir/*"):
        path.unlink()
    broker.kill()
    require_nothing_lost(victim, log)


def test_a_broker_out_of_memory_loses_no_work(victim: Service, log: ClientLog, checkpoint: str) -> None:
    started(victim, log, checkpoint)
    with Redis.from_url(breaking.broker_url(victim)) as client:
        most = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", 1)
        for _ in range(5):
            log.submit(victim, checkpoint, SHORT)
        time.sleep(4)
        client.config_set("maxmemory", most)
    require_nothing_lost(victim, log)
    assert len(log.jobs) == 6


def test_an_unresponsive_broker_neither_loses_a_job_nor_delays_an_answer(
    victim: Service, log: ClientLog, checkpoint: str, outage_seconds: float
) -> None:
    started(victim, log, checkpoint)
    slowest, end = 0.0, time.monotonic() + outage_seconds
    with breaking.stopped(processes.brokers(victim)[0]):
        while time.monotonic() < end:
            began = time.monotonic()
            log.submit(victim, checkpoint, SHORT)
            assert victim.api.get("/health").json()["broker"] == "unreachable"
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(1)
    print(f"submitting a job and asking for the health took {slowest:.2f} s at most")
    require_nothing_lost(victim, log)


def test_a_message_delivered_many_times_at_once_computes_nothing_twice(
    victim: Service, log: ClientLog, checkpoint: str
) -> None:
    job_id = started(victim, log, checkpoint)
    for _ in range(10):
        breaking.send_wakeups(breaking.broker_url(victim), 5)
        time.sleep(0.1)
    require_nothing_lost(victim, log)
    assert {tile.attempts for tile in tiles_of(victim, job_id)} == {1}


def test_a_tile_that_kills_its_workers_fails_its_own_job_alone_and_says_why(
    victim: Service, log: ClientLog, checkpoint: str
) -> None:
    poisoned = victim.submit(**SHORT, checkpoint=checkpoint)
    over = threading.Event()
    killer = threading.Thread(target=_kill_every_worker_that_takes, args=(victim, poisoned, over))
    killer.start()
    try:
        log.submit(victim, checkpoint, SHORT)
        job = victim.wait(poisoned, "failed", 120)
    finally:
        over.set()
        killer.join()
    assert "3" in job["error"]
    assert "worker" in job["error"]
    assert len(job["error"]) < 500
    lines = victim.api.get(f"/jobs/{poisoned}/log").json()["items"]
    assert [line["level"] for line in lines].count("warning") == 2
    assert lines[-1]["level"] == "error"
    require_nothing_lost(victim, log)


def _kill_every_worker_that_takes(service: Service, job_id: str, over: threading.Event) -> None:
    """Simulates a tile that crashes its worker process."""
    database, seen = Database(service.database_url), set()
    held = select(Tile.id, Tile.attempts, WorkerRow.pid).join(WorkerRow, WorkerRow.id == Tile.worker)
    while not over.wait(0.002):
        with database.reading() as session:
            for tile, attempts, pid in session.execute(held.where(Tile.job_id == job_id, Tile.state == "leased")):
                if (tile, attempts) not in seen:
                    seen.add((tile, attempts))
                    breaking.kill(psutil.Process(pid))
    database.engine.dispose()


def test_a_locked_database_is_waited_for(victim: Service, log: ClientLog, checkpoint: str) -> None:
    started(victim, log, checkpoint)
    with breaking.locked(victim.data / "landscape.sqlite", 5):
        health = victim.api.get("/health").json()
        assert health["database"] == "locked"
        assert health["status"] == "degraded"
        assert victim.api.get("/jobs").status_code == 200
        log.submit(victim, checkpoint, SHORT)
    assert len(log.jobs) == 2
    require_nothing_lost(victim, log)


def test_a_job_cancelled_at_any_moment_is_cancelled_or_done_and_stays_so(
    victim: Service, log: ClientLog, checkpoint: str, rng: random.Random
) -> None:
    delays = [rng.uniform(0, 2.5) ** 2 / 2.5 for _ in range(200)]

    def one(delay: float) -> None:
        job_id = log.submit(victim, checkpoint, SHORT if delay < 1 else slice_of(25, 3))
        assert job_id is not None
        time.sleep(delay)
        log.cancel(victim, job_id)
        log.poll(victim, job_id)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(one, delays))
    assert len(log.jobs) == 200
    assert len(log.cancelled) > 0
    require_nothing_lost(victim, log)


def test_a_checkpoint_is_never_deleted_under_a_job_that_was_acknowledged(
    victim: Service, log: ClientLog, rng: random.Random
) -> None:
    for _ in range(12):
        checkpoint = victim.upload(NETWORK)["id"]
        path = f"/checkpoints/{checkpoint}"
        with ThreadPoolExecutor(2) as threads:
            deleted = threads.submit(_later, rng.uniform(0, 0.02), lambda path=path: victim.api.delete(path))
            spec = {**SHORT, "checkpoint": checkpoint}
            asked = threads.submit(_later, rng.uniform(0, 0.02), lambda spec=spec: victim.api.post("/jobs", json=spec))
        assert deleted.result().status_code in (204, 409)
        assert asked.result().status_code in (202, 422)
        if asked.result().status_code == 202:
            assert deleted.result().status_code == 409
            log.jobs[asked.result().json()["id"]] = SHORT
    require_nothing_lost(victim, log)


def _later(seconds: float, ask: Callable[[], Any]) -> Any:
    time.sleep(seconds)
    return ask()


def test_weights_missing_from_the_store_fail_the_job_with_a_readable_reason(victim: Service, checkpoint: str) -> None:
    database = Database(victim.database_url)
    with database.reading() as session:
        from service.database.tables import Checkpoint

        row = session.get(Checkpoint, checkpoint)
        assert row is not None
        digest = row.weights_sha256 or ""
    database.engine.dispose()
    path = victim.data / "store" / digest[:2] / digest
    content = path.read_bytes()
    path.unlink()
    try:
        for worker in processes.workers(victim):
            breaking.kill(worker)  # they would use the copies in their memory
        job = victim.wait(victim.submit(**SHORT, checkpoint=checkpoint), "failed", 120)
        assert job["error"].endswith(".")
        assert str(victim.data) not in job["error"]
    finally:
        path.write_bytes(content)


def test_a_flipped_bit_on_the_disk_is_reported_as_damage_and_recomputed(
    victim: Service, log: ClientLog, checkpoint: str
) -> None:
    job_id = log.submit(victim, checkpoint, surface(9, 8, 21)) or ""
    assert require_nothing_lost(victim, log) > 1
    assert victim.job(job_id)["damaged"] is None
    tile = max(tiles_of(victim, job_id), key=lambda one: len(one.values or b""))
    with breaking.stopped(*processes.workers(victim), *processes.api_processes(victim)):
        breaking.flip_bit(victim.data / "landscape.sqlite", tile.values or b"")
    for query in ({}, {"format": "npz"}, {"format": "csv"}):
        error = victim.api.get(f"/jobs/{job_id}/result", params=query).json()["error"]
        assert error["code"] == "damaged"
        assert "Retry" in error["message"]
    seen = victim.job(job_id)
    assert (seen["state"], seen["damaged"]) == ("done", error["message"])
    answer = victim.api.post(f"/jobs/{job_id}/retry")
    assert answer.status_code == 202, answer.text
    again = answer.json()["id"]
    assert answer.json()["progress"]["done"] == 72 - len(tile.points)
    assert victim.wait(again)["damaged"] is None
    assert victim.result(again)["losses"] == reference_losses(surface(9, 8, 21))


def test_values_changed_in_the_database_are_reported_as_damage(
    victim: Service, log: ClientLog, checkpoint: str
) -> None:
    job_id = log.submit(victim, checkpoint, surface(9, 8, 22)) or ""
    require_nothing_lost(victim, log)
    tile = tiles_of(victim, job_id)[0]
    database = Database(victim.database_url)
    with database.writing() as session:
        moved = [[j, i] for i, j in tile.points]  # right values at the wrong points
        session.execute(update(Tile).where(Tile.id == tile.id).values(points=moved))
    database.engine.dispose()
    if moved != tile.points:
        assert victim.api.get(f"/jobs/{job_id}/result").json()["error"]["code"] == "damaged"
        assert victim.job(job_id)["damaged"]


def test_a_worker_asked_to_stop_finishes_its_tile_first(victim: Service, log: ClientLog, checkpoint: str) -> None:
    job_id = started(victim, log, checkpoint)
    for worker in processes.workers(victim):
        worker.terminate()
    require_nothing_lost(victim, log)
    assert {tile.attempts for tile in tiles_of(victim, job_id)} == {1}
    database = Database(victim.database_url)
    with database.reading() as session:
        assert session.get(Job, job_id) is not None
    database.engine.dispose()


@pytest.fixture
def outage_seconds(request: pytest.FixtureRequest) -> float:
    """How long the broker is down: a minute in `make soak`, less in other runs."""
    return 60.0 if request.config.getoption("--long") else 10.0
