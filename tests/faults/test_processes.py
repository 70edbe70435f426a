"""The processes of the service: they start and end together, and leave nothing behind."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults import breaking
from tests.faults.conftest import SETTINGS
from tests.faults.oracle import NETWORK, ClientLog, require_nothing_lost
from tests.faults.test_faults import LONG, started
from tests.support import processes
from tests.support.service import LANDSCAPE, Service, client, environment, free_port, landscape, wait_for


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
    assert not psutil.wait_procs(everyone, timeout=40)[1]
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
    assert not psutil.wait_procs(everyone, timeout=10)[1]  # init may take a moment to reap one whose parent went first


def test_a_terminal_that_is_held_holds_up_nothing(tmp_path: Path) -> None:
    """As after Ctrl-S: every write of the supervisor would block."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    port = free_port()
    command = [*LANDSCAPE, "up", "--data", str(tmp_path / "data"), "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(command, stdout=write, stderr=write, env=environment({}), start_new_session=True)
    try:
        with client(port, None) as api:
            service = Service(process, tmp_path / "data", port, api, {})
            breaking.wait_until_it_answers(service)
            for _ in range(2):
                breaking.kill(wait_for(lambda: processes.api_processes(service), "the API")[0])
                breaking.wait_until_it_answers(service)
            process.terminate()
            process.wait(60)
    finally:
        process.kill()
    os.close(read)
    os.close(write)


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
