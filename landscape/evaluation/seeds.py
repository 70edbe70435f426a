"""One landscape for several seeds of its directions: the mean over the seeds, and the spread.

A single plane depends on its random directions; what several seeds agree on is a property of the network.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..directions.measures import cosine
from ..errors import DataError
from ..grid import Grid
from ..options import DirectionOptions, EngineOptions
from ..stop import Stop
from .landscape import Landscape
from .reuse import SPREAD, combined


class RepeatedLandscape(Landscape):
    """Rows hold the mean over the seeds of loss, accuracy and standard error, then the spread of the losses."""

    def __init__(
        self,
        *arguments: Any,
        repeats: int,
        directions: DirectionOptions = DirectionOptions(),
        engine: EngineOptions = EngineOptions(),
        **options: Any,
    ):
        """
        Args:
            repeats: number of seeds, two or more, from that of `directions` on.
            arguments, directions, engine, options: those of `Landscape`.

        Raises:
            DataError: fewer than two seeds, or more than one data set or BatchNorm policy.
            NotFiniteError, PlaneError, UnknownNameError: see `Landscape`.
        """
        if repeats < 2:
            raise DataError(f"Repeating needs at least two seeds; got {repeats}.")
        super().__init__(*arguments, directions=directions, engine=engine, **options)
        if self._further_plans:
            raise DataError(
                "A repeated landscape takes one data set and one BatchNorm policy. Request the others separately."
            )
        engine = replace(engine, choice=self.plan.choice)
        seeds = range(directions.seed + 1, directions.seed + repeats)
        drawn = [replace(directions, seed=seed) for seed in seeds]
        self.others = [Landscape(*arguments, directions=one, engine=engine, **options) for one in drawn]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `Landscape`, then `SPREAD`: standard deviation, smallest and largest loss of any seed."""
        return (*super().columns, *SPREAD)

    def rows(self, coordinates: Sequence[Sequence[float]], stop: Stop | None = None) -> list[tuple[float, ...]]:
        """One row per point; if the loss is not finite for one seed, neither is the mean."""
        seeds = [super().rows(coordinates, stop), *(other.rows(coordinates, stop) for other in self.others)]
        return [_mean_and_spread(point) for point in zip(*seeds, strict=True)]

    def rows_after(
        self, coordinates: Sequence[Sequence[float]], earlier: Any, count: int, stop: Stop | None = None
    ) -> list[tuple[float, ...]]:
        """The same rows up to rounding, from those of the first `count` seeds: only the other seeds are evaluated.

        Args:
            earlier: (points, columns), one row per point, with the columns of `reuse.combined`.
        """
        others = [other.rows(coordinates, stop) for other in self.others[count - 1 :]]
        rows = [_mean_and_spread(point) if len(point) > 1 else point[0] for point in zip(*others, strict=True)]
        return [tuple(row) for row in combined((earlier, count), (np.array(rows), len(others))).tolist()]

    def provenance(self, grid: Grid, stop: Stop | None = None) -> dict[str, Any]:
        """The provenance of `Landscape` for the first seed, with all seeds and the largest |cos(δ, η)| of any.

        Raises:
            Stopped, MemoryExhaustedError: see `Landscape.values`.
        """
        planes = [one.directions for one in (self, *self.others)]
        cosines = [abs(cosine(*directions)) for directions in planes if len(directions) == 2]
        repeated = {
            "seeds": [self.seed, *(other.seed for other in self.others)],
            "cosine_max": max(cosines, default=None),
        }
        return {**super().provenance(grid, stop), "repeated": repeated}


def _mean_and_spread(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    losses = [row[0] for row in rows]
    means = [sum(column) / len(column) for column in zip(*rows, strict=True)]
    finite = all(map(math.isfinite, losses))
    spread = (statistics.stdev(losses), min(losses), max(losses)) if finite else (math.nan,) * 3
    return (*means, *spread)
