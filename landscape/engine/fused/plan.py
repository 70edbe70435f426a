"""The network as a list of fused layers run by torch: the plan for wide networks, any device, any operator.

Imports layers, flat, onednn, winograd, amx, interpret and the objective. BatchNorm is folded, weights are one flat axpy
per point, activations lie channels-last, and on a CPU a convolution takes its bias, residual and ReLU along.

Measured on images of 32×32, one thread, against the plain loop: 1.5 to 2.1× in float32 for ResNets and VGG-9 without
winograd.py, 2.3 to 3× with it; bfloat16 4× more than without (docs/performance.md, attempts 1, 6, 10).
Off: `choice={"engine": "plain"}`.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import UnknownNameError
from ...objective.batch_norm import depends_on_batch
from ...objective.objective import Objective, Value, evaluate
from ..graph.flat import Point
from ..graph.fold_at_point import flat_weights
from ..graph.interpret import run
from ..graph.layers import REARRANGING, Layer, Network
from ..out_of_memory import with_smaller_batches
from ..tf32 import exact_float32
from . import amx, conv_chains, onednn, winograd
from .batch_statistics import Norms

PRECISIONS = ("float32", "bfloat16")  # "float32" means as exact as the objective: float64 stays float64

WATCHED = 4  # images
FAR_FROM_OVERFLOW = 1e30

logger = logging.getLogger(__name__)

Values = dict[int, Tensor]


class FusedPlan:
    """Layers with folded weights on the device and in the precision of the objective, `batch` samples at a time."""

    name = "fused"
    group = 1

    def __init__(
        self,
        objective: Objective,
        network: Network,
        directions: int,
        *,
        batch: int,
        precision: str = "float32",
        instruction_set: str | None = None,
        tiles: bool = False,
        normed: str | None = None,
    ):
        """
        Args:
            instruction_set: of the kernels in winograd.py, None for none of them.
            tiles: use amx.py, in bfloat16.
            normed: instruction set of the kernels in normed.py, None for none of them.
        """
        images = objective.images
        self.network, self.directions = network, directions
        if precision not in PRECISIONS:
            raise UnknownNameError("precision of the fused engine", precision, PRECISIONS)
        self.choice = {"engine": "fused", "batch": batch, "precision": precision}
        dtype = next(objective.model.parameters()).dtype  # samples may be integers
        self.half = precision == "bfloat16"
        on_cpu = images.device.type == "cpu"
        self.private = on_cpu and dtype == torch.float32 and onednn.available(torch.bfloat16 if self.half else dtype)
        self.lanes = 0
        if instruction_set is not None and self.private and precision == "float32":
            self.lanes, self.choice["winograd"] = winograd.lanes_of(instruction_set), instruction_set
        self.tiled = {layer.result for layer in network.layers if self.lanes and winograd.takes(layer)}
        self.segments: list[amx.Segment] | list[conv_chains.Chain] = []
        if tiles and self.half:
            amx.require()
            self.choice["amx"] = True
            self.segments = amx.segments(network) if self.private else []
        self.choice |= {} if normed is None else {"normed": normed}
        self.norms = Norms(network, normed if self.private else None, self.tiled, self.lanes)
        if self.lanes and not self.norms.layers:
            self.segments = conv_chains.chains(network, self.lanes)
        self.within = {at for segment in self.segments for at in segment.stretch}  # layers
        self.flat = flat_weights(network, directions, dtype=dtype, device=images.device)
        if self.half:
            require_half(network)
            if onednn.emulated(precision, images.device):
                logger.warning("bfloat16: %s.", onednn.EMULATED)
        self.batch, self.divisible = batch, not depends_on_batch(objective.model)
        self.objective = replace(objective, batch=batch)
        self.fixed = {index: tensor.to(images.device) for index, tensor in network.fixed.items()}
        self.last_use = _last_use(network)

    def values(self, points: Sequence[Sequence[float]], stop: Callable[[], bool] | None = None) -> list[Value]:
        """The value at center + Σ point[k] · directions[k], for every point.

        Raises:
            Stopped: `stop`, asked before every batch, answered true.
        """
        try:
            return [self._value(point, stop) for point in points]
        finally:
            self.norms.room.clear()

    def _value(self, point: Sequence[float], stop: Callable[[], bool] | None) -> Value:
        with exact_float32():
            value, self.batch = with_smaller_batches(
                lambda batch: self._value_of(point, batch, stop), self.batch, divisible=self.divisible
            )
        return value

    def _value_of(self, point: Sequence[float], batch: int, stop: Callable[[], bool] | None) -> Value:
        with torch.inference_mode():
            weights = self.weights(point)
            apart = self.private and (bool(self.tiled or self.segments) or not self._stays_finite(weights))
            objective = replace(self.objective, batch=batch)
            return evaluate(lambda images: self.outputs(images, weights, apart), objective, stop=stop)

    def _stays_finite(self, weights: list[list[Tensor | None]]) -> bool:
        """Whether no activation comes near overflow at these weights, by a few images: others are not 1e8 times larger.

        oneDNN's fused ReLU makes 0 of NaN, so far from the center an overflow would come out as a finite loss. Where
        one may happen the ReLU is apart, as it always is beside winograd.py and amx.py, which leave oneDNN few layers.
        Measured: 1 to 2 % of a point of 1000 images.
        """
        peaks: list[Tensor] = []
        self.outputs(self.objective.samples(0, WATCHED), weights, True, peaks)
        return not peaks or bool(torch.stack(peaks).max() < FAR_FROM_OVERFLOW)  # False for NaN too

    def scores(self, point: Sequence[float], images: Tensor) -> Tensor:
        """The outputs of the network at `point` for a few images, in float64."""
        with exact_float32(), torch.inference_mode():
            return self.outputs(images, self.weights(point), apart=self.private).double()

    def laid(self, images: Tensor) -> Tensor:
        """`images` in the precision and layout of the computation; batch by batch, since a data set may be large."""
        images = images.bfloat16() if self.half else images
        return images.contiguous(memory_format=torch.channels_last) if images.ndim == 4 else images

    def outputs(
        self,
        images: Tensor,
        weights: list[list[Tensor | None]],
        apart: bool = False,
        peaks: list[Tensor] | None = None,
    ) -> Tensor:
        values: Values = {self.network.input: self.laid(images), **self.fixed}
        firsts = {segment.stretch.start: segment for segment in self.segments}
        for at, (layer, given, dead) in enumerate(zip(self.network.layers, weights, self.last_use, strict=True)):
            if at in firsts:
                values |= firsts[at].run(values, given)
            elif at not in self.within:
                self._apply(layer, values, given, apart)
            if peaks is not None and layer.kind == "convolution":
                peaks.append(values[layer.result].abs().amax())
            for index in dead:
                values.pop(index, None)
        return values[self.network.output]

    def weights(self, point: Point) -> list[list[Tensor | None]]:
        """The weights at `point`, layer by layer."""
        every = iter(self.flat.at(point))
        layers = self.network.layers
        by_layer = [[None if weight is None else next(every) for weight in layer.weights] for layer in layers]
        for segment in self.segments:
            by_layer[segment.stretch.start] = segment.prepare(by_layer[segment.stretch.start : segment.stretch.stop])
        if self.half:  # the point is added up in float32 and rounded once
            by_layer = [
                given
                if at in self.within or layer.kind == "linear"
                else [None if weight is None else weight.bfloat16() for weight in given]
                for at, (layer, given) in enumerate(zip(layers, by_layer, strict=True))
            ]
        if self.private:
            for at, (layer, given) in enumerate(zip(layers, by_layer, strict=True)):
                if at not in self.within and _fusible(layer):
                    self._prepare(layer, given)
        return by_layer

    def _prepare(self, layer: Layer, given: list[Tensor | None]) -> None:
        shape = self.network.shapes[layer.inputs[0]]
        weight = given[0]
        assert shape is not None
        assert weight is not None
        if layer.result in self.tiled:
            given[0] = winograd.prepare(weight, self.lanes)
            return
        if layer.result in self.norms.direct:
            given[0] = conv_chains.direct_weights(weight, self.lanes)
            return
        samples = min(self.objective.batch, len(self.objective.images))
        given[0] = onednn.prepare(weight, (samples, *shape), layer.settings)

    def _apply(self, layer: Layer, values: Values, given: list[Tensor | None], apart: bool) -> None:
        if layer.kind == "generic":
            node = layer.settings["node"]
            slots = dict(zip(layer.settings["slots"], given, strict=True))
            x = values.get(self.network.input, self.objective.images)
            values |= run(node, {**values, **slots}, self.samples(values), x.device)
            return
        if layer.results[0] in self.norms.layers:
            self.norms.apply(layer, values, given)
            return
        inputs = [values[index] for index in layer.inputs]
        residual = None if layer.residual is None else values[layer.residual]
        if layer.result in self.tiled:
            weight, bias = given
            assert weight is not None
            padding = layer.settings["padding"][0]
            values[layer.result] = winograd.convolution(
                inputs[0], weight, bias, residual, padding, self.lanes, relu=layer.relu
            )
            return
        if layer.kind == "convolution" and self.private and _fusible(layer):
            values[layer.result] = _private_convolution(layer, inputs[0], given, residual, apart)
            return
        result = KINDS[layer.kind](layer, inputs, given)
        result = result if residual is None else result + residual
        values[layer.result] = result.relu() if layer.relu else result

    def samples(self, values: Values) -> int:
        return len(values[self.network.input])


def require_half(network: Network) -> None:
    """Refuse bfloat16 for a network with layers that have no 16-bit form here.

    Raises:
        UnknownNameError: the name of the precision, since it does not exist for this network.
    """
    if any(layer.kind == "normalize" for layer in network.layers) or any(
        layer.kind == "generic" and layer.settings["node"].operator not in REARRANGING for layer in network.layers
    ):
        raise UnknownNameError("precision for this network", "bfloat16", ("float32", "float64"))


def _fusible(layer: Layer) -> bool:
    weight = layer.weights[0] if layer.kind == "convolution" else None
    return weight is not None and weight.center.ndim == 4 and not layer.settings["transposed"]


def _last_use(network: Network) -> list[list[int]]:
    """For every layer, the values nobody reads after it. The input stays: generic layers ask it for the batch size."""
    last = {index: at for at, layer in enumerate(network.layers) for index in (*layer.reads(), *_results(layer))}
    last.pop(network.output, None)
    last.pop(network.input, None)
    return [[index for index, when in last.items() if when == at] for at in range(len(network.layers))]


def _results(layer: Layer) -> list[int]:
    return [index for index in layer.results if index is not None]


def _private_convolution(
    layer: Layer, x: Tensor, given: list[Tensor | None], residual: Tensor | None, apart: bool
) -> Tensor:
    weight, bias = given
    assert weight is not None
    # torch has no 16-bit addition and ReLU behind a grouped convolution
    apart = apart or (weight.dtype == torch.bfloat16 and layer.settings["groups"] > 1)
    relu = layer.relu and not apart
    if residual is None:
        result = onednn.convolution(x, weight, bias, layer.settings, relu=relu)
    else:
        result = onednn.convolution_add(x, residual, weight, bias, layer.settings, relu=relu)
    return result.relu_() if layer.relu and apart else result


def _convolution(layer: Layer, inputs: list[Tensor], given: list[Tensor | None]) -> Tensor:
    names = ("stride", "padding", "dilation", "transposed", "output_padding", "groups")
    numbers = (layer.settings[name] for name in names)
    result: Tensor = torch.ops.aten.convolution(inputs[0], given[0], given[1], *numbers)
    return result


def _affine(layer: Layer, inputs: list[Tensor], given: list[Tensor | None]) -> Tensor:
    scale, shift = given
    assert scale is not None
    assert shift is not None
    ones = (1,) * (inputs[0].ndim - 2)
    return torch.addcmul(shift.view(-1, *ones), inputs[0], scale.view(-1, *ones))


def _linear(layer: Layer, inputs: list[Tensor], given: list[Tensor | None]) -> Tensor:
    weight, bias = given
    assert weight is not None
    return F.linear(inputs[0].to(weight.dtype), weight, bias)


def _mean(layer: Layer, inputs: list[Tensor], given: list[Tensor | None]) -> Tensor:
    """In float32 at least: the scores are made of these few numbers."""
    dtype = torch.float32 if inputs[0].dtype == torch.bfloat16 else inputs[0].dtype
    return inputs[0].mean((2, 3), dtype=dtype).reshape(len(inputs[0]), *layer.settings["shape"])


def _max_pool(layer: Layer, inputs: list[Tensor], given: list[Tensor | None]) -> Tensor:
    return F.max_pool2d(inputs[0], layer.settings["kernel"], layer.settings["stride"], layer.settings["padding"])


def _average_pool(layer: Layer, inputs: list[Tensor], given: list[Tensor | None]) -> Tensor:
    return F.avg_pool2d(inputs[0], layer.settings["kernel"], layer.settings["stride"])


Kind = Callable[[Layer, list[Tensor], list[Tensor | None]], Any]

KINDS: dict[str, Kind] = {
    "convolution": _convolution,
    "affine": _affine,
    "linear": _linear,
    "add": lambda layer, inputs, given: inputs[0] + inputs[1],
    "relu": lambda layer, inputs, given: inputs[0],
    "mean": _mean,
    "flatten": lambda layer, inputs, given: inputs[0].reshape(len(inputs[0]), *layer.settings["shape"]),
    "max_pool": _max_pool,
    "average_pool": _average_pool,
}
