"""The interfaces of plans, for their callers and for recalibrate.py, which combines two plans."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from ..objective.objective import Objective, Value
from ..stop import Stop
from .graph.flat import Point, Statistics

# {"engine": "fused", "batch": 64, "precision": "float32", "winograd": "avx512"}
# {"engine": "lanes", "instruction_set": "avx512", "block": 96}
# {"engine": "perceptron", "instruction_set": "avx512"}
Choice = dict[str, Any]


class Plan(Protocol):
    """A landscape ready to be evaluated: points in, values out."""

    name: str  # the implementation, for the provenance
    objective: Objective
    choice: Choice  # the argument of `plan` that makes the same plan again
    group: int  # points computed together: pass a multiple of it at a time
    directions: int

    def values(self, points: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """The value at center + Σ point[k] · directions[k], for every point.

        Raises:
            Stopped: `stop`, called before every batch, returned true.
            MemoryExhaustedError: memory does not suffice for a single sample, or the batch cannot be divided.
        """
        ...

    def scores(self, point: Sequence[float], images: Tensor) -> Tensor:
        """The outputs of the network at one point for n images, in float64: (n, …), (n, classes) for a classifier."""
        ...


class RecordedPlan(Plan, Protocol):
    """A plan for a recorded network, whose BatchNorm is folded."""

    def use_statistics(self, statistics: Statistics) -> None:
        """Take the running statistics of BatchNorm at every point from `statistics`, if the network has any."""
        ...


class StatisticsPlan(Plan, Protocol):
    """A plan for a network whose BatchNorm uses batch statistics, which the plan keeps."""

    def statistics(self, points: Sequence[Point]) -> Sequence[Mapping[str, Tensor]]:
        """For every point: name -> mean or unbiased variance (channels,) of every BatchNorm, all samples as one batch.

        Args:
            points: at most `group`.
        """
        ...

    def release(self) -> None:
        """Free memory that is only needed during a pass over the samples."""
        ...
