"""BatchNorm recalibrated at every point, on the engine: a pass over the calibration samples, then a folded pass.

Imports fused, prepare, plain, batchnorm. The first pass runs fused, all calibration samples in one batch, and keeps the
mean and the (unbiased) variance that every BatchNorm sees; the second is any back end with the BatchNorm folded at the
point (pointwise.py). `batchnorm.Calibration` is the obvious way to the same numbers.

Measured: docs/performance.md, attempt 9. Off: `choice={"engine": "plain"}`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..batchnorm import Calibration
from ..direction import Params
from ..objective import Objective, Stop, Stopped, Value
from . import normed, winograd
from .flat import Point
from .fused import FusedPlan
from .lanes import LanesPlan
from .layers import Layer
from .perceptron import PerceptronPlan
from .pointwise import PointwiseFlat
from .prepare import prepare


class RecalibratedPlan:
    """A plan whose BatchNorm statistics are found anew at every point."""

    def __init__(
        self, inner: FusedPlan | LanesPlan | PerceptronPlan, calibration: Calibration, directions: Sequence[Params]
    ):
        self.inner, self.name, self.choice, self.group = inner, inner.name, inner.choice, inner.group
        self.directions, self.objective = inner.directions, inner.objective
        labels = torch.zeros(len(calibration.images), dtype=torch.long, device=calibration.images.device)
        objective = Objective(calibration.model, calibration.images, labels, batch=len(labels))
        network = prepare(objective, directions)
        chosen = (inner.choice.get(name) for name in ("normed", "winograd", "instruction_set"))
        vectors = next((str(name) for name in chosen if name), None)  # as other processes do
        kernels = vectors if normed.pays(network) else None
        tiled = vectors if vectors and winograd.pays(network, vectors) else None
        self.pass_over = FusedPlan(
            objective, network, self.directions, batch=len(labels), instruction_set=tiled, normed=kernels
        )
        self.stop: Stop | None = None
        flat = inner.flat if isinstance(inner, FusedPlan) else inner.pointwise and inner.pointwise.flat
        if isinstance(flat, PointwiseFlat):  # a network without BatchNorm has nothing to recalibrate
            flat.statistics = self.statistics

    def values(self, points: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """The value at center + Σ point[k] · directions[k], for every point.

        Raises:
            Stopped: `stop`, asked before every pass and batch, answered true.
        """
        self.stop = stop
        try:
            return self.inner.values(points, stop)
        finally:
            self.pass_over.norms.shelf.clear()

    def scores(self, point: Sequence[float], images: Tensor) -> Tensor:
        """The outputs of the network at one point for a few images, in float64."""
        return self.inner.scores(point, images)

    def statistics(self, point: Point) -> Mapping[str, Tensor]:
        """Name -> running mean or variance of every BatchNorm at `point`; of a layer run twice, the last run's."""
        if self.stop is not None and self.stop():
            raise Stopped
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
