"""Losses on a grid for results/metrics.py: finite or a hole, thinned, interpolated between grid points."""

import math
from dataclasses import dataclass

import numpy as np

from .arrays import Array


@dataclass(frozen=True)
class Field:
    """Finite losses on a grid; NaN elsewhere."""

    alphas: Array  # (n,)
    betas: Array  # (m,); one number for a slice
    losses: Array  # (n, m)

    @property
    def line(self) -> bool:
        """Whether it is a slice."""
        return len(self.betas) == 1

    @property
    def steps(self) -> tuple[float, float]:
        """Distances between neighbors along both axes; (h, 1) for a slice."""
        return float(self.alphas[1] - self.alphas[0]), 1.0 if self.line else float(self.betas[1] - self.betas[0])

    def shifted(self, by: Array) -> "Field":
        """The field with `by`, (n, m), added to its losses."""
        return Field(self.alphas, self.betas, self.losses + by)

    def thinned(self) -> "Field | None":
        """Every second row and column, with the ends; None if a count is even or below five."""
        counts = [len(self.alphas)] if self.line else [len(self.alphas), len(self.betas)]
        if any(count < 5 or count % 2 == 0 for count in counts):
            return None
        return Field(self.alphas[::2], self.betas[::2], self.losses[::2, ::2])


def interpolated(field: Field, alpha: float, beta: float) -> float:
    """The loss at (α, β), bilinear between grid points; NaN outside the grid or next to a hole.

    >>> cell = Field(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([[0.0, 2.0], [4.0, 6.0]]))
    >>> interpolated(cell, 0.5, 0.5), interpolated(cell, 0.0, 0.25), interpolated(cell, 2.0, 0.0)
    (3.0, 0.5, nan)
    """
    rows, row_weights = _neighbors(field.alphas, alpha)
    columns, column_weights = ([0], [1.0]) if field.line else _neighbors(field.betas, beta)
    pairs = [
        (i, j, u * v)
        for i, u in zip(rows, row_weights, strict=True)
        for j, v in zip(columns, column_weights, strict=True)
    ]
    return float(sum(weight * field.losses[i, j] for i, j, weight in pairs if weight)) if pairs else math.nan


def _neighbors(axis: Array, at: float) -> tuple[list[int], list[float]]:
    """Indices of the neighbors of `at`, and their weights; none outside the axis, up to rounding at the ends."""
    position = (at - axis[0]) / (axis[1] - axis[0])
    if not -1e-9 <= position <= len(axis) - 1 + 1e-9:
        return [], []
    first = int(np.clip(math.floor(position), 0, len(axis) - 2))
    share = float(np.clip(position - first, 0, 1))
    return [first, first + 1], [1 - share, share]
