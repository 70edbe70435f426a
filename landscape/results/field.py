"""Losses on a grid for results/metrics.py: finite or a hole, thinned, interpolated between grid points."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .arrays import Array
from .minima import Minimum, minima

ROUNDING = 1e-6  # of a loss in float32, relative: eight units in the last place
SMALL = 1e-3  # below it a loss is rounded as if it were this: it is a small difference of scores, as in the self-check


@dataclass(frozen=True, eq=False)
class Field:
    """Finite losses on a grid; NaN elsewhere."""

    alphas: Array  # (n,)
    betas: Array  # (m,); one number for a slice
    losses: Array  # (n, m)
    rounding: float = ROUNDING  # of a loss, relative
    center: float | None = None  # the loss at (0, 0) if that is known and not on the grid

    @property
    def line(self) -> bool:
        """Whether it is a slice."""
        return len(self.betas) == 1

    @property
    def steps(self) -> tuple[float, float]:
        """Distances between neighbors along both axes; (h, 1) for a slice."""
        return float(self.alphas[1] - self.alphas[0]), 1.0 if self.line else float(self.betas[1] - self.betas[0])

    @property
    def bends_are_known(self) -> bool:
        """Whether there are three points along every axis, so that `bends` says something."""
        return len(self.alphas) > 2 and (self.line or len(self.betas) > 2)

    def shifted(self, by: Array) -> "Field":
        """The field with `by`, (n, m), added to its losses."""
        return replace(self, losses=self.losses + by)

    @cached_property
    def coarser(self) -> "tuple[Field, ...]":
        """Without every second row, every second column, and both, with the ends; of a slice the first.

        None of them if a count is even or below five.
        """
        counts = [len(self.alphas)] if self.line else [len(self.alphas), len(self.betas)]
        if any(count < 5 or count % 2 == 0 for count in counts):
            return ()
        return tuple(
            replace(self, alphas=self.alphas[::i], betas=self.betas[::j], losses=self.losses[::i, ::j])
            for i, j in ([(2, 1)] if self.line else [(2, 1), (1, 2), (2, 2)])
        )

    @cached_property
    def rounded(self) -> Array:
        """(n, m) by how much rounding can have changed each loss."""
        sizes: Array = self.rounding * np.maximum(np.abs(self.losses), SMALL)
        return sizes

    @cached_property
    def minima(self) -> list[Minimum]:
        """All minima of the grid, each with the climb that the grid or rounding can make."""
        along, across = self.bends()
        around = np.maximum(_around(along.T).T, _around(across))
        return minima(self.losses, around / 3, self.rounded)

    def bends(self, *, concave: bool = False) -> tuple[Array, Array]:
        """(n, m) each: |L[i + 1] − 2 L[i] + L[i − 1]| along both axes, the largest around a point; 0 where unknown.

        Between two grid points a function of constant curvature is at most an eighth of this from the straight line
        between them; one that bends at a point, as ReLU does, about a quarter. With `concave` the negative ones alone:
        by these it can be above the grid points.
        """
        along = _largest_bend(self.losses, concave)
        return along, np.zeros_like(along) if self.line else _largest_bend(self.losses.T, concave).T


def _largest_bend(z: Array, concave: bool) -> Array:
    """(n, m): the largest absolute second difference along the first axis at a point or its two neighbors along it."""
    bends, seconds = np.zeros_like(z), np.nan_to_num(z[2:] - 2 * z[1:-1] + z[:-2])
    bends[1:-1] = np.maximum(-seconds, 0) if concave else np.abs(seconds)
    return _around(bends)


def _around(bends: Array) -> Array:
    """(n, m): the largest of a point and its two neighbors along the first axis."""
    padded = np.pad(bends, ((1, 1), (0, 0)))
    largest: Array = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return largest


def interpolated(field: Field, points: Array) -> tuple[Array, Array]:
    """(k,) losses at `points`, (k, 2), bilinear between grid points, and how far they can be off by `Field.bends`.

    NaN outside the grid or next to a hole.

    >>> cell = Field(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([[0.0, 2.0], [4.0, 6.0]]))
    >>> interpolated(cell, np.array([[0.5, 0.5], [0.0, 0.25], [2.0, 0.0]]))[0].tolist()
    [3.0, 0.5, nan]
    """
    i, u, within = _between(field.alphas, points[:, 0])
    j, v, across = (0 * i, 0 * u, within) if field.line else _between(field.betas, points[:, 1])
    losses, errors = np.zeros(len(points)), np.zeros(len(points))
    along_bends, across_bends = field.bends()
    for rows, columns, weights in (
        (i, j, (1 - u) * (1 - v)),
        (i + 1, j, u * (1 - v)),
        (i, j + 1, (1 - u) * v),
        (i + 1, j + 1, u * v),
    ):
        columns = np.minimum(columns, len(field.betas) - 1)
        losses += np.where(weights > 0, weights * field.losses[rows, columns], 0.0)
        bends = u * (1 - u) * along_bends[rows, columns] + v * (1 - v) * across_bends[rows, columns]
        errors = np.maximum(errors, bends)
    return np.where(within & across, losses, np.nan), errors


def _between(axis: Array, at: Array) -> tuple[NDArray[np.intp], Array, NDArray[np.bool_]]:
    """Index of the grid point before each coordinate, the share of the interval after it, and whether it is inside."""
    position = (at - axis[0]) / (axis[1] - axis[0])
    inside = (position >= -1e-9) & (position <= len(axis) - 1 + 1e-9)
    first = np.clip(np.floor(position), 0, len(axis) - 2).astype(np.intp)
    share = np.clip(position - first, 0, 1)
    return first, np.where(np.abs(share) < 1e-9, 0.0, np.where(share > 1 - 1e-9, 1.0, share)), inside
