"""The processes of the service: they start and end together, and leave nothing behind."""

import json
import signal
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.conftest import SETTINGS
from tests.faults.oracle import NETWORK, ClientLog, require_nothing_lost
from tests.faults.test_faults import LONG, started
from tests.support.service import Service, free_port, landscape, wait_for


def test_several_workers_share_one_job(victim: Service, log: ClientLog, checkpoint: str) -> None:
    job_id = log.submit(victim, checkpoint, LONG) or ""
    require_nothing_lost(victim, log)
    logs = [path.read_text() for path in sorted((victim.data / "logs").glob("worker-*.log"))]
    tiles = [[json.loads(line) for line in text.splitlines() if '"event": "tile"' in line] for text in logs]
    jobs = [{tile["job"] for tile in lines if tile["purpose"] == "points"} for lines in tiles]
    assert len(jobs) == 2
    assert all(job_id in found for found in jobs)


def test_a_killed_service_resumes_its_unfinished_job(own: Any, log: ClientLog) -> None:
    service = own(**SETTINGS)
    job_id = started(service, log, service.upload(NETWORK)["id"])
    everyone = psutil.Process(service.process.pid).children(recursive=True)
    service.stop(signal.SIGKILL)
    psutil.wait_procs(everyone, timeout=40)
    assert not [process for process in everyone if process.is_running()]
    service = own(**SETTINGS)
    assert service.job(job_id)["progress"]["done"] > 0
    require_nothing_lost(service, log)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_process_ends_when_the_service_is_stopped(own: Any, number: int) -> None:
    service = own()
    everyone = psutil.Process(service.process.pid).children(recursive=True)
    assert len(everyone) >= 8  # broker, API and two workers, each with its guardian
    service.process.send_signal(number)
    output = service.process.communicate(timeout=60)[0]
    assert service.process.returncode == 0
    assert f"http://127.0.0.1:{service.port}" in output
    assert output.endswith("stopped\n")
    assert not [process for process in everyone if process.is_running()]


def test_a_second_start_on_the_same_folder_is_refused_and_harmless(service: Service) -> None:
    second = landscape("up", "--data", str(service.data), "--port", str(free_port()))
    assert second.returncode == 1
    assert "already runs" in second.stderr
    assert f"http://127.0.0.1:{service.port}" in second.stderr
    assert "Traceback" not in second.stderr
    assert service.api.get("/health").json()["status"] == "ok"


def test_a_port_in_use_is_reported_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = landscape("up", "--data", str(tmp_path), "--port", str(port))
    assert answer.returncode == 1
    assert f"Port {port}" in answer.stderr
    assert "PORT=" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_interrupted_upload_leaves_no_files(service: Service) -> None:
    before = sorted((service.data / "store").rglob("*"))
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(
            b"PUT /api/checkpoints?name=half.pt HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
            + b"x" * 5000
        )
        wait_for(lambda: list((service.data / "store" / "unfinished").iterdir()), "the upload to start")
    wait_for(lambda: not list((service.data / "store" / "unfinished").iterdir()), "the incomplete upload to be removed")
    assert sorted((service.data / "store").rglob("*")) == before
