"""oneDNN's convolution with bias, addition and ReLU in one call, if this torch has it and it is correct.

These operators are private to torch: they are tested on a small case first, and `available` is False if they are
missing or wrong; then the public operators compute every convolution (torch_layers.py).
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..graph.layers import Network
from .kernels import Kernel, Values, Weights
from .torch_layers import in_half

Settings = dict[str, Any]

EMULATED = "this processor has no 16-bit arithmetic; emulated it takes several times as long as float32"


class OneDnn(Kernel):
    """Convolutions in two dimensions, one at a time, with the ReLU fused unless it could hide a NaN."""

    def __init__(self, network: Network, samples: int, *, half: bool, alone: bool):
        """
        Args:
            samples: number of samples in a batch.
            half: in bfloat16, else in float32.
            alone: no native kernel computes convolutions, so that fused ReLUs are worth a check for overflow.
        """
        self.network, self.samples, self.half, self.fuses_relu = network, samples, half, alone

    def takes(self, at: int) -> int:
        """1 for a supported convolution, else 0."""
        layer = self.network.layers[at]
        weight = layer.weights[0] if layer.kind == "convolution" else None
        return int(weight is not None and weight.center.ndim == 4 and not layer.settings["transposed"])

    def prepare(self, at: int, weights: Sequence[Weights]) -> Weights:
        """The weight, (filters, channels, height, width) in oneDNN's own layout, and the bias, (filters,)."""
        layer, [given] = self.network.layers[at], weights
        weight, bias = in_half(given) if self.half else given
        shape = self.network.shapes[layer.inputs[0]]
        assert shape is not None
        assert weight is not None
        return [prepare(weight, (self.samples, *shape), layer.settings), bias]

    def compute(self, at: int, values: Values, weights: Weights, *, keep_nan: bool) -> None:
        """Add the result of layer `at` to `values`."""
        layer, (weight, bias) = self.network.layers[at], weights
        assert weight is not None
        # torch has no 16-bit addition and ReLU after a grouped convolution
        apart = keep_nan or (self.half and layer.settings["groups"] > 1)
        relu = layer.relu and not apart
        x = values[layer.inputs[0]].to(weight.dtype)
        if layer.residual is None:
            result = convolution(x, weight, bias, layer.settings, relu=relu)
        else:
            result = convolution_add(
                x, values[layer.residual].to(weight.dtype), weight, bias, layer.settings, relu=relu
            )
        values[layer.result] = result.relu_() if layer.relu and apart else result


@cache
def available(dtype: torch.dtype = torch.float32) -> bool:
    """Whether the private operators exist for `dtype` and agree with the public ones on this machine.

    For bfloat16 they require AVX-512 or AVX-NE-CONVERT; elsewhere the public operators emulate it, slowly.
    """
    try:
        return _agrees(dtype)
    except (AttributeError, RuntimeError, TypeError):
        return False


def emulated(precision: str, device: torch.device) -> bool:
    """Whether `precision` is emulated on this processor: ten times as slow as float32, too slow for a benchmark."""
    return precision == "bfloat16" and device.type == "cpu" and not available(torch.bfloat16)


def _agrees(dtype: torch.dtype) -> bool:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 3, 5, 4), (6, 3, 3, 3), (6,), (2, 6, 3, 2))
    x, weight, bias, other = (torch.randn(shape, generator=generator).to(dtype) for shape in shapes)
    x, other = (given.contiguous(memory_format=torch.channels_last) for given in (x, other))
    settings = {"stride": (2, 2), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    with torch.inference_mode():
        expected = torch.conv2d(x, weight, bias, 2, 1)
        prepared = prepare(weight, x.shape, settings)
        plain = convolution(x, prepared, bias, settings, relu=True)
        added = convolution_add(x, other, prepared, bias, settings, relu=True)
    tolerance = 1e-5 if dtype == torch.float32 else 0.05 * float(expected.abs().max())
    wanted = (expected.relu(), (expected + other).relu())
    return all(torch.allclose(*pair, atol=tolerance) for pair in zip((plain, added), wanted, strict=True))


def prepare(weight: Tensor, input_shape: Any, settings: Settings) -> Tensor:
    """`weight`, (filters, channels, height, width), in the layout that oneDNN picks for this input shape.

    Once per point. Measured: 3–20 % faster.
    """
    numbers = (settings["padding"], settings["stride"], settings["dilation"], settings["groups"])
    prepared: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, *numbers, list(input_shape))
    return prepared


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, settings: Settings, *, relu: bool) -> Tensor:
    """relu(x ∗ weight + bias), with the ReLU if `relu`: (N, channels, H, W) -> (N, filters, H', W')."""
    numbers = (settings["padding"], settings["stride"], settings["dilation"], settings["groups"])
    attribute = "relu" if relu else "none"
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *numbers, attribute, [], "")
    return result


def convolution_add(
    x: Tensor, other: Tensor, weight: Tensor, bias: Tensor | None, settings: Settings, *, relu: bool
) -> Tensor:
    """relu(x ∗ weight + bias + other), with the ReLU if `relu`; in the shape of `other`, (N, filters, H', W')."""
    numbers = (settings["padding"], settings["stride"], settings["dilation"], settings["groups"])
    result: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
        x, other, weight, bias, *numbers, "add", 1.0, "relu" if relu else None, [], ""
    )
    return result
