"""`landscape surface`, `slice`, `interpolation`, `trajectory`, `curvature`, `spectrum`: from files to a result file.

With `--server`, a service computes the same request (remote.py).
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import GridError, LandscapeError, UnknownNameError
from ..grid import Axis, Grid
from . import options
from .options import (
    AsJson,
    CheckpointFile,
    DataOptions,
    DirectionOptions,
    Directions,
    Line,
    LineRange,
    Loss,
    LossOptions,
    Output,
    Over,
    Range,
    RangeBeta,
    RunOptions,
)
from .output import INTERRUPTED, print_json, require_folder, require_writable
from .request import Request

if TYPE_CHECKING:
    from ..evaluation.resume import PartialFile
    from ..result import Result


def register(app: typer.Typer) -> None:
    """Add the commands to `landscape`."""
    for name, command in COMMANDS.items():
        app.command(name)(options.with_options(command))


def surface(
    checkpoint: CheckpointFile,
    output: Output,
    *,
    grid: options.Grid = "51x51",
    range_: Range = "-1:1",
    range_beta: RangeBeta = None,
    data: DataOptions,
    drawn: DirectionOptions,
    orthogonality: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Make the two directions orthogonal: filter (within every filter), overall or none.",
            autocompletion=options.one_of("filter", "overall", "none"),
        ),
    ] = "filter",
    directions: Directions = None,
    loss: LossOptions,
    how: RunOptions,
) -> None:
    """Compute a surface: L(θ* + αδ + βη) around a checkpoint.

    α runs over --range, β over --range-beta. Ctrl-C keeps what has been computed in FILE.partial; the same command
    continues from there.

    \b
    Examples:
      landscape surface checkpoint.pt --dataset digits --grid 25x25 --range=-1:1 -o surface.npz
      landscape surface checkpoint.pt --images 1000 --seed 3 -o surface.html --workers 4
    """
    chosen = {**asdict(drawn), **asdict(loss), "orthogonality": orthogonality}
    request = _request("surface", [checkpoint], data, _grid(grid, range_, range_beta), directions, **chosen)
    run(request, output, how)


def slice_(
    checkpoint: CheckpointFile,
    output: Output,
    *,
    grid: Line = "51",
    range_: LineRange = "-1:1",
    data: DataOptions,
    drawn: DirectionOptions,
    directions: Directions = None,
    loss: LossOptions,
    how: RunOptions,
) -> None:
    """Compute a slice: L(θ* + αδ) through a checkpoint.

    α runs over --range.

    \b
    Example:
      landscape slice checkpoint.pt --dataset digits --grid 51 -o slice.csv
    """
    chosen = {**asdict(drawn), **asdict(loss)}
    run(_request("slice", [checkpoint], data, _line(grid, range_), directions, **chosen), output, how)


def interpolation(
    checkpoint: CheckpointFile,
    end: Annotated[str, typer.Argument(metavar="END", help="The second checkpoint.")],
    output: Output,
    *,
    grid: Line = "41",
    range_: LineRange = "-0.5:1.5",
    data: DataOptions,
    loss: LossOptions,
    how: RunOptions,
) -> None:
    """Compute the loss on the line through two checkpoints.

    The first checkpoint is at 0, the second at 1. BatchNorm statistics are interpolated too.

    \b
    Example:
      landscape interpolation small-batch.pt large-batch.pt -o interpolation.npz
    """
    run(_request("interpolation", [checkpoint, end], data, _line(grid, range_), **asdict(loss)), output, how)


def trajectory(
    checkpoints: Annotated[
        list[str], typer.Argument(metavar="CHECKPOINTS", help="Files in the order of training, or their folder.")
    ],
    output: Output,
    *,
    grid: Annotated[
        str | None,
        typer.Option(metavar="NxM", help="Points along the two axes.", show_default="25x25 around the path"),
    ] = None,
    range_: Range = "-1:1",
    range_beta: RangeBeta = None,
    data: DataOptions,
    loss: LossOptions,
    how: RunOptions,
) -> None:
    """Compute the path of a training run, and the loss around it.

    The plane is that of the first two principal components of the checkpoints. Ranges are used together with --grid.

    \b
    Examples:
      landscape trajectory run -o trajectory.npz
      landscape trajectory epoch-*.safetensors --grid 51x51 --range=-20:20 -o trajectory.html
    """
    where = _grid(grid, range_, range_beta) if grid else None
    run(_request("trajectory", _in_order(checkpoints), data, where, **asdict(loss)), output, how)


def curvature(
    checkpoint: CheckpointFile,
    output: Output,
    *,
    grid: options.Grid = "11x11",
    range_: Range = "-1:1",
    range_beta: RangeBeta = None,
    over: Over = "filters",
    data: DataOptions,
    drawn: DirectionOptions,
    directions: Directions = None,
    loss: LossOptions,
    how: RunOptions,
) -> None:
    """Compute the extreme eigenvalues of the Hessian over a grid.

    The result also holds their ratio |λ_min / λ_max|.

    \b
    Example:
      landscape curvature checkpoint.pt --grid 7x7 --images 200 -o curvature.npz
    """
    chosen = {**asdict(drawn), **asdict(loss), "over": over}
    request = _request("curvature", [checkpoint], data, _grid(grid, range_, range_beta), directions, **chosen)
    run(request, output, how)


def spectrum(
    checkpoint: CheckpointFile,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Result file, .json.")],
    *,
    data: DataOptions,
    over: Over = "filters",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the random vectors.")] = 0,
    steps: Annotated[
        int, typer.Option(min=4, metavar="N", help="Lanczos steps: Hessian-vector products per random vector.")
    ] = 60,
    probes: Annotated[int, typer.Option(min=1, metavar="N", help="Random vectors for trace and density.")] = 8,
    loss: Loss = "cross_entropy",
    as_json: AsJson = False,
) -> None:
    """Compute the spectrum of the Hessian at a checkpoint.

    Extreme eigenvalues, trace and spectral density, each with its error.

    \b
    Example:
      landscape spectrum checkpoint.pt --images 500 -o spectrum.json
    """
    from .. import api
    from ..hessian.spectrum import numbers_of
    from . import request

    if output.suffix != ".json":
        raise UnknownNameError("format of a spectrum", output.suffix, (".json",))
    require_folder(output)
    network, _ = request.model(checkpoint, data.architecture)
    whole = request.samples(data.dataset, data.split)
    samples = whole if data.images is None else whole.subset(data.images)
    found = api.spectrum(network, samples, over=over, seed=seed, steps=steps, probes=probes, loss=loss)
    output.write_text(json.dumps(found.to_json(), indent=1))
    numbers = numbers_of(found)
    if as_json:
        print_json({"output": str(output), "numbers": [number.to_json() for number in numbers]})
        return
    for number in numbers:
        typer.echo(f"{number.name} = {number.value:.6g} ± {number.error or 0:.2g}, {number.definition}")


COMMANDS: dict[str, Callable[..., None]] = {
    "surface": surface,
    "slice": slice_,
    "interpolation": interpolation,
    "trajectory": trajectory,
    "curvature": curvature,
    "spectrum": spectrum,
}


def run(request: Request, output: Path, how: RunOptions) -> None:
    """Compute a request, on this machine or at a service, with a progress bar; write the result and print a summary."""
    require_writable(output)
    if how.server:
        from .remote import compute

        finish(compute(request, how.server, how.token_file, True), output, as_json=how.as_json)
        return
    for file in request.checkpoints:
        if not Path(file).is_file():
            raise LandscapeError(f"There is no file {file!r}. Name a checkpoint on this machine.")
    _compute_here(request, output, how)


def _compute_here(request: Request, output: Path, how: RunOptions) -> None:
    from ..evaluation.resume import PartialFile
    from ..evaluation.run import compute
    from .pool import ProcessPool, available_devices
    from .request import prepared

    partial, devices = PartialFile(output), available_devices()
    devices = [devices[index % len(devices)] for index in range(how.workers or len(devices))]
    started = partial.started()
    landscape = prepared(request, device=devices[0])
    pool = ProcessPool(request, devices)
    try:
        result = compute(landscape, evaluate=pool, started=started, watch=partial.keep)
    except LandscapeError:
        partial.flush()
        raise
    if result.provenance.get("interrupted"):
        partial.write(result)
        _report_interrupted(result, partial, as_json=how.as_json)
        raise typer.Exit(INTERRUPTED)
    finish(result, output, as_json=how.as_json)
    partial.remove()


def _report_interrupted(result: "Result", partial: "PartialFile", *, as_json: bool) -> None:
    done, total = int(result.computed.sum()), result.computed.size
    typer.echo(
        f"Interrupted: {done} of {total} points are in {partial.path}. The same command continues from there.", err=True
    )
    if as_json:
        print_json({**_summary(result), "interrupted": True, "partial": str(partial.path)})


def finish(result: "Result", output: Path, *, as_json: bool) -> None:
    """Write a result, and print its self-checks and a summary."""
    result.save(output)
    for check in result.checks:
        typer.echo(f"{'✓' if check.passed else '✗'} {check.name}: {check.text}", err=True)
    if as_json:
        print_json({"output": str(output), **_summary(result), "interrupted": False})
    else:
        typer.echo(f"{result.caption}; written to {output}")


def _summary(result: "Result") -> dict[str, Any]:
    """The summary that `--json` prints; the file has everything."""
    described = result.to_json()
    keys = ("seconds", "weights_sha256", "data_sha256", "seed", "precision", "nan_count", "infinite_count", "center")
    return {
        "kind": result.kind,
        "shape": list(result.losses.shape),
        "computed": int(result.computed.sum()),
        "caption": result.caption,
        "self_check": described["self_check"],
        **{key: result.provenance[key] for key in keys if key in result.provenance},
    }


def _request(
    kind: str,
    checkpoints: list[str],
    data: DataOptions,
    grid: Grid | None,
    directions: Path | None = None,
    **chosen: Any,
) -> Request:
    given = {**asdict(data), "grid": grid, "directions": str(directions) if directions else None}
    return Request(kind, tuple(checkpoints), options=chosen, **given)


def _in_order(checkpoints: list[str]) -> list[str]:
    """The files, with a folder replaced by its checkpoints in the order of their names."""
    from ..training.recorder import run_in

    return [file for one in checkpoints for file in (run_in(one) if Path(one).is_dir() else [one])]


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
