"""The whole machine: this engine as a lab runs it, a process of one thread per core, and the peers with all cores.

The targets in docs/performance.md are defined this way. Contestants take turns; figures are medians by the wall clock.
"""

from itertools import chain
from statistics import median

import torch

from benchmarks.cases import Case, case_of
from benchmarks.contestants import PEERS
from benchmarks.peers import Peer
from benchmarks.scaling import Process, together
from landscape.engine.fused.onednn import emulated

NAMES = {
    True: ("ResNet-56", "ResNet-8 of width 8, digits"),
    False: ("ResNet-20", "ResNet-56", "MLP, digits", "ResNet-8 of width 8, digits"),
}
PRECISIONS = [name for name in ("float32", "bfloat16") if not emulated(name, torch.device("cpu"))]
SECONDS = {True: 1.0, False: 4.0}
TURNS = {True: 2, False: 5}


def report(*, cores: int, peers: bool, short: bool) -> None:
    """Measure and print."""
    rivals = {name: Peer(name, cores) for name in PEERS} if peers else {}
    own = {name: [Process(1) for _ in range(cores)] for name in PRECISIONS}
    print("| network, images | who | points per second |" + "".join(f" {name} is faster by |" for name in PRECISIONS))
    print("|---|---|---|" + "---|" * len(PRECISIONS))
    try:
        for name in NAMES[short]:
            _report(case_of(name), own, rivals, short=short)
    finally:
        for process in (*chain(*own.values()), *rivals.values()):
            process.close()


def _report(case: Case, own: dict[str, list[Process]], rivals: dict[str, Peer], *, short: bool) -> None:
    samples = case.short_samples if short else case.samples
    for precision, processes in own.items():
        for process in processes:
            process.load(precision, case.name, samples)
    for rival in rivals.values():
        rival.load(case.name, samples)
    for rival in rivals.values():
        rival.ready()
    rates = _rates(own, rivals, short=short)
    for who, found in rates.items():
        ratios = [median(a / b for a, b in zip(rates[name], found, strict=True)) for name in PRECISIONS]
        cells = " | ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| {case.name}, {samples} | {_bold(who)} | {median(found):.3g} | {cells} |", flush=True)


def _bold(who: str) -> str:
    return f"**ours, {who}**" if who in PRECISIONS else who


def _rates(own: dict[str, list[Process]], rivals: dict[str, Peer], *, short: bool) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in (*own, *rivals)}
    for turn in range(TURNS[short] + 1):  # the first is a warm-up
        for name, processes in own.items():
            rate = together(processes, None, SECONDS[short])
            if turn:
                rates[name].append(rate)
        for name, rival in rivals.items():
            seconds = rival()
            if turn:
                rates[name].append(1 / seconds)
    return rates
