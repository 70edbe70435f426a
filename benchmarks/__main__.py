"""`python -m benchmarks [--short] [--no-peers]`: one table of seconds per grid point, engine against peers.

Every contestant is measured in turns, so that a busy machine is busy for all of them; the figures are medians. Percent
of peak counts the multiplications and additions that the network asks for, against a matrix product in the same turns.
"""

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch

from landscape import engine
from landscape.direction import Params, random_directions
from landscape.engine.native import best_instruction_set
from landscape.engine.prepare import prepare
from landscape.losses import cross_entropy
from landscape.objective import Objective

from .cases import CASES, Case, data_of, model_of
from .contestants import OURS, PEERS, ours, plan_of
from .peers import Peer

SECONDS = {True: 6.0, False: 90.0}  # per case, short or not
ROUNDS = 3  # at least, unless they take three times the seconds


def main() -> None:
    """Measure and print."""
    options = _options()
    torch.set_num_threads(options.threads)
    print(f"{_machine()}, torch {torch.__version__}, {options.threads} thread(s), lanes: {best_instruction_set()}\n")
    peers = {} if options.no_peers else {name: Peer(name, options.threads) for name in PEERS}
    print("| network, images | who | s per point | × ours | GEMM peak | error |\n|---|---|---|---|---|---|")
    for case in CASES:
        if options.only is None or options.only in case.name:
            _report(case, peers, short=options.short)
    for peer in peers.values():
        peer.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer images, under three minutes")
    parser.add_argument("--no-peers", action="store_true", help="this engine and the plain loop only")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", help="cases whose name contains this")
    return parser.parse_args()


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _report(case: Case, peers: dict[str, Peer], *, short: bool) -> None:
    model, (images, labels) = model_of(case), data_of(case, case.short_samples if short else case.samples)
    objective = Objective.of(model, images, labels)
    directions = random_directions(objective.parameters(), seed=0)
    plans = {name: plan_of(name, objective, directions) for name in OURS}
    measures: dict[str, Callable[[], float]] = {name: ours(plan) for name, plan in plans.items()}
    for name, peer in peers.items():
        peer.load(case.name, len(images))
        measures[name] = peer
    times, peaks = _interleaved(measures, seconds=SECONDS[short])
    work = flop(objective) * len(images)
    errors = _errors(plans, objective, directions)
    for name, found in times.items():
        ratio = median(one / other for one, other in zip(found, times[OURS[0]], strict=True))
        peak = median(peaks["bfloat16" if "bfloat16" in name else "float32"])
        share = f"{work / median(found) / peak:.0%}"
        error = f"{errors[name]:.0e}" if name in errors else ""
        who = f"{name} ({plans[name].name})" if name in plans else name
        print(
            f"| {case.name}, {len(images)} | {who} | {median(found):.3g} | {ratio:.2f} | {share} | {error} |",
            flush=True,
        )


Times = dict[str, list[float]]


def _interleaved(measures: dict[str, Callable[[], float]], *, seconds: float) -> tuple[Times, Times]:
    """Seconds per point by name, and the peaks (FLOP/s) seen in between; the first turn warms up and does not count."""
    times: Times = {name: [] for name in measures}
    peaks: Times = {"float32": [], "bfloat16": []}
    start, turn = time.perf_counter(), 0
    while turn <= ROUNDS or time.perf_counter() - start < seconds:
        for name, measure in measures.items():
            taken = measure()
            if turn:
                times[name].append(taken)
        peaks["float32"].append(_peak(torch.float32))
        peaks["bfloat16"].append(_peak(torch.bfloat16))
        turn += 1
        if turn > 2 and time.perf_counter() - start > 3 * seconds:
            break
    return times, peaks


def _peak(dtype: torch.dtype, size: int = 1024) -> float:
    one = torch.randn(size, size).to(dtype)
    start = time.perf_counter()
    for _ in range(4):
        one @ one
    return 4 * 2.0 * size**3 / (time.perf_counter() - start)


def flop(objective: Objective) -> float:
    """Multiplications and additions per image in convolutions and linear layers, padding counted as the peers do."""
    network = prepare(objective, ())
    total = 0.0
    for layer in network.layers:
        weight, shape = layer.weights[0] if layer.weights else None, network.shapes[layer.result]
        if layer.kind in ("convolution", "linear") and weight is not None and shape is not None:
            total += 2.0 * weight.center.numel() * torch.Size(shape[1:]).numel()
    return total


def _errors(plans: dict[str, engine.Plan], objective: Objective, directions: Sequence[Params]) -> dict[str, float]:
    """Relative error of the loss of a few images at one point, against the plain loop in float64."""
    images, labels, point = objective.images[:16], objective.labels[:16], (0.2, -0.1)
    exact = Objective.of(objective.model, images, labels, precision="float64")
    expected = engine.plan(exact, directions, {"engine": "plain"}).values([point])[0].loss
    scores = {name: plan.scores(point, images) for name, plan in plans.items()}
    return {
        name: abs(float(cross_entropy(found, labels).mean()) - expected) / expected for name, found in scores.items()
    }


if __name__ == "__main__":
    main()
