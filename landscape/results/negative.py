"""Share of negative curvature, by second differences over a fixed part of the window: it settles on finer grids."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

from .arrays import Array
from .field import Field

PARTS = 10  # a step is this part of each side of the window: 0.2 in the paper's, five intervals of 51 points


def negative_curvature(field: Field) -> float:
    """Share of the window where a second difference along one of eight directions is negative; NaN if none is known.

    The step is a tenth of each side of the window; directions are the axes, the diagonals and between them, where the
    step is at least two intervals, one half step to the side. A convex function has no negative one. (Eigenvalues of
    the matrix of second differences would be negative at half of the points of a convex function with kinks, as ReLU
    makes.) A difference counts beyond the rounding of its three losses. Points nearer than a step to the border are
    left out; others count by the part of their cell that is inside. Where the grid lacks the step, shares of the two
    multiples of its own step around it are interpolated linearly; if even its own step is longer, it is taken.

    >>> line = np.linspace(-1, 1, 21)
    >>> negative_curvature(Field(line, np.zeros(1), np.cos(np.pi * line)[:, None]))
    0.5625
    """
    choices = [_multiples(len(axis)) for axis in _axes(field)]
    shares = [
        math.prod(weight for _, weight in steps) * _mean(*_signs(field, [step for step, _ in steps]))
        for steps in product(*choices)
        if all(weight for _, weight in steps)
    ]
    return float(sum(shares)) if shares else math.nan


def negative_curvature_error(field: Field) -> float:
    """Change over parts of the points, to the next step, and with half a step rounded up; plus two points' share."""
    choices = [_multiples(len(axis)) for axis in _axes(field)]
    if not all(choices):
        return math.nan
    nearest = [max(steps, key=lambda step: step[1])[0] for steps in choices]
    signs, weights = _signs(field, nearest)
    whole, known = _mean(signs, weights), int((~np.isnan(signs)).sum())
    parts = [_mean(signs[i::2, j::2], weights[i::2, j::2]) for i, j in product((0, 1), repeat=2)]
    off = max((abs(part - whole) for part in parts if not math.isnan(part)), default=math.nan)
    low, high = (_mean(*_signs(field, [steps[end][0] for steps in choices])) for end in (0, -1))
    exact = all((len(axis) - 1) % PARTS == 0 for axis in _axes(field))
    turn = _mean(*_signs(field, nearest, up=1)) - whole
    return min(math.hypot(off, 0.0 if exact else high - low, turn) + 2 / max(known, 1), max(whole, 1 - whole))


def _axes(field: Field) -> list[Array]:
    return [field.alphas] if field.line else [field.alphas, field.betas]


def _multiples(count: int) -> list[tuple[int, float]]:
    """Multiples of the grid's step around the wanted one, with their weights; those that fit in."""
    wanted = max((count - 1) / PARTS, 1.0)
    first = math.floor(wanted)
    both = [(first, 1 - (wanted - first)), (first + 1, wanted - first)]
    return [(step, weight) for step, weight in both if 2 * step <= count - 1]


def _mean(signs: Array, weights: Array) -> float:
    known = ~np.isnan(signs) & (weights > 0)
    return float(np.average(signs[known], weights=weights[known])) if known.any() else math.nan


def _signs(field: Field, steps: Sequence[int], up: int = 0) -> tuple[Array, Array]:
    """By inner point 1 for a negative second difference, 0 for none, NaN next to a hole; and weights."""
    rows, columns = (*steps, 0)[:2]
    z, noise = field.losses, field.rounded
    n, m = z.shape

    def at(values: Array, i: int, j: int) -> Array:
        return values[rows + i : n - rows + i, columns + j : m - columns + j]

    signs = np.zeros((n - 2 * rows, m - 2 * columns))
    for i, j in _directions(rows, columns, up):
        bend = at(z, i, j) - 2 * at(z, 0, 0) + at(z, -i, -j)
        most = at(noise, i, j) + 2 * at(noise, 0, 0) + at(noise, -i, -j)
        signs = np.where(np.isnan(bend), np.nan, np.maximum(signs, bend < -most))
    weights = _inside(field.alphas, rows)[:, None]
    return signs, weights if field.line else weights * _inside(field.betas, columns)


def _directions(rows: int, columns: int, up: int) -> set[tuple[int, int]]:
    """Offsets, in intervals, of one half of the directions around a point; half an interval is left out or added."""
    if not columns:
        return {(rows, 0)}
    around = {(rows, 0), (rows, (columns + up) // 2), (rows, columns), ((rows + up) // 2, columns), (0, columns)}
    return around | {(i, -j) for i, j in around if i and j}


def _inside(axis: Array, multiple: int) -> Array:
    """By inner point of an axis, the part of its interval (half a step to both sides) a tenth or more off the ends."""
    step, border = axis[1] - axis[0], (axis[-1] - axis[0]) / PARTS
    inner = axis[multiple:-multiple]
    low, high = np.maximum(inner - step / 2, axis[0] + border), np.minimum(inner + step / 2, axis[-1] - border)
    parts: Array = np.clip((high - low) / step, 0, 1)
    return parts
