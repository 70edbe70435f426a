"""The whole machine: this engine as a lab runs it, a process of one thread per core, beside the peers with all cores.

That is how the targets in docs/performance.md are meant. Everybody takes turns; figures are medians by the wall clock.
"""

from statistics import median

import torch

from landscape.engine.onednn import emulated

from .cases import CASES, Case
from .contestants import PEERS
from .peers import Peer
from .scaling import Process, together

NAMES = ("ResNet-20", "ResNet-56", "MLP, digits", "ResNet-8 of width 8, digits")
PRECISIONS = [name for name in ("float32", "bfloat16") if not emulated(name, torch.device("cpu"))]
SECONDS = {True: 2.0, False: 8.0}
TURNS = {True: 3, False: 7}


def report(*, cores: int, peers: bool, short: bool) -> None:
    """Measure and print."""
    rivals = {name: Peer(name, cores) for name in PEERS} if peers else {}
    print("| network, images | who | points per second |" + "".join(f" {name} is faster by |" for name in PRECISIONS))
    print("|---|---|---|" + "---|" * len(PRECISIONS))
    try:
        for case in CASES:
            if case.name in NAMES:
                _report(case, rivals, cores=cores, short=short)
    finally:
        for rival in rivals.values():
            rival.close()


def _report(case: Case, rivals: dict[str, Peer], *, cores: int, short: bool) -> None:
    samples = case.samples
    own = {name: [Process(1, name, case.name, samples) for _ in range(cores)] for name in PRECISIONS}
    try:
        for rival in rivals.values():
            rival.load(case.name, samples)
        rates = _rates(own, rivals, short=short)
    finally:
        for processes in own.values():
            for process in processes:
                process.close()
    for who, found in rates.items():
        ratios = [median(a / b for a, b in zip(rates[name], found, strict=True)) for name in PRECISIONS]
        cells = " | ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| {case.name}, {samples} | {_bold(who)} | {median(found):.3g} | {cells} |", flush=True)


def _bold(who: str) -> str:
    return f"**ours, {who}**" if who in PRECISIONS else who


def _rates(own: dict[str, list[Process]], rivals: dict[str, Peer], *, short: bool) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in (*own, *rivals)}
    for turn in range(TURNS[short] + 1):  # the first warms up
        for name, processes in own.items():
            rate = together(processes, None, SECONDS[short])
            if turn:
                rates[name].append(rate)
        for name, rival in rivals.items():
            seconds = rival()
            if turn:
                rates[name].append(1 / seconds)
    return rates
