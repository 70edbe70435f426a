"""From a model and data to a landscape ready to be run, one function per kind of result.

Imports landscape, plane, pca, maps, repeats, data.asked. Evaluates nothing; kinds.py and the shell run what comes out.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from torch import nn

from ..data.inputs import Asked, asked
from ..directions.plane import Plane, State, between
from ..directions.plane import through as plane_through
from ..directions.trajectory import plane_of, principal, project
from ..errors import GridError, PlaneError
from ..grid import Axis, Grid
from ..training.recorder import states_in
from .curvature_map import CurvatureLandscape
from .landscape import Landscape
from .run import Prepared, loaded
from .seeds import RepeatedLandscape

Checkpoint = State | nn.Module
Trajectory = Sequence[Checkpoint | str | FilePath] | str | FilePath


def surface(model: nn.Module, images: Any, labels: Any, *, grid: Grid | None = None, **options: Any) -> Prepared:
    """See `kinds.surface`."""
    grid = grid or Grid.square()
    _require_axes(grid, 2, options.get("plane"))
    return _prepared(Landscape, model, images, labels, grid, "surface", dimensions=2, **options)


def slice(model: nn.Module, images: Any, labels: Any, *, grid: Grid | None = None, **options: Any) -> Prepared:
    """See `kinds.slice`."""
    grid = grid or Grid.line()
    _require_axes(grid, 1, options.get("plane"))
    return _prepared(Landscape, model, images, labels, grid, "slice", dimensions=1, **options)


def interpolation(
    model: nn.Module, end: Checkpoint, images: Any, labels: Any, *, grid: Grid | None = None, **options: Any
) -> Prepared:
    """See `kinds.interpolation`."""
    grid = grid or Grid(Axis(-0.5, 1.5, 41))
    _require_axes(grid, 1, None)
    line, ends = between(model.state_dict(), state_of(end)), {"end": state_of(end)}
    return _prepared(Landscape, model, images, labels, grid, "interpolation", checkpoints=ends, plane=line, **options)


def through(
    model: nn.Module,
    second: Checkpoint,
    third: Checkpoint,
    images: Any,
    labels: Any,
    *,
    grid: Grid | None = None,
    **options: Any,
) -> Prepared:
    """See `kinds.through`."""
    names = [name for name, _ in model.named_parameters()]
    spanned = plane_through(model.state_dict(), state_of(second), state_of(third), parameters=names)
    grid = grid or around([at for _, at in spanned.landmarks], count=25)
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
    """See `kinds.trajectory`."""
    saved = _states_of(states)
    if not saved:
        raise PlaneError("A trajectory needs checkpoints, four or more; got none.")
    center, names = loaded(model, saved[-1]), [name for name, _ in model.named_parameters()]
    plane = plane or plane_of(principal(saved, parameters=names))
    path = project(saved, plane, parameters=names)
    grid = grid or around(path.coordinates, count=25)
    if grid.beta is None:
        raise GridError("A trajectory needs a grid with two axes. Use Grid(Axis(…), Axis(…)), or leave it out.")
    along: dict[str, Any] = {"plane": plane, "path": path, "epochs": saved}
    return _prepared(Landscape, center, images, labels, grid, "trajectory", **along, **options)


def curvature(model: nn.Module, images: Any, labels: Any, *, grid: Grid | None = None, **options: Any) -> Prepared:
    """See `kinds.curvature`."""
    grid = grid or Grid.square(11)
    axes = 2 if grid.beta else 1
    found = _prepared(CurvatureLandscape, model, images, labels, grid, "curvature", dimensions=axes, **options)
    if len(found.landscape.directions) != axes:
        count = len(found.landscape.directions)
        raise GridError(f"The grid has {axes} axes but there are {count} directions. Match them.")
    return found


def repeated(model: nn.Module, images: Any, labels: Any, *, grid: Grid | None = None, **options: Any) -> Prepared:
    """See `kinds.repeated`."""
    grid = grid or Grid.line()
    kind, axes = ("surface", 2) if grid.beta else ("slice", 1)
    return _prepared(RepeatedLandscape, model, images, labels, grid, kind, dimensions=axes, **options)


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
    given = asked(model, images, labels, loss)
    more = {name: _also(model, samples, given) for name, samples in (also or {}).items()}
    landscape = make(given.model, given.images, given.labels, loss=given.loss, also=more, **options)
    return Prepared(landscape, grid, kind, checkpoints or {}, path, epochs, given.facts)


def _also(model: nn.Module, samples: Any, given: Asked) -> Any:
    """Further samples as two tensors; a model that is fed has its own samples inside, so there can be no others."""
    if given.model is not model:
        raise PlaneError("Batches that are mappings take one data set. Ask for the others in calls of their own.")
    inputs, labels = samples if isinstance(samples, tuple) else (samples, None)
    found = asked(model, inputs, labels, given.loss)
    return found.images, found.labels


def around(points: Sequence[Sequence[float]], *, count: int, margin: float = 0.2) -> Grid:
    """A grid of `count` × `count` points that holds `points` (α, β), with `margin` of their extent on every side."""
    axes = []
    for coordinates in zip(*points, strict=True):
        low, high = min(coordinates), max(coordinates)
        rim = margin * (high - low) or 1.0
        axes.append(Axis(low - rim, high + rim, count))
    return Grid(*axes)


def state_of(checkpoint: Checkpoint) -> State:
    """The state dict of a module, or the state dict given."""
    return checkpoint.state_dict() if isinstance(checkpoint, nn.Module) else checkpoint


def _states_of(states: Trajectory) -> list[State]:
    """State dicts of modules, state dicts and files; a folder means its files in order."""
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
