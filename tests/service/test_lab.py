"""The service on PostgreSQL and Redis, as in a lab; and fair queueing."""

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import func, select

from service.database.sessions import Database
from service.database.tables import Job, Tile
from tests.support.paths import GALLERY
from tests.support.servers import Server, new_database, postgresql, redis
from tests.support.service import Service, start_service, wait_for

SQUARE = {"alpha": {"count": 9}, "beta": {"count": 7}}


def grid(count: int) -> dict[str, Any]:
    return {"alpha": {"count": count}, "beta": {"count": count}}


@pytest.fixture(scope="module")
def broker() -> Iterator[Server]:
    with redis("--maxmemory", "8mb") as server:
        yield server


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    with postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, broker: Server, database: Server) -> Iterator[Service]:
    url = new_database(database.url)
    service = start_service(tmp_path_factory.mktemp("lab"), database=url, broker=broker.url, lease_seconds="4")
    yield service
    service.stop()


@pytest.fixture(scope="module")
def checkpoint(lab: Service) -> dict[str, Any]:
    return lab.upload(GALLERY / "resnet20-w8-skip.safetensors")


def slice_of(lab: Service, checkpoint: dict[str, Any], count: int = 5) -> str:
    asked = {"grid": {"alpha": {"count": count}}, "subset": {"count": 50}}
    return lab.submit(kind="slice", checkpoint=checkpoint["id"], **asked)


def test_results_are_the_same_as_on_sqlite(
    lab: Service, checkpoint: dict[str, Any], service: Service, shipped: dict[str, Any]
) -> None:
    asked = {"kind": "surface", "grid": SQUARE, "subset": {"count": 100}, "seed": 2}
    here, there = lab.submit(checkpoint=checkpoint["id"], **asked), service.submit(checkpoint=shipped["id"], **asked)
    assert lab.wait(here)["progress"]["done"] == 63
    service.wait(there)
    assert lab.result(here)["losses"] == service.result(there)["losses"]
    assert lab.result(here)["self_check"]["passed"] is True
    assert not (lab.data / "landscape.sqlite").exists()


def test_every_part_is_healthy(lab: Service) -> None:
    health = lab.api.get("/health").json()
    assert (health["status"], health["workers"]) == ("ok", 2)


def test_jobs_finish_without_a_broker(lab: Service, checkpoint: dict[str, Any], broker: Server) -> None:
    broker.kill()
    job_id = slice_of(lab, checkpoint)
    lab.wait(job_id)
    assert lab.api.get("/health").json()["broker"] != "ok"
    broker.start()
    wait_for(lambda: lab.api.get("/health").json()["status"] == "ok", "the service to find the broker again")
    lab.wait(slice_of(lab, checkpoint))


def test_jobs_finish_on_a_broker_that_is_out_of_memory_or_flushed(
    lab: Service, checkpoint: dict[str, Any], broker: Server
) -> None:
    with Redis.from_url(broker.url) as client:
        client.config_set("maxmemory", "1")
        lab.wait(slice_of(lab, checkpoint))
        client.config_set("maxmemory", "8mb")
        client.flushall()
        lab.wait(slice_of(lab, checkpoint))
    logs = [path.read_text() for path in (lab.data / "logs").glob("worker-*.log")]
    assert [log.count('"event": "worker ready"') for log in logs] == [1, 1]  # no worker exited because of it


def test_jobs_finish_after_the_database_was_down(lab: Service, checkpoint: dict[str, Any], database: Server) -> None:
    job_id = lab.submit(kind="surface", checkpoint=checkpoint["id"], grid=grid(21), subset={"count": 300})
    wait_for(lambda: lab.job(job_id)["progress"]["done"], "the first values")
    database.kill()
    assert lab.api.get("/jobs").status_code == 503
    database.start()
    wait_for(lambda: lab.api.get("/jobs").status_code == 200, "the database to be used again")
    assert lab.wait(job_id)["progress"]["done"] == 441
    assert all(loss is not None for row in lab.result(job_id)["losses"] for loss in row)


def test_a_small_job_shows_its_coarse_grid_while_a_large_one_runs(lab: Service, checkpoint: dict[str, Any]) -> None:
    large = lab.submit(kind="surface", checkpoint=checkpoint["id"], grid=grid(501))
    wait_for(lambda: lab.job(large)["progress"]["level"] >= 2, "the large job to reach its fine levels", 120)
    small = lab.submit(kind="surface", checkpoint=checkpoint["id"], grid=grid(51))
    wait_for(lambda: lab.job(small)["progress"]["done"] >= 25, "the coarse grid of the small job")
    for job_id in (small, large):
        lab.api.post(f"/jobs/{job_id}/cancel")
    database = Database(lab.settings["database"])
    with database.reading() as session:
        asked = session.get_one(Job, small).created
        coarse = select(func.max(Tile.finished)).where(Tile.job_id == small, Tile.level == 0)
        shown = session.scalar(coarse) or 0.0
        between = select(func.count()).where(Tile.job_id == large, Tile.finished > asked, Tile.finished < shown)
        others = session.scalar(between) or 0
    database.engine.dispose()
    print(f"coarse grid {shown - asked:.1f} s after the request, {others} tiles of the large job in between")
    assert others <= 6  # those leased by the two workers, and those leased while the small one was prepared
