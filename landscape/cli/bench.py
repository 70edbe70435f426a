"""`landscape bench CHECKPOINT`: how fast this machine computes landscapes of a network, and how accurately."""

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Architecture, AsJson, subset_of
from .output import print_json, say

if TYPE_CHECKING:
    import torch

    from ..engine.timing import Contest, Row

Checkpoint = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, metavar="CHECKPOINT", help="A .pt, .pth or .safetensors file.")
]


def register(app: typer.Typer) -> None:
    """Add the command to `landscape`."""
    app.command()(bench)


def bench(
    checkpoint: Checkpoint,
    dataset: Annotated[str, typer.Option(metavar="NAME|FILE", help="A built-in data set, or an .npz file.")] = "digits",
    split: Annotated[str, typer.Option(metavar="NAME", help="Split of a built-in data set: train or test.")] = "train",
    subset: Annotated[
        str,
        typer.Option(
            "--subset",
            "--images",
            metavar="N[:SEED]",
            help="Use a fixed random subset of at most this many samples, drawn by a seed.",
        ),
    ] = "1000",
    seconds: Annotated[float, typer.Option(min=0.0, metavar="SECONDS", help="Time spent on measuring.")] = 10.0,
    threads: Annotated[
        int, typer.Option(min=1, metavar="N", help="CPU threads; a worker of the service uses one.")
    ] = 1,
    architecture: Architecture = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast this machine computes landscapes.

    Compares the plain PyTorch loop with the engine in every precision: seconds per grid point, and accuracy.

    \b
    Example:
      landscape bench checkpoint.pt --dataset digits
    """
    import torch

    from ..directions.random import random_directions
    from ..engine.timing import Contest, interleaved
    from ..evaluation.progress import reporting
    from ..objective.objective import Objective
    from ..objective.trial import tried
    from .request import model as model_in
    from .request import samples as samples_of

    drawn = subset_of(subset)
    assert drawn is not None
    torch.set_num_threads(threads)
    model, label = model_in(str(checkpoint), architecture)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    whole = samples_of(dataset, split)
    samples = whole.subset(drawn.count, drawn.seed) if drawn.count < len(whole) else whole
    objective = tried(Objective.of(model.to(device), samples.images, samples.labels))
    contest = Contest.of(objective, random_directions(objective.parameters(), seed=0))
    with reporting(True, checkpoint.name) as report:
        times, peaks = interleaved(contest.measures(), seconds=seconds, device=device, report=report)
    rows = contest.rows(times, peaks)
    if as_json:
        facts = {"network": label, "samples": len(samples), "dataset": samples.name, "threads": threads}
        choice, lines = contest.plans["float32"].choice, [asdict(row) for row in rows]
        found = {"machine": machine(device), "choice": choice, "rows": lines, "refused": contest.refused}
        print_json(facts | found)
        return
    say(f"{label}, {len(samples)} samples of {samples.name}; {machine(device)}, {threads} thread(s)")
    _show(rows)
    _explain(contest)


def machine(device: "torch.device") -> str:
    """The name of the GPU or of the processor."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _show(rows: "list[Row]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("", box=box.SIMPLE)
    for name in ("seconds per point", "× plain loop", "of the GEMM peak", "error of the loss"):
        table.add_column(name, justify="right")
    for row in rows:
        peak = "" if row.peak is None else f"{row.peak:.0%}"
        error = "" if row.error is None else f"{row.error:.0e}"
        table.add_row(row.who, f"{row.seconds:.3g}", f"{row.ratio:.2f}", peak, error)
    Console().print(table)


def _explain(contest: "Contest") -> None:
    from ..engine.explain import explain

    chosen = contest.plans["float32"]
    say(f"Chosen for float32: {explain(contest.objective, contest.directions, chosen.name)}.")
    say(f"  {json.dumps(chosen.choice)}")
    for precision, reason in contest.refused.items():
        say(f"No {precision}: {reason}")
    for remark in contest.remarks:
        say(remark)
    say("The error is that of the loss of 16 samples at one point, against the plain loop in float64.")
    say("One thread is timed in CPU seconds, so that other processes on the core do not count.")
