"""Memory for 1 000 and 50 000 images of CIFAR's shape: of the data, added by evaluation, and shared by processes.

Run as a module with a number of images, this file evaluates one point and prints the peak resident size of its
process; run with a file, it loads it as the shell does, evaluates one point and runs until its input ends.
Images are float32, 12 288 bytes each: 614 MB for 50 000.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SAMPLES = (1_000, 50_000)
CASES = {True: ("ResNet-8",), False: ("ResNet-8", "ResNet-20", "ResNet-8 of width 4")}
PROCESSES = (1, 2, 4)
WAYS = {"shared": "one copy for all", "alone": "a copy each"}
NETWORKS = {"ResNet-8": (8, 16), "ResNet-20": (20, 16), "ResNet-8 of width 4": (8, 4)}


def report(*, short: bool) -> None:
    """Measure and print."""
    _report_one(short)
    if not short and Path("/proc/self/smaps_rollup").exists():
        _report_several()


def _report_one(short: bool) -> None:
    print("| network, images | peak, MB | images | before | added by evaluation |\n|---|---|---|---|---|")
    for name in CASES[short]:
        for samples in SAMPLES:
            command = [sys.executable, "-m", "benchmarks.memory", name, str(samples)]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            added = found["most"] - found["data"] - found["before"]
            cells = (f"{name}, {samples} ({found['engine']})", found["most"], found["data"], found["before"], added)
            print(
                "| " + " | ".join(cell if isinstance(cell, str) else f"{cell:.0f}" for cell in cells) + " |", flush=True
            )


def _report_several() -> None:
    """Processes that use one data set at the same time, with one shared copy and with one copy each."""
    print(f"\n| processes, {SAMPLES[-1]} images | total, MB | CPU s to load, first and later | a point |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npz"
        _write(file, SAMPLES[-1])
        for processes in PROCESSES:
            for way, words in WAYS.items():
                with tempfile.TemporaryDirectory(dir=folder) as caches:
                    total, found = together(file, processes, way, Path(caches))
                loads, point = [one["load"] for one in found], min(one["point"] for one in found)
                cells = f"{total:.0f} | {loads[0]:.1f} and {loads[-1]:.1f} | {point:.2f} s"
                print(f"| {processes}, {words} | {cells} |", flush=True)


def together(file: Path, processes: int, way: str, caches: Path) -> tuple[float, list[dict[str, float]]]:
    """Megabytes of all processes, shared pages counted once, and what each reports after evaluating a point."""
    command = [sys.executable, "-m", "benchmarks.memory", str(file), way]
    around: dict[str, Any] = {
        "env": {**os.environ, "XDG_CACHE_HOME": str(caches)},
        "cwd": Path(__file__).parents[1],
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "text": True,
    }
    started, found = [], []
    for _ in range(processes):  # in turn: as in the shell, where the command loads before its workers
        started.append(subprocess.Popen(command, **around))
        found.append(json.loads(started[-1].stdout.readline()))  # type: ignore[union-attr]
    total = sum(_proportional(one.pid) for one in started)
    for one in started:
        one.communicate("")
    return total, found


def _proportional(pid: int) -> float:
    """Proportional set size (PSS) of a process in megabytes: pages shared by n processes count 1/n."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024 / 1e6


def _write(file: Path, samples: int) -> None:
    import numpy as np

    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (samples, 3, 32, 32), dtype=np.uint8)
    np.savez(file, images=pixels, labels=random.integers(0, 10, samples))


def stay(file: str, way: str) -> None:
    """Load, evaluate one point, print the CPU time of both, and wait until the input ends."""
    import torch

    from landscape import engine
    from landscape.cli.request import samples
    from landscape.data.files import load_file
    from landscape.directions.random import random_directions
    from landscape.models import CifarResNet, build
    from landscape.objective.objective import Objective

    torch.set_num_threads(1)
    started = time.process_time()
    data = samples(file, "train") if way == "shared" else load_file(file)
    loaded = time.process_time()
    objective = Objective.of(
        build(CifarResNet(*NETWORKS["ResNet-8 of width 4"], "projection")), data.images, data.labels
    )
    plan = engine.plan(objective, random_directions(objective.parameters(), seed=0))
    planned = time.process_time()
    plan.values([(0.1, 0.1)] * plan.group)
    took = time.process_time() - planned
    print(json.dumps({"load": loaded - started, "point": took / plan.group}), flush=True)
    sys.stdin.read()


def measure(name: str, samples: int) -> dict[str, object]:
    """Megabytes: before loading data, of the data, and at the peak after one point."""
    import torch

    from landscape import engine
    from landscape.directions.random import random_directions
    from landscape.models import CifarResNet, build
    from landscape.objective.objective import Objective

    torch.set_num_threads(1)
    network = CifarResNet(*NETWORKS[name], "projection")
    generator = torch.Generator().manual_seed(0)
    few = Objective.of(build(network), torch.randn(64, 3, 32, 32, generator=generator), torch.zeros(64).long())
    along = random_directions(few.parameters(), seed=0)
    engine.plan(few, along).values([(0.1, 0.1)])  # warm-up: libraries allocate their permanent buffers
    before = _most()
    images = torch.empty(samples, 3, 32, 32).normal_(generator=generator)
    objective = Objective.of(build(network), images, torch.randint(0, 10, (samples,), generator=generator))
    plan = engine.plan(objective, along)
    plan.values([(0.1, 0.1)])
    return {"before": before, "data": images.numel() * 4 / 1e6, "most": _most(), "engine": plan.name}


def _most() -> float:
    """Peak megabytes of this process; Linux counts those of the parent in `ru_maxrss` too."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    if sys.argv[2] in WAYS:
        stay(sys.argv[1], sys.argv[2])
    else:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
