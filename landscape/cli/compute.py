"""`landscape surface`, `slice`, `interpolation`, `trajectory`, `curvature`, `spectrum`: files in, a result file out.

Imports typer, options and request; what a command needs is imported when it runs. `--server` hands the same request to
a service (remote.py).
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
from .options import AsJson, CheckpointFile, Data, Directions, Drawn, How, Line, Over, Range, RangeBeta, Seed, Valued
from .output import require_folder, require_writable, say_json
from .request import Request

if TYPE_CHECKING:
    from ..evaluation.resume import Partial
    from ..result import Result

INTERRUPTED = 130  # exit code


def register(app: typer.Typer) -> None:
    """Add the commands to `landscape`."""
    for name, command in COMMANDS.items():
        app.command(name)(options.expanded(command))


def surface(
    checkpoint: CheckpointFile,
    how: How,
    data: Data,
    drawn: Drawn,
    valued: Valued,
    grid: options.Grid = "51x51",
    range_: Range = "-1:1",
    range_beta: RangeBeta = None,
    orthogonality: Annotated[
        str,
        typer.Option(
            help="Of the two directions: filter (inside each), overall or none.",
            autocompletion=options.among("filter", "overall", "none"),
        ),
    ] = "filter",
    directions: Directions = None,
) -> None:
    """Compute the surface L(θ* + αδ + βη) around a checkpoint.

    Ctrl-C keeps what is there in OUTPUT.partial, and the same command goes on from it.

    \b
    Examples:
      landscape surface checkpoint.pt --dataset digits --grid 25x25 --range=-1:1 -o surface.npz
      landscape surface checkpoint.pt --images 1000 --seed 3 -o surface.html --workers 4
    """
    asked = {**asdict(drawn), **asdict(valued), "orthogonality": orthogonality}
    run(_request("surface", [checkpoint], data, _grid(grid, range_, range_beta), directions, **asked), how)


def slice_(
    checkpoint: CheckpointFile,
    how: How,
    data: Data,
    drawn: Drawn,
    valued: Valued,
    grid: Line = "51",
    range_: Range = "-1:1",
    directions: Directions = None,
) -> None:
    """Compute the slice L(θ* + αδ) around a checkpoint.

    \b
    Example:
      landscape slice checkpoint.pt --dataset digits --grid 51 -o slice.csv
    """
    asked = {**asdict(drawn), **asdict(valued)}
    run(_request("slice", [checkpoint], data, _line(grid, range_), directions, **asked), how)


def interpolation(
    checkpoint: CheckpointFile,
    end: CheckpointFile,
    how: How,
    data: Data,
    valued: Valued,
    grid: Line = "41",
    range_: Range = "-0.5:1.5",
) -> None:
    """Compute L on the line from one checkpoint (0) to another (1), BatchNorm's statistics moved along.

    \b
    Example:
      landscape interpolation small-batch.pt large-batch.pt -o interpolation.npz
    """
    run(_request("interpolation", [checkpoint, end], data, _line(grid, range_), **asdict(valued)), how)


def trajectory(
    checkpoints: Annotated[list[str], typer.Argument(help="Checkpoints in the order of training, or their folder.")],
    how: How,
    data: Data,
    valued: Valued,
    grid: Annotated[str | None, typer.Option(help="Points along both axes [25x25 around the path].")] = None,
    range_: Range = "-1:1",
    range_beta: RangeBeta = None,
) -> None:
    """Compute the path of a training run in the plane of its two principal components, and the loss around it.

    \b
    Examples:
      landscape trajectory run -o trajectory.npz
      landscape trajectory epoch-*.safetensors --grid 51x51 --range=-20:20 -o trajectory.html
    """
    where = _grid(grid, range_, range_beta) if grid else None
    run(_request("trajectory", _in_order(checkpoints), data, where, **asdict(valued)), how)


def curvature(
    checkpoint: CheckpointFile,
    how: How,
    data: Data,
    drawn: Drawn,
    valued: Valued,
    grid: options.Grid = "11x11",
    range_: Range = "-1:1",
    range_beta: RangeBeta = None,
    over: Over = "filters",
    directions: Directions = None,
) -> None:
    """Compute the extreme eigenvalues of the Hessian, and their ratio, over a grid.

    \b
    Example:
      landscape curvature checkpoint.pt --grid 7x7 --images 200 -o curvature.npz
    """
    asked = {**asdict(drawn), **asdict(valued), "over": over}
    run(_request("curvature", [checkpoint], data, _grid(grid, range_, range_beta), directions, **asked), how)


def spectrum(
    checkpoint: CheckpointFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .json file.")],
    data: Data,
    seed: Seed = 0,
    over: Over = "filters",
    steps: Annotated[int, typer.Option(min=4, help="Products of the Hessian with a vector, per probe.")] = 60,
    probes: Annotated[int, typer.Option(min=1, help="Random vectors for trace and density.")] = 8,
    loss: Annotated[str, typer.Option(help="cross_entropy or mse.")] = "cross_entropy",
    as_json: AsJson = False,
) -> None:
    """Compute extreme eigenvalues, trace and density of the Hessian at a checkpoint.

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
        say_json({"output": str(output), "numbers": [number.to_json() for number in numbers]})
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


def run(request: Request, how: How) -> None:
    """Compute what is asked for, here or at a service, with a progress bar; write it, and say what came out."""
    require_writable(how.output)
    if how.server:
        from .remote import compute

        finish(compute(request, how.server, how.token_file, True), how)
        return
    for file in request.checkpoints:
        if not Path(file).is_file():
            raise LandscapeError(f"There is no file {file!r}. Name a checkpoint on this machine.")
    _compute_here(request, how)


def _compute_here(request: Request, how: How) -> None:
    from ..evaluation.resume import Partial
    from ..evaluation.run import compute
    from .pool import Crew, devices
    from .request import prepared

    kept, places = Partial(how.output), devices()
    places = [places[index % len(places)] for index in range(how.workers or len(places))]
    started = kept.started()
    made = prepared(request, device=places[0])
    crew = Crew(request, places)
    try:
        result = compute(made, evaluate=crew, started=started, watch=kept.keep)
    except LandscapeError:
        kept.flush()
        raise
    if result.provenance.get("interrupted"):
        kept.write(result)
        _say_interrupted(result, kept, how)
        raise typer.Exit(INTERRUPTED)
    finish(result, how)
    kept.remove()


def _say_interrupted(result: "Result", kept: "Partial", how: How) -> None:
    done, total = int(result.computed.sum()), result.computed.size
    typer.echo(
        f"Interrupted: {done} of {total} points are in {kept.path}. The same command goes on from them.", err=True
    )
    if how.as_json:
        say_json({**_summary(result), "interrupted": True, "partial": str(kept.path)})


def finish(result: "Result", how: How) -> None:
    """Write a result, and say whether it can be trusted."""
    result.save(how.output)
    for check in result.checks:
        typer.echo(f"{'✓' if check.passed else '✗'} {check.name}: {check.text}", err=True)
    if how.as_json:
        say_json({"output": str(how.output), **_summary(result), "interrupted": False})
    else:
        typer.echo(f"{result.caption}; written to {how.output}")


def _summary(result: "Result") -> dict[str, Any]:
    """What `--json` says; the file has everything."""
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
    kind: str, checkpoints: list[str], data: Data, grid: Grid | None, directions: Path | None = None, **asked: Any
) -> Request:
    given = {**asdict(data), "grid": grid, "directions": str(directions) if directions else None}
    return Request(kind, tuple(checkpoints), options=asked, **given)


def _in_order(checkpoints: list[str]) -> list[str]:
    """The files named, and those of a folder in the order of their names."""
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
