"""Metrics of a finished landscape (roughness, curvature, minima), each with its definition, its unit and an error.

Losses that are not finite are holes: no metric averages over them; cells and stencils that contain one are left out.

The error of a metric is √(a² + b²), to be read as value ± error. a is of the grid: how far the value can be from that
on an ever finer grid, meant to be enough for nine of ten landscapes; docs/mathematics.md has how often it is. Most are
a multiple of the change when every second row and column is left out (None if the grid cannot be halved). b is one
standard error of the samples: half of the change between all losses raised and all lowered by their standard errors,
together, since every point uses the same samples.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..errors import GridError
from ..keywords import checks_keywords
from .arrays import SEED_DEVIATIONS, Array, Arrays
from .field import ROUNDING, Field, interpolated
from .minima import resolved, unsure
from .negative import PARTS, negative_curvature, negative_curvature_error
from .sizes import is_narrow, size_error, size_under, window_around
from .slopes import gradient_deviation, total_variation

LEVELS = (0.1,)
RADIUS = 0.5
_ANGLES = 720
_ROUNDINGS = {"float64": 1e-13, "float32": ROUNDING, "bfloat16": 0.03}  # of a loss, relative


@dataclass(frozen=True)
class Number:
    """One metric of a landscape."""

    name: str
    value: float  # NaN if the grid is too small or has too many holes
    unit: str
    error: float | None  # see the module docstring; None if it cannot be estimated
    definition: str
    note: str | None = None  # what the grid cannot settle, and what would
    window: dict[str, dict[str, float]] | None = None  # the range of "alpha" (and "beta") that would: "min" and "max"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, null for NaN."""
        return {**vars(self), "value": self.value if math.isfinite(self.value) else None}


Measure = Callable[[Field], float]


@dataclass(frozen=True)
class _Metric:
    name: str
    unit: str
    measure: Measure
    definition: str
    grid_error: Measure  # NaN if it cannot be estimated
    level: float | None = None  # of a size


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
    errors = np.nan_to_num(_errors(result, array), nan=0.0)
    facts = result.provenance
    center = _center(facts) if array == "losses" and _holds_center(result) else None
    field = Field(result.alphas, result.betas, losses, _rounding(facts), center)
    unit = ((facts.get("loss") or {}).get("unit", "nats")) or "loss"
    moved = (field.shifted(errors), field.shifted(-errors)) if errors.any() else ()
    return [_number(metric, field, moved) for metric in _metrics(levels, radius, unit, field.line)]


def _rounding(facts: dict[str, Any]) -> float:
    """Of a loss, relative, by the precision; in bfloat16 the worst that the audit saw, if that is more."""
    precision = facts.get("precision", "float32")
    worst = (facts.get("audit") or {}).get("worst") if precision == "bfloat16" else None
    return max(_ROUNDINGS.get(precision, ROUNDING), worst or 0.0)


def _holds_center(result: Arrays) -> bool:
    axes = (result.alphas, result.betas) if len(result.betas) > 1 else (result.alphas,)
    return all(axis[0] <= 0 <= axis[-1] for axis in axes)


def _center(facts: dict[str, Any]) -> float | None:
    center = facts.get("center") or {}
    return None if center.get("on_grid", True) else center.get("loss")


def _errors(result: Arrays, array: str) -> Array:
    """(n, m) standard errors of losses: over the samples and, of a mean over seeds, over these too."""
    errors = result.array(array.replace("losses", "standard_errors"))
    seeds = len((result.provenance.get("repeated") or {}).get("seeds", ()))
    if array != "losses" or seeds < 2 or SEED_DEVIATIONS not in result.extra:
        return errors
    both: Array = np.hypot(errors, result.extra[SEED_DEVIATIONS] / seeds**0.5)
    return both


def _number(metric: _Metric, field: Field, moved: Sequence[Field]) -> Number:
    """The metric with its error; `moved`: with all losses raised and lowered by their errors, empty if these are 0."""
    value, samples = metric.measure(field), [metric.measure(one) for one in moved]
    error = math.hypot(metric.grid_error(field), float(np.ptp(samples)) / 2 if samples else 0.0)
    note, window = (None, None) if metric.level is None else _note(field, metric.level)
    known = error if math.isfinite(error) and math.isfinite(value) else None
    return Number(metric.name, value, metric.unit, known, metric.definition, note, window)


def _note(field: Field, level: float) -> tuple[str | None, dict[str, dict[str, float]] | None]:
    """What a size leaves open, and the window that would settle it."""
    if not is_narrow(field, level):
        return None, None
    window, narrow = window_around(field, level), "The basin is under two cells wide"
    if window is None:
        return f"{narrow}: compute more points.", None
    symbols = {"alpha": "α", "beta": "β"}
    words = (f"{symbols[name]} from {ends['min']:.3g} to {ends['max']:.3g}" for name, ends in window.items())
    return f"{narrow}: compute a window of {' and '.join(words)}.".replace("-", "−"), window


def _metrics(levels: Sequence[float], radius: float, unit: str, line: bool) -> list[_Metric]:
    size = "length" if line else "area"
    squared = "units of the direction" if line else "units of the directions, squared"
    side = "the window" if line else "each side of the window"
    return [
        *(
            _Metric(
                f"{size} under {level:g}",
                squared,
                partial(size_under, level=level),
                f"{size} of the window where the loss, linear between grid points, is at most {level:g}",
                partial(size_error, level=level),
                level,
            )
            for level in levels
        ),
        _Metric(
            "negative curvature",
            "share",
            negative_curvature,
            f"share of the window where a second difference over 1/{PARTS} of {side}"
            f"{'' if line else ', along one of eight directions,'} is negative beyond rounding; "
            "points nearer to the border are left out",
            negative_curvature_error,
        ),
        _Metric(
            "gradient deviation",
            "degrees",
            gradient_deviation,
            "mean angle between −∇L in the plane and the direction to the center, over the window; 90 is blind",
            lambda field: 3 * _change(gradient_deviation, field),
        ),
        _Metric(
            f"sharpness in {radius:g}",
            unit,
            partial(sharpness, radius=radius),
            f"largest rise above the loss at the center within a distance of {radius:g}, linear between grid points",
            partial(sharpness_error, radius=radius),
        ),
        _Metric(
            "total variation",
            unit if line else f"{unit} × unit of the direction",
            total_variation,
            "integral of |∇L| over the window",
            lambda field: 2 * _change(total_variation, field),
        ),
        _Metric(
            "local minima",
            "count",
            _count,
            "grid points (or flat patches) lower than all their neighbors, out of which the climb is more than a "
            "third of the second differences there, which a grid across a valley can make, and than rounding; "
            "minima under two cells wide can be missed, and the error does not know of them",
            lambda field: max(_change(_count, field), unsure(field.minima)[0]),
        ),
        _Metric(
            "depth of other minima",
            unit,
            _depth,
            "sum over these minima but the lowest of the climb out of them (0-dimensional persistence)",
            lambda field: max(_change(_depth, field), unsure(field.minima)[1]),
        ),
    ]


def _count(field: Field) -> float:
    return float(len(resolved(field.minima)))


def _depth(field: Field) -> float:
    return float(sum(one.persistence for one in resolved(field.minima)[1:]))


def _change(measure: Measure, field: Field) -> float:
    """Change when every second row and column is left out, or the sum of both changes if that is more; else NaN."""
    if not field.coarser:
        return math.nan
    value = measure(field)
    changes = [abs(value - measure(coarse)) for coarse in field.coarser]
    return max(changes[-1], sum(changes[:2]))


def sharpness(field: Field, radius: float) -> float:
    """max over the ball of L − L(center), bilinear between grid points; NaN if center or ball are not in the grid.

    Source: after Keskar et al. 2017; here the ball is in the plane and the rise is not divided by 1 + L.

    Raises:
        GridError: the radius is not above 0.
    """
    rises, _, _ = _rises(field, radius)
    return float(rises.max()) if not np.isnan(rises).any() else math.nan


def sharpness_error(field: Field, radius: float) -> float:
    """How far the largest rise moves if the loss between the grid points is off as far as it can be (`Field.bends`).

    NaN with fewer than three points along an axis.

    Raises:
        GridError: the radius is not above 0.
    """
    rises, below, above = _rises(field, radius)
    off = max((rises + above).max() - rises.max(), rises.max() - (rises - below).max())
    return float(off) if field.bends_are_known else math.nan


def _rises(field: Field, radius: float) -> tuple[Array, Array, Array]:
    """(k,) rises above the center at grid points in the ball and at points of its rim; how far off, down and up."""
    if not radius > 0:
        raise GridError(f"The radius of the sharpness must be above 0; got {radius}.")
    turn = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    rim = np.array([[-radius, 0], [radius, 0]]) if field.line else radius * np.stack([np.cos(turn), np.sin(turn)], 1)
    distances = np.hypot(field.alphas[:, None], 0 * field.betas[None] if field.line else field.betas[None])
    inside, peaks = field.losses[distances <= radius], np.add(*field.bends(concave=True))[distances <= radius] / 4
    on_rim, off = interpolated(field, rim)
    center, center_off = interpolated(field, np.zeros((1, 2)))
    rises = np.concatenate([inside, on_rim]) - center
    return rises, np.concatenate([0 * peaks, off]) + center_off, np.concatenate([peaks, off]) + center_off
