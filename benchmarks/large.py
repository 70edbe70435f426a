"""Memory of a surface of a large network beside the network itself: `python -m benchmarks.large [MB of weights]`.

Each row is a process of its own, limited (RLIMIT_DATA) to so many times the weights above what it holds before; the
last one is refused. One GB takes 4 minutes and 7 GB of memory on one quiet core.
"""

import json
import subprocess
import sys
from typing import Any

WIDTH, CLASSES, SAMPLES = 4096, 10, 32
LIMITS = (None, 5.25, 2.5)  # times the weights; None: what the machine has


def main() -> None:
    """Measure and print."""
    weights = float(sys.argv[1]) if len(sys.argv) > 1 else 1000.0
    print(
        "| limit, times the weights | peak beside the network, times the weights | how | seconds |\n|---|---|---|---|"
    )
    for limit in LIMITS:
        command = [sys.executable, "-m", "benchmarks.large", str(weights), str(limit)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        cells = (limit or "none", f"{found['peak']:.2f}", found["how"], f"{found['seconds']:.0f}")
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def measured(megabytes: float, limit: float | None) -> dict[str, Any]:
    """One surface of 2 × 2 points of a perceptron with so many MB of weights."""
    import resource
    import time

    import torch
    from torch import nn

    import landscape as ls
    from landscape import memory

    torch.manual_seed(0)
    depth = max(1, round(megabytes * 1e6 / 4 / WIDTH**2))
    inner = [layer for _ in range(depth) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
    model = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), *inner, nn.Linear(WIDTH, CLASSES)).eval()
    weights = sum(4 * parameter.numel() for parameter in model.parameters())
    samples, labels = torch.randn(SAMPLES, 64), torch.randint(CLASSES, (SAMPLES,))
    before = memory.of_process("VmRSS")
    if limit is not None:
        most = memory.of_process("VmData") + int(limit * weights)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    start = time.perf_counter()
    try:
        facts = ls.surface(model, samples, labels, grid=ls.Grid.square(2), progress=False).provenance
        how = facts.get("memory") or f"by the {facts['engine']['engine']} engine"
    except ls.LandscapeError as error:
        how = str(error)
    peak = (memory.of_process("VmHWM") - before) / weights
    return {"peak": peak, "how": how, "seconds": time.perf_counter() - start}


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(measured(float(sys.argv[1]), None if sys.argv[2] == "None" else float(sys.argv[2]))))
    else:
        main()
