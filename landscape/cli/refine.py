"""`landscape refine`: adds points or seeds to a result file, or to a job of a service, and reuses what is there."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import LandscapeError
from ..grid import Grid, Range
from .compute import compute_here, conclude, finish
from .kinds import range_of
from .options import Output, RunOptions, with_options
from .output import require_writable
from .recorded import Checkpoints, RecordedOptions, recorded_request


def register(app: typer.Typer) -> None:
    """Add the command to `landscape`."""
    app.command()(with_options(refine))


def refine(
    result: Annotated[
        str, typer.Argument(metavar="RESULT|JOB", help="An .npz, .json or .h5 file; or the id of a job, with --server.")
    ],
    output: Output,
    checkpoints: Checkpoints = None,
    *,
    factor: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of parts that every interval of the grid is cut into.")
    ] = 1,
    range_: Annotated[
        str | None,
        typer.Option(
            "--range", metavar="MIN:MAX", help="Wider or narrower range of the axes.", show_default="as in the result"
        ),
    ] = None,
    range_beta: Annotated[
        str | None, typer.Option(metavar="MIN:MAX", help="Range of the second axis.", show_default="as --range")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of seeds in all.", show_default="as in the result")
    ] = None,
    data: RecordedOptions,
    how: RunOptions,
) -> None:
    """Add points or seeds to a result: only what is missing is computed.

    Each end of a range is moved outwards to the next coordinate, so that the points inside are on the new grid.
    Checkpoints and data set are those that the result records; give the ones that are elsewhere now. Ctrl-C keeps what
    has been computed in FILE.partial; the same command continues from there.

    \b
    Examples:
      landscape refine surface.npz --factor 2 -o finer.npz
      landscape refine surface.npz --factor 5 --range=-0.2:0.2 -o region.npz
      landscape refine surface.npz --range=-2:2 --repeats 5 -o wider.npz
    """
    require_writable(output)
    alpha, beta = (range_of(text) if text else None for text in (range_, range_beta))
    if Path(result).is_file():
        _refine_here(result, output, checkpoints, data, how, factor=factor, spans=(alpha, beta), repeats=repeats)
    elif how.server:
        from .remote import connect, wait_for

        with connect(how.server, how.token_file) as service:
            job = service.job(result)
            grid = job.info.spec["grid"]  # None: around the checkpoints, with two axes
            other = alpha if grid is None or "beta" in grid else None
            finer = job.refine(factor, alpha=alpha, beta=beta or other, repeats=repeats)
            finish(wait_for(finer, True), output, as_json=how.as_json)
    else:
        raise LandscapeError(f"There is no file {result!r}. Name a result file; or a job of a service, with --server.")


def _refine_here(
    file: str,
    output: Path,
    checkpoints: list[str] | None,
    data: RecordedOptions,
    how: RunOptions,
    *,
    factor: int,
    spans: tuple[Range | None, Range | None],
    repeats: int | None,
) -> None:
    from ..evaluation.resume import PartialFile
    from ..refine import refined
    from ..result import Result

    earlier = Result.load(file)
    request, choice = recorded_request(earlier, checkpoints, data), earlier.provenance.get("engine")
    partials = [PartialFile(output), PartialFile(output.with_name(f"{output.name}.seeds"))]  # of the two parts

    def compute_with(grid: Grid, options: Mapping[str, Any], started: Result | None) -> Result:
        partial = partials[1 if options else 0]
        asked = replace(request, grid=grid, options={**request.options, **options})
        found = compute_here(asked, partial, how, earlier=started, choice=choice)
        partial.write(found)  # until both parts are there
        return found

    (alpha, beta), own = spans, earlier.grid
    grid = own.refined(factor, alpha=alpha, beta=beta or (alpha if own.beta else None))
    found = refined(earlier, grid, repeats, compute_with)
    conclude(found, output, partials[1 if "seeds" in found.provenance.get("reused", {}) else 0], as_json=how.as_json)
    for partial in partials:
        partial.remove()
