"""Thousands of hostile packed networks through the reader and every back end: no process ends, nothing outside is read.

Each runs in two processes whose memory between tensors is filled differently; the values must be the same, bit for bit.
`make fuzz` runs more: LANDSCAPE_FUZZ=EXAMPLES, 20 networks each; LANDSCAPE_SEED= takes others.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.paths import ROOT

GRAPHS = 20 * int(os.environ.get("LANDSCAPE_FUZZ", "4"))
SEED = os.environ.get("LANDSCAPE_SEED", "0")
MARKS = ("165", "66")
UNWORDED = 0.02  # share of computed networks at most whose values end in an error of torch instead of a sentence
Outcome = dict[str, Any]


def program(mark: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The program that computes hostile networks, in memory filled with `mark`."""
    return subprocess.run(
        [sys.executable, "-m", "tests.support.hostile_graphs", *arguments],
        cwd=ROOT, env={**os.environ, "MALLOC_PERTURB_": mark, "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"},
        capture_output=True, text=True,
    )  # fmt: skip


def run(mark: str) -> tuple[dict[tuple[int, int], Outcome], list[str]]:
    """(number, attempt) -> outcome of every network; and those at which the process ended."""
    outcomes: dict[tuple[int, int], Outcome] = {}
    crashes: list[str] = []
    start = 0
    while start < GRAPHS:
        ended = program(mark, SEED, str(start), str(GRAPHS), mark)
        lines = [json.loads(line) for line in ended.stdout.splitlines()]
        outcomes |= {(line[1], line[2]): line[4] for line in lines if line[0] == "done"}
        if ended.returncode == 0:
            break
        last = next(line for line in reversed(lines) if line[0] == "reading")
        crashes.append(f"{ended.returncode} at {last[1:]}, {lines[-1]}: {ended.stderr[-300:]}")
        start = last[1] + 1
    return outcomes, crashes


def test_no_packed_network_ends_a_process_or_reads_what_lies_outside_its_tensors() -> None:
    with ThreadPoolExecutor() as pool:
        (one, crashes), (other, _) = pool.map(run, MARKS)
    counts = Counter("refused" if "refused" in outcome else "computed" for outcome in one.values())
    told = [text for outcome in one.values() for text in outcome.get("values", {}).values() if isinstance(text, str)]
    unworded = [text for text in told if "Unknown precision" not in text and not text.startswith("FileError")]
    print(f"\n{len(one)} networks: {dict(counts)}, {len(crashes)} crashes, without a sentence {Counter(unworded)}")
    assert not crashes
    assert counts["computed"] >= GRAPHS / 4
    assert counts["refused"] >= GRAPHS
    assert len(unworded) <= UNWORDED * len(told) + 2
    assert all(outcome.get("refused", ".").endswith(".") for outcome in one.values())
    assert [key for key in one.keys() | other.keys() if one.get(key) != other.get(key)] == []


def test_a_read_outside_of_tensors_shows_as_other_values() -> None:
    """What the test above relies on."""
    one, other = (program(mark, mark).stdout for mark in MARKS)
    assert one
    assert other
    assert one != other
