"""`landscape surface` and `landscape slice`: local files in, a result file out.

Imports typer and errors; what a command needs is imported when it runs. Never talks to a service.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import CheckpointError, GridError, LandscapeError, UnknownNameError
from .grid import Axis, Grid

if TYPE_CHECKING:
    from torch import nn

    from .data import Dataset
    from .kinds import Progress

CheckpointFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A .pt, .pth or .safetensors file.")]
DatasetName = Annotated[str, typer.Option(help="A built-in data set, or an .npz file with images and labels.")]
Split = Annotated[str, typer.Option(help="train or test, of a built-in data set.")]
Images = Annotated[int | None, typer.Option(help="A fixed random subset of this many samples [all].")]
Range = Annotated[str, typer.Option(help="MIN:MAX of the first axis, in units of the direction.")]
Seed = Annotated[int, typer.Option(min=0, help="Draws the directions.")]
Normalization = Annotated[str, typer.Option(help="How directions are normalised.")]
Precision = Annotated[str, typer.Option(help="float32 or float64.")]
Architecture = Annotated[int | None, typer.Option(help="Which network, where several fit the file.")]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="The result; its ending names the format: json, npz, csv.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `landscape`."""
    app.command()(surface)
    app.command("slice")(slice_)


def surface(
    checkpoint: CheckpointFile,
    output: Output,
    dataset: DatasetName = "digits",
    grid: Annotated[str, typer.Option(help="Points along both axes.")] = "51x51",
    range_: Annotated[str, typer.Option("--range", help="MIN:MAX of the first axis, in units of delta.")] = "-1:1",
    range_beta: Annotated[str | None, typer.Option(help="MIN:MAX of the second axis [as --range].")] = None,
    split: Split = "train",
    images: Images = None,
    seed: Seed = 0,
    normalization: Normalization = "filter",
    precision: Precision = "float32",
    architecture: Architecture = None,
) -> None:
    """Compute the surface L(θ* + αδ + βη) around a checkpoint.

    Example: landscape surface checkpoint.pt --dataset digits --grid 25x25 --range=-1:1 -o surface.npz
    """
    counts = _counts(grid, axes=2)
    axes = Grid(_axis(range_, counts[0]), _axis(range_beta or range_, counts[1]))
    choices = {"seed": seed, "normalization": normalization, "precision": precision}
    _run(checkpoint, output, axes, data=(dataset, split, images), architecture=architecture, choices=choices)


def slice_(
    checkpoint: CheckpointFile,
    output: Output,
    dataset: DatasetName = "digits",
    grid: Annotated[str, typer.Option(help="Points along the axis.")] = "51",
    range_: Annotated[str, typer.Option("--range", help="MIN:MAX of the axis, in units of delta.")] = "-1:1",
    split: Split = "train",
    images: Images = None,
    seed: Seed = 0,
    normalization: Normalization = "filter",
    precision: Precision = "float32",
    architecture: Architecture = None,
) -> None:
    """Compute the slice L(θ* + αδ) around a checkpoint.

    Example: landscape slice checkpoint.pt --dataset digits --grid 51 -o slice.csv
    """
    axis = Grid(_axis(range_, _counts(grid, axes=1)[0]))
    choices = {"seed": seed, "normalization": normalization, "precision": precision}
    _run(checkpoint, output, axis, data=(dataset, split, images), architecture=architecture, choices=choices)


def _run(
    checkpoint: Path,
    output: Path,
    grid: Grid,
    *,
    data: tuple[str, str, int | None],
    architecture: int | None,
    choices: dict[str, Any],
) -> None:
    from . import kinds

    _require_format(output)
    model, samples = _model(checkpoint, architecture), _samples(*data)
    compute = kinds.surface if grid.beta else kinds.slice
    points = " × ".join(str(count) for count in grid.shape if count > 1)
    with _progress(f"{checkpoint.name}: {points} points") as progress:
        result = compute(model, samples.images, samples.labels, grid=grid, progress=progress, **choices)
    result.save(output)
    for check in result.checks:
        typer.echo(f"{'✓' if check.passed else '✗'} {check.name}: {check.text}", err=True)
    typer.echo(f"{result.caption}; written to {output}")


def _counts(text: str, *, axes: int) -> list[int]:
    parts = text.lower().split("x")
    if len(parts) != axes or not all(part.isdecimal() for part in parts):
        example = "51x51" if axes == 2 else "51"
        raise GridError(f"--grid must be like {example}; got {text!r}.")
    return [int(part) for part in parts]


def _axis(text: str, count: int) -> Axis:
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        raise GridError(f"--range must be like -1:1; got {text!r}.") from None
    return Axis(low, high, count)


def _model(checkpoint: Path, chosen: int | None) -> "nn.Module":
    import torch

    from .checkpoint import read
    from .models import build

    reading = read(checkpoint)
    candidates = reading.candidates
    if chosen is None and len(candidates) > 1:
        names = "; ".join(f"{n}: {candidate.label}" for n, candidate in enumerate(candidates))
        raise CheckpointError(f"Several networks fit this checkpoint. Choose one with --architecture: {names}.")
    if not 0 <= (chosen or 0) < len(candidates):
        raise CheckpointError(f"--architecture must be from 0 to {len(candidates) - 1}; got {chosen}.")
    candidate = candidates[chosen or 0]
    model = build(candidate.architecture)
    arrays = reading.arrays(candidate.copy)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()}, strict=False)
    return model


def _samples(dataset: str, split: str, count: int | None) -> "Dataset":
    from .data import load, load_file

    samples = load_file(dataset) if dataset.endswith(".npz") else load(dataset, split)
    return samples if count is None else samples.subset(count)


def _require_format(output: Path) -> None:
    from .result import FORMATS

    if output.suffix.lstrip(".") not in FORMATS:
        raise UnknownNameError("format", output.suffix, FORMATS)
    if not output.absolute().parent.is_dir():
        raise LandscapeError(f"The folder of {output} does not exist. Make it first.")


@contextmanager
def _progress(title: str) -> "Iterator[Progress]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
