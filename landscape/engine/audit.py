"""Measures the error of a fast plan against an exact one, at points spread over a grid; it is part of the result.

Done for every landscape in bfloat16: at least 25 of its points are computed again in float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from ..objective.objective import Value
from ..stop import Stop

AUDITED = 25


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


def audit(fast: Evaluates, exact: Evaluates, points: Sequence[Sequence[float]]) -> Audit:
    """Compare two plans at `points`."""
    pairs = zip(fast.values(points), exact.values(points), strict=True)
    errors = [abs(one.loss - other.loss) / abs(other.loss) for one, other in pairs if _finite(one, other)]
    return Audit(len(errors), median(errors), max(errors)) if errors else Audit(0, float("nan"), float("nan"))


def _finite(one: Value, other: Value) -> bool:
    return abs(one.loss) < float("inf") and 0 < abs(other.loss) < float("inf")
