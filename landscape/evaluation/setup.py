"""Prepares a landscape from a model and data, one function per kind of result.

The library, the shell and the workers of the service use it; evaluation/run.py evaluates the landscape.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from torch import nn

from ..data.inputs import Inputs, read_inputs
from ..directions.plane import Plane, State, line_between, plane_through
from ..directions.trajectory import principal, principal_plane, project
from ..errors import GridError, PlaneError, UnknownNameError
from ..grid import Axis, Grid
from ..hessian.products import eigenvector_plane, gradient_plane
from ..objective.losses import PerSample, loss_of
from ..objective.objective import Objective
from ..training.recorder import states_in
from .curvature_map import CurvatureLandscape
from .landscape import Landscape
from .run import Prepared, with_state
from .seeds import RepeatedLandscape

Checkpoint = State | nn.Module
Trajectory = Sequence[Checkpoint | str | FilePath] | str | FilePath

SOURCES = ("gradient", "eigenvectors")  # of directions that depend on the loss
DEFAULT_COUNT = 25  # points per axis around checkpoints
MARGIN = 0.2  # of the extent of the checkpoints, on every side


def surface(model: nn.Module, images: Any, labels: Any, *, grid: Grid | None = None, **options: Any) -> Prepared:
    """See `api.surface`."""
    grid = grid or Grid.square()
    _require_axes(grid, 2, options.get("plane"))
    return _prepared(Landscape, model, images, labels, grid, "surface", dimensions=2, **options)


def slice(model: nn.Module, images: Any, labels: Any, *, grid: Grid | None = None, **options: Any) -> Prepared:
    """See `api.slice`."""
    grid = grid or Grid.line()
    _require_axes(grid, 1, options.get("plane"))
    return _prepared(Landscape, model, images, labels, grid, "slice", dimensions=1, **options)


def interpolation(
    model: nn.Module,
    end: Checkpoint,
    images: Any,
    labels: Any,
    *,
    grid: Grid | None = None,
    start: State | None = None,
    **options: Any,
) -> Prepared:
    """See `api.interpolation`.

    Args:
        start: the state of `model` under the names used by `end`, if `model.state_dict()` has others: a packed network
            names the constants of its file differently.
    """
    grid = grid or Grid(Axis(-0.5, 1.5, 41))
    _require_axes(grid, 1, None)
    line, ends = line_between(start or model.state_dict(), state_of(end)), {"end": state_of(end)}
    return _prepared(Landscape, model, images, labels, grid, "interpolation", checkpoints=ends, plane=line, **options)


def through(
    model: nn.Module,
    second: Checkpoint,
    third: Checkpoint,
    images: Any,
    labels: Any,
    *,
    grid: Grid | None = None,
    first: State | None = None,
    **options: Any,
) -> Prepared:
    """See `api.through`; `first` is the state of `model`, as `start` of `interpolation`."""
    names = [name for name, _ in model.named_parameters()]
    spanned = plane_through(first or model.state_dict(), state_of(second), state_of(third), parameters=names)
    grid = grid or grid_around([at for _, at in spanned.landmarks])
    _require_axes(grid, 2, None)
    corners = {"second": state_of(second), "third": state_of(third)}
    return _prepared(Landscape, model, images, labels, grid, "plane", checkpoints=corners, plane=spanned, **options)


def trajectory(
    model: nn.Module,
    states: Trajectory,
    images: Any,
    labels: Any,
    *,
    grid: Grid | None = None,
    plane: Plane | None = None,
    **options: Any,
) -> Prepared:
    """See `api.trajectory`."""
    saved = _states_of(states)
    if not saved:
        raise PlaneError("A trajectory needs checkpoints, four or more; got none.")
    center, names = with_state(model, saved[-1]), [name for name, _ in model.named_parameters()]
    plane = plane or principal_plane(principal(saved, parameters=names))
    path = project(saved, plane, parameters=names)
    grid = grid or grid_around(path.coordinates)
    if grid.beta is None:
        raise GridError("A trajectory needs a grid with two axes. Use Grid(Axis(…), Axis(…)), or leave it out.")
    along: dict[str, Any] = {"plane": plane, "path": path, "epochs": saved}
    return _prepared(Landscape, center, images, labels, grid, "trajectory", **along, **options)


def curvature(model: nn.Module, images: Any, labels: Any, *, grid: Grid | None = None, **options: Any) -> Prepared:
    """See `api.curvature`."""
    grid = grid or Grid.square(11)
    axes = 2 if grid.beta else 1
    found = _prepared(CurvatureLandscape, model, images, labels, grid, "curvature", dimensions=axes, **options)
    if len(found.landscape.directions) != axes:
        count = len(found.landscape.directions)
        raise GridError(f"The grid has {axes} axes but there are {count} directions. Match them.")
    return found


def repeated(model: nn.Module, images: Any, labels: Any, *, grid: Grid | None = None, **options: Any) -> Prepared:
    """See `api.repeated`."""
    grid = grid or Grid.line()
    kind, axes = ("surface", 2) if grid.beta else ("slice", 1)
    return _prepared(RepeatedLandscape, model, images, labels, grid, kind, dimensions=axes, **options)


def plane_along(
    model: nn.Module,
    images: Any,
    labels: Any,
    *,
    source: str,
    dimensions: int = 2,
    seed: int = 0,
    precision: str = "float32",
    loss: "str | PerSample" = "cross_entropy",
) -> Plane:
    """See `api.plane_along`."""
    inputs = read_inputs(model, images, labels, loss)
    objective = Objective.of(inputs.model, inputs.images, inputs.labels, precision=precision, loss=loss_of(inputs.loss))
    if source == "gradient":
        return gradient_plane(objective, dimensions=dimensions, seed=seed)
    if source == "eigenvectors":
        return eigenvector_plane(objective, count=dimensions, over="all", seed=seed)
    raise UnknownNameError("source of directions", source, SOURCES)


KINDS: dict[str, Callable[..., Prepared]] = {
    "surface": surface,
    "slice": slice,
    "interpolation": interpolation,
    "plane": through,
    "trajectory": trajectory,
    "curvature": curvature,
}


def _prepared(
    make: type[Landscape],
    model: nn.Module,
    images: Any,
    labels: Any,
    grid: Grid,
    kind: str,
    *,
    loss: Any = "cross_entropy",
    also: Mapping[str, Any] | None = None,
    checkpoints: Mapping[str, State] | None = None,
    path: Any = None,
    epochs: Sequence[State] = (),
    **options: Any,
) -> Prepared:
    inputs = read_inputs(model, images, labels, loss)
    more = {name: _also(model, samples, inputs) for name, samples in (also or {}).items()}
    landscape = make(inputs.model, inputs.images, inputs.labels, loss=inputs.loss, also=more, **options)
    return Prepared(landscape, grid, kind, checkpoints or {}, path, epochs, inputs.facts)


def _also(model: nn.Module, samples: Any, first: Inputs) -> Any:
    """Further samples as two tensors. Not possible for a model that takes mappings, which holds its own samples."""
    if first.model is not model:
        raise PlaneError("Batches that are mappings take one data set. Use separate calls for the others.")
    inputs, labels = samples if isinstance(samples, tuple) else (samples, None)
    found = read_inputs(model, inputs, labels, first.loss)
    return found.images, found.labels


def grid_around(points: Sequence[Sequence[float]], *, count: int = DEFAULT_COUNT) -> Grid:
    """A grid of `count` × `count` points around `points` (α, β), with `MARGIN` of their extent on every side."""
    axes = []
    for coordinates in zip(*points, strict=True):
        low, high = min(coordinates), max(coordinates)
        rim = MARGIN * (high - low) or 1.0
        axes.append(Axis(low - rim, high + rim, count))
    return Grid(*axes)


def state_of(checkpoint: Checkpoint) -> State:
    """The state dict of a module; a state dict is returned unchanged."""
    return checkpoint.state_dict() if isinstance(checkpoint, nn.Module) else checkpoint


def _states_of(states: Trajectory) -> list[State]:
    """The state dicts of modules, state dicts, files, or a folder of files in order."""
    if isinstance(states, str | FilePath):
        return states_in(states)
    found: list[State] = []
    for one in states:
        found += states_in(one) if isinstance(one, str | FilePath) else [state_of(one)]
    return found


def _require_axes(grid: Grid, axes: int, plane: Plane | None) -> None:
    found = 2 if grid.beta else 1
    if found != axes:
        advice = "Use Grid.square(51), or slice()" if axes == 2 else "Use Grid.line(51), or surface()"
        raise GridError(
            f"This plot needs a grid with {axes} {'axes' if axes > 1 else 'axis'}; got {found}. {advice} for {found}."
        )
    if plane is not None and len(plane.directions) != axes:
        raise GridError(f"The grid has {axes} axes but there are {len(plane.directions)} directions. Match them.")
