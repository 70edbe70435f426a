"""The processes of the service as a whole: they start and end together, and what they leave behind is nothing."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.conftest import SETTINGS
from tests.faults.oracle import NETWORK, ClientLog, require_nothing_lost
from tests.faults.test_faults import LONG, started
from tests.support.service import Service, free_port, wait_for


def test_several_workers_share_one_job(victim: Service, log: ClientLog, checkpoint: str) -> None:
    job_id = log.submit(victim, checkpoint, LONG) or ""
    require_nothing_lost(victim, log)
    logs = [path.read_text() for path in sorted((victim.data / "logs").glob("worker-*.log"))]
    tiles = [[json.loads(line) for line in text.splitlines() if '"event": "tile"' in line] for text in logs]
    jobs = [{tile["job"] for tile in lines if tile["purpose"] == "points"} for lines in tiles]
    assert len(jobs) == 2
    assert all(job_id in found for found in jobs)


def test_a_killed_service_resumes_what_was_unfinished(own: Any, log: ClientLog) -> None:
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
