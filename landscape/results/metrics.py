"""Metrics of a finished landscape (roughness, curvature, minima), each with its definition, its unit and an error.

Losses that are not finite are holes: no metric averages over them; cells and stencils that contain one are left out.

The error of a metric is √(a² + b²): a is its change when every second row and column is left out (None if the grid
cannot be halved); b is half of its change between all losses raised and all lowered by their standard errors over the
samples, together, since every point uses the same samples.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import GridError
from ..keywords import checks_keywords
from .arrays import SEED_DEVIATIONS, Array, Arrays
from .field import Field, interpolated
from .minima import minima

LEVELS = (0.1,)
RADIUS = 0.5
ROUNDING = 1e-6  # of a loss in float32, relative: second differences below it are not curvature
_ANGLES = 720


@dataclass(frozen=True)
class Number:
    """One metric of a landscape."""

    name: str
    value: float  # NaN if the grid is too small or has too many holes
    unit: str
    error: float | None  # see the module docstring; None if it cannot be estimated
    definition: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, null for NaN."""
        return {**vars(self), "value": self.value if math.isfinite(self.value) else None}


Measure = Callable[[Field], float]


@checks_keywords
def numbers(
    result: Arrays, *, levels: Sequence[float] = LEVELS, radius: float = RADIUS, array: str = "losses"
) -> list[Number]:
    """All metrics of a slice or surface.

    Args:
        result: a slice or a surface.
        levels: losses whose contours enclose the areas.
        radius: ρ of the sharpness, in units of the directions.
        array: the losses to use, for example "test_losses".

    Raises:
        UnknownNameError: the result has no such array.
        GridError: the radius is not above 0.

    For the slice L = α² + 1 the loss is above 0.1 everywhere, and rises by 1 at α = ±1:

    >>> line, none = np.linspace(-1, 1, 5), np.full((5, 1), np.nan)
    >>> parabola = Arrays("slice", line, np.zeros(1), line[:, None] ** 2 + 1, none, none, np.ones((5, 1), bool))
    >>> {number.name: number.value for number in numbers(parabola, radius=1)}["sharpness in 1"]
    1.0
    """
    losses = np.where(result.computed & np.isfinite(result.array(array)), result.array(array), np.nan)
    errors = _errors(result, array)
    field = Field(result.alphas, result.betas, losses)
    unit = ((result.provenance.get("loss") or {}).get("unit", "nats")) or "loss"
    return [
        Number(name, measure(field), words, _error(measure, field, errors), definition)
        for name, words, measure, definition in _measures(levels, radius, unit, field.line)
    ]


def _errors(result: Arrays, array: str) -> Array:
    """(n, m) standard errors of losses: over the samples and, of a mean over seeds, over these too."""
    errors = result.array(array.replace("losses", "standard_errors"))
    seeds = len((result.provenance.get("repeated") or {}).get("seeds", ()))
    if array != "losses" or seeds < 2 or SEED_DEVIATIONS not in result.extra:
        return errors
    both: Array = np.hypot(errors, result.extra[SEED_DEVIATIONS] / seeds**0.5)
    return both


def _measures(levels: Sequence[float], radius: float, unit: str, line: bool) -> list[tuple[str, str, Measure, str]]:
    size = "length" if line else "area"
    squared = "units of the direction" if line else "units of the directions, squared"
    return [
        *(
            (
                f"{size} under {level:g}",
                squared,
                lambda field, level=level: size_under(field, level),
                f"{size} of the window where the loss, linear between grid points, is at most {level:g}",
            )
            for level in levels
        ),
        (
            "negative curvature",
            "share",
            negative_curvature,
            "share of inner grid points whose second differences have a negative eigenvalue, beyond rounding",
        ),
        (
            "gradient deviation",
            "degrees",
            gradient_deviation,
            "mean angle between −∇L in the plane and the direction to the center, over inner grid points; 90 is blind",
        ),
        (
            f"sharpness in {radius:g}",
            unit,
            lambda field: sharpness(field, radius),
            f"largest rise above the loss at the center within a distance of {radius:g}, linear between grid points",
        ),
        (
            "total variation",
            unit if line else f"{unit} × unit of the direction",
            total_variation,
            "integral of |∇L| over the window",
        ),
        (
            "local minima",
            "count",
            lambda field: float(len(minima(field.losses))),
            "grid points (or flat patches) lower than all their eight neighbors",
        ),
        (
            "depth of other minima",
            unit,
            lambda field: float(sum(found.persistence for found in minima(field.losses)[1:])),
            "sum over all local minima but the lowest of the climb out of them (0-dimensional persistence)",
        ),
    ]


def _error(measure: Measure, field: Field, errors: Array) -> float | None:
    coarse = field.thinned()
    if coarse is None:
        return None
    grid = measure(field) - measure(coarse)
    known = np.nan_to_num(errors, nan=0.0)
    samples = (measure(field.shifted(known)) - measure(field.shifted(-known))) / 2
    error = math.hypot(grid, samples)
    return error if math.isfinite(error) else None


def size_under(field: Field, level: float) -> float:
    """Area (length, for a slice) where the loss is at most `level`, in squared units (units) of the directions.

    Every cell is four triangles around its center, whose loss is the mean of the corners; on a triangle the loss is
    linear and the area exact. Cells with a hole count as above the level.

    >>> size_under(Field(np.array([0.0, 1.0]), np.zeros(1), np.array([[0.0], [4.0]])), 1.0)
    0.25
    """
    h, k = field.steps
    z = field.losses
    if field.line:
        return float(np.nansum(_share_of_segment(z[:-1, 0], z[1:, 0], level))) * h
    a, b, c, d = z[:-1, :-1], z[1:, :-1], z[1:, 1:], z[:-1, 1:]
    middle = (a + b + c + d) / 4
    shares = sum(_share_of_triangle(p, q, middle, level) for p, q in ((a, b), (b, c), (c, d), (d, a)))
    return float(np.nansum(shares)) * h * k / 4


def _share_of_segment(first: Array, second: Array, level: float) -> Array:
    low, high = np.minimum(first, second), np.maximum(first, second)
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.where(high > low, (level - low) / (high - low), np.where(low <= level, 1.0, 0.0))
    return np.where(np.isnan(first + second), np.nan, np.clip(inside, 0, 1))


def _share_of_triangle(p: Array, q: Array, r: Array, level: float) -> Array:
    low, middle, high = np.sort(np.stack([p, q, r]), axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = (level - low) ** 2 / ((middle - low) * (high - low))
        above = 1 - (high - level) ** 2 / ((high - low) * (high - middle))
    share = np.where(level < middle, below, above)
    share = np.where(level >= high, 1.0, np.where(level <= low, 0.0, share))
    share = np.where((low == high) & (level >= low), 1.0, share)
    return np.where(np.isnan(p + q + r), np.nan, share)


def negative_curvature(field: Field) -> float:
    """Share of inner grid points with a negative eigenvalue of second differences; NaN if no stencil is complete."""
    h, k = field.steps
    z = field.losses
    scale = ROUNDING * np.abs(z)
    if field.line:
        smallest = (z[2:] - 2 * z[1:-1] + z[:-2]) / h**2
        noise = 4 * scale[1:-1] / h**2
    else:
        along = (z[2:, 1:-1] - 2 * z[1:-1, 1:-1] + z[:-2, 1:-1]) / h**2
        across = (z[1:-1, 2:] - 2 * z[1:-1, 1:-1] + z[1:-1, :-2]) / k**2
        mixed = (z[2:, 2:] - z[2:, :-2] - z[:-2, 2:] + z[:-2, :-2]) / (4 * h * k)
        smallest = (along + across) / 2 - np.hypot((along - across) / 2, mixed)
        noise = 4 * scale[1:-1, 1:-1] / min(h, k) ** 2
    known = ~np.isnan(smallest)
    return float((smallest[known] < -noise[known]).mean()) if known.any() else math.nan


def gradient_deviation(field: Field) -> float:
    """Mean angle in degrees between −∇L and the direction to the center, over inner points with both; else NaN."""
    h, k = field.steps
    z = field.losses
    if field.line:
        slopes = ((z[2:] - z[:-2]) / (2 * h), np.zeros_like(z[2:]))
        places = (field.alphas[1:-1, None], np.zeros((len(z) - 2, 1)))
    else:
        slopes = ((z[2:, 1:-1] - z[:-2, 1:-1]) / (2 * h), (z[1:-1, 2:] - z[1:-1, :-2]) / (2 * k))
        places = (
            field.alphas[1:-1, None] + 0 * field.betas[None, 1:-1],
            0 * field.alphas[1:-1, None] + field.betas[1:-1],
        )
    dots = slopes[0] * places[0] + slopes[1] * places[1]
    crosses = slopes[0] * places[1] - slopes[1] * places[0]
    angles = np.degrees(np.arctan2(np.abs(crosses), dots))
    known = ~np.isnan(dots) & (np.hypot(*slopes) > 0) & (np.hypot(*places) > 1e-12 * max(h, k))
    return float(angles[known].mean()) if known.any() else math.nan


def sharpness(field: Field, radius: float) -> float:
    """max over the ball of L − L(center), bilinear between grid points; NaN if center or ball are not in the grid.

    Source: after Keskar et al. 2017; here the ball is in the plane and the rise is not divided by 1 + L.

    Raises:
        GridError: the radius is not above 0.
    """
    if not radius > 0:
        raise GridError(f"The radius of the sharpness must be above 0; got {radius}.")
    turn = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    rim = np.array([[-radius, 0], [radius, 0]]) if field.line else radius * np.stack([np.cos(turn), np.sin(turn)], 1)
    distances = np.hypot(field.alphas[:, None], 0 * field.betas[None] if field.line else field.betas[None])
    inside = field.losses[distances <= radius]
    on_rim = np.array([interpolated(field, *point) for point in rim])
    rise = np.concatenate([inside, on_rim]) - interpolated(field, 0.0, 0.0)
    return float(rise.max()) if not np.isnan(rise).any() else math.nan


def total_variation(field: Field) -> float:
    """∫ |∇L| over the window; on a slice the sum of |L[i + 1] − L[i]|. Cells with a hole are left out.

    >>> total_variation(Field(np.array([0.0, 1.0, 2.0]), np.zeros(1), np.array([[0.0], [4.0], [1.0]])))
    7.0
    """
    h, k = field.steps
    z = field.losses
    if field.line:
        return float(np.nansum(np.abs(np.diff(z[:, 0]))))
    along = (z[1:, :-1] + z[1:, 1:] - z[:-1, :-1] - z[:-1, 1:]) / (2 * h)
    across = (z[:-1, 1:] + z[1:, 1:] - z[:-1, :-1] - z[1:, :-1]) / (2 * k)
    return float(np.nansum(np.hypot(along, across))) * h * k
