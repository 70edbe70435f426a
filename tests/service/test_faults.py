"""Breaking real processes: nothing that was acknowledged is lost, and nothing is left running."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import GALLERY, Service, free_port, start_service, wait_for

GRID = {"alpha": {"count": 41}, "beta": {"count": 31}}


def processes_of(service: Service, word: str) -> list[psutil.Process]:
    """Descendants of the service whose command line has `word`, without the leashes that hold them."""
    found = psutil.Process(service.process.pid).children(recursive=True)
    return [p for p in found if word in p.cmdline() and not any("leash.py" in part for part in p.cmdline())]


def first_values(service: Service, job_id: str) -> None:
    wait_for(lambda: service.job(job_id)["progress"]["done"], "the first values")


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """A service of the test's own, which it may break."""
    started = []

    def start(**settings: Any) -> Service:
        started.append(start_service(tmp_path / "data", **settings))
        return started[-1]

    yield start
    for service in started:
        service.stop()


@pytest.fixture(scope="module")
def undisturbed(service: Service, shipped: dict[str, Any]) -> Any:
    job_id = service.submit(kind="surface", checkpoint=shipped["id"], grid=GRID, seed=1)
    service.wait(job_id)
    return service.result(job_id)["losses"]


def test_several_workers_share_one_job(service: Service, shipped: dict[str, Any], undisturbed: Any) -> None:
    logs = [path.read_text() for path in sorted((service.data / "logs").glob("worker-*.log"))]
    tiles = [[json.loads(line) for line in log.splitlines() if '"event": "tile"' in line] for log in logs]
    jobs = [{tile["job"] for tile in lines if tile["purpose"] == "points"} for lines in tiles]
    assert len(jobs) == 2
    assert jobs[0] & jobs[1]


def test_a_killed_worker_costs_nothing_but_time(own: Any, undisturbed: Any) -> None:
    service = own(tile_seconds="1", lease_seconds="4")
    checkpoint = service.upload(GALLERY / "resnet20-w8-skip.safetensors")
    job_id = service.submit(kind="surface", checkpoint=checkpoint["id"], grid=GRID, seed=1)
    first_values(service, job_id)
    victims = processes_of(service, "worker")
    assert len(victims) == 2
    for victim in victims:
        victim.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    before = service.job(job_id)["progress"]["done"]
    wait_for(lambda: service.job(job_id)["progress"]["done"] > before, "another tile after the kill", 30)
    assert time.monotonic() - killed < 30
    service.wait(job_id)
    assert service.result(job_id)["losses"] == undisturbed


def test_a_killed_service_resumes_what_was_unfinished(own: Any, undisturbed: Any) -> None:
    service = own(tile_seconds="1", lease_seconds="4")
    checkpoint = service.upload(GALLERY / "resnet20-w8-skip.safetensors")
    job_id = service.submit(kind="surface", checkpoint=checkpoint["id"], grid=GRID, seed=1)
    first_values(service, job_id)
    everyone = psutil.Process(service.process.pid).children(recursive=True)
    service.stop(signal.SIGKILL)
    psutil.wait_procs(everyone, timeout=40)
    assert not [process for process in everyone if process.is_running()]
    service = own()
    assert service.job(job_id)["progress"]["done"] > 0
    service.wait(job_id)
    assert service.result(job_id)["losses"] == undisturbed


def test_a_killed_broker_and_http_face_are_started_again(own: Any) -> None:
    service = own(tile_seconds="0.5", lease_seconds="4")
    checkpoint = service.upload(GALLERY / "resnet20-w8-skip.safetensors")
    job_id = service.submit(kind="surface", checkpoint=checkpoint["id"], grid=GRID)
    first_values(service, job_id)
    [broker] = [p for p in psutil.Process(service.process.pid).children(recursive=True) if "valkey" in p.name()]
    [face] = processes_of(service, "serve")
    broker.kill()
    face.kill()

    def answers() -> bool:
        try:
            return service.api.get("/health").json()["status"] == "ok"
        except Exception:
            return False

    wait_for(answers, "the service to answer again")
    service.wait(job_id)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_process_ends_with_the_service(own: Any, number: int) -> None:
    service = own()
    everyone = psutil.Process(service.process.pid).children(recursive=True)
    assert len(everyone) >= 8  # broker, service and two workers, each on its leash
    service.process.send_signal(number)
    output = service.process.communicate(timeout=60)[0]
    assert service.process.returncode == 0
    assert f"http://127.0.0.1:{service.port}" in output
    assert output.endswith("stopped\n")
    assert not [process for process in everyone if process.is_running()]


def up(data: Path, port: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "landscape.cli", "up", "--data", str(data), "--port", str(port)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_starting_it_twice_is_harmless(service: Service) -> None:
    second = up(service.data, free_port())
    assert second.returncode == 1
    assert "already runs" in second.stderr
    assert f"http://127.0.0.1:{service.port}" in second.stderr
    assert "Traceback" not in second.stderr
    assert service.api.get("/health").json()["status"] == "ok"


def test_a_taken_port_is_a_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = up(tmp_path, port)
    assert answer.returncode == 1
    assert f"Port {port}" in answer.stderr
    assert "PORT=" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_cut_off_uploads_leave_nothing(service: Service) -> None:
    before = sorted((service.data / "store").rglob("*"))
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(
            b"PUT /api/checkpoints?name=half.pt HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
            + b"x" * 5000
        )
        wait_for(lambda: list((service.data / "store" / "unfinished").iterdir()), "the upload to begin")
    wait_for(lambda: not list((service.data / "store" / "unfinished").iterdir()), "the half upload to be removed")
    assert sorted((service.data / "store").rglob("*")) == before


def test_a_large_upload_takes_little_memory(own: Any, tmp_path: Path) -> None:
    service = own(workers=1)
    [face] = processes_of(service, "serve")
    large = tmp_path / "large.pt"
    with large.open("wb") as file:
        file.truncate(300 << 20)
        file.write(os.urandom(1 << 20))
    before = face.memory_info().rss
    with large.open("rb") as file:
        answer = service.api.put("/checkpoints", params={"name": "large.pt"}, content=file)
    assert answer.status_code == 201
    assert face.memory_info().rss - before < 100 << 20
