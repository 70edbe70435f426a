"""BatchNorm with the statistics of its batch: gathered while a result is in the cache, applied where it is read next.

Imports native, winograd, chained, room, layers, torch. Called by fused.py for "normalize" layers, and for the
convolutions of winograd.py and chained.py before and behind them; what the kernels do not take (float64, other devices,
odd channels) torch computes.

Mean and biased variance, as in torch's training mode, in blocks around the mean of the blocks before (native/
statistics.inc), so an offset common to a channel costs no digits. Such a BatchNorm cannot be folded, but a convolution
reads its input normalised a few images at a time, and nothing is written that nobody else reads.

Measured on one thread, batches of 256: a point of ResNet-20 836 → 400 ms, 1.15 times one with frozen statistics, where
it was twice (docs/performance.md, attempt 14). Off: a choice without "normed".
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import native
from ..graph.layers import Layer, Network
from . import conv_chains, winograd
from .arena import Room

WIDTHS = (16, 8, 4)  # numbers in a vector

Values = dict[int, Any]  # tensors, and `Pending` ones


@dataclass(frozen=True)
class Pending:
    """relu((raw − mean) · scale + shift + other), not computed yet."""

    raw: Tensor
    settled: Tensor  # (3, channels): mean, scale, shift
    other: Tensor | None
    relu: bool
    spare: bool  # nobody else reads `raw`: the result may be written over it

    def arguments(self, kept: Tensor | None) -> native.Normed:
        """For the kernels; `kept` takes the result."""
        at, line = self.settled.data_ptr(), self.settled.stride(0) * self.settled.element_size()
        other = None if self.other is None else self.other.data_ptr()
        written = None if kept is None else kept.data_ptr()
        return native.Normed(self.raw.data_ptr(), at, at + line, at + 2 * line, other, written, self.relu)

    def place(self, room: Room) -> Tensor:
        """Where the result may be written."""
        if self.spare:
            return self.raw
        return room.picture(self.raw.shape) if self.raw.ndim == 4 else torch.empty_like(self.raw)

    def made(self, width: int, room: Room) -> Tensor:
        """The result."""
        place, channels = self.place(room), self.settled.shape[1]
        given = ctypes.byref(self.arguments(place))
        rows = self.raw.numel() // channels
        _require(_library().normed_apply(width, given, rows, channels, torch.get_num_threads()))
        return place


class Norms:
    """The BatchNorms of one network that take their statistics from the batch, and the convolutions next to them."""

    def __init__(self, network: Network, instruction_set: str | None, tiled: set[int], lanes: int):
        """
        Args:
            instruction_set: of the kernels, None for torch's.
            tiled: results of the convolutions by Winograd, in vectors of `lanes` numbers, 0 for none.
        """
        self.width = 0 if instruction_set is None else winograd.lanes_of(instruction_set)
        self.lanes, self.uses, self.shapes = lanes, network.uses(), network.shapes
        norms = [layer for layer in network.layers if layer.kind == "normalize"]
        first: dict[int, Layer] = {}
        for layer in network.layers:
            for index in layer.reads():
                first.setdefault(index, layer)
        written = {layer.result for layer in network.layers if conv_chains.takes(layer)} if lanes else set()
        tiled = (tiled | written) if self.width else set()
        fresh = {layer.result for layer in network.layers if layer.kind in ("convolution", "linear")}
        self.spare = {index for index in fresh if self.uses.get(index) == 1}
        whole = {norm.result for norm in norms if lanes and not (self.shapes[norm.result] or (1,))[0] % lanes}
        self.late = {index for index in whole if _reads_once(first.get(index), index, tiled)}
        self.gathered = {norm.inputs[0] for norm in norms} & tiled
        self.layers = {norm.result for norm in norms} | self.gathered
        self.layers |= {first[index].result for index in self.late}
        self.direct = self.layers & written - {layer.result for layer in network.layers if winograd.takes(layer)}
        self.sums: dict[int, Tensor] = {}  # of a convolution's result: mean and summed squares, (2, channels), float64
        self.room = Room()
        self.found: dict[int, tuple[Tensor, Tensor]] = {}  # by result: mean and unbiased variance, where they are kept

    def apply(self, layer: Layer, values: Values, given: list[Tensor | None]) -> None:
        """Run a layer of `layers`."""
        values[layer.result] = (self._convolved if layer.kind == "convolution" else self._normed)(layer, values, given)

    def _normed(self, layer: Layer, values: Values, given: list[Tensor | None]) -> Tensor | Pending:
        x, residual = values[layer.inputs[0]], None if layer.residual is None else values[layer.residual]
        gamma, beta = given
        assert gamma is not None
        assert beta is not None
        width = self._width_for(x)
        if not width:
            return self._by_torch(layer, x, residual, gamma, beta)
        x, residual = _laid(x), None if residual is None else _laid(residual)
        sums = self.sums.pop(layer.inputs[0], None)
        sums = _gathered(x, width) if sums is None else sums
        rows, settled = x.numel() // len(gamma), torch.empty(3, len(gamma))
        _library().normed_settle(
            sums.data_ptr(), len(gamma), rows, layer.settings["epsilon"], gamma.data_ptr(), beta.data_ptr(),
            settled.data_ptr(),
        )  # fmt: skip
        if layer.settings["buffers"]:
            self.found[layer.result] = (sums[0].to(x.dtype), (sums[1] / (rows - 1)).to(x.dtype))
        spare = layer.inputs[0] in self.spare
        pending = Pending(x, settled, residual, layer.relu, spare)
        return pending if layer.result in self.late else pending.made(width, self.room)

    def _convolved(self, layer: Layer, values: Values, given: list[Tensor | None]) -> Tensor:
        x, residual = values[layer.inputs[0]], None if layer.residual is None else values[layer.residual]
        weight, bias = given
        assert weight is not None
        shape = self.shapes[layer.result]
        assert shape is not None
        bias = torch.zeros(shape[0]) if bias is None else bias
        norm, pending = native.Normed(), x if isinstance(x, Pending) else None
        if pending is not None:  # what it holds must live until the kernel has run
            kept = pending.place(self.room) if self.uses[layer.inputs[0]] > 1 else None
            norm, x = pending.arguments(kept), pending.raw if kept is None else kept
            values[layer.inputs[0]] = x
        sums = None
        if layer.result in self.gathered:
            sums = self.sums[layer.result] = torch.empty(2, len(bias), dtype=torch.float64)
        x, residual = _laid(x), None if residual is None else _laid(residual)
        result = self.room.picture((len(x), *shape))
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
        """Numbers per vector that the kernels take `x` in, 0 where they do not."""
        if x.ndim not in (2, 4):
            return 0
        return next((width for width in WIDTHS if width <= self.width and not x.shape[1] % width), 0)

    def kept(self, layer: Layer) -> Mapping[str, Tensor]:
        """Name -> running mean and unbiased variance that a layer has kept of its last batch."""
        names = layer.settings["buffers"]
        return dict(zip(names, self.found[layer.result], strict=True)) if names else {}


def convolve(
    layer: Layer,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    residual: Tensor | None,
    result: Tensor,
    lanes: int,
    *,
    norm: native.Normed,
    sums: Tensor | None,
) -> None:
    """Write relu(x ∗ weight + bias + residual) to `result`; weights as the kernels read them.

    Args:
        norm: how the input is normalised on the way, where it is.
        sums: takes mean and summed squares of the result, (2, filters), float64.
    """
    images, channels, height, width = x.shape
    given = native.Winograd(
        x.data_ptr(), weight.data_ptr(), bias.data_ptr(), None if residual is None else residual.data_ptr(),
        result.data_ptr(), images, height, width, channels, *result.shape[1:], layer.settings["padding"][0], layer.relu,
    )  # fmt: skip
    window = conv_chains.window(layer)
    found = None if sums is None else sums.data_ptr()
    threads = torch.get_num_threads()
    _require(_library().normed_convolution(lanes, ctypes.byref(given), *window, ctypes.byref(norm), found, threads))


def pays(network: Network) -> bool:
    """Whether some layer is one for the kernels."""
    return any(layer.kind == "normalize" for layer in network.layers)


def _reads_once(reader: Layer | None, index: int, tiled: set[int]) -> bool:
    """Whether the first reader of a value is a convolution that can normalise its input itself."""
    return reader is not None and reader.results[0] in tiled and reader.residual != index


def _laid(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.contiguous()


def _gathered(x: Tensor, width: int) -> Tensor:
    channels = x.shape[1]
    sums = torch.empty(2, channels, dtype=torch.float64)
    threads, rows = torch.get_num_threads(), x.numel() // channels
    _require(_library().normed_gather(width, x.data_ptr(), rows, channels, sums.data_ptr(), threads))
    return sums


def _require(refused: int) -> None:
    if refused:
        raise MemoryError


def _library() -> ctypes.CDLL:
    loaded = native.library()
    assert loaded is not None
    return loaded
