"""What a cell costs: tiles of a job in this process, and in a cell behind its walls, in turn.

    python -m benchmarks.cells [--seconds 1] [--turns 15]

Prints the median time of a tile in both, their ratio, and what starting a cell takes.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from landscape.checkpoints.inspect import inspect
from landscape.data import load
from landscape.evaluation.run import coordinates
from landscape.gallery import FOLDER
from service.jobs.spec import job_spec
from worker.cell.cell import Cell, Limits
from worker.cell.inside import kind_of
from worker.cell.server import ForkServer
from worker.subject import Subject

CHECKPOINT = FOLDER / "resnet56-w8-skip.safetensors"
LIMITS = Limits(cpu_seconds=3600, wall_seconds=3600, memory=8 << 30)
IDS = {"kind": "surface", "checkpoint": "0" * 32}


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a tile")
    parser.add_argument("--turns", type=int, default=15)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    server = ForkServer()
    started = time.perf_counter()
    started_cell(server).end()
    print(f"fork server and first cell  {time.perf_counter() - started:8.3f} s")
    starts = [timed(lambda: started_cell(server).end()) for _ in range(options.turns)]
    print(f"each further cell           {statistics.median(starts):8.3f} s")
    here, cell = subject(), filled_cell(server)
    points = points_of(here, options.seconds)
    at = coordinates(here.grid, points)
    pairs = []
    for _ in range(options.turns):
        own = timed(lambda: here.landscape.rows(at))
        other = timed(lambda: cell.ask("points", LIMITS, points=points, earlier_seeds=None))
        pairs.append((own, other))
    server.close()
    print(f"{len(points)} points in this process {statistics.median(own for own, _ in pairs):10.4f} s")
    print(f"{len(points)} points in a cell       {statistics.median(other for _, other in pairs):10.4f} s")
    print(f"ratio, median of {len(pairs)} turns  {statistics.median(other / own for own, other in pairs):10.4f}")


def timed(action: Callable[[], Any]) -> float:
    """Seconds that an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def started_cell(server: ForkServer) -> Cell:
    """A cell without a job."""
    return Cell(server, threads=1, limits=LIMITS, walls=True)


def filled_cell(server: ForkServer) -> Cell:
    """A cell with the job of `subject`."""
    found, samples, cell = inspect(CHECKPOINT), load("digits", "train"), started_cell(server)
    cell.ask("job", LIMITS, spec=IDS, architecture=found.candidates[0], facts={}, choice=None, in_split=len(samples))
    with CHECKPOINT.open("rb") as file:
        cell.ask("weights", LIMITS, file=file.fileno())
    known = {name: getattr(samples, name) for name in ("name", "split", "classes", "targets", "mean", "std")}
    with samples.open() as file:
        cell.ask("samples", LIMITS, file=file.fileno(), role="samples", **known)
    cell.ask("prepare", LIMITS)
    return cell


def subject() -> Subject:
    """The job in this process: a surface of a ResNet-56 on the digits."""
    import torch

    found, samples = inspect(CHECKPOINT), load("digits", "train")
    spec, device = job_spec.validate_python(IDS), torch.device("cpu")
    rest: dict[str, Any] = {"also": None, "facts": {}, "device": device, "choice": None}
    print(f"on {kind_of(device)}")
    weights = [(found.state, found.graph)]
    return Subject(spec, found.candidates[0], weights, samples=samples, in_split=len(samples), **rest)


def points_of(here: Subject, seconds: float) -> list[list[int]]:
    """As many points as take about so many seconds."""
    every = [list(point) for level in here.grid.levels() for point in level]
    first = every[: here.landscape.plan.group]
    at = coordinates(here.grid, [(i, j) for i, j in first])
    here.landscape.rows(at)
    each = timed(lambda: here.landscape.rows(at)) / len(first)
    return every[: max(1, round(seconds / each))]


if __name__ == "__main__":
    main()
