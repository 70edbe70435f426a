"""Metrics of the gradient in the plane, one for every cell: its angle to the center, and its integral."""

import math

import numpy as np

from .arrays import Array
from .field import Field


def gradient_deviation(field: Field) -> float:
    """Mean angle in degrees between −∇L and the direction to the center, over cells with both; else NaN."""
    slopes, places = _gradients(field), _middles(field)
    dots = slopes[0] * places[0] + slopes[1] * places[1]
    crosses = slopes[0] * places[1] - slopes[1] * places[0]
    angles = np.degrees(np.arctan2(np.abs(crosses), dots))
    known = ~np.isnan(dots) & (np.hypot(*slopes) > 0) & (np.hypot(*places) > 1e-12 * max(field.steps))
    return float(angles[known].mean()) if known.any() else math.nan


def total_variation(field: Field) -> float:
    """∫ |∇L| over the window; on a slice the sum of |L[i + 1] − L[i]|. Cells with a hole are left out.

    >>> total_variation(Field(np.array([0.0, 1.0, 2.0]), np.zeros(1), np.array([[0.0], [4.0], [1.0]])))
    7.0
    """
    return float(np.nansum(np.hypot(*_gradients(field)))) * math.prod(field.steps)


def _gradients(field: Field) -> tuple[Array, Array]:
    """∂L/∂α and ∂L/∂β at the middle of every cell (interval, for a slice), each (n − 1, m − 1)."""
    h, k = field.steps
    z = field.losses
    if field.line:
        along = np.diff(z, axis=0) / h
        return along, np.zeros_like(along)
    along = (z[1:, :-1] + z[1:, 1:] - z[:-1, :-1] - z[:-1, 1:]) / (2 * h)
    across = (z[:-1, 1:] + z[1:, 1:] - z[:-1, :-1] - z[1:, :-1]) / (2 * k)
    return along, across


def _middles(field: Field) -> tuple[Array, Array]:
    """α and β there."""
    alphas = (field.alphas[1:] + field.alphas[:-1])[:, None] / 2
    betas = field.betas[None] if field.line else (field.betas[1:] + field.betas[:-1])[None] / 2
    return alphas + 0 * betas, 0 * alphas + betas
