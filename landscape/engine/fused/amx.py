"""Consecutive convolutions in bfloat16 by AMX's tiles: a few images go through many layers within the cache.

Imports native, slots, layers, torch. Called by fused.py in place of the layers of a `Segment`, pictures channels-last.
Bias, residual and ReLU taken along; NaN kept; sums in float32, values between layers in bfloat16, as oneDNN has them.

Measured on one thread against oneDNN's fused convolutions: a point of ResNet-56 2.2 to 2.6×; 16 channels of 32×32 3.5×
(docs/performance.md, attempts 11g to 11i). Off: a choice without "amx".
"""

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import UnknownNameError
from .. import native
from ..graph.layers import Layer, Network
from .amx_layout import DEPTH, LINE, ROWS, Reading, Slot, group_of, packed, reading
from .buffers import assign_buffers, results_of
from .kernels import Kernel, Values, Weights

BIG_WEIGHTS = 1 << 17  # bytes of a layer's weights that are worth more than one group of images ...
WORKSPACE = 1 << 20  # ... as many as fit into so many bytes, which leave room for the weights in the cache


class Amx(Kernel):
    """Every layer that amx_layout.py finds a way to read, in segments."""

    settings: Mapping[str, Any] = {"amx": True}

    def __init__(self, network: Network, *, usable: bool):
        """
        Args:
            usable: False on a device or for parameters that it does not compute with: it takes nothing.

        Raises:
            UnknownNameError: this machine, this build or this process lacks AMX.
        """
        require()
        self.segments = {segment.stretch.start: segment for segment in segments(network)} if usable else {}

    def takes(self, at: int) -> int:
        """All layers of the segment that begins at `at`."""
        return len(self.segments[at].layers) if at in self.segments else 0

    def prepare(self, at: int, weights: Sequence[Weights]) -> Weights:
        """As `Segment.prepare`."""
        return self.segments[at].prepare(weights)

    def compute(self, at: int, values: Values, weights: Weights, *, keep_nan: bool) -> None:
        """Add the results of the segment to `values`."""
        values |= self.segments[at].run(values, weights)


class Segment:
    """Consecutive layers of a network that are computed in one call."""

    def __init__(self, network: Network, stretch: range, group: int):
        layers = network.layers[stretch.start : stretch.stop]
        self.stretch, self.layers, self.group, self.shapes = stretch, layers, group, network.shapes
        self.readings = [found for layer in layers if (found := reading(network, layer)) is not None]
        self.results = results_of(network, stretch)
        self._place()
        self._write_program()

    def _place(self) -> None:
        """Give every value a slot, used again only by a value of the same layout, so that its ring stays zero."""
        needed = [_needed(layer, found) for layer, found in zip(self.layers, self.readings, strict=True)]
        made = {layer.result for layer in self.layers}
        self.sources = list(dict.fromkeys(key for keys in needed for key in keys if key[0] not in made))
        wanted = [{key: self._slot(*key) for key in keys} for keys in (self.sources, *needed)]
        last = {key: at for at, keys in enumerate(wanted) for key in keys if key[0] not in self.results}
        numbers, slots = assign_buffers(wanted, last)
        self.groups = self._groups(sum(slot.size for slot in slots))
        starts = [self.groups * sum(slot.size for slot in slots[:n]) for n in range(len(slots))]
        self.slots = {key: (starts[number], slots[number]) for key, number in numbers.items()}
        self.workspace = self.groups * sum(slot.size for slot in slots)

    def _slot(self, index: int, kind: str) -> Slot:
        shape = self.shapes[index]
        assert shape is not None
        return Slot(kind, shape[0], shape[1], shape[2], self.group)

    def _groups(self, size: int) -> int:
        """Groups of images that share a look at the weights of a layer, where those are many."""
        heavy = max(2 * layer.weights[0].center.numel() for layer in self.layers if layer.weights[0] is not None)
        return max(1, min(8, WORKSPACE // size)) if heavy > BIG_WEIGHTS else 1

    def _write_program(self) -> None:
        offsets: list[int] = []
        weights = bias = 0
        self.program = (native.AmxLayer * len(self.layers))()
        for place, layer, found in zip(self.program, self.layers, self.readings, strict=True):
            source, target, *other = (self.slots[key] for key in _needed(layer, found))
            (start, slot), (made_start, made), shape = source, target, self.shapes[layer.result]
            assert layer.weights[0] is not None
            assert shape is not None
            filters = layer.weights[0].center.shape[0] * found.pixels
            stride = layer.settings["stride"][0]
            place.input, place.output = start + slot.start, made_start + made.start
            place.other = other[0][0] + made.start if other else -1
            place.input_group, place.output_group = slot.size, made.size
            place.rows, place.tiles = shape[1], shape[2] // found.pixels * self.group // ROWS
            place.row, place.position = slot.row * stride, slot.unit
            place.out_row, place.out_position, place.out_first = made.row, made.unit, made.first - made.start
            place.out_second = made.odd if made.kind == "pairs" else LINE // 2
            place.steps, place.offsets, place.blocks = len(found.places), len(offsets), filters // DEPTH
            place.weights, place.bias, place.relu = weights, bias, layer.relu
            offsets += [slot.at(rows, positions) + line for rows, positions, line in found.places]
            weights, bias = weights + 2 * filters * DEPTH * len(found.places), bias + filters
        self.offsets = (ctypes.c_int64 * len(offsets))(*offsets)

    def prepare(self, given: Sequence[Weights]) -> Weights:
        """Weights and biases of the layers, in float32, as the kernel reads them: once per point."""
        weights, biases = [], []
        for (weight, bias), found in zip(given, self.readings, strict=True):
            assert weight is not None
            weights.append(packed(weight, found))
            biases += [torch.zeros(len(weight)) if bias is None else bias] * found.pixels
        return [torch.cat(weights), torch.cat(biases)]

    def run(self, values: Values, prepared: Weights) -> Values:
        """What the layers make of `values` that others read, channels-last; weights as `prepare` gives them.

        Raises:
            MemoryError: memory was refused.
        """
        weights, bias = prepared
        assert weights is not None
        assert bias is not None
        given = {index: values[index].contiguous(memory_format=torch.channels_last) for index, _ in self.sources}
        images = len(next(iter(given.values())))
        results = {index: self._empty(images, index) for index in self.results}
        ways_in = [self._copy(given[index], *self.slots[index, kind]) for index, kind in self.sources]
        made = {index: slot for (index, _), slot in self.slots.items()}
        ways_out = [self._copy(result, *made[index]) for index, result in results.items()]
        copies_in, copies_out = ((native.AmxCopy * len(ways))(*ways) for ways in (ways_in, ways_out))
        call = native.Amx(
            ctypes.addressof(self.program), ctypes.addressof(self.offsets), weights.data_ptr(), bias.data_ptr(),
            ctypes.addressof(copies_in), ctypes.addressof(copies_out), len(self.program), len(ways_in), len(ways_out),
            self.group, self.groups, images, self.workspace,
        )  # fmt: skip
        loaded = native.library()
        assert loaded is not None
        if loaded.amx_run(ctypes.byref(call), torch.get_num_threads()):
            raise MemoryError
        return results

    def _empty(self, images: int, index: int) -> Tensor:
        shape = self.shapes[index]
        assert shape is not None
        return torch.empty((images, *shape), dtype=torch.bfloat16, memory_format=torch.channels_last)

    @staticmethod
    def _copy(picture: Tensor, start: int, slot: Slot) -> native.AmxCopy:
        return native.AmxCopy(
            picture.data_ptr(), start + slot.first, slot.size, slot.unit, slot.channels, slot.height,
            slot.width, slot.row, slot.beside, slot.odd, slot.halved,
        )  # fmt: skip


def _needed(layer: Layer, found: Reading) -> list[tuple[int, str]]:
    """Values and the kinds of slot they are needed in: of the input, of the result, of the residual."""
    made = "pairs" if found.pixels == 2 else "plain"
    others = [] if layer.residual is None else [(layer.residual, made)]
    return [(layer.inputs[0], found.kind), (layer.result, made), *others]


def segments(network: Network) -> list[Segment]:
    """The longest stretches of layers that the kernel computes with one group and without laying a value anew."""
    found: list[tuple[range, int]] = []
    kinds: dict[int, str] = {}  # of what the last stretch has made
    for at, layer in enumerate(network.layers):
        how, out = reading(network, layer), network.shapes.get(layer.results[0] or 0)
        if how is None or out is None:
            continue
        group, needed = group_of(how, out[2]), _needed(layer, how)
        stretch, same = found[-1] if found else (range(0), 0)
        goes_on = bool(stretch) and (stretch.stop, same) == (at, group)
        if goes_on and all(kinds.get(index, kind) == kind for index, kind in needed):
            found[-1] = range(stretch.start, at + 1), group
        else:
            found.append((range(at, at + 1), group))
            kinds = {}
        kinds[layer.result] = needed[1][1]
    return [Segment(network, stretch, group) for stretch, group in found]


def require() -> None:
    """Refuse on a machine without AMX.

    Raises:
        UnknownNameError: this machine, this build or this process lacks it.
    """
    if not native.has_amx():
        raise UnknownNameError("instruction set on this machine", "amx", native.here())
