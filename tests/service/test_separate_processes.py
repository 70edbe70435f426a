"""`landscape serve` and `landscape worker` as separate processes, on an external broker."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from service.supervisor.private_broker import PrivateBroker
from tests.support.paths import GALLERY
from tests.support.service import Service, free_port, wait_for


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Service]:
    broker, port = PrivateBroker(), free_port()
    landscape = [sys.executable, "-m", "landscape.cli"]
    where = ["--data", str(tmp_path), "--broker", broker.url]
    commands = [
        broker.command(),
        [*landscape, "serve", *where, "--port", str(port)],
        [*landscape, "worker", *where],
    ]
    with ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen(command, **quiet())) for command in commands]
        stack.callback(lambda: [process.terminate() for process in reversed(processes)])
        api = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=30, trust_env=False))
        service = Service(processes[1], tmp_path, port, api)  # type: ignore[arg-type]
        wait_for(lambda: healthy(service), "the parts to find each other")
        yield service
    broker.remove()


def quiet() -> dict[str, object]:
    return {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}


def healthy(service: Service) -> bool:
    try:
        return service.api.get("/health").json() == {
            "status": "ok",
            "database": "ok",
            "store": "ok",
            "broker": "ok",
            "workers": 1,
        }
    except httpx.TransportError:
        return False


def test_separately_started_processes_compute_a_slice(parts: Service) -> None:
    checkpoint = parts.upload(GALLERY / "resnet20-w8-skip.safetensors")
    grid = {"alpha": {"count": 3}}
    job_id = parts.submit(kind="slice", checkpoint=checkpoint["id"], subset={"count": 20}, grid=grid)
    parts.wait(job_id)
    assert parts.result(job_id)["self_check"]["passed"]
