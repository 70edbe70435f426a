"""Area (length, for a slice) under a level, and how far the truth between the grid points can be from it."""

import math

import numpy as np
from numpy.typing import NDArray

from .arrays import Array
from .field import Field

_PART = 0.5  # of the window; a larger one would hardly be a zoom


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


def size_error(field: Field, level: float) -> float:
    """The largest distance of `size_under` from the sizes that the loss between the grid points allows.

    The loss is lowered and raised at every point by what interpolation can be off (`Field.bends`); of a basin under
    two cells wide all that is known is that it lies in the cells that touch a point under the level: from nothing to
    all of these. NaN with fewer than three points along an axis.
    """
    if not field.bends_are_known:
        return math.nan
    value, off = size_under(field, level), np.add(*field.bends()) / 8
    low, high = size_under(field.shifted(off), level), size_under(field.shifted(-off), level)
    if is_narrow(field, level):
        low, high = 0.0, max(high, _touched(field, level))
    return max(value - low, high - value)


def is_narrow(field: Field, level: float) -> bool:
    """Whether the loss is at most `level` somewhere, but nowhere at a point and its neighbors along both axes.

    Outside the window nothing is known, so that a basin that leaves it counts as wide there.
    """
    under = _under(field, level)
    padded = np.pad(under, 1, constant_values=True)
    inner = under & padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
    return bool(under.any() or _hidden_center(field, level)) and not inner.any()


def window_around(field: Field, level: float) -> dict[str, dict[str, float]] | None:
    """Ranges of the axes that hold all cells with a point under the level; None if that is most of the window."""
    found = np.nonzero(_under(field, level))
    axes = {"alpha": field.alphas} if field.line else {"alpha": field.alphas, "beta": field.betas}
    ranges = {name: _around(axis, places) for (name, axis), places in zip(axes.items(), found, strict=False)}
    shares = [(ends["max"] - ends["min"]) / (axes[name][-1] - axes[name][0]) for name, ends in ranges.items()]
    return ranges if math.prod(shares) <= _PART else None


def _around(axis: Array, places: NDArray[np.intp]) -> dict[str, float]:
    """The coordinates around `places`; around 0 if there are none."""
    after = int(np.searchsorted(axis, 0.0))
    first, last = (int(places.min()), int(places.max())) if len(places) else (after - 1, after)
    return {"min": float(axis[max(first - 1, 0)]), "max": float(axis[min(last + 1, len(axis) - 1)])}


def _under(field: Field, level: float) -> NDArray[np.bool_]:
    under: NDArray[np.bool_] = np.nan_to_num(field.losses, nan=np.inf) <= level
    return under


def _hidden_center(field: Field, level: float) -> bool:
    """Whether the loss at (0, 0), which is not on the grid, is the only one known to be at most `level`."""
    return field.center is not None and field.center <= level and not _under(field, level).any()


def _touched(field: Field, level: float) -> float:
    """Size of the cells that have a corner under the level; one cell if that is known of the center alone."""
    under = _under(field, level)
    cells = under[1:] | under[:-1]
    if not field.line:
        cells = cells[:, 1:] | cells[:, :-1]
    h, k = field.steps
    return max(int(cells.sum()), int(_hidden_center(field, level))) * h * k


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
