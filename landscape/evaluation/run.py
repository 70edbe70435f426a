"""Running a landscape over its grid: points in, coarse to fine, until all are there or somebody presses Ctrl-C.

Imports landscape, result, progress. What is to be run comes from preparing.py; other processes may evaluate the tiles
(shell/crew.py). Never reads a file.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ..data.dataset import data_digest
from ..data.inputs import contents
from ..directions.plane import State
from ..directions.trajectory import Path
from ..errors import ShapeMismatchError
from ..grid import Grid, Point, tiles
from ..objective.objective import Objective, copied
from ..result import Result
from ..results.arrays import finite_or_none
from .landscape import Landscape
from .progress import Progress, shown
from .resume import require_same

Rows = list[tuple[float, ...]]
Evaluate = Callable[[Landscape, Grid, list[list[Point]]], Iterator[tuple[list[Point], Rows]]]
Watch = Callable[[Result], None]


@dataclass(frozen=True)
class Prepared:
    """A landscape, the grid to evaluate it on, and what its result says besides."""

    landscape: Landscape
    grid: Grid
    kind: str = ""  # "surface" or "slice", as the grid has axes, where nothing else is said
    checkpoints: Mapping[str, State] = field(default_factory=dict)  # at landmarks of the plane, by name
    path: Path | None = None  # of a trajectory, and its
    epochs: Sequence[State] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)  # what data and network are called


def here(landscape: Landscape, grid: Grid, work: list[list[Point]]) -> Iterator[tuple[list[Point], Rows]]:
    """Every tile in this process, in its order."""
    for points in work:
        yield points, landscape.rows(coordinates(grid, points))


def compute(
    prepared: Prepared,
    *,
    progress: bool | Progress = True,
    evaluate: Evaluate = here,
    started: Result | None = None,
    watch: Watch | None = None,
) -> Result:
    """Every point of the grid, coarse to fine; Ctrl-C keeps what is there, and the provenance says "interrupted".

    Args:
        progress: see `progress.shown`.
        evaluate: who answers the tiles.
        started: an earlier, partial result of the very same landscape: its points are taken over. Another is refused.
        watch: told the growing result after every tile.
    """
    landscape, grid, begun = prepared.landscape, prepared.grid, time.perf_counter()
    path = _path_with_losses(prepared)
    result = Result.empty(grid, provenance(prepared), kind=prepared.kind or None, columns=landscape.columns)
    result = _taken_over(replace(result, path=path), started)
    interrupted = False
    with shown(progress, result.kind) as told:
        try:
            for points, rows in evaluate(landscape, grid, remaining(landscape, grid, result.computed)):
                result.put(points, rows)
                told(int(result.computed.sum()), math.prod(grid.shape))
                if watch:
                    watch(result)
        except KeyboardInterrupt:
            interrupted = True
    before = started.provenance.get("seconds", 0.0) if started else 0.0
    same = digest_of(landscape.objective) == result.provenance["data_sha256"]
    facts = {"seconds": before + time.perf_counter() - begun, "data_unchanged": same}
    facts |= {"model_unchanged": landscape.unchanged(), **({"interrupted": True} if interrupted else {})}
    return result.closed(**facts)


def remaining(landscape: Landscape, grid: Grid, computed: NDArray[np.bool_]) -> list[list[Point]]:
    """The points not yet computed in tiles of as many as the engine computes together, coarse to fine."""
    left = [[point for point in level if not computed[point]] for level in grid.levels()]
    return [tile for level in left for tile in tiles(level, landscape.plan.group)]


def _taken_over(result: Result, started: Result | None) -> Result:
    if started is not None:
        require_same(started, result)
        for name in result.columns:
            result.array(name)[started.computed] = started.array(name)[started.computed]
        result.computed[started.computed] = True
    return result


def _path_with_losses(prepared: Prepared) -> dict[str, Any] | None:
    """The trajectory with the loss of every epoch itself, and of the plane where it is projected to."""
    path, landscape = prepared.path, prepared.landscape
    if path is None:
        return None
    losses = tuple(landscape.loss_of_model(loaded(landscape.model, state)) for state in prepared.epochs)
    seen = tuple(value.loss for value in landscape.values(path.coordinates))
    return replace(path, losses=losses, plane_losses=seen).to_json()


def coordinates(grid: Grid, points: Sequence[Point]) -> list[tuple[float, float]]:
    """(α, β) of each point."""
    alphas, betas = grid.alphas, grid.betas
    return [(alphas[i], betas[j]) for i, j in points]


def digest_of(objective: Objective) -> str:
    """SHA-256 (hex) of the samples, whatever form they came in."""
    return data_digest(*contents(objective.model, objective.images, objective.labels))


def provenance(prepared: Prepared) -> dict[str, Any]:
    """How the numbers are made, and what they must agree with, before the first point."""
    landscape, objective = prepared.landscape, prepared.landscape.objective
    return {
        **landscape.provenance(prepared.grid),
        "dataset": "tensors",
        "split": "given",
        "samples_in_split": len(objective.images),
        "data_sha256": digest_of(objective),
        "also": {
            name: {"samples": len(other.images), "data_sha256": digest_of(other)}
            for name, other in landscape.also.items()
        },
        "landmark_losses": landmark_losses(landscape, prepared.checkpoints),
        "architecture": {"label": type(landscape.model).__name__},
        **prepared.facts,
    }


def landmark_losses(landscape: Landscape, checkpoints: Mapping[str, State]) -> list[dict[str, Any]]:
    """For every checkpoint named like a landmark: the plot's loss there, and that of the checkpoint evaluated alone."""
    found = []
    for name, at in landscape.plane.landmarks:
        if name in checkpoints:
            alone = loaded(landscape.model, checkpoints[name])
            [value] = landscape.values([at])
            pair = {"loss": value.loss, "independent_loss": landscape.loss_of_model(alone)}
            found.append({"name": name, **{key: finite_or_none(loss) for key, loss in pair.items()}})
    return found


def loaded(model: nn.Module, state: State) -> nn.Module:
    """A copy of `model` with `state`; counters of batches may be left out of it.

    Raises:
        ShapeMismatchError: a parameter is missing or has another shape.
    """
    for name, parameter in model.named_parameters():
        found = tuple(state[name].shape) if name in state else "no such parameter"
        if found != tuple(parameter.shape):
            raise ShapeMismatchError(
                f"Parameter {name!r} has shape {tuple(parameter.shape)} in the model; a checkpoint has {found}. "
                "Use checkpoints of the same architecture, with the names of its state_dict()."
            )
    other = copied(model)
    other.load_state_dict(dict(state), strict=False)
    return other
