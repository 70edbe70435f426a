"""Results that take more than a loss per point: trajectories, curvature maps, spectra, repeated draws.

Imports kinds, pca, hessian, maps. These too are functions of `import landscape as ls`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
from torch import Tensor, nn

from .errors import GridError, PlaneError, UnknownNameError
from .grid import Grid
from .hessian import Hessian, Spectrum, eigenvector_plane, gradient_plane
from .kinds import Drawing, Options, Progress, around, compute, loaded, slice, state_of, surface
from .lanczos import STEPS
from .landscape import Landscape
from .losses import PerSample, loss_of
from .maps import CurvatureLandscape
from .objective import Objective
from .pca import plane_of, principal, project
from .plane import Plane, State
from .result import Array, Result, nested

SOURCES = ("gradient", "eigenvectors")


def trajectory(
    model: nn.Module,
    states: Sequence["State | nn.Module"],
    images: Tensor,
    labels: Tensor,
    *,
    grid: Grid | None = None,
    plane: Plane | None = None,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> Result:
    """The surface around the last of `states` in the plane of their two principal components, with the path in it.

    `result.path` holds per epoch the coordinates, the real loss (with the epoch's own statistics), the loss of the
    plane at its projection, their difference, and the share of the way that the plane misses; the provenance holds the
    share of variance of the two components.

    Args:
        model: the network; its own parameters are not used.
        states: checkpoints in the order of training, four or more.
        grid: by default 25 × 25 points around the path.
        plane: another plane to look at the path in, such as a random one: it shows how little of it that sees.

    Raises:
        PlaneError, ShapeMismatchError, NotFiniteError: see `pca.principal`.
    """
    saved = [state_of(state) for state in states]
    if not saved:
        raise PlaneError("A trajectory needs checkpoints, four or more; got none.")
    center = loaded(model, saved[-1])
    names = [name for name, _ in model.named_parameters()]
    plane = plane or plane_of(principal(saved, parameters=names))
    path = project(saved, plane, parameters=names)
    grid = grid or around(path.coordinates, count=25)
    if grid.beta is None:
        raise GridError("A trajectory needs a grid with two axes. Use Grid(Axis(…), Axis(…)), or leave it out.")
    landscape = Landscape(center, images, labels, plane=plane, **options)
    losses = tuple(landscape.loss_of_model(loaded(model, state)) for state in saved)
    seen = tuple(value.loss for value in landscape.values(path.coordinates))
    result = compute(landscape, grid, kind="trajectory", progress=progress)
    return replace(result, path=replace(path, losses=losses, plane_losses=seen).to_json())


def curvature(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    grid: Grid | None = None,
    seed: int = 0,
    plane: Plane | None = None,
    over: str = "filters",
    steps: int = 60,
    progress: Progress | None = None,
    **options: Unpack[Drawing],
) -> Result:
    """λ_min, λ_max and |λ_min / λ_max| of the Hessian over a grid (default 11 × 11 on [−1, 1]²), besides the loss.

    Every point costs up to `steps` products of the Hessian with a vector, each about six passes over the data.
    See `CurvatureLandscape`.
    """
    grid = grid or Grid.square(11)
    drawn = 2 if grid.beta else 1
    landscape = CurvatureLandscape(
        model, images, labels, dimensions=drawn, seed=seed, plane=plane, over=over, steps=steps, **options
    )
    if len(landscape.directions) != drawn:
        raise GridError(f"The grid has {drawn} axes but there are {len(landscape.directions)} directions. Match them.")
    return compute(landscape, grid, kind="curvature", progress=progress)


def spectrum(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    over: str = "filters",
    seed: int = 0,
    steps: int = STEPS,
    probes: int = 8,
    **options: Unpack[Options],
) -> Spectrum:
    """Extreme eigenvalues, trace and density of the Hessian of the mean loss at the model itself; see hessian.py."""
    landscape = Landscape(model, images, labels, dimensions=1, **options)
    objective, parameters = landscape.located((0.0,))
    return Hessian(objective, parameters, over=over).spectrum(seed=seed, steps=steps, probes=probes)


def plane_along(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    source: str,
    dimensions: int = 2,
    seed: int = 0,
    precision: str = "float32",
    loss: "str | PerSample" = "cross_entropy",
) -> Plane:
    """Directions that the loss itself singles out at the model, for `surface` and `slice` as `plane`.

    Args:
        source: "gradient" (with a random second direction) or "eigenvectors" (of largest |λ|, over all parameters).

    Raises:
        UnknownNameError: the source is not known.
        CurvatureError: the gradient is zero, or the Hessian has too few eigenvectors.
    """
    objective = Objective.of(model, images, labels, precision=precision, loss=loss_of(loss))
    if source == "gradient":
        return gradient_plane(objective, dimensions=dimensions, seed=seed)
    if source == "eigenvectors":
        return eigenvector_plane(objective, count=dimensions, over="all", seed=seed)
    raise UnknownNameError("source of directions", source, SOURCES)


@dataclass(frozen=True)
class Repeated:
    """The same slice or surface for several seeds of its directions: a mean and a band. NaN is never averaged away."""

    results: tuple[Result, ...]
    seeds: tuple[int, ...]

    @property
    def losses(self) -> Array:
        """(k, n, m), one grid per seed."""
        return np.stack([result.losses for result in self.results])

    @property
    def mean(self) -> Array:
        """(n, m) mean over the seeds."""
        return np.asarray(self.losses.mean(axis=0))

    @property
    def standard_deviation(self) -> Array:
        """(n, m) over the seeds, of one draw (divided by k − 1); NaN for one seed."""
        if len(self.seeds) < 2:
            return np.full(self.results[0].losses.shape, np.nan)
        return np.asarray(self.losses.std(axis=0, ddof=1))

    @property
    def band(self) -> tuple[Array, Array]:
        """The smallest and the largest loss of any seed, (n, m) each."""
        return np.asarray(self.losses.min(axis=0)), np.asarray(self.losses.max(axis=0))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; null where not finite."""
        low, high = self.band
        arrays = {"mean": self.mean, "standard_deviation": self.standard_deviation, "low": low, "high": high}
        return {
            "seeds": list(self.seeds),
            "alphas": self.results[0].alphas.tolist(),
            "betas": self.results[0].betas.tolist(),
            **{name: nested(array) for name, array in arrays.items()},
            "self_check": all(check.passed for result in self.results for check in result.checks),
        }


def repeated(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    seeds: Sequence[int],
    grid: Grid | None = None,
    progress: Progress | None = None,
    **options: Unpack[Drawing],
) -> Repeated:
    """A slice (default) or, on a grid with two axes, a surface for every seed; `progress` counts within each.

    Raises:
        GridError: no seeds, or one twice.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise GridError(f"Repeating needs different seeds, at least one; got {list(seeds)}.")
    grid = grid or Grid.line()
    kind = surface if grid.beta else slice
    results = [kind(model, images, labels, grid=grid, seed=seed, progress=progress, **options) for seed in seeds]
    return Repeated(tuple(results), tuple(seeds))
