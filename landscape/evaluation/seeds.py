"""One landscape for several seeds of its directions: the mean over the seeds, and the spread.

A single plane depends on its random directions; what several seeds agree on is a property of the network.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from ..directions.measures import cosine
from ..errors import DataError
from ..grid import Grid
from ..objective.objective import Stop
from .landscape import Landscape

SPREAD = ("seed_deviations", "lowest_losses", "highest_losses")


class RepeatedLandscape(Landscape):
    """Rows hold the mean over the seeds of loss, accuracy and standard error, then the spread of the losses."""

    def __init__(self, *arguments: Any, seeds: Sequence[int], **options: Any):
        """
        Args:
            seeds: of the directions, two or more, without duplicates.
            arguments, options: those of `Landscape`.

        Raises:
            DataError: fewer than two seeds, a duplicate seed, or more than one data set or BatchNorm policy.
        """
        if len(seeds) < 2 or len(set(seeds)) < len(seeds):
            raise DataError(f"Repeating needs at least two seeds, each once; got {list(seeds)}.")
        super().__init__(*arguments, seed=seeds[0], **options)
        if self._further_plans:
            raise DataError(
                "A repeated landscape takes one data set and one BatchNorm policy. Request the others separately."
            )
        options["choice"] = self.plan.choice
        self.others = [Landscape(*arguments, seed=seed, **options) for seed in seeds[1:]]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `Landscape`, then `SPREAD`: standard deviation, smallest and largest loss of any seed."""
        return (*super().columns, *SPREAD)

    def rows(self, coordinates: Sequence[Sequence[float]], stop: Stop | None = None) -> list[tuple[float, ...]]:
        """One row per point; if the loss is not finite for one seed, neither is the mean."""
        seeds = [super().rows(coordinates, stop), *(other.rows(coordinates, stop) for other in self.others)]
        return [_mean_and_spread(point) for point in zip(*seeds, strict=True)]

    def provenance(self, grid: Grid, stop: Stop | None = None) -> dict[str, Any]:
        """The provenance of `Landscape` for the first seed, with all seeds and the largest |cos(δ, η)| of any."""
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
