"""Local minima of a grid and how deep they are: 0-dimensional persistence of the sublevel sets.

A valley that runs between the grid points is lower where it passes near one, so the grid has minima along it that the
loss lacks. Their depth is bounded. Let L be a convex quadratic form, and let rows be the lines of the grid along which
its second difference D is the larger one. From row to row the lowest grid point moves by at most one place, and it is
at most D / 8 above the lowest loss on its row, which only falls from row to row towards the minimum: a path over grid
points climbs at most D / 8 out of such a minimum. Across a valley whose sides meet in an edge, as those of ReLU do, it
climbs up to D / 4 in the middle of the window and a little more at its border; D / 3 is the bound that is used.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_AROUND = [(di, dj) for di in (-1, 0, 1) for dj in (-1, 0, 1) if (di, dj) != (0, 0)]


@dataclass(frozen=True)
class Minimum:
    """A local minimum: `birth` is its loss, `death` the lowest loss at which a path leads to a lower minimum."""

    i: int
    j: int
    birth: float
    death: float  # infinite for the lowest, and for one separated by holes from any lower one
    made: float = 0.0  # the climb that a grid across a valley can make; 0 where that is infinite

    @property
    def persistence(self) -> float:
        """Height of the climb out of it, in the unit of the loss; infinite for the lowest."""
        return self.death - self.birth


def minima(
    losses: NDArray[np.float64], made: NDArray[np.float64] | None = None, rounded: NDArray[np.float64] | None = None
) -> list[Minimum]:
    """Local minima of (n, m) with eight neighbors, the deepest first; points that are not finite are left out.

    A flat patch is one minimum. The lowest point of a region enclosed by holes is a minimum of infinite depth. With
    `made` and `rounded`, (n, m), a minimum says which climb its grid and rounding can make: the larger `made` at the
    minimum and at the pass, and what both are rounded by.

    Source: Edelsbrunner, Letscher & Zomorodian 2002; valleys join in the order of the passes between them, and the
    older one survives.

    >>> [(one.i, one.persistence) for one in minima(np.array([[0.0], [3.0], [1.0], [4.0]]))]
    [(0, inf), (2, 2.0)]
    """
    shape, flat = losses.shape, losses.ravel()
    order = np.argsort(flat, kind="stable")
    order = order[np.isfinite(flat[order])]
    ranks = np.full(losses.size, len(order))  # place of a point in that order; the same for all that are left out
    ranks[order] = np.arange(len(order))
    deaths = _deaths(_passes(ranks.reshape(shape), len(order)))
    made, rounded = (np.zeros(losses.size) if given is None else given.ravel() for given in (made, rounded))

    def minimum(at: int, over: int | None) -> Minimum:
        i, j = divmod(at, shape[1])
        if over is None:
            return Minimum(i, j, float(flat[at]), math.inf)
        climb = max(made[at], made[over]) + rounded[at] + rounded[over]
        return Minimum(i, j, float(flat[at]), float(flat[over]), float(climb))

    places = [(int(order[root]), None if over is None else int(order[over])) for root, over in deaths.items()]
    found = [minimum(at, over) for at, over in places if over is None or flat[over] > flat[at]]
    return sorted(found, key=lambda minimum: (-minimum.persistence, minimum.birth))


def resolved(found: Sequence[Minimum]) -> list[Minimum]:
    """Those whose climb is more than grid and rounding can make."""
    return [one for one in found if one.persistence > one.made]


def unsure(found: Sequence[Minimum]) -> tuple[int, float]:
    """How many count or not by a factor of two of that bound, and how far the sum of the depths is off by it."""
    clear = [one for one in found if one.made / 2 < one.persistence < math.inf]
    return sum(one.persistence <= 2 * one.made for one in clear), sum(min(one.made, one.persistence) for one in clear)


def _passes(ranks: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(k, 3) of the valleys that descent from every point ends in: two lowest points, and where one enters the other.

    All are ranks. The pass between two valleys is the lowest of their neighboring points, of each pair the higher one;
    passes come in their order. A valley itself is a row (lowest, lowest, lowest).
    """
    n, m = ranks.shape
    padded = np.pad(ranks, 1, constant_values=count)
    around = [padded[1 + di : 1 + di + n, 1 + dj : 1 + dj + m] for di, dj in _AROUND]
    inside = ranks < count
    lower = np.arange(count + 1)
    lower[ranks[inside]] = np.minimum.reduce([ranks, *around])[inside]
    while (lower[lower] != lower).any():
        lower = lower[lower]
    rows = [np.repeat(np.flatnonzero(lower[:count] == np.arange(count))[:, None], 3, axis=1)]
    for near in around[:4]:  # every pair of neighbors once
        between = (lower[ranks] != lower[near]) & inside & (near < count)
        here, there = ranks[between], near[between]
        ends = np.sort(np.stack([lower[here], lower[there]], axis=1), axis=1)
        rows.append(np.column_stack([ends, np.maximum(here, there)]))
    every = np.concatenate(rows)
    every = every[np.argsort(every[:, 2], kind="stable")]
    lowest = np.unique(every[:, 0] * (count + 1) + every[:, 1], return_index=True)[1]  # the first of each pair
    passes: NDArray[np.int64] = every[np.sort(lowest)]
    return passes


def _deaths(passes: NDArray[np.int64]) -> dict[int, int | None]:
    """By rank of each local minimum the rank of the pass at which its valley joins a deeper one."""
    parent: dict[int, int] = {}
    deaths: dict[int, int | None] = {}
    for first, second, at in passes.tolist():
        if first == second:
            parent[first], deaths[first] = first, None
            continue
        old, young = sorted((_root(parent, first), _root(parent, second)))
        if old != young:
            parent[young], deaths[young] = old, at
    return deaths


def _root(parent: dict[int, int], point: int) -> int:
    while parent[point] != point:
        parent[point] = parent[parent[point]]
        point = parent[point]
    return point
