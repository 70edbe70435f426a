"""The table: CPU seconds per grid point of the engine in each precision, the plain loop and the peers, one thread each.

Contestants are measured in turn; the peers run in a separate environment (peers.py).
"""

from dataclasses import replace

from benchmarks.cases import Case, data_of, model_of
from benchmarks.contestants import PEERS
from benchmarks.peers import Peer
from landscape.directions.random import random_directions
from landscape.engine.timing import PLAIN, Contest, Row, interleaved
from landscape.objective.objective import Objective

SECONDS = {True: 1.0, False: 20.0}  # per case, short or not


def report(cases: list[Case], *, threads: int, peers: bool, short: bool) -> None:
    """Measure and print, a row per contestant and case."""
    rivals = {name: Peer(name, threads) for name in PEERS} if peers else {}
    print(
        "| network, images | who | s per point | ours is faster by | of GEMM peak | error |\n|---|---|---|---|---|---|"
    )
    missing: dict[str, list[str]] = {}  # reason -> cases
    try:
        for case in cases:
            for why in _report(case, rivals, short=short):
                missing.setdefault(why, []).append(case.name)
    finally:
        for rival in rivals.values():
            rival.close()
    for why, where in missing.items():
        print(f"\n{', '.join(where)}: no {why}")


def _report(case: Case, rivals: dict[str, Peer], *, short: bool) -> list[str]:
    """Print the rows of a case.

    Returns:
        Which precisions are missing, and why.
    """
    samples = case.short_samples if short else case.samples
    for rival in rivals.values():
        rival.load(case.name, samples)
    model, (images, labels) = model_of(case), data_of(case, samples)
    objective = Objective.of(model, images, labels)
    precisions = ("float32", "bfloat16") if short else ("float32", "bfloat16", "float64")
    contest = Contest.of(objective, random_directions(objective.parameters(), seed=0), (*precisions, PLAIN))
    measures = contest.measures()
    measures |= {name: rival.ready() for name, rival in rivals.items()}
    times, peaks = interleaved(measures, seconds=SECONDS[short])
    for row in contest.rows(times, peaks):
        print(line(f"{case.name}, {len(images)}", _named(row, contest)), flush=True)
    return [f"{precision}: {reason}" for precision, reason in contest.refused.items()]


def _named(row: Row, contest: Contest) -> Row:
    plan = contest.plans.get(row.who)
    if plan is None:
        return row
    kind = f"{plan.name}, {', '.join(sorted(plan.choice.keys() & {'winograd', 'amx'}))}".rstrip(", ")
    return replace(row, who=row.who if row.who == PLAIN else f"**ours, {row.who}** ({kind})")


def line(case: str, row: Row) -> str:
    """A row in Markdown; a ratio above 1 means that our float32 is faster by that factor."""
    peak = "" if row.peak is None else f"{row.peak:.0%}"
    error = "" if row.error is None else f"{row.error:.0e}"
    return f"| {case} | {row.who} | {row.seconds:.3g} | {1 / row.ratio:.2f} | {peak} | {error} |"
