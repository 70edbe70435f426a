"""Memory at 1 000 and at 50 000 images of CIFAR's shape: what the data are, and what evaluating them adds.

Started as a module with a number of images, this file evaluates one point in a process of its own and prints the
largest resident size it reached. Images are float32, 12 288 bytes each: 614 MB for 50 000, whoever holds them.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path

SAMPLES = (1_000, 50_000)
CASES = {True: ("ResNet-8",), False: ("ResNet-8", "ResNet-20", "ResNet-8 of width 4")}
NETWORKS = {"ResNet-8": (8, 16), "ResNet-20": (20, 16), "ResNet-8 of width 4": (8, 4)}


def report(*, short: bool) -> None:
    """Measure and print."""
    print("| network, images | largest, MB | of it images | before | evaluating adds |\n|---|---|---|---|---|")
    for name in CASES[short]:
        for samples in SAMPLES:
            command = [sys.executable, "-m", "benchmarks.memory", name, str(samples)]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            added = found["most"] - found["data"] - found["before"]
            cells = (f"{name}, {samples} ({found['engine']})", found["most"], found["data"], found["before"], added)
            print(
                "| " + " | ".join(cell if isinstance(cell, str) else f"{cell:.0f}" for cell in cells) + " |", flush=True
            )


def measure(name: str, samples: int) -> dict[str, object]:
    """Megabytes: before there are data, of the data, and the most there ever was after one point."""
    import torch

    from landscape import engine
    from landscape.direction import random_directions
    from landscape.models import CifarResNet, build
    from landscape.objective import Objective

    torch.set_num_threads(1)
    network = CifarResNet(*NETWORKS[name], "projection")
    generator = torch.Generator().manual_seed(0)
    few = Objective.of(build(network), torch.randn(64, 3, 32, 32, generator=generator), torch.zeros(64).long())
    along = random_directions(few.parameters(), seed=0)
    engine.plan(few, along).values([(0.1, 0.1)])  # what libraries keep for themselves is there before we measure
    before = _most()
    images = torch.empty(samples, 3, 32, 32).normal_(generator=generator)
    objective = Objective.of(build(network), images, torch.randint(0, 10, (samples,), generator=generator))
    plan = engine.plan(objective, along)
    plan.values([(0.1, 0.1)])
    return {"before": before, "data": images.numel() * 4 / 1e6, "most": _most(), "engine": plan.name}


def _most() -> float:
    """Megabytes this process ever had at most; in `ru_maxrss` Linux counts those of its parent too."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
