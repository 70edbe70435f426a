"""BatchNorm recalibrated at every point, on the engine: a pass over the calibration samples, then a folded pass.

Imports choose, fused, lanes, prepare, batchnorm. The first pass takes all calibration samples as one batch, in lanes
where the second one does, else fused, and keeps the mean and the (unbiased) variance that every BatchNorm sees; the
second is any back end with the BatchNorm folded at the point (pointwise.py). `batchnorm.Calibration` is the obvious way
to the same numbers.

Measured: docs/performance.md, attempts 9 and 14. Off: `choice={"engine": "plain"}`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..directions.random import Params
from ..objective.batch_norm import Calibration
from ..objective.objective import Objective, Stop, Stopped, Value
from .choose import BATCH_BLOCK, lanes_take
from .fused import batch_statistics, winograd
from .fused.plan import FusedPlan
from .graph.compile import prepare
from .graph.flat import Point
from .graph.fold_at_point import PointwiseFlat
from .graph.layers import Layer, Network
from .lanes.perceptron import PerceptronPlan
from .lanes.plan import LanesPlan


class RecalibratedPlan:
    """A plan whose BatchNorm statistics are found anew at every point."""

    def __init__(
        self, inner: FusedPlan | LanesPlan | PerceptronPlan, calibration: Calibration, directions: Sequence[Params]
    ):
        self.inner, self.name, self.choice, self.group = inner, inner.name, inner.choice, inner.group
        self.directions, self.objective = inner.directions, inner.objective
        labels = torch.zeros(len(calibration.images), dtype=torch.long, device=calibration.images.device)
        objective = Objective(calibration.model, calibration.images, labels, batch=len(labels))
        self.pass_over = self._pass(objective, prepare(objective, directions))
        self.known: dict[tuple[float, ...], Mapping[str, Tensor]] = {}  # statistics by point
        self.stop: Stop | None = None
        flat = inner.flat if isinstance(inner, FusedPlan) else inner.pointwise and inner.pointwise.flat
        if isinstance(flat, PointwiseFlat):  # a network without BatchNorm has nothing to recalibrate
            flat.statistics = self.statistics

    def _pass(self, objective: Objective, network: Network) -> FusedPlan | LanesPlan:
        chosen = (self.inner.choice.get(name) for name in ("normed", "winograd", "instruction_set"))
        vectors = next((str(name) for name in chosen if name), None)  # as other processes do
        fresh, count = batch_statistics.pays(network), self.directions
        if isinstance(self.inner, LanesPlan) and fresh and lanes_take(objective, network):
            return LanesPlan(objective, network, count, instruction_set=str(vectors), block=BATCH_BLOCK)
        tiled = vectors if vectors and winograd.pays(network, vectors) else None
        kernels = vectors if fresh else None
        return FusedPlan(objective, network, count, batch=objective.batch, instruction_set=tiled, normed=kernels)

    def values(self, points: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """The value at center + Σ point[k] · directions[k], for every point.

        Raises:
            Stopped: `stop`, asked before every pass and batch, answered true.
        """
        self.stop = stop
        try:
            groups = [points[start : start + self.group] for start in range(0, len(points), self.group)]
            return [value for group in groups for value in self._group(group)]
        finally:
            self.clear()

    def _group(self, points: Sequence[Sequence[float]]) -> list[Value]:
        if isinstance(self.pass_over, LanesPlan):
            self._learn(points)
        return self.inner.values(points, self.stop)

    def _learn(self, points: Sequence[Sequence[float]]) -> None:
        """The statistics at several points, for the price of one."""
        assert isinstance(self.pass_over, LanesPlan)
        self._ask()
        self.known = dict(zip(map(tuple, points), self.pass_over.statistics(points), strict=True))

    def clear(self) -> None:
        """Give memory back that only a pass needs."""
        if isinstance(self.pass_over, FusedPlan):
            self.pass_over.norms.room.clear()

    def _ask(self) -> None:
        if self.stop is not None and self.stop():
            raise Stopped

    def scores(self, point: Sequence[float], images: Tensor) -> Tensor:
        """The outputs of the network at one point for a few images, in float64."""
        return self.inner.scores(point, images)

    def statistics(self, point: Point) -> Mapping[str, Tensor]:
        """Name -> running mean or variance of every BatchNorm at `point`; of a layer run twice, the last run's."""
        if isinstance(self.pass_over, LanesPlan):
            if tuple(point) not in self.known:
                self._learn([tuple(map(float, point))])
            return self.known[tuple(point)]
        self._ask()
        found: dict[str, Tensor] = {}
        with torch.inference_mode():
            weights = self.pass_over.weights(point)
            self.pass_over.outputs(self.pass_over.objective.images, weights)
            for layer, given in zip(self.pass_over.network.layers, weights, strict=True):
                found |= self.pass_over.norms.kept(layer) if layer.kind == "normalize" else _kept(layer, given)
        return found


def _kept(layer: Layer, given: Sequence[Tensor | None]) -> dict[str, Any]:
    """What a BatchNorm in training has written over its running statistics."""
    slots = layer.settings.get("buffers", {})
    return {name: given[layer.settings["slots"].index(index)] for name, index in slots.items()}
