"""The kinds of result, one function each: from a model and data to a finished `Result`.

Imports landscape, plane, result. These are the functions of `import landscape as ls`.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from torch import Tensor, nn

from .digest import data_digest
from .errors import GridError, ShapeMismatchError
from .grid import Axis, Grid, Point, tiles
from .landscape import Landscape, Samples
from .losses import PerSample
from .plane import Plane, State, between
from .plane import through as plane_through
from .result import Result

Progress = Callable[[int, int], None]


class Options(TypedDict, total=False):
    """What every kind of result takes; described at `Landscape`."""

    precision: str
    loss: "str | PerSample"
    label_smoothing: float
    weight_decay: float
    batch_norm: str
    compare_batch_norm: Sequence[str]
    calibration: Tensor | int
    also: Mapping[str, Samples]
    choice: Mapping[str, Any]


class Drawing(Options, total=False):
    """How random directions are drawn; described at `direction.random_directions`."""

    normalization: str
    biases: str
    orthogonality: str
    drawn: str


def surface(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    grid: Grid | None = None,
    seed: int = 0,
    plane: Plane | None = None,
    progress: Progress | None = None,
    **options: Unpack[Drawing],
) -> Result:
    """The surface L(θ* + αδ + βη) of `model` on a grid (default 51 × 51 on [−1, 1]²), as in Li et al. 2018.

    `progress(done, total)` is called as points come in, coarse to fine. The rest is described at `Landscape`.

    Raises:
        GridError: the grid has one axis, or `plane` one direction.
        DataError, NotFiniteError, UnknownNameError: see `Landscape`.
    """
    grid = grid or Grid.square()
    _require_axes(grid, 2, plane)
    landscape = Landscape(model, images, labels, dimensions=2, seed=seed, plane=plane, **options)
    return compute(landscape, grid, progress=progress)


def slice(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    grid: Grid | None = None,
    seed: int = 0,
    plane: Plane | None = None,
    progress: Progress | None = None,
    **options: Unpack[Drawing],
) -> Result:
    """The slice L(θ* + αδ) of `model` on a line (default 51 points on [−1, 1]); see `surface`."""
    grid = grid or Grid.line()
    _require_axes(grid, 1, plane)
    landscape = Landscape(model, images, labels, dimensions=1, seed=seed, plane=plane, **options)
    return compute(landscape, grid, progress=progress)


def interpolation(
    model: nn.Module,
    end: "State | nn.Module",
    images: Tensor,
    labels: Tensor,
    *,
    grid: Grid | None = None,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> Result:
    """L on the line from `model` (α = 0) to `end` (α = 1), default 41 points on [−0.5, 1.5]; statistics move along.

    The self-check holds the far end against `end` evaluated alone.

    Raises:
        ShapeMismatchError, PlaneError, NotFiniteError: `end` is of another network, equal, or not finite.
        GridError: the grid has two axes.
    """
    grid = grid or Grid(Axis(-0.5, 1.5, 41))
    _require_axes(grid, 1, None)
    line = between(model.state_dict(), state_of(end))
    landscape = Landscape(model, images, labels, plane=line, **options)
    return compute(landscape, grid, kind="interpolation", progress=progress, checkpoints={"end": state_of(end)})


def through(
    model: nn.Module,
    second: "State | nn.Module",
    third: "State | nn.Module",
    images: Tensor,
    labels: Tensor,
    *,
    grid: Grid | None = None,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> Result:
    """L on the plane through three checkpoints, `model` at (0, 0); coordinates are distances in parameter space.

    The default grid has 25 × 25 points and holds the three with a fifth of their extent around. The self-check holds
    the other two corners against the checkpoints evaluated alone. See `plane.through`.
    """
    names = [name for name, _ in model.named_parameters()]
    spanned = plane_through(model.state_dict(), state_of(second), state_of(third), parameters=names)
    grid = grid or around([at for _, at in spanned.landmarks], count=25)
    _require_axes(grid, 2, None)
    landscape = Landscape(model, images, labels, plane=spanned, **options)
    corners = {"second": state_of(second), "third": state_of(third)}
    return compute(landscape, grid, kind="plane", progress=progress, checkpoints=corners)


def around(points: Sequence[Sequence[float]], *, count: int, margin: float = 0.2) -> Grid:
    """A grid of `count` × `count` points that holds `points` (α, β), with `margin` of their extent on every side."""
    axes = []
    for coordinates in zip(*points, strict=True):
        low, high = min(coordinates), max(coordinates)
        rim = margin * (high - low) or 1.0
        axes.append(Axis(low - rim, high + rim, count))
    return Grid(*axes)


def compute(
    landscape: Landscape,
    grid: Grid,
    *,
    kind: str | None = None,
    progress: Progress | None = None,
    checkpoints: Mapping[str, State] | None = None,
) -> Result:
    """Every point of `grid`, coarse to fine; Ctrl-C keeps what is there, and the provenance says "interrupted".

    `checkpoints` are the states at landmarks of the plane, by name: each is evaluated alone and on the plot.
    """
    started = time.perf_counter()
    result = Result.empty(grid, _provenance(landscape, grid, checkpoints or {}), kind=kind, columns=landscape.columns)
    interrupted = False
    try:
        for points, rows in evaluate(landscape, grid):
            result.put(points, rows)
            if progress:
                progress(int(result.computed.sum()), math.prod(grid.shape))
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - started
    same = data_digest(landscape.objective.images, landscape.objective.labels) == result.provenance["data_sha256"]
    facts = {"seconds": seconds, "model_unchanged": landscape.unchanged(), "data_unchanged": same}
    return result.closed(**facts, **({"interrupted": True} if interrupted else {}))


@dataclass(frozen=True)
class Paired:
    """The loss at one point less that at another, over the same samples."""

    difference: float  # mean over the samples, unit of the loss
    standard_error: float  # of that mean: far below what the two points' own errors suggest, since samples are shared
    samples: int


def paired(landscape: Landscape, first: Sequence[float], second: Sequence[float]) -> Paired:
    """Compare two points sample by sample; by the plain path, so any loss and BatchNorm policy."""
    differences = landscape.sample_losses(first) - landscape.sample_losses(second)
    count = len(differences)
    error = float(differences.std()) / count**0.5 if count > 1 else math.nan
    return Paired(float(differences.mean()), error, count)


def evaluate(landscape: Landscape, grid: Grid) -> Iterator[tuple[list[Point], list[tuple[float, ...]]]]:
    """Every point of the grid in finished tiles, coarse to fine; a row holds `landscape.columns`."""
    for level in grid.levels():
        for points in tiles(level, max(16, landscape.plan.group)):
            yield points, landscape.rows(coordinates(grid, points))


def coordinates(grid: Grid, points: Sequence[Point]) -> list[tuple[float, float]]:
    """(α, β) of each point."""
    alphas, betas = grid.alphas, grid.betas
    return [(alphas[i], betas[j]) for i, j in points]


def _provenance(landscape: Landscape, grid: Grid, checkpoints: Mapping[str, State]) -> dict[str, Any]:
    objective = landscape.objective
    return {
        **landscape.provenance(grid),
        "dataset": "tensors",
        "split": "given",
        "samples_in_split": len(objective.images),
        "data_sha256": data_digest(objective.images, objective.labels),
        "also": {
            name: {"samples": len(other.images), "data_sha256": data_digest(other.images, other.labels)}
            for name, other in landscape.also.items()
        },
        "landmark_losses": landmark_losses(landscape, checkpoints),
        "architecture": {"label": type(landscape.model).__name__},
    }


def landmark_losses(landscape: Landscape, checkpoints: Mapping[str, State]) -> list[dict[str, Any]]:
    """For every checkpoint named like a landmark: the plot's loss there, and that of the checkpoint evaluated alone."""
    found = []
    for name, at in landscape.plane.landmarks:
        if name in checkpoints:
            alone = loaded(landscape.model, checkpoints[name])
            [value] = landscape.values([at])
            pair = {"loss": value.loss, "independent_loss": landscape.loss_of_model(alone)}
            found.append({"name": name, **{key: loss if math.isfinite(loss) else None for key, loss in pair.items()}})
    return found


def state_of(checkpoint: "State | nn.Module") -> State:
    """The state dict of a module, or the state dict given."""
    return checkpoint.state_dict() if isinstance(checkpoint, nn.Module) else checkpoint


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
    other = copy.deepcopy(model)
    other.load_state_dict(dict(state), strict=False)
    return other


def _require_axes(grid: Grid, axes: int, plane: Plane | None) -> None:
    found = 2 if grid.beta else 1
    if found != axes:
        advice = "Use Grid.square(51), or slice()" if axes == 2 else "Use Grid.line(51), or surface()"
        raise GridError(
            f"This plot needs a grid with {axes} {'axes' if axes > 1 else 'axis'}; got {found}. {advice} for {found}."
        )
    if plane is not None and len(plane.directions) != axes:
        raise GridError(f"The grid has {axes} axes but there are {len(plane.directions)} directions. Match them.")
