"""Local minima of a grid and how deep they are: 0-dimensional persistence of the sublevel sets."""

import math
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

    @property
    def persistence(self) -> float:
        """Height of the climb out of it, in the unit of the loss; infinite for the lowest."""
        return self.death - self.birth


def minima(losses: NDArray[np.float64]) -> list[Minimum]:
    """Local minima of (n, m) with eight neighbors, the deepest first; points that are not finite are left out.

    A flat patch is one minimum. The lowest point of a region enclosed by holes is a minimum of infinite depth.

    Source: Edelsbrunner, Letscher & Zomorodian 2002; points join in the order of their loss, the older one survives.

    >>> [(one.i, one.persistence) for one in minima(np.array([[0.0], [3.0], [1.0], [4.0]]))]
    [(0, inf), (2, 2.0)]
    """
    order = np.argsort(losses, axis=None, kind="stable")
    parent: dict[int, int] = {}
    deaths: dict[int, float] = {}
    m = losses.shape[1]
    flat = losses.ravel()
    for point in order[np.isfinite(flat[order])].tolist():
        parent[point] = point
        for root in sorted(
            {_root(parent, near) for near in _near(point, losses.shape) if near in parent and near != point}
        ):
            own = _root(parent, point)
            if root != own:
                old, young = sorted((root, own), key=lambda index: (flat[index], index))
                parent[young] = old
                deaths[young] = float(flat[point])
    found = [
        Minimum(index // m, index % m, float(flat[index]), deaths.get(index, math.inf))
        for index in parent
        if deaths.get(index, math.inf) > flat[index]
    ]
    return sorted(found, key=lambda minimum: (-minimum.persistence, minimum.birth))


def _near(point: int, shape: tuple[int, ...]) -> list[int]:
    i, j = divmod(point, shape[1])
    return [(i + di) * shape[1] + j + dj for di, dj in _AROUND if 0 <= i + di < shape[0] and 0 <= j + dj < shape[1]]


def _root(parent: dict[int, int], point: int) -> int:
    while parent[point] != point:
        parent[point] = parent[parent[point]]
        point = parent[point]
    return point
