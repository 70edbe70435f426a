"""From one worker to one per core: processes of one thread against one process of as many threads.

Both are measured on an idle and on a busy machine. Run as a module with a number of threads, this file is one such
process: it evaluates points of a given case for a given number of seconds, and prints points per second. A neighbor
is a process that multiplies matrices, as load.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

CASE, SAMPLES = "ResNet-20", 256
PLAIN, NEIGHBOR = "plain", "neighbor"
SECONDS = {True: 0.6, False: 8.0}
TURNS = {True: 3, False: 7}


class Process:
    """A child process that is told what to compute, and then for how long."""

    def __init__(self, threads: int):
        command = [sys.executable, "-m", "benchmarks.scaling", str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def load(self, who: str, case: str = CASE, samples: int = SAMPLES) -> "Process":
        """Load a precision, `PLAIN` or `NEIGHBOR`; done by the time `rate` next returns."""
        self._send([who, case, samples])
        return self

    def start(self, seconds: float) -> None:
        """Start computing; `rate` gets the result."""
        self._send(seconds)

    def rate(self) -> float:
        """Points per second of the computation that `start` began."""
        assert self.process.stdout is not None
        return float(json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()

    def _send(self, what: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(what)}\n")
        self.process.stdin.flush()


def report(*, cores: int, short: bool) -> None:
    """Measure and print."""
    single = [Process(1).load("float32") for _ in range(cores)]
    threaded, plain, neighbor = Process(cores).load("float32"), Process(cores).load(PLAIN), Process(1).load(NEIGHBOR)
    try:
        rates = _rates(single, threaded, plain, neighbor, short=short)
    finally:
        for process in (*single, threaded, plain, neighbor):
            process.close()
    print(f"| {CASE}, {SAMPLES} images, float32 | points per second | × one process of one thread |\n|---|---|---|")
    first = next(iter(rates.values()))
    for name, found in rates.items():
        ratio = median(one / other for one, other in zip(found, first, strict=True))
        print(f"| {name} | {median(found):.2f} | {ratio:.2f} |")


def _rates(
    single: list[Process],
    threaded: Process,
    plain: Process,
    neighbor: Process,
    *,
    short: bool,
) -> dict[str, list[float]]:
    cores = len(single)
    several, alone = f"{cores} processes of one thread", f"one process of {cores} threads"
    settings: dict[str, tuple[Sequence[Process], bool]] = {
        "one process of one thread": (single[:1], False),
        several: (single, False),
        alone: ([threaded], False),
        f"plain loop, {cores} threads": ([plain], False),
        f"{several}, a busy neighbor": (single, True),
        f"{alone}, a busy neighbor": ([threaded], True),
    }
    rates: dict[str, list[float]] = {name: [] for name in settings}
    for turn in range(TURNS[short] + 1):
        for name, (processes, disturbed) in settings.items():
            rate = together(processes, neighbor if disturbed else None, SECONDS[short] if turn else 0.1)
            if turn:
                rates[name].append(rate)
    return rates


def together(processes: Sequence[Process], neighbor: Process | None, seconds: float) -> float:
    """Points per second of all processes, computing at the same time."""
    every = [*processes, *([neighbor] if neighbor else [])]
    for process in every:
        process.start(seconds)
    rates = [process.rate() for process in every]
    return sum(rates[: len(processes)])


def serve(threads: int) -> None:
    """Print points per second for each request, until the input ends."""
    import torch

    torch.set_num_threads(threads)
    work = _multiply
    for line in sys.stdin:
        told = json.loads(line)
        if isinstance(told, list):
            work = _multiply if told[0] == NEIGHBOR else _points(*told)
            continue
        seconds, start, done = told, time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            done += work()
        print(json.dumps(done / (time.perf_counter() - start)), flush=True)


def _points(who: str, name: str, samples: int) -> Callable[[], int]:
    from benchmarks.cases import case_of, data_of, model_of
    from landscape import engine
    from landscape.directions.random import random_directions
    from landscape.objective.objective import Objective

    case = case_of(name)
    objective = Objective.of(model_of(case), *data_of(case, samples))
    directions = random_directions(objective.parameters(), seed=0)
    if who == PLAIN:
        plan = engine.plan(objective, directions, {"engine": "plain"})
    else:
        plan = engine.plan(objective, directions, precision=who)
    points = [(0.01 * k, -0.01 * k) for k in range(plan.group)]
    return lambda: len(plan.values(points))


def _multiply() -> int:
    import torch

    one = torch.ones(256, 256)
    one @ one
    return 1


if __name__ == "__main__":
    serve(int(sys.argv[1]))
