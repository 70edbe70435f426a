"""What is asked of a network besides a grid: the spectrum at its point, two points sample by sample, directions.

Imports preparing, hessian, landscape. These too are functions of `import landscape as ls`, and change nothing.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

from torch import nn

from .data.asked import asked
from .errors import UnknownNameError
from .grid import Grid
from .hessian import Hessian, Spectrum, eigenvector_plane, gradient_plane
from .kinds import Drawing, Options
from .lanczos import STEPS
from .losses import PerSample, loss_of
from .objective import Objective
from .plane import Plane
from .preparing import slice, surface
from .untouched import untouched

SOURCES = ("gradient", "eigenvectors")


@untouched
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
    """Extreme eigenvalues, trace and density of the Hessian of the mean loss at the model itself; see hessian.py."""
    landscape = slice(model, images, labels, grid=Grid.line(2), **options).landscape
    objective, parameters = landscape.located((0.0,))
    return Hessian(objective, parameters, over=over).spectrum(seed=seed, steps=steps, probes=probes)


class Paired(NamedTuple):
    """The loss at one point less that at another, over the same samples."""

    difference: float  # mean over the samples, unit of the loss
    standard_error: float  # of that mean: far below what the two points' own errors suggest, since samples are shared


@untouched
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
    """The loss at `first` less that at `second`, sample by sample: points (α,) of a slice or (α, β) of a surface.

    By the plain path, so with any loss and BatchNorm policy.
    """
    prepare = surface if len(first) == 2 else slice
    landscape = prepare(model, images, labels, seed=seed, plane=plane, **options).landscape
    differences = landscape.sample_losses(first) - landscape.sample_losses(second)
    count = len(differences)
    error = float(differences.std()) / count**0.5 if count > 1 else math.nan
    return Paired(float(differences.mean()), error)


@untouched
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
    """Directions that the loss itself singles out at the model, for `surface` and `slice` as `plane`.

    Args:
        source: "gradient" (with a random second direction) or "eigenvectors" (of largest |λ|, over all parameters).

    Raises:
        UnknownNameError: the source is not known.
        CurvatureError: the gradient is zero, or the Hessian has too few eigenvectors.
    """
    given = asked(model, images, labels, loss)
    objective = Objective.of(given.model, given.images, given.labels, precision=precision, loss=loss_of(given.loss))
    if source == "gradient":
        return gradient_plane(objective, dimensions=dimensions, seed=seed)
    if source == "eigenvectors":
        return eigenvector_plane(objective, count=dimensions, over="all", seed=seed)
    raise UnknownNameError("source of directions", source, SOURCES)
