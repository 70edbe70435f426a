"""A process pool that evaluates a landscape on all cores or all GPUs, with one thread per process.

One process with many threads is 16 to 20 % slower on a quiet machine and three times slower on a busy one
(docs/performance.md); and a result must not depend on the number of workers, so every value is computed with one
thread, in this process and in the workers. What the engine computes in SIMD lanes uses threads instead: there every
image is computed independently, and the bits stay the same.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

from ..errors import LandscapeError
from ..evaluation.run import Rows, coordinates, in_this_process
from ..grid import Grid, Point
from .request import Request, prepared

STARTUP_SECONDS = 6.0  # until the first worker responds, measured: Python, torch, reading and planning
Landscape = Any


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_devices() -> list[str]:
    """The GPUs, or "cpu" once per core if there are none."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [f"cuda:{index}" for index in range(count)] or ["cpu"] * cores()


class ProcessPool:
    """Evaluates the tiles of a request on several devices.

    Starts in this process, and adds workers only if that saves time, since most grids are small.
    """

    def __init__(self, request: Request, devices: list[str]):
        self.request, self.devices = request, devices

    def __call__(self, landscape: Landscape, grid: Grid, work: list[list[Point]]) -> Iterator[tuple[list[Point], Rows]]:
        """Yield the values of every tile: the first few computed here, the others by workers if that is faster."""
        import torch

        lanes = landscape.plan.choice.get("engine") == "lanes"
        torch.set_num_threads(len(self.devices) if lanes else 1)
        started = time.monotonic()
        for done, (points, rows) in enumerate(in_this_process(landscape, grid, work), 1):
            yield points, rows
            left = (time.monotonic() - started) / done * (len(work) - done)
            if not lanes and left * (1 - 1 / len(self.devices)) > STARTUP_SECONDS:
                yield from self._by_workers(landscape, grid, work[done:])
                return

    def _by_workers(
        self, landscape: Landscape, grid: Grid, work: list[list[Point]]
    ) -> Iterator[tuple[list[Point], Rows]]:
        """Yield the values of every tile as workers finish them; a worker that dies is a `LandscapeError`."""
        context = multiprocessing.get_context("spawn")
        queue = context.SimpleQueue()
        for device in self.devices:
            queue.put(device)
        arguments = (queue, self.request, landscape.plan.choice, landscape.digest)
        pool = ProcessPoolExecutor(len(self.devices), context, initializer=_initialize_worker, initargs=arguments)
        try:
            with _sigint_blocked():  # workers inherit the mask and keep it: Ctrl-C is for this process alone
                pending = {pool.submit(_evaluate, coordinates(grid, points)): points for points in work}
            for future in as_completed(pending):
                yield pending[future], _result(future)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()


def _result(future: Any) -> Rows:
    try:
        rows: Rows = future.result()
    except (OSError, RuntimeError) as error:  # BrokenProcessPool is a RuntimeError
        raise LandscapeError(
            f"A worker process ended: {error} What was computed is kept; --workers 1 needs the least memory."
        ) from error
    return rows


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Delay Ctrl-C until the end of this block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker: dict[str, Any] = {}  # the landscape of this worker process


def _initialize_worker(queue: Any, request: Request, choice: Mapping[str, Any], digest: str) -> None:
    """Prepare the same landscape in this worker process, on its own device."""
    import torch

    torch.set_num_threads(1)
    landscape = prepared(request, device=queue.get(), choice=choice).landscape
    if landscape.digest != digest:
        raise LandscapeError("The checkpoint changed during the computation.")
    _worker["landscape"] = landscape


def _evaluate(points: list[tuple[float, float]]) -> Rows:
    rows: Rows = _worker["landscape"].rows(points)
    return rows
