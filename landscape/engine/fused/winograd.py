"""3×3 convolutions of stride one by Winograd's F(2×2, 3×3): 16 multiplications instead of 36.

In float32 on a CPU, images channels-last; bias, residual and ReLU are part of a convolution; NaN is kept. The error is
smaller than that of a direct convolution, since the sums are shorter.

Measured on one thread against oneDNN's fused convolution, 8 to 32 images: 1.6–1.8× at 16 channels of 32×32, 32 of
16×16, 64 of 8×8 and above; 2–3× on pictures below 8×8; a point of ResNet-56 1.7× (docs/performance.md, attempt 10).
Off: a choice without "winograd".
"""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import UnknownNameError
from .. import native
from ..graph.layers import Layer, Network
from .kernels import Kernel, Values, Weights

WIDE_SETS = ("avx512", "avx2")  # instruction sets
CHANNELS = 16  # inputs and filters must be multiples, to fill whole vectors


class Winograd(Kernel):
    """Computes the layers that `takes` accepts, one at a time.

    Raises:
        UnknownNameError: this machine or this build lacks the instruction set.
    """

    def __init__(self, network: Network, instruction_set: str):
        self.layers, self.lanes = network.layers, lanes_of(instruction_set)
        self.settings = {"winograd": instruction_set}

    def takes(self, at: int) -> int:
        """1 for a supported layer, else 0."""
        return int(takes(self.layers[at]))

    def prepare(self, at: int, weights: Sequence[Weights]) -> Weights:
        """The weight, transformed, (16 · filters · channels,), and the bias, (filters,)."""
        [(weight, bias)] = weights
        assert weight is not None
        return [prepare(weight, self.lanes), bias]

    def compute(self, at: int, values: Values, weights: Weights, *, keep_nan: bool) -> None:
        """Add the result of layer `at` to `values`.

        Raises:
            MemoryError: an allocation failed.
        """
        layer, (weight, bias) = self.layers[at], weights
        assert weight is not None
        residual = None if layer.residual is None else values[layer.residual].float()
        values[layer.result] = convolution(
            values[layer.inputs[0]].float(),
            weight,
            bias,
            residual,
            layer.settings["padding"][0],
            self.lanes,
            relu=layer.relu,
        )


def lanes_of(instruction_set: str) -> int:
    """Numbers in a vector of `instruction_set`.

    Raises:
        UnknownNameError: this machine or this build lacks it.
    """
    lanes = native.width(instruction_set)
    if not lanes:
        raise UnknownNameError("instruction set on this machine", instruction_set, native.instruction_sets())
    return lanes


def pays_off(network: Network, instruction_set: str) -> bool:
    """Whether it supports some layer, and the vectors are wide: with narrow ones oneDNN is faster."""
    return instruction_set in WIDE_SETS and any(map(takes, network.layers))


def takes(layer: Layer) -> bool:
    """Whether this is a convolution that the kernel supports."""
    weight = layer.weights[0] if layer.kind == "convolution" else None
    if weight is None or weight.center.shape[2:] != (3, 3) or layer.settings["transposed"]:
        return False
    once = all(set(layer.settings[name]) == {1} for name in ("stride", "dilation")) and layer.settings["groups"] == 1
    even = len(set(layer.settings["padding"])) == 1
    return once and even and not any(size % CHANNELS for size in weight.center.shape[:2])


def prepare(weight: Tensor, lanes: int) -> Tensor:
    """`weight`, (filters, channels, 3, 3), as the kernel reads it, (16 · filters · channels,): once per point.

    Every 3×3 kernel g becomes the 4×4 matrix G g Gᵀ.

    Source: Lavin and Gray 2016, arXiv:1509.09308, section 4.1.
    """
    filters, channels = weight.shape[:2]
    given, prepared = weight.contiguous(memory_format=torch.channels_last), torch.empty(16 * filters * channels)
    _library().winograd_weights(lanes, given.data_ptr(), channels, filters, prepared.data_ptr())
    return prepared


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None, padding: int, lanes: int, *, relu: bool
) -> Tensor:
    """relu(x ∗ weight + bias + residual), with the optional parts if present; `weight` comes from `prepare`.

    (N, channels, H, W) -> (N, filters, H + 2 · padding − 2, W + 2 · padding − 2), channels-last.

    Raises:
        MemoryError: an allocation failed.

    Source: Lavin and Gray 2016, arXiv:1509.09308, section 4.1: F(2×2, 3×3).
    """
    images, channels, height, width = x.shape
    filters, grown = weight.numel() // (16 * channels), 2 * padding - 2
    x = x.contiguous(memory_format=torch.channels_last)
    bias = torch.zeros(filters) if bias is None else bias
    shape = (images, filters, height + grown, width + grown)
    result = torch.empty(shape, memory_format=torch.channels_last)
    other = None if residual is None else residual.contiguous(memory_format=torch.channels_last)
    given = native.Winograd(
        x.data_ptr(), weight.data_ptr(), bias.data_ptr(), None if other is None else other.data_ptr(),
        result.data_ptr(), images, height, width, channels, filters, shape[2], shape[3], padding, relu,
    )  # fmt: skip
    if _library().winograd_run(lanes, ctypes.byref(given), torch.get_num_threads()):
        raise MemoryError
    return result


def _library() -> ctypes.CDLL:
    loaded = native.library()
    assert loaded is not None
    return loaded
