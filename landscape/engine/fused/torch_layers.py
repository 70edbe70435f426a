"""The last kernel of a plan: every kind of layer by torch's public operators, on any device, in any precision."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..graph.interpret import run
from ..graph.layers import Layer, Network
from .kernels import Kernel, Values, Weights


class TorchLayers(Kernel):
    """All layers but "normalize" ones (batch_statistics.py), one at a time."""

    def __init__(self, network: Network, *, half: bool = False):
        """
        Args:
            half: weights in bfloat16, except for linear layers, whose results are the scores.
        """
        self.network, self.half = network, half
        self.approved: set[tuple[int, int]] = set()  # layer, samples: shapes and types do not depend on numbers

    def takes(self, at: int) -> int:
        """1: it supports every layer."""
        return 1

    def prepare(self, at: int, weights: Sequence[Weights]) -> Weights:
        """The weights in the same shapes, rounded to bfloat16 if `half`."""
        [given] = weights
        return in_half(given) if self.half and self.network.layers[at].kind != "linear" else given

    def compute(self, at: int, values: Values, weights: Weights, *, keep_nan: bool) -> None:
        """Add the results of layer `at` to `values`.

        Raises:
            FileError: arguments that do not fit an operator, or a size that is not linear in the batch.
        """
        layer = self.network.layers[at]
        if layer.kind == "generic":
            given = dict(zip(layer.settings["slots"], weights, strict=True))
            x = values[self.network.input]
            checked = (at, len(x)) not in self.approved
            made = run(layer.settings["node"], {**values, **given}, len(x), x.device, checked=checked)
            if checked:
                self.network.require_shapes(made, len(x))
                self.approved.add((at, len(x)))
            values |= made
            return
        result = KINDS[layer.kind](layer, [values[index] for index in layer.inputs], weights)
        result = result if layer.residual is None else result + values[layer.residual]
        values[layer.result] = result.relu() if layer.relu else result

    def statistics(self, at: int, weights: Weights) -> Mapping[str, Any]:
        """The running statistics that a BatchNorm in training mode has overwritten."""
        settings = self.network.layers[at].settings
        return {name: weights[settings["slots"].index(index)] for name, index in settings.get("buffers", {}).items()}


def in_half(weights: Weights) -> Weights:
    """The weights in bfloat16, in the same shapes: a point is summed in float32 and rounded once."""
    return [None if weight is None else weight.bfloat16() for weight in weights]


def _convolution(layer: Layer, inputs: list[Tensor], weights: Weights) -> Tensor:
    names = ("stride", "padding", "dilation", "transposed", "output_padding", "groups")
    numbers = (layer.settings[name] for name in names)
    weight, bias = weights
    assert weight is not None
    result: Tensor = torch.ops.aten.convolution(inputs[0].to(weight.dtype), weight, bias, *numbers)
    return result


def _affine(layer: Layer, inputs: list[Tensor], weights: Weights) -> Tensor:
    scale, shift = weights
    assert scale is not None
    assert shift is not None
    ones = (1,) * (inputs[0].ndim - 2)
    return torch.addcmul(shift.view(-1, *ones), inputs[0], scale.view(-1, *ones))


def _linear(layer: Layer, inputs: list[Tensor], weights: Weights) -> Tensor:
    weight, bias = weights
    assert weight is not None
    return F.linear(inputs[0].to(weight.dtype), weight, bias)


def _mean(layer: Layer, inputs: list[Tensor], weights: Weights) -> Tensor:
    """In float32 at least, since the scores depend on these few numbers."""
    dtype = torch.float32 if inputs[0].dtype == torch.bfloat16 else inputs[0].dtype
    return inputs[0].mean((2, 3), dtype=dtype).reshape(len(inputs[0]), *layer.settings["shape"])


def _max_pool(layer: Layer, inputs: list[Tensor], weights: Weights) -> Tensor:
    return F.max_pool2d(inputs[0], layer.settings["kernel"], layer.settings["stride"], layer.settings["padding"])


def _average_pool(layer: Layer, inputs: list[Tensor], weights: Weights) -> Tensor:
    return F.avg_pool2d(inputs[0], layer.settings["kernel"], layer.settings["stride"])


Kind = Callable[[Layer, list[Tensor], Weights], Any]

KINDS: dict[str, Kind] = {
    "convolution": _convolution,
    "affine": _affine,
    "linear": _linear,
    "add": lambda layer, inputs, weights: inputs[0] + inputs[1],
    "relu": lambda layer, inputs, weights: inputs[0],
    "mean": _mean,
    "flatten": lambda layer, inputs, weights: inputs[0].reshape(len(inputs[0]), *layer.settings["shape"]),
    "max_pool": _max_pool,
    "average_pool": _average_pool,
}
