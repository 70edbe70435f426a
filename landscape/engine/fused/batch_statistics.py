"""BatchNorm with batch statistics: gathered while a result is in the cache, applied when it is read next.

Computes "normalize" layers, and the convolutions of winograd.py and conv_chains.py before and after them; torch takes
what the native kernels do not support: float64, other devices, channels that do not fill whole vectors.

Mean and biased variance, as in torch's training mode, in blocks around the mean of the blocks before
(native/statistics.inc), so an offset common to a channel costs no precision. Such a BatchNorm cannot be folded, but a
convolution can normalize its input a few images at a time, so a result is written only if other layers read it too.

Measured on one thread, batches of 256: a point of ResNet-20 836 → 400 ms, 1.15 times one with frozen statistics, where
it was 2 times (docs/performance.md, attempt 14). Off: a choice without "normed".
"""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import native
from ..graph.layers import Layer, Network
from . import conv_chains, winograd
from .arena import Arena
from .kernels import Kernel, Values, Weights

WIDTHS = (16, 8, 4)  # numbers in a vector


@dataclass(frozen=True)
class Pending:
    """relu((raw − mean) · scale + shift + other), not computed yet."""

    raw: Tensor  # (N, channels) or (N, channels, height, width), float32
    coefficients: Tensor  # (3, channels): mean, scale, shift
    other: Tensor | None  # in the shape of `raw`
    relu: bool
    overwritable: bool  # `raw` is not read again: the result may be written over it

    def arguments(self, kept: Tensor | None) -> native.BatchNorm:
        """Arguments for the native functions, which write the result to `kept`."""
        at, line = self.coefficients.data_ptr(), self.coefficients.stride(0) * self.coefficients.element_size()
        other = None if self.other is None else self.other.data_ptr()
        written = None if kept is None else kept.data_ptr()
        return native.BatchNorm(self.raw.data_ptr(), at, at + line, at + 2 * line, other, written, self.relu)

    def destination(self, arena: Arena) -> Tensor:
        """A tensor for the result, with the shape of `raw`."""
        if self.overwritable:
            return self.raw
        return arena.empty(self.raw.shape) if self.raw.ndim == 4 else torch.empty_like(self.raw)

    def computed(self, width: int, arena: Arena) -> Tensor:
        """Compute the result, which has the shape of `raw`.

        Raises:
            MemoryError: an allocation failed.
        """
        result, channels = self.destination(arena), self.coefficients.shape[1]
        given = ctypes.byref(self.arguments(result))
        rows = self.raw.numel() // channels
        _require(_library().batch_norm_apply(width, given, rows, channels, torch.get_num_threads()))
        return result


class BatchStatistics(Kernel):
    """The BatchNorms of one network that take their statistics from the batch, and the convolutions next to them.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1; Chan, Golub and LeVeque 1983,
    doi:10.1080/00031305.1983.10483115, for joining the mean and the squares of two blocks.
    """

    def __init__(self, network: Network, instruction_set: str | None, lanes: int, *, usable: bool = True):
        """
        Args:
            instruction_set: of the native kernels, None for torch's.
            lanes: numbers in a vector of the native convolutions, 0 if the plan has none of them.
            usable: False for a device or type of parameters that the native kernels do not support: torch computes.

        Raises:
            UnknownNameError: this machine lacks `instruction_set`.
        """
        self.settings = {} if instruction_set is None else {"normed": instruction_set}
        self.width = winograd.lanes_of(instruction_set) if instruction_set is not None and usable else 0
        self.network, self.lanes, self.uses = network, lanes, network.uses()
        norms = [layer for layer in network.layers if layer.kind == "normalize"]
        first: dict[int, Layer] = {}  # value -> the layer that reads it first
        for layer in network.layers:
            for index in layer.reads():
                first.setdefault(index, layer)
        native_layers = [layer for layer in network.layers if lanes and self.width and _is_native(layer)]
        convolved = {layer.result for layer in native_layers}
        new = {layer.result for layer in network.layers if layer.kind in ("convolution", "linear")}
        self.overwritable = {index for index in new if self.uses.get(index) == 1}
        in_vectors = {norm.result for norm in norms if lanes and not (network.shapes[norm.result] or (1,))[0] % lanes}
        self.deferred = {index for index in in_vectors if _reads_once(first.get(index), index, convolved)}
        self.gathered = {norm.inputs[0] for norm in norms} & convolved
        self.results = {norm.result for norm in norms} | self.gathered
        self.results |= {first[index].result for index in self.deferred}
        self.sums: dict[int, Tensor] = {}  # result of a convolution -> mean and summed squares, (2, channels), float64
        self.arena = Arena()
        self.found: dict[int, tuple[Tensor, Tensor]] = {}  # result -> mean and unbiased variance, if they are kept

    def takes(self, at: int) -> int:
        """1 for a supported layer, else 0."""
        return int(self.network.layers[at].results[0] in self.results)

    def prepare(self, at: int, weights: Sequence[Weights]) -> Weights:
        """The weight and bias of a convolution as the native module reads them; else scale and shift, (channels,)."""
        layer, [given] = self.network.layers[at], weights
        weight, bias = given
        if layer.kind != "convolution" or weight is None:
            return given
        return [conv_chains.native_weight(layer, weight, self.lanes), bias]

    def compute(self, at: int, values: Values, weights: Weights, *, keep_nan: bool) -> None:
        """Add the result of layer `at` to `values`: a `Pending` one if the next layer computes it.

        Raises:
            MemoryError: an allocation failed.
        """
        layer = self.network.layers[at]
        by_kind = self._convolved if layer.kind == "convolution" else self._normalized
        values[layer.result] = by_kind(layer, values, weights)

    def statistics(self, at: int, weights: Weights) -> Mapping[str, Tensor]:
        """Name -> mean and unbiased variance of the last batch of layer `at`, (channels,) each."""
        layer = self.network.layers[at]
        names = layer.settings["buffers"] if layer.kind == "normalize" else ()
        return dict(zip(names, self.found[layer.result], strict=True)) if names else {}

    def release(self) -> None:
        """Free the memory of results."""
        self.arena.clear()

    def _normalized(self, layer: Layer, values: Values, given: Weights) -> Tensor | Pending:
        x, residual = values[layer.inputs[0]], None if layer.residual is None else values[layer.residual]
        gamma, beta = given
        assert gamma is not None
        assert beta is not None
        width = self._width_for(x)
        if not width:
            return self._by_torch(layer, x, residual, gamma, beta)
        x, residual = _channels_last(x), None if residual is None else _channels_last(residual)
        sums = self.sums.pop(layer.inputs[0], None)
        sums = _gather(x, width) if sums is None else sums
        rows, coefficients = x.numel() // len(gamma), torch.empty(3, len(gamma))
        _library().batch_norm_coefficients(
            sums.data_ptr(), len(gamma), rows, layer.settings["epsilon"], gamma.data_ptr(), beta.data_ptr(),
            coefficients.data_ptr(),
        )  # fmt: skip
        if layer.settings["buffers"]:
            self.found[layer.result] = (sums[0].to(x.dtype), (sums[1] / (rows - 1)).to(x.dtype))
        overwritable = layer.inputs[0] in self.overwritable
        pending = Pending(x, coefficients, residual, layer.relu, overwritable)
        return pending if layer.result in self.deferred else pending.computed(width, self.arena)

    def _convolved(self, layer: Layer, values: Values, given: Weights) -> Tensor:
        x, residual = values[layer.inputs[0]], None if layer.residual is None else values[layer.residual]
        weight, bias = given
        assert weight is not None
        shape = self.network.shapes[layer.result]
        assert shape is not None
        bias = torch.zeros(shape[0]) if bias is None else bias
        norm, pending = native.BatchNorm(), x if isinstance(x, Pending) else None
        if pending is not None:  # its tensors must live until the native function has returned
            kept = pending.destination(self.arena) if self.uses[layer.inputs[0]] > 1 else None
            norm, x = pending.arguments(kept), pending.raw if kept is None else kept
            values[layer.inputs[0]] = x
        sums = None
        if layer.result in self.gathered:
            sums = self.sums[layer.result] = torch.empty(2, len(bias), dtype=torch.float64)
        x, residual = _channels_last(x), None if residual is None else _channels_last(residual)
        result = self.arena.empty((len(x), *shape))
        convolve(layer, x, weight, bias, residual, result, self.lanes, norm=norm, sums=sums)
        return result

    def _by_torch(self, layer: Layer, x: Tensor, residual: Tensor | None, gamma: Tensor, beta: Tensor) -> Tensor:
        mean = variance = None
        if layer.settings["buffers"]:
            mean, variance = torch.zeros_like(gamma), torch.zeros_like(gamma)
        result: Tensor = torch.ops.aten.native_batch_norm(
            x, gamma, beta, mean, variance, True, 1.0, layer.settings["epsilon"]
        )[0]
        if mean is not None and variance is not None:
            self.found[layer.result] = (mean, variance)
        result = result if residual is None else result + residual
        return result.relu() if layer.relu else result

    def _width_for(self, x: Tensor) -> int:
        """Numbers per vector with which the native kernels read `x`; 0: torch computes the layer."""
        if x.ndim not in (2, 4):
            return 0
        return next((width for width in WIDTHS if width <= self.width and not x.shape[1] % width), 0)


def convolve(
    layer: Layer,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    residual: Tensor | None,
    result: Tensor,
    lanes: int,
    *,
    norm: native.BatchNorm,
    sums: Tensor | None,
) -> None:
    """Write relu(x ∗ weight + bias + residual) to `result`; weights as the native module reads them.

    Args:
        norm: how the input is normalized first, if it is.
        sums: receives mean and summed squares of the result, (2, filters), float64.

    Raises:
        MemoryError: an allocation failed.
    """
    images, channels, height, width = x.shape
    given = native.Winograd(
        x.data_ptr(), weight.data_ptr(), bias.data_ptr(), None if residual is None else residual.data_ptr(),
        result.data_ptr(), images, height, width, channels, *result.shape[1:], layer.settings["padding"][0], layer.relu,
    )  # fmt: skip
    window = conv_chains.window(layer)
    found = None if sums is None else sums.data_ptr()
    threads = torch.get_num_threads()
    _require(_library().batch_norm_convolution(lanes, ctypes.byref(given), *window, ctypes.byref(norm), found, threads))


def has_batch_statistics(network: Network) -> bool:
    """Whether some BatchNorm of `network` uses batch statistics."""
    return any(layer.kind == "normalize" for layer in network.layers)


def _is_native(layer: Layer) -> bool:
    """Whether the native module computes this convolution."""
    return winograd.takes(layer) or conv_chains.takes(layer)


def _reads_once(reader: Layer | None, index: int, convolved: set[int]) -> bool:
    """Whether the first reader of a value is a convolution that can normalize its input itself."""
    return reader is not None and reader.results[0] in convolved and reader.residual != index


def _channels_last(x: Tensor) -> Tensor:
    x = x.float()
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.contiguous()


def _gather(x: Tensor, width: int) -> Tensor:
    channels = x.shape[1]
    sums = torch.empty(2, channels, dtype=torch.float64)
    threads, rows = torch.get_num_threads(), x.numel() // channels
    _require(_library().batch_norm_gather(width, x.data_ptr(), rows, channels, sums.data_ptr(), threads))
    return sums


def _require(refused: int) -> None:
    if refused:
        raise MemoryError


def _library() -> ctypes.CDLL:
    loaded = native.library()
    assert loaded is not None
    return loaded
