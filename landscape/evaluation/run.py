"""Evaluates a landscape over its grid, coarse to fine, until every point is computed or Ctrl-C is pressed.

evaluation/setup.py prepares landscapes; other processes may evaluate the tiles (cli/pool.py).
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..data.dataset import data_digest
from ..data.inputs import sample_tensors
from ..directions.plane import State
from ..directions.trajectory import Path
from ..errors import ShapeMismatchError
from ..grid import Grid, Point, tiles
from ..objective.objective import Objective, copy_of
from ..result import Result
from ..results.arrays import finite_or_none
from .landscape import Landscape
from .progress import Progress, reporting
from .reuse import same_points, with_points_of

Rows = list[tuple[float, ...]]
Evaluate = Callable[[Landscape, Grid, list[list[Point]]], Iterator[tuple[list[Point], Rows]]]
Watch = Callable[[Result], None]


@dataclass(frozen=True)
class Prepared:
    """A landscape, the grid to evaluate it on, and the other contents of its result."""

    landscape: Landscape
    grid: Grid
    kind: str = ""  # by default "surface" or "slice", by the number of axes of the grid
    checkpoints: Mapping[str, State] = field(default_factory=dict)  # at landmarks, by name; the model's shapes
    path: Path | None = None  # of a trajectory
    epochs: Sequence[State] = ()  # the checkpoints of a trajectory, in the order of training; the model's shapes
    facts: Mapping[str, Any] = field(default_factory=dict)  # names of data and network
    request: Mapping[str, Any] = field(default_factory=dict)  # what was asked for, as JSON; see kinds/prepare.py
    call: Any = None  # what it was prepared from, a `setup.Call`: its result can be reproduced from it


@contextmanager
def with_threads(count: int | None) -> Iterator[None]:
    """Compute with this number of threads, on which the bits of gradients depend."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_this_process(landscape: Landscape, grid: Grid, work: list[list[Point]]) -> Iterator[tuple[list[Point], Rows]]:
    """Evaluates the tiles in this process, in the order given."""
    for points in work:
        yield points, landscape.rows(coordinates(grid, points))


def compute(
    prepared: Prepared,
    *,
    progress: bool | Progress = True,
    evaluate: Evaluate = in_this_process,
    started: Result | None = None,
    watch: Watch | None = None,
) -> Result:
    """Compute every point, coarse to fine; Ctrl-C keeps what is computed, and the provenance says "interrupted".

    Args:
        progress: see `progress.reporting`.
        evaluate: evaluates the tiles: in this process, or in others.
        started: an earlier result of the same landscape, partial or on another grid: its points that are on this grid
            are kept. One of another landscape is refused.
        watch: called with the growing result after every tile.

    Raises:
        DifferentSettingsError, GridError: `started` cannot be part of this result, see `with_points_of`.
        ShapeMismatchError: a checkpoint does not fit the model, see `with_state`.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
    """
    landscape, grid, begun = prepared.landscape, prepared.grid, time.perf_counter()
    path = path_with_losses(prepared)
    result = Result.empty(grid, provenance(prepared), kind=prepared.kind or None, columns=landscape.columns)
    result = replace(result, path=path)
    if started is not None:
        result = with_points_of(result, started)
    interrupted = False
    with reporting(progress, result.kind) as report:
        try:
            for points, rows in evaluate(landscape, grid, remaining_tiles(landscape, grid, result.computed)):
                result.put(points, rows)
                report(int(result.computed.sum()), math.prod(grid.shape))
                if watch:
                    watch(result)
        except KeyboardInterrupt:
            interrupted = True
    before = started.provenance.get("seconds", 0.0) if started and same_points(started, result) else 0.0
    same = samples_digest(landscape.objective) == result.provenance["data_sha256"]
    facts = {"seconds": before + time.perf_counter() - begun, "data_unchanged": same}
    facts |= {"model_unchanged": landscape.unchanged(), **({"interrupted": True} if interrupted else {})}
    facts["threads"] = torch.get_num_threads()  # the bits of gradients depend on it
    return replace(result.closed(**facts), source=prepared.call)


def remaining_tiles(landscape: Landscape, grid: Grid, computed: NDArray[np.bool_]) -> list[list[Point]]:
    """The points not yet computed, coarse to fine, in tiles of the size that the engine computes together."""
    left = [[point for point in level if not computed[point]] for level in grid.levels()]
    return [tile for level in left for tile in tiles(level, landscape.plan.group)]


def path_with_losses(prepared: Prepared, *, report: Progress | None = None) -> dict[str, Any] | None:
    """The trajectory as JSON, with the loss of every epoch, and the loss of the plane at its projection.

    Args:
        report: is called after every epoch.

    Raises:
        ShapeMismatchError: an epoch does not fit the model, see `with_state`.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
    """
    path, landscape = prepared.path, prepared.landscape
    if path is None:
        return None
    losses = []
    for state in prepared.epochs:
        losses.append(landscape.loss_of_model(with_state(landscape.model, state)))
        if report is not None:
            report(len(losses), len(prepared.epochs))
    plane_losses = tuple(value.loss for value in landscape.values(path.coordinates))
    return replace(path, losses=tuple(losses), plane_losses=plane_losses).to_json()


def coordinates(grid: Grid, points: Sequence[Point]) -> list[tuple[float, float]]:
    """(α, β) of each point."""
    alphas, betas = grid.alphas, grid.betas
    return [(alphas[i], betas[j]) for i, j in points]


def samples_digest(objective: Objective) -> str:
    """SHA-256 (hex) of the samples, independent of the form in which they were passed."""
    return data_digest(*sample_tensors(objective.model, objective.images, objective.labels))


def provenance(prepared: Prepared) -> dict[str, Any]:
    """How the numbers are computed, and the input of the self-check, before the first point.

    Raises:
        ShapeMismatchError: a checkpoint does not fit the model, see `with_state`.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
    """
    landscape, objective = prepared.landscape, prepared.landscape.objective
    return {
        **landscape.provenance(prepared.grid),
        "dataset": "tensors",
        "split": "given",
        "samples_in_split": len(objective.images),
        "data_sha256": samples_digest(objective),
        "also": further_samples(landscape),
        "landmark_losses": landmark_losses(prepared),
        "architecture": {"label": type(landscape.model).__name__},
        **prepared.facts,
        "request": dict(prepared.request),
    }


def further_samples(landscape: Landscape) -> dict[str, Any]:
    """Number and SHA-256 of the further data sets, by their names."""
    return {
        name: {"samples": len(other.images), "data_sha256": samples_digest(other)}
        for name, other in landscape.also.items()
    }


def landmark_losses(prepared: Prepared) -> list[dict[str, Any]]:
    """For every checkpoint at a landmark: the plot's loss there, and the loss of the checkpoint evaluated alone.

    Raises:
        ShapeMismatchError: a checkpoint does not fit the model, see `with_state`.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
    """
    landscape, checkpoints, found = prepared.landscape, prepared.checkpoints, []
    for name, at in landscape.plane.landmarks:
        if name in checkpoints:
            alone = with_state(landscape.model, checkpoints[name])
            [value] = landscape.values([at])
            pair = {"loss": value.loss, "independent_loss": landscape.loss_of_model(alone)}
            found.append({"name": name, **{key: finite_or_none(loss) for key, loss in pair.items()}})
    return found


def with_state(model: nn.Module, state: State) -> nn.Module:
    """A copy of `model` with the tensors of `state`; buffers, such as batch counters, may be missing.

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
    other = copy_of(model)
    other.load_state_dict(dict(state), strict=False)
    return other
