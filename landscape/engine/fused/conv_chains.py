"""Consecutive convolutions in one call: a few images pass through all of them while their values stay in the cache.

In float32, images channels-last. Layers that winograd.py supports use Winograd; layers with few channels or a stride of
two, for which oneDNN has no good kernel, are computed directly (native/direct.inc). NaN is kept.

Measured on one thread against one layer after another with 64 images: a point of ResNet-20 1.25×, of ResNet-56 1.16 to
1.22× (docs/performance.md, attempt 15).
Off: `WORKSPACE = 0`.
"""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from .. import native
from ..graph.layers import Layer, Network
from . import winograd
from .buffers import assign_buffers, results_of
from .kernels import Kernel, Values, Weights

WORKSPACE = 1 << 20  # bytes of values in flight; the weights get as much
FEW = 4  # channels
WEIGHTS = 1 << 19  # bytes of a layer's weights, at most: bigger ones would need more images at a time than fit


class ConvChains(Kernel):
    """Computes every sequence of at least two layers that `takes` accepts."""

    def __init__(self, network: Network, lanes: int):
        self.chains = {chain.stretch.start: chain for chain in chains(network, lanes)}

    def takes(self, at: int) -> int:
        """The number of layers in the chain that starts at `at`, else 0."""
        return len(self.chains[at].layers) if at in self.chains else 0

    def prepare(self, at: int, weights: Sequence[Weights]) -> Weights:
        """Packed weights and biases (filters,) of the chain, as `Chain.prepare` makes them."""
        return self.chains[at].prepare(weights)

    def compute(self, at: int, values: Values, weights: Weights, *, keep_nan: bool) -> None:
        """Add the results of the chain to `values`.

        Raises:
            MemoryError: an allocation failed.
        """
        values |= self.chains[at].run(values, weights)


class Chain:
    """Consecutive layers of a network that are computed in one call."""

    def __init__(self, network: Network, stretch: range, lanes: int):
        self.stretch, self.lanes, self.shapes = stretch, lanes, network.shapes
        self.layers = network.layers[stretch.start : stretch.stop]
        self.results = results_of(network, stretch)
        made = [layer.result for layer in self.layers]
        self.sources = sorted({index for layer in self.layers for index in layer.reads()} - set(made))
        last = {index: at for at, layer in enumerate(self.layers) for index in layer.reads()}
        own = [{index: self._numbers(index)} if index not in self.results else {} for index in made]
        self.buffers, sizes = assign_buffers(own, last)
        self.starts = [sum(sizes[:n]) for n in range(len(sizes))]
        self.size = sum(sizes)
        self.group = max(1, WORKSPACE // (4 * max(self.size, 1)))

    def _numbers(self, index: int) -> int:
        shape = self.shapes[index]
        assert shape is not None
        return shape[0] * shape[1] * shape[2]

    def prepare(self, given: Sequence[Weights]) -> Weights:
        """Weight, as `native_weight` packs it, and bias (filters,) of every layer in turn: once per point."""
        prepared: Weights = []
        for layer, (weight, bias) in zip(self.layers, given, strict=True):
            assert weight is not None
            prepared += [native_weight(layer, weight, self.lanes), torch.zeros(len(weight)) if bias is None else bias]
        return prepared

    def run(self, values: Values, prepared: Weights) -> Values:
        """The results that layers outside the chain read, channels-last; `prepared` comes from `prepare`.

        Raises:
            MemoryError: an allocation failed.
        """
        given = {index: values[index].float().contiguous(memory_format=torch.channels_last) for index in self.sources}
        images = len(next(iter(given.values())))
        results = {index: self._empty(images, index) for index in self.results}
        whole = given | results
        numbers = {index: number for number, index in enumerate([*whole, *self.buffers])}
        entries = [native.ChainValue(value.data_ptr(), value[0].numel(), 0) for value in whole.values()]
        entries += [native.ChainValue(None, 0, self.starts[buffer] * self.group) for buffer in self.buffers.values()]
        weights = zip(prepared[::2], prepared[1::2], strict=True)
        steps = [self._step(layer, *pair, numbers) for layer, pair in zip(self.layers, weights, strict=True)]
        layers, held = (native.ChainLayer * len(steps))(*steps), (native.ChainValue * len(entries))(*entries)
        call = native.Chain(
            ctypes.addressof(layers), ctypes.addressof(held), len(steps), self.group, images, self.size * self.group
        )
        loaded = native.library()
        assert loaded is not None
        if loaded.chain_run(self.lanes, ctypes.byref(call), torch.get_num_threads()):
            raise MemoryError
        return results

    def _empty(self, images: int, index: int) -> Tensor:
        shape = self.shapes[index]
        assert shape is not None
        return torch.empty((images, *shape), memory_format=torch.channels_last)

    def _step(
        self, layer: Layer, weight: Tensor | None, bias: Tensor | None, numbers: dict[int, int]
    ) -> native.ChainLayer:
        shape, out = self.shapes[layer.inputs[0]], self.shapes[layer.result]
        assert weight is not None
        assert bias is not None
        assert shape is not None
        assert out is not None
        at = native.Winograd(
            None, weight.data_ptr(), bias.data_ptr(), None, None, 0, shape[1], shape[2], shape[0], out[0], out[1],
            out[2], layer.settings["padding"][0], layer.relu,
        )  # fmt: skip
        other = -1 if layer.residual is None else numbers[layer.residual]
        return native.ChainLayer(numbers[layer.inputs[0]], other, numbers[layer.result], *window(layer), at)


def native_weight(layer: Layer, weight: Tensor, lanes: int) -> Tensor:
    """The weight of a layer that `takes` accepts, as the native module reads it.

    (16 · filters · channels,) for Winograd; otherwise (block of filters, height, width, channel, filter in the block).
    """
    return winograd.prepare(weight, lanes) if winograd.takes(layer) else direct_weights(weight, lanes)


def direct_weights(weight: Tensor, lanes: int) -> Tensor:
    """From (filters, channels, height, width) to (block of filters, height, width, channel, filter in the block)."""
    filters, channels, size = weight.shape[:3]
    loaded = native.library()
    assert loaded is not None
    block = loaded.winograd_filters(lanes, filters)
    return weight.reshape(filters // block, block, channels, size, size).permute(0, 3, 4, 2, 1).contiguous()


def takes(layer: Layer) -> bool:
    """Whether the native module supports this layer, and its weights leave space in the cache."""
    weight = layer.weights[0] if layer.kind == "convolution" else None
    if weight is None or weight.center.ndim != 4:
        return False
    if winograd.takes(layer):
        return 64 * weight.center[:, :, 0, 0].numel() <= WEIGHTS
    return 4 * weight.center.numel() <= WEIGHTS and _is_direct(layer, weight.center)


def _is_direct(layer: Layer, weight: Tensor) -> bool:
    settings = layer.settings
    once = set(settings["dilation"]) == {1} and settings["groups"] == 1 and not settings["transposed"]
    square = all(len(set(sizes)) == 1 for sizes in (settings["stride"], settings["padding"], weight.shape[2:]))
    worth = settings["stride"][0] == 2 or weight.shape[1] <= FEW
    return once and square and worth and len(weight) % winograd.CHANNELS == 0


def window(layer: Layer) -> tuple[int, int]:
    """Kernel size and stride for the native module; a size of 0 means Winograd."""
    weight = layer.weights[0]
    assert weight is not None
    return (0, 0) if winograd.takes(layer) else (int(weight.center.shape[-1]), int(layer.settings["stride"][0]))


def chains(network: Network, lanes: int) -> list[Chain]:
    """The longest sequences of at least two layers that `takes` accepts."""
    stretches: list[range] = []
    for at, layer in enumerate(network.layers):
        if takes(layer):
            goes_on = bool(stretches) and stretches[-1].stop == at
            start = stretches.pop().start if goes_on else at
            stretches.append(range(start, at + 1))
    return [Chain(network, stretch, lanes) for stretch in stretches if len(stretch) > 1 and WORKSPACE]
