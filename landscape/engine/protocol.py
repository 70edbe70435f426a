"""What a plan is, for its callers and for recalibrate.py, which makes one plan of two."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from ..objective.objective import Objective, Stop, Value
from .graph.flat import Point, Statistics

# {"engine": "fused", "batch": 64, "precision": "float32", "winograd": "avx512"}
# {"engine": "lanes", "instruction_set": "avx512", "block": 96}
# {"engine": "perceptron", "instruction_set": "avx512"}
Choice = dict[str, Any]


class Plan(Protocol):
    """A landscape ready to be evaluated: points in, values out."""

    name: str  # what runs, for the provenance
    objective: Objective
    choice: Choice  # what `plan` must be given to make the same plan again
    group: int  # points that are computed together: ask for a multiple of it at a time
    directions: int

    def values(self, points: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """The value at center + Σ point[k] · directions[k], for every point.

        Raises:
            Stopped: `stop`, asked before every batch, answered true.
        """
        ...

    def scores(self, point: Sequence[float], images: Tensor) -> Tensor:
        """The outputs of the network at one point for a few images, (n, classes), in float64."""
        ...


class RecordedPlan(Plan, Protocol):
    """A plan for a recorded network, whose BatchNorm is folded."""

    def use_statistics(self, statistics: Statistics) -> None:
        """Take the running statistics of BatchNorm at every point from `statistics`, if the network has any."""
        ...


class StatisticsPlan(Plan, Protocol):
    """A plan for a network whose BatchNorm takes its statistics from the batch, and keeps them."""

    def statistics(self, points: Sequence[Point]) -> Sequence[Mapping[str, Tensor]]:
        """Name -> mean or unbiased variance over all samples, as one batch, of every BatchNorm; for every point.

        Args:
            points: at most `group`.
        """
        ...

    def release(self) -> None:
        """Give back memory that only a pass over the samples needs."""
        ...
