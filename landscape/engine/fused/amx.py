"""Consecutive convolutions in bfloat16 on AMX tiles: a few images pass through many layers within the cache.

Images are channels-last; bias, residual and ReLU are part of a convolution; NaN is kept; sums are in float32 and values
between layers in bfloat16, as in oneDNN.

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
from .amx_layout import DEPTH, LINE, ROWS, Layout, ReadPattern, group_size, pack_weights, read_pattern
from .buffers import assign_buffers, results_of
from .kernels import Kernel, Values, Weights

BIG_WEIGHTS = 1 << 17  # bytes of a layer's weights above which several groups of images share each read of them ...
WORKSPACE = 1 << 20  # ... as many groups as fit into this many bytes, which leaves cache space for the weights


class Amx(Kernel):
    """Every layer with a read pattern (amx_layout.py), in segments."""

    settings: Mapping[str, Any] = {"amx": True}

    def __init__(self, network: Network, *, usable: bool):
        """
        Args:
            usable: False for an unsupported device or type of parameters: then it takes no layer.

        Raises:
            UnknownNameError: this machine, this build or this process lacks AMX.
        """
        require()
        self.segments = {segment.stretch.start: segment for segment in segments(network)} if usable else {}

    def takes(self, at: int) -> int:
        """The number of layers in the segment that starts at `at`, else 0."""
        return len(self.segments[at].layers) if at in self.segments else 0

    def prepare(self, at: int, weights: Sequence[Weights]) -> Weights:
        """Packed weights (n,) and biases (m,) of the segment, as `Segment.prepare` makes them."""
        return self.segments[at].prepare(weights)

    def compute(self, at: int, values: Values, weights: Weights, *, keep_nan: bool) -> None:
        """Add the results of the segment to `values`.

        Raises:
            MemoryError: an allocation failed.
        """
        values |= self.segments[at].run(values, weights)


class Segment:
    """Consecutive layers of a network that are computed in one call."""

    def __init__(self, network: Network, stretch: range, group: int):
        layers = network.layers[stretch.start : stretch.stop]
        self.stretch, self.layers, self.group, self.shapes = stretch, layers, group, network.shapes
        self.patterns = [found for layer in layers if (found := read_pattern(network, layer)) is not None]
        self.results = results_of(network, stretch)
        self._assign_buffers()
        self._write_program()

    def _assign_buffers(self) -> None:
        """Give every value a buffer, reused only for values of the same layout, so that its border stays zero."""
        needed = [_needed(layer, found) for layer, found in zip(self.layers, self.patterns, strict=True)]
        made = {layer.result for layer in self.layers}
        self.sources = list(dict.fromkeys(key for keys in needed for key in keys if key[0] not in made))
        wanted = [{key: self._layout(*key) for key in keys} for keys in (self.sources, *needed)]
        last = {key: at for at, keys in enumerate(wanted) for key in keys if key[0] not in self.results}
        numbers, layouts = assign_buffers(wanted, last)
        self.groups = self._groups(sum(layout.size for layout in layouts))
        starts = [self.groups * sum(layout.size for layout in layouts[:n]) for n in range(len(layouts))]
        self.buffers = {key: (starts[number], layouts[number]) for key, number in numbers.items()}
        self.workspace = self.groups * sum(layout.size for layout in layouts)

    def _layout(self, index: int, kind: str) -> Layout:
        shape = self.shapes[index]
        assert shape is not None
        return Layout(kind, shape[0], shape[1], shape[2], self.group)

    def _groups(self, size: int) -> int:
        """The number of groups of images that share each read of the weights: more than 1 if a layer's are big."""
        heavy = max(2 * layer.weights[0].center.numel() for layer in self.layers if layer.weights[0] is not None)
        return max(1, min(8, WORKSPACE // size)) if heavy > BIG_WEIGHTS else 1

    def _write_program(self) -> None:
        offsets: list[int] = []
        weights = bias = 0
        self.program = (native.AmxLayer * len(self.layers))()
        for step, layer, found in zip(self.program, self.layers, self.patterns, strict=True):
            source, target, *other = (self.buffers[key] for key in _needed(layer, found))
            (start, given), (made_start, made), shape = source, target, self.shapes[layer.result]
            assert layer.weights[0] is not None
            assert shape is not None
            filters = layer.weights[0].center.shape[0] * found.pixels
            stride = layer.settings["stride"][0]
            step.input, step.output = start + given.start, made_start + made.start
            step.other = other[0][0] + made.start if other else -1
            step.input_group, step.output_group = given.size, made.size
            step.rows, step.tiles = shape[1], shape[2] // found.pixels * self.group // ROWS
            step.row, step.position = given.row * stride, given.unit
            step.out_row, step.out_position, step.out_first = made.row, made.unit, made.first - made.start
            step.out_second = made.odd if made.kind == "pairs" else LINE // 2
            step.steps, step.offsets, step.blocks = len(found.offsets), len(offsets), filters // DEPTH
            step.weights, step.bias, step.relu = weights, bias, layer.relu
            offsets += [given.at(rows, positions) + line for rows, positions, line in found.offsets]
            weights, bias = weights + 2 * filters * DEPTH * len(found.offsets), bias + filters
        self.offsets = (ctypes.c_int64 * len(offsets))(*offsets)

    def prepare(self, given: Sequence[Weights]) -> Weights:
        """Weights (n,), bfloat16, and biases (m,), float32, of all layers, as the kernel reads them: once per point."""
        weights, biases = [], []
        for (weight, bias), found in zip(given, self.patterns, strict=True):
            assert weight is not None
            weights.append(pack_weights(weight, found))
            biases += [torch.zeros(len(weight)) if bias is None else bias] * found.pixels
        return [torch.cat(weights), torch.cat(biases)]

    def run(self, values: Values, prepared: Weights) -> Values:
        """The results that layers outside the segment read, channels-last; `prepared` comes from `prepare`.

        Raises:
            MemoryError: an allocation failed.
        """
        weights, bias = prepared
        assert weights is not None
        assert bias is not None
        given = {
            index: values[index].bfloat16().contiguous(memory_format=torch.channels_last) for index, _ in self.sources
        }
        images = len(next(iter(given.values())))
        results = {index: self._empty(images, index) for index in self.results}
        into = [self._copy(given[index], *self.buffers[index, kind]) for index, kind in self.sources]
        made = {index: buffer for (index, _), buffer in self.buffers.items()}
        out = [self._copy(result, *made[index]) for index, result in results.items()]
        copies_in, copies_out = ((native.AmxCopy * len(copies))(*copies) for copies in (into, out))
        call = native.Amx(
            ctypes.addressof(self.program), ctypes.addressof(self.offsets), weights.data_ptr(), bias.data_ptr(),
            ctypes.addressof(copies_in), ctypes.addressof(copies_out), len(self.program), len(into), len(out),
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
    def _copy(images: Tensor, start: int, layout: Layout) -> native.AmxCopy:
        return native.AmxCopy(
            images.data_ptr(), start + layout.first, layout.size, layout.unit, layout.channels, layout.height,
            layout.width, layout.row, layout.pitch, layout.odd, layout.halved,
        )  # fmt: skip


def _needed(layer: Layer, found: ReadPattern) -> list[tuple[int, str]]:
    """Input, result and residual of a layer, each with the kind of layout that it needs."""
    made = "pairs" if found.pixels == 2 else "plain"
    others = [] if layer.residual is None else [(layer.residual, made)]
    return [(layer.inputs[0], found.kind), (layer.result, made), *others]


def segments(network: Network) -> list[Segment]:
    """The longest sequences of layers with one group size and one layout for every value."""
    found: list[tuple[range, int]] = []
    kinds: dict[int, str] = {}  # value -> kind of layout, for the results of the last sequence
    for at, layer in enumerate(network.layers):
        how, out = read_pattern(network, layer), network.shapes.get(layer.results[0] or 0)
        if how is None or out is None:
            continue
        group, needed = group_size(how, out[2]), _needed(layer, how)
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
    """Check that AMX can be used.

    Raises:
        UnknownNameError: this machine, this build or this process lacks it.
    """
    if not native.has_amx():
        raise UnknownNameError("instruction set on this machine", "amx", native.instruction_sets())
