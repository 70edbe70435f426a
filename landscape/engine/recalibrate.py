"""BatchNorm recalibrated at every point, by the engine: a pass over the calibration samples, then a folded pass.

The first pass has all calibration samples as one batch, in lanes if the second pass is, else fused, and keeps the mean
and the (unbiased) variance at every BatchNorm; the second runs on any back end with BatchNorm folded at the point
(graph/fold_at_point.py). `objective.batch_norm.Calibration` is the reference implementation.

Measured: docs/performance.md, attempts 9 and 14. Off: `choice={"engine": "plain"}`.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..directions.random import Params
from ..objective.batch_norm import Calibration
from ..objective.objective import Objective, Value
from ..stop import Stop, Stopped
from .choose import statistics_plan
from .graph.compile import prepare
from .graph.flat import Point
from .protocol import RecordedPlan, StatisticsPlan


class RecalibratedPlan:
    """A plan with BatchNorm statistics computed at every point from calibration samples.

    Raises:
        Unrecordable: the model with batch statistics cannot be turned into a graph.
        UnknownNameError: this machine lacks an instruction set that the choice of `inner` names.
    """

    def __init__(self, inner: RecordedPlan, calibration: Calibration, directions: Sequence[Params]):
        self.inner, self.name, self.choice, self.group = inner, inner.name, inner.choice, inner.group
        self.directions, self.objective = inner.directions, inner.objective
        labels = torch.zeros(len(calibration.images), dtype=torch.long, device=calibration.images.device)
        objective = Objective(calibration.model, calibration.images, labels, batch=len(labels))
        network = prepare(objective, directions)
        self.first_pass: StatisticsPlan = statistics_plan(objective, network, len(directions), inner.choice)
        self.known: dict[tuple[float, ...], Mapping[str, Tensor]] = {}  # statistics by point
        self.stop: Stop | None = None
        inner.use_statistics(self.statistics)

    def values(self, points: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """The value at center + Σ point[k] · directions[k], for every point.

        Raises:
            Stopped: `stop`, called before every pass and batch, returned true.
            MemoryExhaustedError: memory does not suffice for a single sample of the second pass.
        """
        self.stop = stop
        try:
            groups = [points[start : start + self.group] for start in range(0, len(points), self.group)]
            return [value for group in groups for value in self._group(group)]
        finally:
            self.first_pass.release()

    def _group(self, points: Sequence[Sequence[float]]) -> list[Value]:
        if self.first_pass.group > 1:
            found = self._pass(points)
            self.known = dict(zip(map(tuple, points), found, strict=True))
        return self.inner.values(points, self.stop)

    def _pass(self, points: Sequence[Point]) -> Sequence[Mapping[str, Tensor]]:
        if self.stop is not None and self.stop():
            raise Stopped
        return self.first_pass.statistics(points)

    def scores(self, point: Sequence[float], images: Tensor) -> Tensor:
        """The outputs of the network at one point for n images, in float64: (n, …), (n, classes) for a classifier."""
        return self.inner.scores(point, images)

    def statistics(self, point: Point) -> Mapping[str, Tensor]:
        """Name -> running mean or variance (channels,) of every BatchNorm at `point`.

        The mean over its runs, if a layer runs twice.

        Raises:
            Stopped: the `stop` of `values` returned true.
        """
        if self.first_pass.group > 1 and (known := self.known.get(tuple(map(float, point)))) is not None:
            return known
        [found] = self._pass([point])
        return found
