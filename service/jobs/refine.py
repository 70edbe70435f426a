"""Refines a job: a new one with more points, another range or more seeds, that starts from what is computed."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError
from sqlalchemy.orm import Session

from landscape.errors import GridError
from landscape.evaluation.reuse import note_of
from landscape.grid import Grid, overlap
from landscape.kinds.definition import MAX_FACTOR
from landscape.kinds.prepare import grid_as_json
from landscape.options import RepeatOptions, options_of

from ..database.job_log import plural, write_line
from ..database.tables import Job, grid_of, require
from ..errors import ConflictError, InvalidError
from ..queue.reuse import copy_finished, inherit, shared_parts
from . import lifecycle
from .spec import AnySpec, Strict, job_spec, limits

[REPEATS] = [option.bounds for option in options_of(RepeatOptions)]


class RangeSpec(Strict):
    """A range of coordinates. Each end is moved outwards to the next coordinate of the refined axis."""

    min: float
    max: float


class Refinement(Strict):
    """What a refinement adds to a job: at least one of finer intervals, another range, more seeds."""

    factor: int = Field(1, ge=1, le=MAX_FACTOR, description="Number of parts that every interval is cut into.")
    alpha: RangeSpec | None = Field(None, description="Wider or narrower range; the job's if omitted.")
    beta: RangeSpec | None = Field(None, description="The same of the second axis.")
    repeats: int | None = Field(None, **limits(REPEATS), description="Number of seeds in all; the job's if omitted.")

    def grid(self, of: Grid) -> Grid:
        """The refined grid.

        Raises:
            InvalidError: it is not possible; the message says why.
        """
        try:
            return of.refined(self.factor, alpha=_span(self.alpha), beta=_span(self.beta))
        except GridError as error:
            raise InvalidError(str(error)) from None


def refine(
    session: Session,
    earlier_id: str,
    refinement: Refinement,
    *,
    owner: str | None = None,
    job_id: str | None = None,
) -> Job:
    """Create a job that has, from its start, the points of an earlier one that are on its grid.

    Args:
        earlier_id: of a job in any state, once it is prepared.
        owner, job_id: of the new job; see `lifecycle.submit`.

    Raises:
        NotFoundError: there is no earlier job with this id.
        ConflictError: it is not prepared yet.
        InvalidError: the refinement adds nothing, or is not possible for this kind of job.
    """
    earlier = require(session, Job, earlier_id)
    spec = refined_spec(earlier, refinement)
    job = lifecycle.submit(session, spec, owner=owner, job_id=job_id)
    parts = shared_parts(session, earlier, job)
    count, difference = sum(len(part.points) for part in parts), overlap(grid_of(earlier), grid_of(job)).difference
    before, after = (one.spec.get("repeats", 1) for one in (earlier, job))
    if after == before:
        copy_finished(session, job, parts)
    old = earlier.provenance or {}
    note = {"job": earlier.id, **note_of(old, count, difference, seeds=before if after > before else None)}
    inherit(session, job, earlier, {**_on_grid(old, grid_of(job)), "reused": note})
    of_seeds = f", the mean over {plural(before, 'seed')}" if after > before else ""
    write_line(session, job.id, f"Starts from {plural(count, 'point')} of {job.points} of job {earlier.id}{of_seeds}.")
    return job


def refined_spec(earlier: Job, refinement: Refinement) -> AnySpec:
    """The request of a refined job.

    Raises:
        ConflictError, InvalidError: see `refine`.
    """
    if earlier.provenance is None or earlier.grid is None:
        raise ConflictError(f"The job is {earlier.state} and has no grid yet. Refine it once it is running.")
    old, grid = job_spec.validate_python(earlier.spec), refinement.grid(grid_of(earlier))
    more = {"grid": grid_as_json(grid), **_more_repeats(old, refinement)}
    if grid == grid_of(earlier) and len(more) == 1:
        raise InvalidError("This adds nothing to the job. Give a factor above 1, another range, or more repeats.")
    try:
        return job_spec.validate_python({**earlier.spec, **more})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidError(first["msg"].removeprefix("Value error, "), field=str(first["loc"][-1])) from None


def _more_repeats(old: AnySpec, refinement: Refinement) -> dict[str, Any]:
    """The number of seeds as a field of the request, if there are to be more."""
    if refinement.repeats is None:
        return {}
    before = getattr(old, "repeats", None)
    if before is None:
        raise InvalidError(f"A job of kind {old.kind} has no repeats. Leave it out.", field="repeats")
    if refinement.repeats < before:
        raise InvalidError(
            f"'repeats' is the number of seeds in all, at least those of the job, {before}; got {refinement.repeats}.",
            field="repeats",
        )
    return {"repeats": refinement.repeats} if refinement.repeats > before else {}


def _on_grid(provenance: Mapping[str, Any], grid: Grid) -> dict[str, Any]:
    """The provenance of an earlier job for another grid, until the one found when the job is prepared replaces it."""
    if "center" not in provenance:
        return dict(provenance)
    point = None if grid.center is None else list(grid.center)
    return {**provenance, "center": {**provenance["center"], "on_grid": point is not None, "point": point}}


def _span(given: RangeSpec | None) -> tuple[float, float] | None:
    return None if given is None else (given.min, given.max)
