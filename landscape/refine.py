"""Adds to a result: finer intervals, another range or one region, more seeds. Every point that is there is reused.

A result in the process that computed it knows its model and samples; one from a file takes them as arguments.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .errors import LandscapeError, UnknownOptionError
from .evaluation.progress import Progress
from .evaluation.reuse import seeds_of, with_more_seeds
from .evaluation.run import compute, with_threads
from .grid import Grid, Range
from .kinds import kind_of
from .kinds.prepare import prepare
from .kinds.requested import request_of
from .objective.random_state import keeps_random_state
from .reproduce import call_of
from .result import Result

_OF_POINTS = ("points", "coordinate_difference")  # entries of the note about reuse that a finer grid determines
# The points of a grid with options of the request replaced, starting from an earlier result or from none.
ComputeWith = Callable[[Grid, Mapping[str, Any], Result | None], Result]


@keeps_random_state
def refine(
    result: Result,
    factor: int = 1,
    *,
    alpha: Range | None = None,
    beta: Range | None = None,
    repeats: int | None = None,
    model: Any = None,
    images: Any = None,
    labels: Any = None,
    progress: bool | Progress = True,
    **given: Any,
) -> Result:
    """Compute what a result lacks on a finer, wider or smaller grid, or for more seeds; see `Result.refine`.

    Raises:
        UnknownOptionError: an argument is neither an option nor a checkpoint of this kind.
        DifferentSettingsError: weights, samples, versions or another setting are not those of the result.
        GridError: the factor or a range is not possible, see `Grid.refined`.
        UnknownNameError, FormatError, NotFiniteError, PlaneError, ShapeMismatchError: see `call_of`.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
        LandscapeError: model or samples are missing, or nothing is to be added.
    """
    kind = request_of(result)["kind"]
    _require_known(kind, given)
    call = call_of(result, model, images, labels, given)
    choice = result.provenance.get("engine")

    def compute_with(grid: Grid, options: Mapping[str, Any], started: Result | None) -> Result:
        chosen = {**call.options, **options, "choice": choice}
        samples: dict[str, Any] = {"images": call.images, "labels": call.labels}
        prepared = prepare(kind, call.model, *call.others, grid=grid, own=call.own, **samples, **chosen)
        return compute(prepared, progress=progress, started=started)

    with with_threads(result.provenance.get("threads")):
        found = refined(result, result.grid.refined(factor, alpha=alpha, beta=beta), repeats, compute_with)
    counted = {"repeats": repeats} if repeats else {}
    return replace(found, source=replace(call, grid=found.grid, options={**call.options, **counted}))


def _require_known(name: str, given: Mapping[str, Any]) -> None:
    """Refuse an argument that is neither a checkpoint nor an option of the kind.

    Raises:
        UnknownOptionError: one is; the message names the near one.
    """
    kind, own = kind_of(name), ("factor", "alpha", "beta", "repeats", "model", "images", "labels", "progress")
    roles = [role.name for role in kind.roles if role is not kind.center or role.many]
    known = (*own, *roles, *(option.name for option in kind.options))
    for argument in given:
        if argument not in known:
            raise UnknownOptionError("refine", argument, known)


def refined(result: Result, grid: Grid, repeats: int | None, compute_with: ComputeWith) -> Result:
    """The result on `grid`, as the mean over `repeats` seeds, with the points of `result`.

    A region or a finer grid is computed for the seeds that are there, then all of it for the others. After an
    interruption the result has the points that were computed.

    Raises:
        DifferentSettingsError: what is computed now differs from the result in a setting.
        LandscapeError: nothing is to be added, or there are as many seeds already.
    """
    seeds = seeds_of(result) if repeats is not None else []
    if repeats is not None and repeats < len(seeds):
        raise LandscapeError(
            f"'repeats' is the number of seeds in all, at least those of the result, {len(seeds)}; got {repeats}."
        )
    complete = grid == result.grid and bool(result.computed.all())
    if complete and (repeats is None or repeats == len(seeds)):
        raise LandscapeError("This adds nothing to the result. Give a factor above 1, another range, or more repeats.")
    finer = result if complete else compute_with(grid, {}, result)
    if repeats is None or repeats == len(seeds) or finer.provenance.get("interrupted"):
        return finer
    further = compute_with(grid, {"seed": max(seeds) + 1, "repeats": repeats - len(seeds)}, None)
    merged = with_more_seeds(finer, further)
    note = {**merged.provenance["reused"]}
    if not complete:
        note |= {name: fact for name, fact in finer.provenance.get("reused", {}).items() if name in _OF_POINTS}
    return replace(merged, provenance={**merged.provenance, "reused": note})
