"""The kernels of a fused plan: each computes some layers of a network with the operators of one library.

The first kernel of a plan that takes a layer computes it; torch's operators, which take every layer, come last
(torch_layers.py). choose.py decides which kernels a plan has, and in which order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from ..graph.layers import Layer, Network

Values = dict[int, Any]  # index -> tensor; in batch_statistics.py also results that are not computed yet
Weights = list[Tensor | None]  # of a layer at a point, or as a kernel has prepared them

SETTINGS = ("winograd", "amx", "normed")  # keys of a plan's choice about kernels, in this order


class Kernel(Protocol):
    """Computes some layers of one network; `at` is the position of a layer in the network."""

    settings: Mapping[str, Any] = {}  # entries of a plan's choice that select this kernel again
    fuses_relu: bool = False  # its ReLU turns NaN into 0 unless `keep_nan`: the plan checks for overflow at every point

    def takes(self, at: int) -> int:
        """The number of layers from `at` on that it computes in one call; 0 if it does not support layer `at`."""
        ...

    def prepare(self, at: int, weights: Sequence[Weights]) -> Weights:
        """The weights of these layers, in float32 or float64, in the shapes that `compute` reads: once per point."""
        ...

    def compute(self, at: int, values: Values, weights: Weights, *, keep_nan: bool) -> None:
        """Add the results of these layers to `values`.

        Raises:
            MemoryError: an allocation failed.
        """
        ...

    def statistics(self, at: int, weights: Weights) -> Mapping[str, Tensor]:
        """Name -> mean or unbiased variance (channels,) of the last batch, if layer `at` is a BatchNorm."""
        return {}

    def release(self) -> None:
        """Free memory that is kept from batch to batch."""
        return


@dataclass(frozen=True)
class Step:
    """Consecutive layers, computed by one kernel in one call."""

    kernel: Kernel
    layers: range
    dead: tuple[int, ...]  # values that no later step reads


def steps_of(network: Network, kernels: Sequence[Kernel]) -> list[Step]:
    """The steps of `network`: each layer goes to the first of `kernels` that takes it."""
    found: list[tuple[Kernel, range]] = []
    at = 0
    while at < len(network.layers):
        kernel, count = next((kernel, count) for kernel in kernels if (count := kernel.takes(at)))
        found.append((kernel, range(at, at + count)))
        at += count
    dead = _dead(network, [layers for _, layers in found])
    return [Step(kernel, layers, tuple(ended)) for (kernel, layers), ended in zip(found, dead, strict=True)]


def _dead(network: Network, stretches: Sequence[range]) -> list[list[int]]:
    """For every stretch, the values not read after it; the input is kept: generic layers need its batch size."""
    last = {index: n for n, layers in enumerate(stretches) for at in layers for index in _touched(network.layers[at])}
    last.pop(network.output, None)
    last.pop(network.input, None)
    return [[index for index, when in last.items() if when == n] for n in range(len(stretches))]


def _touched(layer: Layer) -> list[int]:
    return [*layer.reads(), *(index for index in layer.results if index is not None)]
