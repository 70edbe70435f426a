"""Overhead of the service: the same surface by it and by one process; and the time to the first surface of a demo.

Starts `landscape up` with one worker in a new folder and uses it over HTTP, like any client. It is compared with
this file run as a module, which computes the surface with `ls.surface` in a process of one thread.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil

NETWORK = Path("landscape/gallery/resnet56-w8-skip.safetensors")
POINTS = {True: 7, False: 31}  # along both axes
TURNS = {True: 1, False: 2}
PORT = 8766
BASE = f"http://127.0.0.1:{PORT}"


def report(*, short: bool) -> None:
    """Measure and print."""
    side = POINTS[short]
    with service("--workers", "1") as client, Alone() as alone:
        checkpoint = _uploaded(client)
        for warm_up in (_through(client, checkpoint), alone):  # both load their files and caches
            warm_up(3)
        pairs = [(alone(side), _through(client, checkpoint)(side)) for _ in range(TURNS[short])]
    print(f"| {NETWORK.stem} on digits, {side} × {side} points | seconds | of CPU time |\n|---|---|---|")
    for row, who in enumerate(("`ls.surface` in one process of one thread", "through the service, one worker")):
        wall, cpu = (median(pair[row][k] for pair in pairs) for k in (0, 1))
        print(f"| {who} | {wall:.2f} | {cpu:.2f} |")
    wall, cpu = (median(through[k] / own[k] for own, through in pairs) - 1 for k in (0, 1))
    print(f"| overhead | {wall:.1%} | {cpu:.1%} |")


def report_first_surface() -> None:
    """Seconds from the command to the coarse surface of the demo's first job, over the API (no browser)."""
    started = time.monotonic()
    with service("--demo") as client:
        print(f"{time.monotonic() - started:6.1f} s  from the command to a first response")
        while not any(job["progress"]["done"] >= 25 for job in client.get("/api/v1/jobs").json()["items"]):
            time.sleep(0.05)
        print(f"{time.monotonic() - started:6.1f} s  from the command to the first coarse surface")


Spent = tuple[float, float]  # wall-clock seconds, and CPU seconds of all processes involved


class Alone:
    """A process of one thread that computes surfaces on request."""

    def __enter__(self) -> "Alone":
        command = [sys.executable, "-m", "benchmarks.service"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def __call__(self, side: int) -> Spent:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{side}\n")
        self.process.stdin.flush()
        wall, cpu = json.loads(self.process.stdout.readline())
        return wall, cpu


@contextmanager
def service(*options: str) -> Iterator[httpx.Client]:
    """A service in a new folder, and a client of it; both are ended afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "landscape.cli", "up", "--data", folder, "--port", str(PORT), *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
        try:
            with httpx.Client(base_url=BASE, trust_env=False, timeout=60) as client:
                _wait_for_answer(client, process)
                yield client
        finally:
            process.terminate()
            process.wait()


def _wait_for_answer(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            client.get("/api/v1/health")
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise SystemExit(f"The service ended with code {process.returncode}; is port {PORT} taken?")


def _uploaded(client: httpx.Client) -> str:
    answer = client.put("/api/v1/checkpoints", params={"name": NETWORK.name}, content=NETWORK.read_bytes()).json()
    while (row := client.get(f"/api/v1/checkpoints/{answer['id']}").json())["state"] not in ("ready", "rejected"):
        time.sleep(0.1)
    return str(row["id"])


def _through(client: httpx.Client, checkpoint: str) -> Callable[[int], Spent]:
    """A function from a number of points per axis to the cost of their surface."""

    def measure(side: int) -> Spent:
        cpu, wall = _processor_seconds(), _job(client, checkpoint, side)
        return wall, _processor_seconds() - cpu

    return measure


def _processor_seconds() -> float:
    """CPU seconds of all descendants: the service with its workers, and the process of `Alone`, idle meanwhile."""
    every = psutil.Process().children(recursive=True)
    return float(sum(sum(process.cpu_times()[:4]) for process in every))


def _job(client: httpx.Client, checkpoint: str, side: int) -> float:
    """Seconds from the request to the state "done"."""
    axis = {"min": -1, "max": 1, "count": side}
    wanted = {"kind": "surface", "checkpoint": checkpoint, "dataset": "digits", "grid": {"alpha": axis, "beta": axis}}
    started = time.monotonic()
    job: dict[str, Any] = client.post("/api/v1/jobs", json=wanted).json()
    while (state := client.get(f"/api/v1/jobs/{job['id']}").json()["state"]) not in ("done", "failed", "cancelled"):
        time.sleep(0.2)  # polling costs the service time too
    if state != "done":
        raise SystemExit(f"The job ended as {state}.")
    return time.monotonic() - started


def serve() -> None:
    """Print seconds and CPU seconds of a surface for each line of input; libraries and files are loaded before."""
    import torch

    import landscape as ls
    from landscape.checkpoints.inspect import inspect
    from landscape.data.builtin import load

    torch.set_num_threads(1)
    model, digits = inspect(NETWORK).model(), load("digits", "train")
    for line in sys.stdin:
        wall, cpu = time.monotonic(), time.process_time()
        ls.surface(model, digits.images, digits.labels, grid=ls.Grid.square(int(line)))
        print(json.dumps([time.monotonic() - wall, time.process_time() - cpu]), flush=True)


if __name__ == "__main__":
    serve()
