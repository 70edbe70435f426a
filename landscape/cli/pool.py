"""All cores, or all GPUs, for one landscape of the shell: processes that each compute with one thread.

Imports request, running; torch when it computes. One process with many threads is 16 to 20 % slower on a quiet machine
and three times on a busy one (docs/performance.md); and a result must not depend on how many workers there were, so
every value is computed with one thread here and there. What the engine computes in SIMD lanes takes threads instead:
there every image is computed alone, and the bits stay the same.
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
from ..evaluation.run import Rows, coordinates, here
from ..grid import Grid, Point
from .request import Request, prepared

START = 6.0  # seconds until the first worker answers, measured: Python, torch, reading and planning
Landscape = Any


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def devices() -> list[str]:
    """GPUs, or where there is none "cpu" for every core."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [f"cuda:{index}" for index in range(count)] or ["cpu"] * cores()


class Crew:
    """Evaluates the tiles of a request on several devices; this process begins alone, since most grids are small."""

    def __init__(self, request: Request, places: list[str]):
        self.request, self.places = request, places

    def __call__(self, landscape: Landscape, grid: Grid, work: list[list[Point]]) -> Iterator[tuple[list[Point], Rows]]:
        """Every tile; the first few here, and all others by workers where that is sooner."""
        import torch

        lanes = landscape.plan.choice.get("engine") == "lanes"
        torch.set_num_threads(len(self.places) if lanes else 1)
        begun = time.monotonic()
        for done, (points, rows) in enumerate(here(landscape, grid, work), 1):
            yield points, rows
            left = (time.monotonic() - begun) / done * (len(work) - done)
            if not lanes and left * (1 - 1 / len(self.places)) > START:
                yield from self._shared(landscape, grid, work[done:])
                return

    def _shared(self, landscape: Landscape, grid: Grid, work: list[list[Point]]) -> Iterator[tuple[list[Point], Rows]]:
        """Every tile by a worker, in the order they are done; a worker that dies ends the command with a sentence."""
        context = multiprocessing.get_context("spawn")
        queue = context.SimpleQueue()
        for place in self.places:
            queue.put(place)
        given = (queue, self.request, landscape.plan.choice, landscape.digest)
        pool = ProcessPoolExecutor(len(self.places), context, initializer=_begin, initargs=given)
        try:
            with _interrupts_waiting():  # the workers inherit that for good: Ctrl-C is for this process alone
                waiting = {pool.submit(_rows, coordinates(grid, points)): points for points in work}
            for future in as_completed(waiting):
                yield waiting[future], _answer(future)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()


def _answer(future: Any) -> Rows:
    try:
        rows: Rows = future.result()
    except (OSError, RuntimeError) as error:  # BrokenProcessPool is one
        raise LandscapeError(
            f"A worker process ended: {error} What was computed is kept; --workers 1 takes the least memory."
        ) from error
    return rows


@contextmanager
def _interrupts_waiting() -> Iterator[None]:
    """Ctrl-C comes at the end of this block instead of within it; it is not lost."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_own: dict[str, Any] = {}


def _begin(queue: Any, request: Request, choice: Mapping[str, Any], digest: str) -> None:
    """Make the same landscape in this process, on a place of its own."""
    import torch

    torch.set_num_threads(1)
    landscape = prepared(request, device=queue.get(), choice=choice).landscape
    if landscape.digest != digest:
        raise LandscapeError("The checkpoint changed while it was computed.")
    _own["landscape"] = landscape


def _rows(at: list[tuple[float, float]]) -> Rows:
    rows: Rows = _own["landscape"].rows(at)
    return rows
