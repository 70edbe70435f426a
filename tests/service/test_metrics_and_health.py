"""/metrics against the database, and /api/health with each part of the service broken."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from sqlalchemy import select

from service.database.tables import Tile
from service.database.tables import Worker as WorkerRow
from service.queue import completion, leases
from tests.faults import breaking
from tests.support import servers
from tests.support.api_alone import ApiAlone, api_alone
from tests.support.service import Service, wait_for


@pytest.fixture
def server(tmp_path: Path, redis_url: str) -> Iterator[ApiAlone]:
    with api_alone(tmp_path, redis_url, min_free_bytes="0") as started:
        yield started


def samples(url: str) -> dict[str, list[Sample]]:
    """Samples of /metrics by name, as Prometheus parses them."""
    answer = httpx.get(f"{url}/metrics", timeout=60, trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def value(found: dict[str, list[Sample]], name: str, **labels: str) -> float:
    [sample] = [one for one in found[name] if labels.items() <= one.labels.items()]
    return float(sample.value)


def test_counters_are_those_of_the_database_and_survive_a_restart(tmp_path: Path, redis_url: str) -> None:
    with api_alone(tmp_path, redis_url) as server:
        server.job(5, 5, points_per_tile=3)
        for seconds in (0.05, 0.3, 0.3, 3.0, 100.0):
            server.compute(seconds=seconds)
        with server.database.writing() as session:
            finished = session.scalars(select(Tile).where(Tile.sequence.is_not(None))).all()
            points = sum(len(tile.points) for tile in finished)
        before = samples(server.url)
        assert value(before, "landscape_points_total") == points
        assert value(before, "landscape_tiles_total", purpose="points") == 5
        assert value(before, "landscape_tile_seconds_count") == 5
        assert value(before, "landscape_tile_seconds_sum") == pytest.approx(103.65)
        upto = {one.labels["le"]: one.value for one in before["landscape_tile_seconds_bucket"]}
        assert [upto["0.1"], upto["0.5"], upto["4.0"], upto["64.0"], upto["+Inf"]] == [1, 3, 4, 4, 5]
    with api_alone(tmp_path, redis_url) as server:
        after = samples(server.url)
    for name in ("landscape_points_total", "landscape_tile_seconds_sum"):
        assert value(after, name) == value(before, name)


def test_queue_depth_per_level_and_jobs_by_state_are_those_of_the_database(server: ApiAlone) -> None:
    server.job(9, 7)
    before = samples(server.url)
    depths = {one.labels["level"]: one.value for one in before["landscape_queue_depth"]}
    assert depths["0"] == 25
    assert sum(depths.values()) == 63
    assert value(before, "landscape_jobs", state="running") == 1
    server.compute(2)
    held = server.lease()
    after = samples(server.url)
    assert value(after, "landscape_leased", level=str(held.level)) == len(held.points)
    waiting = sum(one.value for one in after["landscape_queue_depth"])
    assert waiting == 63 - value(after, "landscape_points_total") - len(held.points)
    assert value(after, "landscape_points_per_second") > 0
    server.compute_all()
    with server.database.writing() as session:
        assert completion.fail(session, held, "Because.")
    last = samples(server.url)
    assert value(last, "landscape_jobs", state="failed") == 1
    assert value(last, "landscape_jobs_finished_total", state="failed") == 1


def test_lost_leases_and_memory_of_every_worker_are_reported(server: ApiAlone) -> None:
    server.job(5, 5)
    with server.database.writing() as session:
        assert leases.lease(session, 0.01)
        session.add(WorkerRow(id="one", device="CPU", memory=123 << 20))
        session.add(WorkerRow(id="two", device="H200", memory=5 << 20, device_memory=7 << 30))
        session.add(WorkerRow(id="dead", device="CPU", memory=1, seen=time.time() - 3600))
    wait_for(lambda: value(samples(server.url), "landscape_leases_lost_total") == 1, "the lease to be found lost")
    found = samples(server.url)
    assert value(found, "landscape_workers") == 2
    assert value(found, "landscape_worker_memory_bytes", worker="one") == 123 << 20
    assert {one.labels["worker"] for one in found["landscape_worker_memory_bytes"]} == {"one", "two"}
    assert value(found, "landscape_worker_device_memory_bytes", worker="two", device="H200") == 7 << 30


def test_requests_are_counted_by_route_and_never_by_an_unknown_path(server: ApiAlone) -> None:
    for number in range(5):
        server.api.get(f"/jobs/{'0' * 31}{number}")
        server.api.get(f"/made/up/{number}")
        server.api.get("/jobs" if number else f"{server.url}/api/v1/jobs")  # the alias is counted as the same route
    found = samples(server.url)
    assert value(found, "landscape_http_requests_total", route="/api/jobs/{job_id}", status="404", method="GET") == 5
    assert value(found, "landscape_http_requests_total", route="/api/jobs", status="200") == 5
    assert value(found, "landscape_http_seconds_count", route="/api/jobs") == 5
    assert not [one for one in found["landscape_http_requests_total"] if "made" in one.labels["route"]]


def test_bytes_of_uploads_are_counted(service: Service) -> None:
    url = f"http://127.0.0.1:{service.port}"
    before = samples(url)["landscape_upload_bytes_total"]
    had = sum(one.value for one in before if one.labels["purpose"] == "checkpoint")
    service.upload(b"x" * 12345, state="rejected")
    assert value(samples(url), "landscape_upload_bytes_total", purpose="checkpoint") == had + 12345
    assert value(samples(url), "landscape_workers") == 2
    assert all(one.value > 10 << 20 for one in samples(url)["landscape_worker_memory_bytes"])


def health(server: ApiAlone) -> dict[str, object]:
    found: dict[str, object] = server.api.get("/health").json()
    return found


def test_a_service_without_workers_is_degraded(server: ApiAlone) -> None:
    assert health(server) == {"status": "degraded", "database": "ok", "store": "ok", "broker": "ok", "workers": 0}
    with server.database.writing() as session:
        session.add(WorkerRow(id="one", device="CPU"))
    assert health(server) == {"status": "ok", "database": "ok", "store": "ok", "broker": "ok", "workers": 1}


def test_health_reports_a_dead_and_a_hanging_broker(tmp_path: Path) -> None:
    with servers.redis() as broker, api_alone(tmp_path, broker.url) as server:
        assert health(server)["broker"] == "ok"
        with breaking.stopped(*breaking.programs(broker)):
            assert health(server)["broker"] == "unreachable"
            assert health(server)["database"] == "ok"
        wait_for(lambda: health(server)["broker"] == "ok", "the broker to be seen again")
        broker.kill()
        assert health(server)["broker"] == "unreachable"


def test_health_reports_a_locked_database_while_reads_work(server: ApiAlone) -> None:
    with breaking.locked(server.data / "landscape.sqlite", 4):
        assert health(server)["database"] == "locked"
        assert server.api.get("/jobs").status_code == 200
    wait_for(lambda: health(server)["database"] == "ok", "the database to be seen again")


def test_health_reports_a_dead_and_a_hanging_database(tmp_path: Path, redis_url: str) -> None:
    with servers.postgresql() as database:
        url = servers.new_database(database.url)
        with api_alone(tmp_path, redis_url, database=url) as server:
            assert health(server)["database"] == "ok"
            frozen = [*breaking.programs(database), *breaking.programs(database)[0].children()]
            with breaking.stopped(*frozen):
                assert health(server)["database"] == "unreachable"
                assert health(server)["broker"] == "ok"
            wait_for(lambda: health(server)["database"] == "ok", "the database to be seen again")
            database.kill()
            assert health(server)["database"] == "unreachable"
            answer = server.api.get("/jobs")
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "database_unavailable"
            assert httpx.get(f"{server.url}/metrics", trust_env=False).text.count("landscape_database_up 0.0") == 1
            database.start()
            wait_for(lambda: health(server)["database"] == "ok", "the database to be seen again")


def test_health_reports_a_store_that_is_unwritable_or_full(tmp_path: Path, redis_url: str) -> None:
    with api_alone(tmp_path, redis_url) as server:
        unfinished = tmp_path / "store" / "unfinished"
        shutil.rmtree(unfinished)
        assert health(server)["store"] == "unwritable"
        unfinished.mkdir()
        assert health(server)["store"] == "ok"
    with api_alone(tmp_path, redis_url, min_free_bytes=str(1 << 60)) as server:
        assert health(server)["store"] == "full"
