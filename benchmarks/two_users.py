"""One user attacks, another works: `make two-users`. Prints response times, calm and attacked; asserts nothing.

The service is `landscape up` with access control and two workers. Ada's requests and her small job are timed alone,
then while Mallory does everything in `benchmarks.attacks` at once, from another process of the same machine, whose
cores he uses too. Both are users like any other, with tokens of scope read and submit.
"""

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
import psutil
import torch
from safetensors.torch import save

from service.database.sessions import Database
from tests.support.large_jobs import finished_surface
from tests.support.paths import GALLERY
from tests.support.service import Service, make_token, start_service

ADDRESS = "127.0.0.1"
SIDE = 1001  # a result of a million points
LARGE_JOBS = 2
WARM_UP = 15.0
MOST = 240.0  # seconds of each half

Times = dict[str, list[float]]


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.two_users")
    asked.add_argument("--rounds", type=int, default=20, help="of Ada's requests, calm and attacked")
    asked.add_argument("--only", nargs="*", default=[], help="names of functions of benchmarks.attacks")
    asked.add_argument("--without", nargs="*", default=[], help="names of functions of benchmarks.attacks to leave out")
    options = asked.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the service is stopped too
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder, _service(Path(folder) / "data") as (service, jobs):
        ada, mallory = (make_token(service.data, user, "read,submit")["token"] for user in ("ada", "mallory"))
        with httpx.Client(base_url=f"{service.url}/api/v1", trust_env=False, timeout=300) as client:
            client.headers["Authorization"] = f"Bearer {ada}"
            work = Work(client, ada)
            work.round({})  # loads files and caches
            calm = work.times(options.rounds, "calm")
            command = [sys.executable, "-m", "benchmarks.attacks", service.url, mallory, ADDRESS]
            command += [
                "1200",
                *jobs,
                *(f"only={name}" for name in options.only),
                *(f"without={name}" for name in options.without),
            ]
            with _attacking(command) as attackers:
                attacked = work.times(options.rounds, "attacked")
                print(_load(service, attackers))
                answered, _ = attackers.communicate()
        print(_table(calm, attacked))
        for what, statuses in json.loads(answered).items():
            print(f"  {what}: {', '.join(f'{count} × {status}' for status, count in sorted(statuses.items()))}")


class Work:
    """Ada's page and her small job."""

    def __init__(self, client: httpx.Client, token: str):
        self.client, self.token = client, token
        file = (GALLERY / "resnet20-w8-skip.safetensors").read_bytes()
        self.checkpoint = self._uploaded(file)

    def times(self, rounds: int, what: str) -> Times:
        """Seconds of each request in `rounds` rounds, or in as many as begin within MOST seconds."""
        times: Times = {}
        end = time.monotonic() + MOST
        for n in range(rounds):
            if time.monotonic() < end:
                self.round(times)
                print(f"{what}, round {n + 1} of {rounds}", end="\r", file=sys.stderr, flush=True)
        return times

    def round(self, times: Times) -> None:
        self._timed(times, "health", lambda: self._ok("GET", "/health"))
        self._timed(times, "login", lambda: self._ok("POST", "/session", json={"token": self.token}))
        self._timed(times, "list of jobs", lambda: self._ok("GET", "/jobs", params={"limit": 50}))
        file = save({"fc.weight": torch.randn(10, 64), "fc.bias": torch.randn(10)})
        self._timed(
            times,
            "upload of a small file",
            lambda: self._ok("PUT", "/checkpoints", params={"name": "small"}, content=file),
        )
        self._timed(times, "… until it is read", lambda: self._uploaded(file))
        self._timed(times, "job of 51 points, until done", self._job)

    def _timed(self, times: Times, what: str, act: Callable[[], object]) -> None:
        began = time.perf_counter()
        act()
        times.setdefault(what, []).append(time.perf_counter() - began)

    def _ok(self, method: str, path: str, **request: object) -> httpx.Response:
        while True:
            answer = self.client.request(method, path, **request)  # type: ignore[arg-type]
            if answer.status_code != 429:  # if it is asked to come again later, the waiting counts
                answer.raise_for_status()
                return answer
            time.sleep(float(answer.headers.get("Retry-After", "1")))

    def _sent(self, file: bytes) -> httpx.Response:
        return self._ok("PUT", "/checkpoints", params={"name": "small"}, content=file)

    def _uploaded(self, file: bytes) -> str:
        found = self._sent(file).json()
        while self._ok("GET", f"/checkpoints/{found['id']}").json()["state"] == "received":
            time.sleep(0.05)
        return str(found["id"])

    def _job(self) -> None:
        spec = {"kind": "slice", "checkpoint": self.checkpoint, "dataset": "digits", "grid": {"alpha": {"count": 51}}}
        job = self._ok("POST", "/jobs", json=spec).json()
        while (state := self._ok("GET", f"/jobs/{job['id']}").json()["state"]) in ("queued", "running"):
            time.sleep(0.05)
        assert state == "done", state


@contextmanager
def _service(data: Path) -> Iterator[tuple[Service, list[str]]]:
    """A service with large results of Mallory's, written before it starts, and their ids."""
    data.mkdir(mode=0o700)
    os.umask(0o077)
    database = Database(f"sqlite:///{data / 'landscape.sqlite'}")
    with database.writing() as session:
        jobs = [finished_surface(session, SIDE, owner="mallory").id for _ in range(LARGE_JOBS)]
    database.engine.dispose()
    service = start_service(data, workers=2, access="on")
    try:
        yield service, jobs
    finally:
        service.stop()


@contextmanager
def _attacking(command: list[str]) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(WARM_UP)
        assert process.poll() is None, "the attack ended by itself"
        yield process
    finally:
        process.kill()
        process.wait()


def _load(service: Service, attackers: "subprocess.Popen[str]") -> str:
    """CPU seconds so far, of the attack and of the service."""
    ours = psutil.Process(service.process.pid)
    spent = [sum(one.cpu_times()[:4]) for one in (psutil.Process(attackers.pid), ours)]
    memory = max(one.memory_info().rss for one in ours.children(recursive=True))
    return f"attack: {spent[0]:.0f} CPU seconds; largest process of the service: {memory / 2**20:.0f} MiB"


def _table(calm: Times, attacked: Times) -> str:
    lines = ["| | calm: median, slowest | attacked: median, slowest | ratio of medians |", "|---|---|---|---|"]
    for what, before in calm.items():
        during = attacked[what]
        ratio = median(during) / median(before)
        shown = [f"{median(one):.3f} s, {max(one):.3f} s" for one in (before, during)]
        lines.append(f"| {what} | {shown[0]} | {shown[1]} | {ratio:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
