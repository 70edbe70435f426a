"""Prints the benchmarks of this machine: `python -m benchmarks [--short] [--no-peers] [--only NAME] [PART …]`.

Compared programs are measured in turn, so that load on the machine affects all of them equally; figures are medians.
Only ratios within one run are meaningful, not seconds.
"""

import argparse
import os
import time

import torch

from benchmarks import memory, scaling, service, table, whole
from benchmarks.cases import CASES
from landscape.cli.bench import machine
from landscape.engine.native import best_instruction_set

PARTS = {
    "table": "this engine, the plain loop and the peers, one thread each",
    "whole": "the whole machine: a process per core, and the peers with all cores",
    "scaling": "from one worker to one per core",
    "service": "the service compared with one process",
    "memory": "memory at 1 000 and 50 000 images, and of several processes",
    "first": "time to the first coarse surface of the demo",
}


def main() -> None:
    """Measure and print."""
    options = _options()
    torch.set_num_threads(options.threads)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(f"{machine(torch.device('cpu'))}, {cores} cores, load {os.getloadavg()[0]:.1f} before the start")
    print(f"torch {torch.__version__}, lanes: {best_instruction_set()}, {'short' if options.short else 'long'} mode")
    started = time.monotonic()
    for part in options.parts or PARTS:
        print(f"\n## {part}: {PARTS[part]}\n", flush=True)
        began = time.monotonic()
        _run(part, options, cores)
        print(f"\n{time.monotonic() - began:.0f} s")
    print(f"\n{time.monotonic() - started:.0f} s in total")


def _run(part: str, options: argparse.Namespace, cores: int) -> None:
    short = options.short
    if part == "table":
        cases = [case for case in CASES if (options.only or "") in case.name and (case.short_samples or not short)]
        table.report(cases, threads=options.threads, peers=not options.no_peers, short=short)
    elif part == "whole":
        whole.report(cores=cores, peers=not options.no_peers, short=short)
    elif part == "scaling":
        scaling.report(cores=cores, short=short)
    elif part == "service":
        service.report(short=short)
    elif part == "memory":
        memory.report(short=short)
    else:
        service.report_first_surface()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"{', '.join(PARTS)}")
    parser.add_argument("--short", action="store_true", help="fewer points, networks and samples")
    parser.add_argument("--no-peers", action="store_true", help="this engine and the plain loop only")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of every row of the table")
    parser.add_argument("--only", help="cases of the table whose name contains this")
    return parser.parse_args()


if __name__ == "__main__":
    main()
