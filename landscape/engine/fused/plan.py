"""The plan for wide networks, any device, any operator: the network as a list of fused layers.

BatchNorm is folded, the weights of a point are one flat axpy, activations are channels-last, and each layer is computed
by the first of the plan's kernels that takes it (kernels.py).

Measured on images of 32×32, one thread, against the plain loop: 1.5 to 2.1× in float32 for ResNets and VGG-9 without
winograd.py, 2.3 to 3× with it; bfloat16 4× more than without (docs/performance.md, attempts 1, 6, 10).
Off: `choice={"engine": "plain"}`.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...errors import UnknownNameError
from ...objective.batch_norm import mean_over_runs
from ...objective.objective import Objective, Value, evaluate
from ...stop import Stop
from ..graph.flat import Point, Statistics
from ..graph.fold_at_point import flat_weights
from ..graph.layers import REARRANGING, Network
from ..out_of_memory import with_smaller_batches
from ..tf32 import exact_float32
from . import onednn
from .kernels import SETTINGS, Kernel, Values, Weights, steps_of

PRECISIONS = ("float32", "bfloat16")  # "float32" means the precision of the objective: float64 stays float64

WATCHED = 4  # images that are checked for overflow
FAR_FROM_OVERFLOW = 1e30

logger = logging.getLogger(__name__)


class FusedPlan:
    """Layers with folded weights on the device and in the precision of the objective, `batch` samples at a time."""

    name = "fused"
    group = 1

    def __init__(
        self,
        objective: Objective,
        network: Network,
        directions: int,
        kernels: Sequence[Kernel],
        *,
        batch: int,
        precision: str = "float32",
    ):
        """
        Args:
            kernels: made for `network` and `precision`, in order of preference; together they take every layer.

        Raises:
            UnknownNameError: the precision is not known, or the network has layers without it.
        """
        if precision not in PRECISIONS:
            raise UnknownNameError("precision of the fused engine", precision, PRECISIONS)
        device, dtype = objective.images.device, objective.model_dtype  # samples may be integers
        self.half = precision == "bfloat16"
        if self.half:
            require_half(network)
            if onednn.emulated(precision, device):
                logger.warning("bfloat16: %s.", onednn.EMULATED)
        settings = {name: value for kernel in kernels for name, value in kernel.settings.items()}
        self.choice: dict[str, Any] = {"engine": self.name, "batch": batch, "precision": precision}
        self.choice |= {name: settings[name] for name in SETTINGS if name in settings}
        self.network, self.directions, self.kernels = network, directions, kernels
        self.steps = steps_of(network, kernels)
        self.watches = any(step.kernel.fuses_relu for step in self.steps)
        self.flat = flat_weights(network, directions, dtype=dtype, device=device)
        self.batch, self.divisible = batch, objective.divisible
        self.objective = replace(objective, batch=batch)
        self.fixed = {index: tensor.to(device) for index, tensor in network.fixed.items()}

    def values(self, points: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """The value at center + Σ point[k] · directions[k], for every point.

        Raises:
            Stopped: `stop`, called before every batch, returned true.
            MemoryExhaustedError: memory does not suffice for a single sample, or the batch cannot be divided.
        """
        try:
            return [self._value(point, stop) for point in points]
        finally:
            self.release()

    def release(self) -> None:
        """Free memory that is kept from batch to batch."""
        for kernel in self.kernels:
            kernel.release()

    def _value(self, point: Sequence[float], stop: Stop | None) -> Value:
        with exact_float32():
            value, self.batch = with_smaller_batches(
                lambda batch: self._value_of(point, batch, stop), self.batch, divisible=self.divisible
            )
        return value

    def _value_of(self, point: Sequence[float], batch: int, stop: Stop | None) -> Value:
        with torch.inference_mode():
            weights = self.weights(point)
            keep_nan = not (self.watches and self._stays_finite(weights))
            objective = replace(self.objective, batch=batch)
            return evaluate(lambda images: self.outputs(images, weights, keep_nan=keep_nan), objective, stop=stop)

    def _stays_finite(self, weights: list[Weights]) -> bool:
        """Whether a few images stay far from overflow at these weights; other images are not 1e8 times larger.

        oneDNN's fused ReLU turns NaN into 0, so an overflow far from the center would give a finite loss. Where one is
        possible the ReLU is separate, as it always is beside native kernels, which leave oneDNN few layers.
        Measured: 1 to 2 % of a point of 1000 images.
        """
        peaks: list[Tensor] = []
        self.outputs(self.objective.samples(0, WATCHED), weights, keep_nan=True, peaks=peaks)
        return not peaks or bool(torch.stack(peaks).max() < FAR_FROM_OVERFLOW)  # False for NaN too

    def scores(self, point: Sequence[float], images: Tensor) -> Tensor:
        """The outputs of the network at `point` for n images, in float64: (n, …), (n, classes) for a classifier."""
        with exact_float32(), torch.inference_mode():
            return self.outputs(images, self.weights(point), keep_nan=True).double()

    def use_statistics(self, statistics: Statistics) -> None:
        """Take the running statistics of BatchNorm at every point from `statistics`."""
        self.flat.use_statistics(statistics)

    def statistics(self, points: Sequence[Point]) -> list[dict[str, Tensor]]:
        """Name -> mean or unbiased variance (channels,) of every BatchNorm that keeps them.

        Over all samples as one batch; for a layer that runs twice, the mean over its runs.
        """
        return [self._statistics(point) for point in points]

    def _statistics(self, point: Point) -> dict[str, Tensor]:
        with torch.inference_mode():
            weights = self.weights(point)
            self.outputs(self.objective.images, weights, keep_nan=False)
            steps = zip(self.steps, weights, strict=True)
            return mean_over_runs(step.kernel.statistics(step.layers.start, given) for step, given in steps)

    def to_compute_format(self, images: Tensor) -> Tensor:
        """`images` in the precision and layout of the computation, their shape unchanged.

        Called per batch, since a data set may be large.
        """
        images = images.bfloat16() if self.half else images
        return images.contiguous(memory_format=torch.channels_last) if images.ndim == 4 else images

    def weights(self, point: Point) -> list[Weights]:
        """The weights at `point`, (directions,), step by step, in the shapes that the kernels read."""
        every = iter(self.flat.at(point))
        layers = self.network.layers
        by_layer = [[None if weight is None else next(every) for weight in layer.weights] for layer in layers]
        return [
            step.kernel.prepare(step.layers.start, by_layer[step.layers.start : step.layers.stop])
            for step in self.steps
        ]

    def outputs(
        self, images: Tensor, weights: list[Weights], *, keep_nan: bool, peaks: list[Tensor] | None = None
    ) -> Tensor:
        """The outputs of the network for N images, (N, …).

        Args:
            keep_nan: no ReLU may turn NaN into 0.
            peaks: receives the largest magnitude in the result of every convolution.
        """
        values: Values = {self.network.input: self.to_compute_format(images), **self.fixed}
        for step, given in zip(self.steps, weights, strict=True):
            step.kernel.compute(step.layers.start, values, given, keep_nan=keep_nan)
            layer = self.network.layers[step.layers.start]
            if peaks is not None and layer.kind == "convolution":
                peaks.append(values[layer.result].abs().amax())
            for index in step.dead:
                values.pop(index, None)
        outputs: Tensor = values[self.network.output]
        return outputs


def require_half(network: Network) -> None:
    """Refuse bfloat16 for a network with layers that have no 16-bit implementation here.

    Raises:
        UnknownNameError: the network does not have this precision.
    """
    if any(layer.kind == "normalize" for layer in network.layers) or any(
        layer.kind == "generic" and layer.settings["node"].operator not in REARRANGING for layer in network.layers
    ):
        raise UnknownNameError("precision for this network", "bfloat16", ("float32", "float64"))
