"""The headline job: 51 × 51 points × 50 000 images of CIFAR's shape × a seeded ResNet-56, against its lower bounds.

`python -m benchmarks.headline [--precision bfloat16]`. On a GPU the whole surface is computed and timed; on a CPU a few
points over some of the images are, and the output says that the total is extrapolated. The lower bounds are measured
in the same run: a matrix product for the arithmetic, a copy for the memory traffic.
"""

import argparse
import math
import time
from collections.abc import Callable

import torch

from benchmarks.cases import Case, model_of, resnet
from landscape import engine
from landscape.cli.bench import machine
from landscape.directions.random import random_directions
from landscape.engine.graph.compile import prepare
from landscape.engine.graph.layers import Network
from landscape.engine.timing import flop, peak
from landscape.grid import Grid
from landscape.objective.objective import Objective

SIDE, IMAGES = 51, 50_000
SAMPLE = {"points": 3, "images": 500}  # on a CPU
TILE = 64  # points per call


def main() -> None:
    """Measure and print."""
    precision = _options().precision
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    whole = device.type == "cuda"
    objective = _objective(IMAGES if whole else SAMPLE["images"], device)
    directions = random_directions(objective.parameters(), seed=0)
    plan = engine.plan(objective, directions, precision=precision if precision == "bfloat16" else None)
    grid = Grid.square(SIDE)
    points = [(alpha, beta) for alpha in grid.alphas for beta in grid.betas]
    chosen = points if whole else points[:: len(points) // SAMPLE["points"]][: SAMPLE["points"]]
    plan.values(chosen[:1])  # warm-up: kernels are chosen, a graph is captured
    seconds = _seconds(lambda: [plan.values(chosen[k : k + TILE]) for k in range(0, len(chosen), TILE)], device)
    share = len(chosen) * len(objective.images) / (len(points) * IMAGES)
    print(f"{machine(device)}, torch {torch.__version__}, {precision}: {plan.choice}")
    if not whole:
        print(
            f"No GPU here. Computed: {len(chosen)} points over {len(objective.images)} images, {share:.1e} of the job."
        )
    print(f"{'took' if whole else 'the whole job would take'} {seconds / share:.4g} s, ", end="")
    print(f"{len(points) * share / seconds:.3g} points/s")
    _print_lower_bounds(objective, precision, device, seconds / share)


def _objective(samples: int, device: torch.device) -> Objective:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(samples, 3, 32, 32, generator=generator)
    labels = torch.randint(0, 10, (samples,), generator=generator)
    model = model_of(Case("ResNet-56", resnet(56, 16), "cifar", samples, samples))
    return Objective.of(model.to(device), images, labels)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _print_lower_bounds(objective: Objective, precision: str, device: torch.device, seconds: float) -> None:
    """Print the work of the job divided by the peak rates of this machine."""
    evaluations = SIDE * SIDE * IMAGES
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    arithmetic = flop(objective) * evaluations / max(peak(dtype, device) for _ in range(5))
    rate = _copy_rate(device)
    print("| lower bound | seconds | reached |\n|---|---|---|")
    print(f"| arithmetic, direct convolutions | {arithmetic:.4g} | {arithmetic / seconds:.0%} |")
    for name, fused in (("BatchNorm folded, addition and ReLU fused", True), ("nothing fused", False)):
        network = prepare(objective, (), folding=fused, fusing=fused)
        traffic = numbers_moved(network) * dtype.itemsize * evaluations / rate
        print(f"| traffic, {name} | {traffic:.4g} | {traffic / seconds:.0%} |")


def numbers_moved(network: Network) -> int:
    """Numbers that the layers read and write per image, without weights, which a batch shares."""
    every = [index for layer in network.layers for index in (*layer.reads(), layer.result)]
    return sum(math.prod(shape) for index in every if (shape := network.shapes[index]) is not None)


def _copy_rate(device: torch.device) -> float:
    """Bytes per second, read and written."""
    one = torch.empty(1 << (30 if device.type == "cuda" else 26), dtype=torch.uint8, device=device)
    other = torch.empty_like(one)
    best = min(_seconds(lambda: other.copy_(one), device) for _ in range(7))
    return 2 * one.numel() / best


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.headline", description=__doc__)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    return parser.parse_args()


if __name__ == "__main__":
    main()
