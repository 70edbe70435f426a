"""Grids: coordinates, axis order, refinement levels, tiles.

A point is a pair of indices (i, j): alpha = alphas[i], beta = betas[j]; a slice has j = 0 and beta = 0.
"""

import math
from dataclasses import dataclass
from itertools import groupby

from .errors import GridError

Point = tuple[int, int]


@dataclass(frozen=True)
class Axis:
    """`count` equally spaced coordinates from `min` to `max`, both included (unitless multiples of a direction)."""

    min: float = -1.0
    max: float = 1.0
    count: int = 51

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min) and math.isfinite(self.max)):
            raise GridError(
                f"The range [{self.min}, {self.max}] is not finite. Use finite numbers, for example -1 and 1."
            )
        if not self.min < self.max:
            raise GridError(f"The range [{self.min}, {self.max}] is empty or reversed. Use min < max.")
        if not math.isfinite(self.max - self.min):
            raise GridError(f"The range [{self.min}, {self.max}] is too wide for floating point.")
        if self.count < 2:
            raise GridError(f"An axis needs at least 2 points; got {self.count}.")

    @property
    def coordinates(self) -> tuple[float, ...]:
        """The coordinates, each from its own index: no running sum, so no drift; symmetric ranges stay symmetric."""
        last = self.count - 1
        inner = ((self.min * (last - i) + self.max * i) / last for i in range(1, last))
        return (self.min, *inner, self.max)

    @property
    def levels(self) -> tuple[int, ...]:
        """Refinement level of every index: the ends are level 0, then each level halves the intervals."""
        levels = [0] * self.count
        intervals, level = [(0, self.count - 1)], 0
        while intervals:
            level += 1
            halves = []
            for low, high in intervals:
                if high - low > 1:
                    middle = (low + high) // 2
                    levels[middle] = level
                    halves += [(low, middle), (middle, high)]
            intervals = halves
        return tuple(levels)


@dataclass(frozen=True)
class Grid:
    """The points of a surface (`alpha` × `beta`) or, without `beta`, of a slice."""

    alpha: Axis
    beta: Axis | None = None

    @classmethod
    def square(cls, count: int = 51, radius: float = 1.0) -> "Grid":
        """`count` × `count` points on [-radius, radius]²."""
        return cls(Axis(-radius, radius, count), Axis(-radius, radius, count))

    @classmethod
    def line(cls, count: int = 51, radius: float = 1.0) -> "Grid":
        """`count` points on [-radius, radius]."""
        return cls(Axis(-radius, radius, count))

    @property
    def shape(self) -> tuple[int, int]:
        """(points along alpha, points along beta); (n, 1) for a slice."""
        return self.alpha.count, self.beta.count if self.beta else 1

    @property
    def alphas(self) -> tuple[float, ...]:
        """Coordinates along the first direction, (n,)."""
        return self.alpha.coordinates

    @property
    def betas(self) -> tuple[float, ...]:
        """Coordinates along the second direction, (m,); (0,) for a slice."""
        return self.beta.coordinates if self.beta else (0.0,)

    @property
    def center(self) -> Point | None:
        """The point at (0, 0), or None if it is not on the grid."""
        if 0.0 in self.alphas and 0.0 in self.betas:
            return self.alphas.index(0.0), self.betas.index(0.0)
        return None

    def levels(self, coarsest: int = 2) -> list[list[Point]]:
        """All points, each once, coarse to fine; the points up to any level form a grid that includes the ends.

        Axis levels up to `coarsest` (5 points per axis) are one level, the first picture. Within a level: row by row.
        """
        first = self.alpha.levels
        second = self.beta.levels if self.beta else (0,)
        level = {(i, j): max(a, b, coarsest) for i, a in enumerate(first) for j, b in enumerate(second)}
        ordered = sorted(level, key=lambda point: (level[point], point))
        return [list(points) for _, points in groupby(ordered, key=level.__getitem__)]


def tiles(level: list[Point], points_per_tile: int) -> list[list[Point]]:
    """Cut the points of one level into runs of `points_per_tile`; the last may be shorter."""
    return [level[start : start + points_per_tile] for start in range(0, len(level), points_per_tile)]
