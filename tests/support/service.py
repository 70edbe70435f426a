"""Starts the service for tests and benchmarks as a user starts it: all of it (`landscape up`) or the API alone."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import randbelow
from typing import Any

import httpx
import psutil

LANDSCAPE = (sys.executable, "-m", "landscape.cli")
FIRST_PORT, PORTS = 20_000, 3_000


@dataclass
class Service:
    """A running service and a client for it."""

    process: "subprocess.Popen[str]"
    data: Path
    port: int
    api: httpx.Client
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        return self.settings.get("database") or f"sqlite:///{self.data / 'landscape.sqlite'}"

    def upload(
        self, content: bytes | Path, name: str = "checkpoint.safetensors", *, state: str = "ready"
    ) -> dict[str, Any]:
        """Upload a checkpoint and wait until it has been read."""
        body = content.read_bytes() if isinstance(content, Path) else content
        answer = self.api.put("/checkpoints", params={"name": name}, content=body)
        assert answer.status_code == 201, answer.text
        checkpoint_id = answer.json()["id"]
        found = self.wait_until_read(checkpoint_id)
        assert found["state"] == state, found
        return found

    def wait_until_read(self, upload_id: str, kind: str = "checkpoints") -> dict[str, Any]:
        """Wait until an upload, of the `kind` checkpoints or datasets, is ready or rejected."""

        def read() -> dict[str, Any] | None:
            found: dict[str, Any] = self.api.get(f"/{kind}/{upload_id}").json()
            return found if found["state"] in ("ready", "rejected") else None

        return dict(wait_for(read, f"{kind}/{upload_id} to be read"))

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


def start_service(
    data: Path,
    *options: str,
    port: int | None = None,
    workers: int = 2,
    program: Sequence[str] = LANDSCAPE,
    cwd: Path | None = None,
    token: str | None = None,
    **settings: str,
) -> Service:
    """`landscape up` in a separate process; returns when the API answers and every worker is ready.

    Args:
        program: the command `landscape`, for example of another version or behind a wrapper.
        token: sent by the client with every request.
    """
    port = port or free_port()
    process = subprocess.Popen(
        [*program, "up", "--data", str(data), "--port", str(port), "--workers", str(workers), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(settings),
        cwd=cwd,
        start_new_session=True,
    )
    service = Service(process, data, port, client(port, token), settings)

    def healthy() -> bool:
        assert process.poll() is None, process.communicate()[0]
        with contextlib.suppress(httpx.TransportError):
            return bool(service.api.get("/health").json()["workers"] == workers)
        return False

    try:
        wait_for(healthy, "the service to answer")
    except BaseException:
        service.stop()
        raise
    return service


@contextlib.contextmanager
def services(folder: Path, *, workers: int) -> Iterator[Callable[..., Service]]:
    """A function that starts services, each on a folder inside `folder`; all of them are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def start(data: Path | str = "data", **settings: Any) -> Service:
            started = start_service(folder / data, **{"workers": workers, **settings})
            stack.callback(started.stop)
            return started

        yield start


@dataclass
class Api:
    """The API alone, and a client for it; its output goes to `serve.log` in the data folder."""

    process: psutil.Process
    data: Path
    port: int
    api: httpx.Client

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serve(data: Path, *, program: Sequence[str] = LANDSCAPE, **settings: str) -> Iterator[Api]:
    """`landscape serve` in a separate process, once it answers; without a broker unless the settings name one."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    port, log = free_port(), data / "serve.log"
    settings = {"broker": f"redis://127.0.0.1:{free_port()}/0", **settings}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*program, "serve", "--data", str(data), "--port", str(port)],
            env=environment(settings),
            stdout=output,
            stderr=output,
        )
    api = Api(psutil.Process(process.pid), data, port, client(port))

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(httpx.TransportError):
            return api.api.get("/version").status_code == 200
        return False

    try:
        wait_for(answers, "the API to answer")
        yield api
    finally:
        api.api.close()
        process.terminate()
        process.wait(60)


# Idle connections are dropped before the server's keep-alive timeout of 5 s: no request is sent while it closes one.
LIMITS = httpx.Limits(keepalive_expiry=2)


def client(port: int, token: str | None = None) -> httpx.Client:
    """A client of the API on this machine, with this token if given."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"http://127.0.0.1:{port}/api"
    return httpx.Client(base_url=address, headers=headers, timeout=60, trust_env=False, limits=LIMITS)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process, with variables for these settings."""
    return {**os.environ, **{f"LANDSCAPE_{name.upper()}": value for name, value in settings.items()}}


def landscape(
    *arguments: str, program: Sequence[str] = LANDSCAPE, **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command of `landscape` to its end."""
    command = [*program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(settings), timeout=200)


def make_token(
    data: Path,
    user: str,
    scopes: str = "read,submit",
    *options: str,
    database: str | None = None,
    program: Sequence[str] = LANDSCAPE,
) -> dict[str, Any]:
    """A token as an operator makes one: {"id", "token", …}."""
    arguments = ["--user", user, "--scopes", scopes, "--data", str(data), *options]
    settings = {"database": database} if database else {}
    made = landscape("token", "make", "--json", *arguments, program=program, **settings)
    assert made.returncode == 0, made.stderr
    answer: dict[str, Any] = json.loads(made.stdout)
    return answer


def wait_for(look: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Poll `look` until it returns a truthy value; fail after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := look():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:g} s for {what}")


def free_port() -> int:
    """A port below the ephemeral range, from which a client could take it while a server is down.

    Parallel test processes (pytest-xdist) use separate ranges.
    """
    first = FIRST_PORT + PORTS * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    while True:
        port = first + randbelow(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
