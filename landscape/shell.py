"""`landscape surface`, `slice`, `interpolation`, `trajectory`, `curvature`: local files in, a result file out.

Imports typer and errors; what a command needs is imported when it runs. Never talks to a service.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import GridError, LandscapeError, UnknownNameError
from .grid import Axis, Grid

if TYPE_CHECKING:
    from torch import nn

    from .data import Dataset
    from .kinds import Progress
    from .plane import Plane
    from .result import Result

CheckpointFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A .pt, .pth or .safetensors file.")]
DatasetName = Annotated[str, typer.Option(help="A built-in data set, or an .npz file with images and labels.")]
Split = Annotated[str, typer.Option(help="train or test, of a built-in data set.")]
Images = Annotated[int | None, typer.Option(help="A fixed random subset of this many samples [all].")]
Range = Annotated[str, typer.Option("--range", help="MIN:MAX of the first axis, in units of delta.")]
RangeBeta = Annotated[str | None, typer.Option(help="MIN:MAX of the second axis [as --range].")]
Points = Annotated[str, typer.Option(help="Points along both axes.")]
PointsOfLine = Annotated[str, typer.Option(help="Points along the axis.")]
Seed = Annotated[int, typer.Option(min=0, help="Draws the directions.")]
Normalization = Annotated[str, typer.Option(help="filter, layer, weight, dfilter, dlayer or none.")]
Biases = Annotated[str, typer.Option(help="Biases and normalisation: fixed, parameter (as the authors) or random.")]
Orthogonality = Annotated[str, typer.Option(help="Of the two directions: filter (inside each), overall or none.")]
Directions = Annotated[Path | None, typer.Option(exists=True, help="Directions from a file, .h5 or .safetensors.")]
Precision = Annotated[str, typer.Option(help="float32 or float64.")]
Loss = Annotated[str, typer.Option(help="cross_entropy or mse.")]
BatchNorm = Annotated[str, typer.Option(help="frozen, recalibrated (per point) or batch (statistics).")]
Architecture = Annotated[int | None, typer.Option(help="Which network, where several fit the file.")]
Over = Annotated[str, typer.Option(help="The Hessian over filters (two axes or more) or all parameters.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The result; its ending names the format.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `landscape`."""
    app.command()(surface)
    app.command("slice")(slice_)
    app.command()(interpolation)
    app.command()(trajectory)
    app.command()(curvature)
    app.command()(spectrum)


def surface(
    checkpoint: CheckpointFile,
    output: Output,
    dataset: DatasetName = "digits",
    grid: Points = "51x51",
    range_: Range = "-1:1",
    range_beta: RangeBeta = None,
    split: Split = "train",
    images: Images = None,
    seed: Seed = 0,
    normalization: Normalization = "filter",
    biases: Biases = "fixed",
    orthogonality: Orthogonality = "filter",
    directions: Directions = None,
    loss: Loss = "cross_entropy",
    batch_norm: BatchNorm = "frozen",
    precision: Precision = "float32",
    architecture: Architecture = None,
) -> None:
    """Compute the surface L(θ* + αδ + βη) around a checkpoint.

    Example: landscape surface checkpoint.pt --dataset digits --grid 25x25 --range=-1:1 -o surface.npz
    """
    from . import kinds

    subject = _Subject([checkpoint], dataset, split, images, architecture, output)
    drawing = {"normalization": normalization, "biases": biases, "orthogonality": orthogonality}
    options = {"seed": seed, **drawing, "loss": loss, "batch_norm": batch_norm, "precision": precision}
    subject.run(kinds.surface, _grid(grid, range_, range_beta), plane=subject.plane(directions), **options)


def slice_(
    checkpoint: CheckpointFile,
    output: Output,
    dataset: DatasetName = "digits",
    grid: PointsOfLine = "51",
    range_: Range = "-1:1",
    split: Split = "train",
    images: Images = None,
    seed: Seed = 0,
    normalization: Normalization = "filter",
    biases: Biases = "fixed",
    directions: Directions = None,
    loss: Loss = "cross_entropy",
    batch_norm: BatchNorm = "frozen",
    precision: Precision = "float32",
    architecture: Architecture = None,
) -> None:
    """Compute the slice L(θ* + αδ) around a checkpoint.

    Example: landscape slice checkpoint.pt --dataset digits --grid 51 -o slice.csv
    """
    from . import kinds

    subject = _Subject([checkpoint], dataset, split, images, architecture, output)
    options = {"seed": seed, "normalization": normalization, "biases": biases}
    options |= {"loss": loss, "batch_norm": batch_norm, "precision": precision}
    subject.run(kinds.slice, _line(grid, range_), plane=subject.plane(directions), **options)


def interpolation(
    checkpoint: CheckpointFile,
    end: CheckpointFile,
    output: Output,
    dataset: DatasetName = "digits",
    grid: PointsOfLine = "41",
    range_: Range = "-0.5:1.5",
    split: Split = "train",
    images: Images = None,
    loss: Loss = "cross_entropy",
    batch_norm: BatchNorm = "frozen",
    precision: Precision = "float32",
    architecture: Architecture = None,
) -> None:
    """Compute L on the line from one checkpoint (0) to another (1), BatchNorm's statistics moved along.

    Example: landscape interpolation small-batch.pt large-batch.pt -o interpolation.npz
    """
    from . import kinds

    subject = _Subject([checkpoint, end], dataset, split, images, architecture, output)
    options = {"loss": loss, "batch_norm": batch_norm, "precision": precision}
    subject.run(kinds.interpolation, _line(grid, range_), subject.states[1], **options)


def trajectory(
    checkpoints: Annotated[list[Path], typer.Argument(exists=True, help="Checkpoints in the order of training.")],
    output: Output,
    dataset: DatasetName = "digits",
    grid: Annotated[str | None, typer.Option(help="Points along both axes [25x25 around the path].")] = None,
    range_: Range = "-1:1",
    range_beta: RangeBeta = None,
    split: Split = "train",
    images: Images = None,
    loss: Loss = "cross_entropy",
    batch_norm: BatchNorm = "frozen",
    precision: Precision = "float32",
    architecture: Architecture = None,
) -> None:
    """Compute the path of a training run in the plane of its two principal components, and the loss around it.

    Example: landscape trajectory run/trajectory/epoch-*.safetensors -o trajectory.npz
    """
    from . import studies

    subject = _Subject(checkpoints, dataset, split, images, architecture, output)
    where = _grid(grid, range_, range_beta) if grid else None
    options = {"loss": loss, "batch_norm": batch_norm, "precision": precision}
    subject.run(studies.trajectory, where, subject.states, **options)


def curvature(
    checkpoint: CheckpointFile,
    output: Output,
    dataset: DatasetName = "digits",
    grid: Points = "11x11",
    range_: Range = "-1:1",
    range_beta: RangeBeta = None,
    split: Split = "train",
    images: Images = None,
    seed: Seed = 0,
    over: Over = "filters",
    precision: Precision = "float32",
    architecture: Architecture = None,
) -> None:
    """Compute the extreme eigenvalues of the Hessian, and their ratio, over a grid.

    Example: landscape curvature checkpoint.pt --grid 7x7 --images 200 -o curvature.npz
    """
    from . import studies

    subject = _Subject([checkpoint], dataset, split, images, architecture, output)
    options = {"seed": seed, "over": over, "precision": precision}
    subject.run(studies.curvature, _grid(grid, range_, range_beta), **options)


def spectrum(
    checkpoint: CheckpointFile,
    output: Output,
    dataset: DatasetName = "digits",
    split: Split = "train",
    images: Images = None,
    seed: Seed = 0,
    over: Over = "filters",
    steps: Annotated[int, typer.Option(min=4, help="Products of the Hessian with a vector, per probe.")] = 60,
    probes: Annotated[int, typer.Option(min=1, help="Random vectors for trace and density.")] = 8,
    loss: Loss = "cross_entropy",
    architecture: Architecture = None,
) -> None:
    """Compute extreme eigenvalues, trace and density of the Hessian at a checkpoint.

    Example: landscape spectrum checkpoint.pt --images 500 -o spectrum.json
    """
    import json

    from . import roughness, studies

    if output.suffix != ".json":
        raise UnknownNameError("format of a spectrum", output.suffix, (".json",))
    subject = _Subject([checkpoint], dataset, split, images, architecture, output)
    found = studies.spectrum(
        subject.models[0],
        subject.samples.images,
        subject.samples.labels,
        over=over,
        seed=seed,
        steps=steps,
        probes=probes,
        loss=loss,
    )
    output.write_text(json.dumps(found.to_json(), indent=1))
    for number in roughness.of_spectrum(found):
        typer.echo(f"{number.name} = {number.value:.6g} ± {number.error or 0:.2g}, {number.definition}")


class _Subject:
    """What a command is about: the model, its other states, the samples, and where the result goes."""

    def __init__(
        self,
        checkpoints: list[Path],
        dataset: str,
        split: str,
        images: int | None,
        architecture: int | None,
        output: Path,
    ):
        _require_format(output)
        self.name, self.output = checkpoints[-1].name, output
        built = [model_in(path, architecture) for path in checkpoints]
        self.label, self.models = built[0][1], [model for model, _ in built]
        self.states = [model.state_dict() for model in self.models]
        self.whole = samples_of(dataset, split)
        self.samples = self.whole if images is None else self.whole.subset(images)

    def plane(self, directions: Path | None) -> "Plane | None":
        """The directions in a file, where one is named."""
        from .formats.directions import read

        return read(directions, self.models[0]) if directions else None

    def run(self, compute: "Callable[..., Result]", grid: Grid | None, *arguments: Any, **options: Any) -> None:
        """Compute with a progress bar, write the result, and say whether it can be trusted."""
        images, labels = self.samples.images, self.samples.labels
        with progress_bar(self.name) as progress:
            result = compute(self.models[0], *arguments, images, labels, grid=grid, progress=progress, **options)
        result = self._named(result)
        result.save(self.output)
        for check in result.checks:
            typer.echo(f"{'✓' if check.passed else '✗'} {check.name}: {check.text}", err=True)
        typer.echo(f"{result.caption}; written to {self.output}")

    def _named(self, result: "Result") -> "Result":
        """With the names of network and data, which a function of tensors cannot know."""
        named = {
            "dataset": self.samples.name,
            "split": self.samples.split,
            "samples_in_split": len(self.whole),
            "architecture": {"label": self.label},
        }
        return result.described(**named)


def _grid(counts: str, first: str, second: str | None) -> Grid:
    alpha, beta = _counts(counts, axes=2)
    return Grid(_axis(first, alpha), _axis(second or first, beta))


def _line(count: str, span: str) -> Grid:
    return Grid(_axis(span, _counts(count, axes=1)[0]))


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


def model_in(checkpoint: Path, chosen: int | None) -> "tuple[nn.Module, str]":
    """The network in a file, and what it is called."""
    from .inspection import inspect

    inspected = inspect(checkpoint)
    return inspected.model(chosen), inspected.candidate(chosen)["label"]


def samples_of(dataset: str, split: str) -> "Dataset":
    from .data import BUILT_IN, load, load_file

    return load_file(dataset, split) if dataset not in BUILT_IN and Path(dataset).is_file() else load(dataset, split)


def _require_format(output: Path) -> None:
    from .formats import FORMATS

    if output.suffix.lstrip(".") not in FORMATS:
        raise UnknownNameError("format", output.suffix, tuple(FORMATS))
    if not output.absolute().parent.is_dir():
        raise LandscapeError(f"The folder of {output} does not exist. Make it first.")


@contextmanager
def progress_bar(title: str) -> "Iterator[Progress]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
