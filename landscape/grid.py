"""Grids: coordinates, axis order, refinement levels, tiles.

A point is a pair of indices (i, j): alpha = alphas[i], beta = betas[j]; a slice has j = 0 and beta = 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from .errors import GridError
from .keywords import checks_keywords

Point = tuple[int, int]
Range = tuple[float, float]

SLACK = 1e-9  # of an interval: a bound this close to a coordinate is that coordinate
# Two coordinates are the same if they differ by at most 16 ulp of the largest coordinate. Rounding explains 11: one
# coordinate is off by up to 3.5 (two products, a sum, a quotient), the ends of a refined axis and then its coordinates
# by as much again.
ROUNDING = 16
AROUND = 25  # points along each axis of a grid around checkpoints, whose range is known when they are loaded
MAX_COUNT = 10**9  # of intervals of a refined axis, far above what can be computed


@checks_keywords
@dataclass(frozen=True)
class Axis:
    """Equally spaced coordinates.

    Args:
        min, max: the first and the last coordinate (unitless multiples of a direction).
        count: of coordinates, both ends included.

    Raises:
        GridError: the range is empty, reversed, not finite or too wide, or there are fewer than two points.
    """

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
        return tuple(self._at(index, last) for index in range(self.count))

    def _at(self, index: int, last: int) -> float:
        """The coordinate `index` of `last` equal intervals after `min`, exact at both ends; also outside the range."""
        if index in (0, last):
            return self.max if index else self.min
        return (self.min * (last - index) + self.max * index) / last

    def refined(self, factor: int = 1, span: Range | None = None) -> "Axis":
        """This axis with every interval cut into `factor`, over the range `span`, by default its own.

        Every coordinate of this axis inside the range is on the new one, up to rounding. For that, the ends of the
        range are moved outwards to the next coordinates of the cut axis, which goes on outside this one.

        Raises:
            GridError: the factor is below 1, or the range is empty, reversed or not finite.
        """
        if factor < 1:
            raise GridError(f"Each interval is cut into a whole number of parts, 1 or more; got {factor}.")
        if span is None:
            return Axis(self.min, self.max, (self.count - 1) * factor + 1)
        low, high = span
        Axis(low, high)  # refuses a range that is empty, reversed or not finite
        last = (self.count - 1) * factor
        places = [(end - self.min) / (self.max - self.min) * last for end in span]
        if max(map(abs, places)) > MAX_COUNT:
            raise GridError(f"The range [{low}, {high}] is too wide for intervals of {self.spacing / factor:g}.")
        first, final = math.floor(places[0] + SLACK), math.ceil(places[1] - SLACK)
        return Axis(self._at(first, last), self._at(final, last), final - first + 1)

    @property
    def spacing(self) -> float:
        """The distance between two neighboring coordinates."""
        return (self.max - self.min) / (self.count - 1)

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


@checks_keywords
@dataclass(frozen=True)
class Grid:
    """The points of a surface or of a slice.

    Args:
        alpha: coordinates along the first direction.
        beta: along the second one; None for a slice.
    """

    alpha: Axis
    beta: Axis | None = None

    @classmethod
    def square(cls, count: int = 51, radius: float = 1.0) -> "Grid":
        """`count` × `count` points on [-radius, radius]².

        Raises:
            GridError: the count is below 2, or the radius not above 0 or not finite.
        """
        return cls(Axis(-radius, radius, count), Axis(-radius, radius, count))

    @classmethod
    def line(cls, count: int = 51, radius: float = 1.0) -> "Grid":
        """`count` points on [-radius, radius].

        Raises:
            GridError: see `square`.
        """
        return cls(Axis(-radius, radius, count))

    @classmethod
    def of(cls, alphas: Sequence[float], betas: Sequence[float]) -> "Grid":
        """The grid with these coordinates, those of a result; (0,) as `betas` is a slice.

        Raises:
            GridError: they are not equally spaced.
        """
        axes = []
        for name, found in (("alpha", alphas), ("beta", betas)):
            if name == "beta" and len(found) == 1:
                continue
            axis = Axis(float(found[0]), float(found[-1]), len(found))
            if len(_matches(found, axis.coordinates)[0]) < len(found):
                raise GridError(f"The coordinates along {name} are not equally spaced, so no grid has them.")
            axes.append(axis)
        return cls(*axes)

    def refined(self, factor: int = 1, *, alpha: Range | None = None, beta: Range | None = None) -> "Grid":
        """More points, another range, or one region: every point of this grid inside the range is on the new one.

        Args:
            factor: of parts that every interval is cut into; 2 is about four times as many points of a surface.
            alpha, beta: the range along each axis, wider (the same spacing goes on) or narrower (a zoom); by default
                this grid's. Each end is moved outwards to the next coordinate. See `Axis.refined`.

        Raises:
            GridError: see `Axis.refined`; or `beta` is given for a slice.
        """
        if self.beta is None and beta is not None:
            raise GridError(f"A slice has one axis; got a range of beta, {beta[0]:g} to {beta[1]:g}. Leave it out.")
        return Grid(self.alpha.refined(factor, alpha), self.beta and self.beta.refined(factor, beta))

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


@dataclass(frozen=True)
class Overlap:
    """The points that are on two grids, an earlier and a later one."""

    rows: dict[int, int]  # i on the earlier grid -> i on the later one
    columns: dict[int, int]  # j on the earlier grid -> j on the later one
    difference: float  # largest between coordinates of the same point; 0 if all have the same bits

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def later(self, point: Point) -> Point | None:
        """The indices on the later grid of a point of the earlier one; None if it is not on the later one."""
        i, j = self.rows.get(point[0]), self.columns.get(point[1])
        return None if i is None or j is None else (i, j)


def overlap(earlier: Grid, later: Grid) -> Overlap:
    """The points on both grids. Coordinates that differ by rounding alone are the same, see `ROUNDING`."""
    rows, one = _matches(earlier.alphas, later.alphas)
    columns, other = _matches(earlier.betas, later.betas)
    return Overlap(rows, columns, max(one, other))


def _matches(earlier: Sequence[float], later: Sequence[float]) -> tuple[dict[int, int], float]:
    """Indices of the same coordinate on two increasing axes, and the largest difference of such a pair."""
    tolerance = ROUNDING * math.ulp(max(map(abs, (earlier[0], earlier[-1], later[0], later[-1]))))
    found, largest, j = {}, 0.0, 0
    for i, coordinate in enumerate(earlier):
        while j < len(later) and later[j] < coordinate - tolerance:
            j += 1
        if j < len(later) and abs(later[j] - coordinate) <= tolerance:
            found[i], largest = j, max(largest, abs(later[j] - coordinate))
            j += 1
    return found, float(largest)


def tiles(level: list[Point], points_per_tile: int) -> list[list[Point]]:
    """Cut the points of one level into runs of `points_per_tile`; the last may be shorter."""
    return [level[start : start + points_per_tile] for start in range(0, len(level), points_per_tile)]
