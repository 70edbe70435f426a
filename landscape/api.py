"""The functions of `import landscape as ls`, one per kind of result: each takes a model and data, returns a `Result`.

None of them changes the caller's model or any global random state. Samples are two tensors or, as `images` alone,
anything that `data.inputs.read_inputs` accepts.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, Unpack

from torch import Tensor, nn

from .directions.plane import Plane
from .evaluation import setup
from .evaluation.progress import Progress
from .evaluation.run import compute
from .evaluation.setup import Checkpoint, Trajectory
from .grid import Grid
from .hessian.lanczos import STEPS
from .hessian.products import Hessian
from .hessian.spectrum import Spectrum
from .objective.losses import PerSample
from .objective.random_state import keeps_random_state
from .result import Result


class Options(TypedDict, total=False):
    """Options of every kind of result; described at `Landscape`."""

    precision: str
    loss: "str | PerSample"
    label_smoothing: float
    weight_decay: float
    batch_norm: str
    compare_batch_norm: Sequence[str]
    calibration: Tensor | int
    also: Mapping[str, Any]
    choice: Mapping[str, Any]


class Drawing(Options, total=False):
    """How random directions are drawn; described at `directions.random.random_directions`."""

    normalization: str
    biases: str
    orthogonality: str
    drawn: str


@keeps_random_state
def surface(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    grid: Grid | None = None,
    seed: int = 0,
    plane: Plane | None = None,
    progress: bool | Progress = True,
    **options: Unpack[Drawing],
) -> Result:
    """The surface L(θ* + αδ + βη) of `model` on a grid (default 51 × 51 on [−1, 1]²), as in Li et al. 2018.

    Points are computed coarse to fine; Ctrl-C returns what is computed so far.

    Args:
        images, labels: two tensors; or as `images` alone a DataLoader, a Dataset or batches, read once in the order of
            the data set. Batches that are mappings go to `model(**batch)`, and a callable `loss(outputs, batch)`
            computes what is plotted. See `data.inputs.read_inputs`.
        seed: of the random directions; not used with `plane`.
        progress: True for a bar in a terminal or notebook, False for none, or a function of (points done, total).
        options: described at `Landscape`.

    Raises:
        GridError: the grid has one axis, or `plane` one direction.
        DataError, NotFiniteError, UnknownNameError: see `Landscape` and `data.inputs.read_inputs`.
    """
    prepared = setup.surface(model, images, labels, grid=grid, seed=seed, plane=plane, **options)
    return compute(prepared, progress=progress)


@keeps_random_state
def slice(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    grid: Grid | None = None,
    seed: int = 0,
    plane: Plane | None = None,
    progress: bool | Progress = True,
    **options: Unpack[Drawing],
) -> Result:
    """The slice L(θ* + αδ) of `model` on a line (default 51 points on [−1, 1]); see `surface`."""
    prepared = setup.slice(model, images, labels, grid=grid, seed=seed, plane=plane, **options)
    return compute(prepared, progress=progress)


@keeps_random_state
def interpolation(
    model: nn.Module,
    end: Checkpoint,
    images: Any,
    labels: Any = None,
    *,
    grid: Grid | None = None,
    progress: bool | Progress = True,
    **options: Unpack[Options],
) -> Result:
    """L on the line from `model` (α = 0) to `end` (α = 1), default 41 points on [−0.5, 1.5], BatchNorm statistics too.

    The self-check compares the far end with `end` evaluated alone. For samples and options see `surface`.

    Raises:
        ShapeMismatchError, PlaneError, NotFiniteError: `end` is another network's, equal to `model`, or not finite.
        GridError: the grid has two axes.
    """
    return compute(setup.interpolation(model, end, images, labels, grid=grid, **options), progress=progress)


@keeps_random_state
def through(
    model: nn.Module,
    second: Checkpoint,
    third: Checkpoint,
    images: Any,
    labels: Any = None,
    *,
    grid: Grid | None = None,
    progress: bool | Progress = True,
    **options: Unpack[Options],
) -> Result:
    """L on the plane through three checkpoints, `model` at (0, 0); coordinates are distances in parameter space.

    The default grid has 25 × 25 points around all three, with a margin of a fifth of their extent. The self-check
    compares the loss at the other two with the checkpoints evaluated alone. See `directions.plane.plane_through`; for
    samples, `surface`.
    """
    prepared = setup.through(model, second, third, images, labels, grid=grid, **options)
    return compute(prepared, progress=progress)


@keeps_random_state
def trajectory(
    model: nn.Module,
    states: Trajectory,
    images: Any,
    labels: Any = None,
    *,
    grid: Grid | None = None,
    plane: Plane | None = None,
    progress: bool | Progress = True,
    **options: Unpack[Options],
) -> Result:
    """The surface around the last of `states` in the plane of their two principal components, with the path in it.

    `result.path` holds for each epoch the coordinates, the true loss (with the epoch's own statistics), the loss of the
    plane at its projection, their difference, and the share of the distance that the plane misses; the provenance holds
    the share of variance of the two components.

    Args:
        model: the network; its own parameters are not used.
        states: checkpoints in the order of training, four or more: state dicts, modules, .safetensors files, or the
            folder that a `Recorder` or `landscape train` wrote.
        grid: by default 25 × 25 points around the path.
        plane: another plane to project the path onto; a random one shows how little of the path it holds.

    Raises:
        PlaneError, ShapeMismatchError, NotFiniteError: see `directions.trajectory.principal`.
        CheckpointError: a file cannot be read.
    """
    prepared = setup.trajectory(model, states, images, labels, grid=grid, plane=plane, **options)
    return compute(prepared, progress=progress)


@keeps_random_state
def curvature(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    grid: Grid | None = None,
    seed: int = 0,
    plane: Plane | None = None,
    over: str = "filters",
    steps: int = 60,
    progress: bool | Progress = True,
    **options: Unpack[Drawing],
) -> Result:
    """λ_min, λ_max and |λ_min / λ_max| of the Hessian over a grid (default 11 × 11 on [−1, 1]²), and the loss.

    Every point costs up to `steps` products of the Hessian with a vector, each about six passes over the data.
    See `CurvatureLandscape`; for samples, `surface`.
    """
    further = {"seed": seed, "plane": plane, "over": over, "steps": steps}
    return compute(setup.curvature(model, images, labels, grid=grid, **further, **options), progress=progress)


@keeps_random_state
def repeated(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    seeds: Sequence[int],
    grid: Grid | None = None,
    progress: bool | Progress = True,
    **options: Unpack[Drawing],
) -> Result:
    """A slice (default) or, on a grid with two axes, a surface: the mean over several seeds of the directions.

    `seed_deviations`, `lowest_losses` and `highest_losses` of the result hold the spread. See `RepeatedLandscape`.

    Raises:
        DataError: fewer than two seeds, or a duplicate.
    """
    return compute(setup.repeated(model, images, labels, grid=grid, seeds=seeds, **options), progress=progress)


@keeps_random_state
def spectrum(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    over: str = "filters",
    seed: int = 0,
    steps: int = STEPS,
    probes: int = 8,
    **options: Unpack[Options],
) -> Spectrum:
    """Extreme eigenvalues, trace and density of the Hessian of the mean loss at the model; see landscape.hessian."""
    landscape = setup.slice(model, images, labels, grid=Grid.line(2), **options).landscape
    objective, parameters = landscape.objective_at((0.0,))
    return Hessian(objective, parameters, over=over).spectrum(seed=seed, steps=steps, probes=probes)


class Paired(NamedTuple):
    """The difference of the loss between two points, over the same samples."""

    difference: float  # mean over the samples, unit of the loss
    standard_error: float  # of that mean; far below the errors of both losses, since the samples are the same


@keeps_random_state
def paired(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    first: Sequence[float] = (0.0, 0.0),
    second: Sequence[float] = (0.0, 0.0),
    *,
    seed: int = 0,
    plane: Plane | None = None,
    **options: Unpack[Drawing],
) -> Paired:
    """The loss at `first` minus that at `second`, sample by sample: points (α,) of a slice or (α, β) of a surface.

    Computed without the engine, so any loss and BatchNorm policy works.
    """
    prepare = setup.surface if len(first) == 2 else setup.slice
    landscape = prepare(model, images, labels, seed=seed, plane=plane, **options).landscape
    differences = landscape.sample_losses(first) - landscape.sample_losses(second)
    count = len(differences)
    error = float(differences.std()) / count**0.5 if count > 1 else math.nan
    return Paired(float(differences.mean()), error)


@keeps_random_state
def plane_along(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    source: str,
    dimensions: int = 2,
    seed: int = 0,
    precision: str = "float32",
    loss: "str | PerSample" = "cross_entropy",
) -> Plane:
    """Directions that depend on the loss at the model, to pass to `surface` and `slice` as `plane`.

    Args:
        source: "gradient" (the second direction is random) or "eigenvectors" (of largest |λ|, over all parameters).

    Raises:
        UnknownNameError: the source is not known.
        CurvatureError: the gradient is zero, or the Hessian has too few eigenvectors.
    """
    return setup.plane_along(
        model, images, labels, source=source, dimensions=dimensions, seed=seed, precision=precision, loss=loss
    )
