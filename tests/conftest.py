"""The real service for tests: started as a user starts it, on a free port and a fresh folder, stopped at the end."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.support.paths import GALLERY
from tests.support.servers import database_url, free_port, postgresql_server, postgresql_url, redis_url

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")  # how long an example takes says something about the neighbours

__all__ = ["database_url", "free_port", "postgresql_server", "postgresql_url", "redis_url"]  # fixtures for every test

# Whoever is started in the background of a script ignores Ctrl-C, with all it starts; tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", help="repeats what a test that draws by chance did: it prints its seed")
    parser.addoption("--long", action="store_true", help="faults as long as promised, for example a minute of silence")


@dataclass
class Service:
    """A running service and a client for it."""

    process: "subprocess.Popen[str]"
    data: Path
    port: int
    api: httpx.Client
    settings: dict[str, str] = field(default_factory=dict)

    def upload(
        self, content: bytes | Path, name: str = "checkpoint.safetensors", *, state: str = "ready"
    ) -> dict[str, Any]:
        """Upload a checkpoint and wait until it has been read."""
        body = content.read_bytes() if isinstance(content, Path) else content
        answer = self.api.put("/checkpoints", params={"name": name}, content=body)
        assert answer.status_code == 201, answer.text
        checkpoint_id = answer.json()["id"]
        seen = wait_for(lambda: self._read(checkpoint_id), "the checkpoint to be read")
        assert seen["state"] == state, seen
        return seen

    def _read(self, checkpoint_id: str) -> dict[str, Any] | None:
        checkpoint: dict[str, Any] = self.api.get(f"/checkpoints/{checkpoint_id}").json()
        return checkpoint if checkpoint["state"] in ("ready", "rejected") else None

    def submit(self, **spec: Any) -> str:
        answer = self.api.post("/jobs", json=spec)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/jobs/{job_id}").json()
        return found

    def wait(self, job_id: str, state: str = "done", seconds: float = 120) -> dict[str, Any]:
        """Wait until a job is in a terminal state, which must be `state`."""

        def ended() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["state"] in ("done", "failed", "cancelled") else None

        job = wait_for(ended, f"job {job_id} to end", seconds)
        assert job["state"] == state, job
        return job

    def result(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/jobs/{job_id}/result").json()
        return found

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.api.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.communicate(timeout=60)


def wait_for(look: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """The first truthy answer of `look`; fails when it does not come in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := look():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:g} s for {what}")


def start_service(
    data: Path, *options: str, port: int | None = None, workers: int = 2, before: Sequence[str] = (), **settings: str
) -> Service:
    """`landscape up` in a process of its own, answering; `before` is what its command stands behind."""
    port = port or free_port()
    command = [*before, sys.executable, "-m", "landscape.cli", "up", "--data", str(data), "--port", str(port)]
    environment = {**os.environ, **{f"LANDSCAPE_{name.upper()}": value for name, value in settings.items()}}
    process = subprocess.Popen(
        [*command, "--workers", str(workers), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )
    api = httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=60, trust_env=False)

    def healthy() -> bool:
        assert process.poll() is None, process.communicate()[0]
        with contextlib.suppress(httpx.TransportError):
            return bool(api.get("/health").json()["workers"] == workers)
        return False

    service = Service(process, data, port, api, settings)
    try:
        wait_for(healthy, "the service to answer")
    except BaseException:
        service.stop()
        raise
    return service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service that many tests share; they must not break it."""
    running = start_service(tmp_path_factory.mktemp("service"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def shipped(service: Service) -> dict[str, Any]:
    """A shipped residual network, uploaded and read."""
    return service.upload(GALLERY / "resnet20-w8-skip.safetensors", "resnet20.safetensors")
