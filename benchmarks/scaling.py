"""From one worker to one per core: processes of one thread against one process of as many threads, also disturbed.

Started as a module with a number of threads, this file is one such process: it evaluates points of one landscape for as
many seconds as asked for, and answers how many it finished. A neighbour is a process that multiplies matrices.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

from .contestants import PEERS
from .peers import Peer

CASE, SAMPLES = "ResNet-20", 256
SECONDS = {True: 1.5, False: 8.0}
TURNS = {True: 3, False: 7}


class Process:
    """A child with its network loaded, waiting to be told how long to compute."""

    def __init__(self, threads: int, who: str = "float32", case: str = CASE, samples: int = SAMPLES):
        command = [sys.executable, "-m", "benchmarks.scaling", str(threads), who, case, str(samples)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, seconds: float) -> None:
        """Begin; the answer waits."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()

    def rate(self) -> float:
        """Points per second of what was begun."""
        assert self.process.stdout is not None
        return float(json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def report(*, cores: int, peers: bool, short: bool) -> None:
    """Measure and print."""
    single = [Process(1) for _ in range(cores)]
    threaded, neighbour = Process(cores), Process(1, "neighbour")
    plain, rivals = Process(cores, "plain"), {name: Peer(name, cores) for name in PEERS} if peers else {}
    try:
        rates = _rates(single, threaded, plain, neighbour, rivals, short=short)
    finally:
        for process in (*single, threaded, plain, neighbour, *rivals.values()):
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
    neighbour: Process,
    rivals: dict[str, Peer],
    *,
    short: bool,
) -> dict[str, list[float]]:
    cores = len(single)
    for rival in rivals.values():
        rival.load(CASE, SAMPLES)
    several, alone = f"{cores} processes of one thread", f"one process of {cores} threads"
    settings: dict[str, tuple[Sequence[Process], bool]] = {
        "one process of one thread": (single[:1], False),
        several: (single, False),
        alone: ([threaded], False),
        f"plain loop, {cores} threads": ([plain], False),
        f"{several}, a busy neighbour": (single, True),
        f"{alone}, a busy neighbour": ([threaded], True),
    }
    rates: dict[str, list[float]] = {name: [] for name in (*settings, *(f"{one}, {cores} threads" for one in rivals))}
    for turn in range(TURNS[short] + 1):
        for name, (processes, disturbed) in settings.items():
            rate = together(processes, neighbour if disturbed else None, SECONDS[short] if turn else 0.1)
            if turn:
                rates[name].append(rate)
        for name, rival in rivals.items():
            seconds = rival()
            if turn:
                rates[f"{name}, {cores} threads"].append(1 / seconds)
    return rates


def together(processes: Sequence[Process], neighbour: Process | None, seconds: float) -> float:
    """Points per second of all processes, computing at the same time."""
    every = [*processes, *([neighbour] if neighbour else [])]
    for process in every:
        process.start(seconds)
    rates = [process.rate() for process in every]
    return sum(rates[: len(processes)])


def serve(threads: int, who: str, case: str, samples: int) -> None:
    """Answer with points per second until the input ends."""
    import torch

    torch.set_num_threads(threads)
    work = _multiply if who == "neighbour" else _points(who, case, samples)
    for line in sys.stdin:
        seconds, start, done = float(line), time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            done += work()
        print(json.dumps(done / (time.perf_counter() - start)), flush=True)


def _points(who: str, name: str, samples: int) -> Callable[[], int]:
    from landscape import engine
    from landscape.direction import random_directions
    from landscape.objective import Objective

    from .cases import CASES, data_of, model_of

    case = next(case for case in CASES if case.name == name)
    objective = Objective.of(model_of(case), *data_of(case, samples))
    directions = random_directions(objective.parameters(), seed=0)
    if who == "plain":
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
    serve(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
