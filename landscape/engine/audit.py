"""Measures the error of a fast plan against an exact one, at some points of a grid; it is part of the result.

Done for every landscape in bfloat16: at least 25 of its points are computed again in float32. Half of them are those
next to the center and to other checkpoints in the plane, where losses are lowest and relative errors largest; the
others are spread over the grid.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from ..objective.objective import Value
from ..stop import Stop

AUDITED = 25
NEAR = 12  # of them, next to checkpoints


class Evaluates(Protocol):
    """Points in, values out."""

    def values(self, points: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """As `Plan.values`."""
        ...


@dataclass(frozen=True)
class Audit:
    """|fast − exact| / |exact| of the loss over the audited points, unitless; non-finite points are left out."""

    points: int
    median: float
    worst: float


def spread(points: Sequence[Sequence[float]], count: int = AUDITED) -> list[Sequence[float]]:
    """`count` of `points` (or all, if fewer), evenly spaced in the list, the first and the last included.

    >>> spread([(0.0,), (0.25,), (0.5,), (0.75,), (1.0,)], 3)
    [(0.0,), (0.5,), (1.0,)]
    """
    if len(points) <= count:
        return list(points)
    return [points[round(k * (len(points) - 1) / (count - 1))] for k in range(count)]


def audited(
    points: Sequence[Sequence[float]], marks: Sequence[Sequence[float]], *, count: int = AUDITED, near: int = NEAR
) -> list[Sequence[float]]:
    """`near` of `points` closest to any of `marks`, and others spread over the rest; all if there are at most `count`.

    >>> line = [(alpha / 4,) for alpha in range(-4, 5)]
    >>> audited(line, [(0.0,)], count=5, near=3)
    [(-0.25,), (0.0,), (0.25,), (-1.0,), (1.0,)]
    """
    if len(points) <= count:
        return list(points)
    close = {one for k, mark in enumerate(marks) for one in _nearest(points, mark, len(range(k, near, len(marks))))}
    return [*sorted(close), *spread([point for point in points if tuple(point) not in close], count - len(close))]


def _nearest(points: Sequence[Sequence[float]], mark: Sequence[float], count: int) -> list[tuple[float, ...]]:
    return sorted(map(tuple, points), key=lambda point: (math.dist(point, mark), point))[:count]


def audit(fast: Evaluates, exact: Evaluates, points: Sequence[Sequence[float]]) -> Audit:
    """Compare two plans at `points`."""
    pairs = zip(fast.values(points), exact.values(points), strict=True)
    errors = [abs(one.loss - other.loss) / abs(other.loss) for one, other in pairs if _finite(one, other)]
    return Audit(len(errors), median(errors), max(errors)) if errors else Audit(0, float("nan"), float("nan"))


def _finite(one: Value, other: Value) -> bool:
    return abs(one.loss) < float("inf") and 0 < abs(other.loss) < float("inf")
