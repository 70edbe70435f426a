"""Consecutive convolutions in bfloat16 by AMX's tiles: a few images go through many layers within the cache.

Imports native, layers, torch. Plans where every value lies (`Slot`), which lines a tile reads and in which order the
weights follow (`Reading`); fused.py runs a `Segment` in place of its layers. Never used for float32.

A tile multiplies 16 positions × 32 channels with 32 channels × 16 filters, and the kernel computes 32 positions × 32
filters at a time. Where a value has 16 channels, two neighbouring pixels are one position of 32 numbers, and the 16
filters of both pixels are one block of 32. Bias, residual, ReLU taken along; NaN kept; sums in float32.
"""

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UnknownNameError
from . import native
from .layers import Layer, Network

ROWS = 16  # positions of a tile
DEPTH = 32  # numbers multiplied at once, and filters of a block
LINE = 64  # bytes of DEPTH numbers
FEW = 3  # channels whose 3×3 window fits into a line
BIG_WEIGHTS = 1 << 17  # bytes of a layer's weights that are worth more than one group of images ...
WORKSPACE = 1 << 20  # ... as many as fit into so many bytes, which leave room for the weights in the cache

Values = dict[int, Tensor]


@dataclass(frozen=True)
class Slot:
    """How a picture lies in the workspace, `group` images side by side in every position; distances in bytes.

    Kinds: "plain", a pixel is a position; "pairs", for 16 channels, the pixels 2r − 1 and 2r are one; "halves", for a
    stride of two, the odd pixels of a row and then its even ones; these have a ring of zeros. In "windows" and
    "halved windows" a position is what the 3×3 window around a pixel holds.
    """

    kind: str
    channels: int
    height: int
    width: int
    group: int

    @property
    def unit(self) -> int:
        """A position of one image; also from one image of the group to the next."""
        return LINE if self.kind in ("pairs", "windows", "halved windows") else 2 * self.channels

    @property
    def beside(self) -> int:
        """From a position to the next."""
        return self.group * self.unit

    @property
    def row(self) -> int:
        ring = {"plain": self.width + 2, "pairs": self.width // 2 + 1, "halves": self.width + 1}
        return self.beside * ring.get(self.kind, self.width)

    @property
    def size(self) -> int:
        return self.row * (self.height + 2)

    @property
    def start(self) -> int:
        """The position with pixel (0, 0)."""
        half = self.width // 2
        return self.row + self.beside * {"plain": 1, "halves": half + 1, "halved windows": half}.get(self.kind, 0)

    @property
    def first(self) -> int:
        """Pixel (0, 0): the second of its pair."""
        return self.start + (LINE // 2 if self.kind == "pairs" else 0)

    @property
    def halved(self) -> bool:
        return self.kind != "plain" and self.kind != "windows"

    @property
    def odd(self) -> int:
        """From an even pixel to the odd one after it, where `halved`."""
        return self.beside - LINE // 2 if self.kind == "pairs" else -self.beside * (self.width // 2)

    def at(self, rows: int, positions: int) -> int:
        return rows * self.row + positions * self.beside


@dataclass(frozen=True)
class Reading:
    """How a layer reads its input.

    kind: of the slot of the input.
    places: rows, positions and bytes from the first position of the input to the line that each product takes.
    widened: from weights (filters, height, width, channels) to what multiplies these lines, (filters, places, DEPTH).
    pixels: of a row of the result that are one position.
    """

    kind: str
    places: tuple[tuple[int, int, int], ...]
    widened: Callable[[Tensor], Tensor]
    pixels: int = 1


def reading(network: Network, layer: Layer) -> Reading | None:
    """How the kernel reads the input of `layer`, None where it does not compute such a layer."""
    weight = layer.weights[0] if layer.kind == "convolution" else None
    given, out = (network.shapes[index] for index in (layer.inputs[0], layer.result)) if weight else (None, None)
    if weight is None or given is None or out is None or len(given) != 3 or not _regular(layer, weight.center):
        return None
    filters, channels, size = weight.center.shape[:3]
    stride = layer.settings["stride"][0]
    if stride == 2 and (given[1] % 2 or given[2] % 2):
        return None
    found = _found(channels, filters, size, stride, given[2])
    return found if found is not None and out[2] % found.pixels == 0 else None


def _regular(layer: Layer, weight: Tensor) -> bool:
    """Whether this is a square convolution of size one or three that keeps the picture or halves it."""
    settings, size = layer.settings, weight.shape[-1]
    once = settings["groups"] == 1 and not settings["transposed"] and set(settings["dilation"]) == {1}
    square = weight.shape[2:] in ((1, 1), (3, 3)) and set(settings["padding"]) == {size // 2}
    return once and square and tuple(settings["stride"]) in ((1, 1), (2, 2))


def _found(channels: int, filters: int, size: int, stride: int, width: int) -> Reading | None:
    wide = channels % DEPTH == 0 and filters % DEPTH == 0
    if wide:
        return _plain(channels, size) if stride == 1 else _halves(channels, size, width)
    if channels == ROWS and (filters, size, stride) == (ROWS, 3, 1):
        return Reading("pairs", _PAIRS, _both_of_pairs, pixels=2)
    if channels == ROWS and filters % DEPTH == 0 and stride == 2:
        return (
            Reading("pairs", _PAIRS, _even_of_pairs) if size == 3 else Reading("pairs", ((0, 0, 0),), _second_of_pair)
        )
    if channels <= FEW and (size, stride) == (3, 1) and filters % DEPTH == 0:
        return Reading("windows", ((0, 0, 0),), _window)
    if channels <= FEW and (size, stride, filters) == (3, 1, ROWS):
        return Reading("halved windows", ((0, 0, 0), (0, -(width // 2), 0)), _two_windows, pixels=2)
    return None


_PAIRS = tuple((y, pair, 0) for y in (-1, 0, 1) for pair in (0, 1))


def _plain(channels: int, size: int) -> Reading:
    window = range(-(size // 2), size // 2 + 1)
    lines = range(0, 2 * channels, LINE)
    return Reading("plain", tuple((y, x, line) for y in window for x in window for line in lines), _by_lines)


def _halves(channels: int, size: int, width: int) -> Reading:
    places = {-1: -(width // 2) - 1, 0: 0, 1: -(width // 2)}  # from pixel 2x
    kept = _plain(channels, size).places
    return Reading("halves", tuple((y, places[x], line) for y, x, line in kept), _by_lines)


def _by_lines(weight: Tensor) -> Tensor:
    return weight.reshape(len(weight), -1, DEPTH)


def _both_of_pairs(weight: Tensor) -> Tensor:
    """The pixels 2r − 1 to 2r + 2 give the pixel 2r by the first three and 2r + 1 by the last three."""
    wide = weight.new_zeros(2, ROWS, 3, 4, ROWS)
    wide[0, :, :, :3] = wide[1, :, :, 1:] = weight
    return wide.view(2 * ROWS, 6, DEPTH)


def _even_of_pairs(weight: Tensor) -> Tensor:
    wide = weight.new_zeros(len(weight), 3, 4, ROWS)
    wide[:, :, :3] = weight
    return wide.view(len(weight), 6, DEPTH)


def _second_of_pair(weight: Tensor) -> Tensor:
    wide = weight.new_zeros(len(weight), 1, 2, ROWS)
    wide[:, :, 1] = weight[:, 0]
    return wide.view(len(weight), 1, DEPTH)


def _window(weight: Tensor) -> Tensor:
    wide = weight.new_zeros(len(weight), 1, DEPTH)
    wide[:, 0, : weight[0].numel()] = weight.reshape(len(weight), -1)
    return wide


def _two_windows(weight: Tensor) -> Tensor:
    """The even pixel of a pair by its own window, the odd one by the other."""
    wide = weight.new_zeros(2, ROWS, 2, DEPTH)
    wide[0, :, :1] = wide[1, :, 1:] = _window(weight)
    return wide.view(2 * ROWS, 2, DEPTH)


def group_of(found: Reading, width: int) -> int:
    """The fewest images side by side whose positions in a row of the result, `width` pixels, fill whole tiles."""
    return ROWS // math.gcd(ROWS, width // found.pixels)


def packed(weight: Tensor, found: Reading) -> Tensor:
    """Weights (filters, channels, height, width) in the order the kernel takes them: tile after tile, in bfloat16."""
    wide = found.widened(weight.permute(0, 2, 3, 1).bfloat16())
    filters, places, _ = wide.shape
    tiles = wide.view(filters // DEPTH, 2, ROWS, places, DEPTH // 2, 2)
    return tiles.permute(0, 3, 1, 4, 2, 5).flatten()


class Segment:
    """Consecutive layers of a network that the kernel computes in one call."""

    def __init__(self, network: Network, stretch: range, group: int):
        layers = network.layers[stretch.start : stretch.stop]
        self.stretch, self.layers, self.group, self.shapes = stretch, layers, group, network.shapes
        self.readings = [found for layer in layers if (found := reading(network, layer)) is not None]
        self.made = {layer.result for layer in layers}
        others = [layer for layer in network.layers if not self.made.intersection(layer.results)]
        self.results = sorted(self.made & {network.output, *(index for layer in others for index in layer.reads())})
        self.slots: dict[tuple[int, str], tuple[int, Slot]] = {}  # by value and kind: number and layout
        self.sources: list[tuple[int, str]] = []  # copied in
        self._place()
        self._write_program()

    def _place(self) -> None:
        """Give every value a slot; a slot is used again by a value of the same layout, so that its ring stays zero."""
        last = {index: at for at, layer in enumerate(self.layers) for index in layer.reads()}
        last |= dict.fromkeys(self.results, len(self.layers))
        taken: list[Slot] = []
        free: list[int] = []
        for at, (layer, found) in enumerate(zip(self.layers, self.readings, strict=True)):
            for key in _needed(layer, found):
                if key not in self.slots:
                    self._take(key, taken, free)
            free += [n for (index, _), (n, _) in self.slots.items() if index in self.made and last.get(index) == at]
        self.groups = self._groups(sum(slot.size for slot in taken))
        self.starts = [self.groups * sum(slot.size for slot in taken[:n]) for n in range(len(taken))]
        self.workspace = self.groups * sum(slot.size for slot in taken)

    def _take(self, key: tuple[int, str], taken: list[Slot], free: list[int]) -> None:
        index, kind = key
        shape = self.shapes[index]
        assert shape is not None
        slot = Slot(kind, shape[0], shape[1], shape[2], self.group)
        if index not in self.made:
            self.sources.append(key)
        number = next((n for n in free if taken[n] == slot and index in self.made), len(taken))
        if number == len(taken):
            taken.append(slot)
        else:
            free.remove(number)
        self.slots[key] = number, slot

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
            (number, slot), (made_number, made), shape = source, target, self.shapes[layer.result]
            assert layer.weights[0] is not None
            assert shape is not None
            filters = layer.weights[0].center.shape[0] * found.pixels
            stride = layer.settings["stride"][0]
            place.input, place.output = self.starts[number] + slot.start, self.starts[made_number] + made.start
            place.other = self.starts[other[0][0]] + made.start if other else -1
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

    def prepare(self, given: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
        """Weights and biases of the layers, in float32, as the kernel reads them: once per point."""
        weights, biases = [], []
        for (weight, bias), found in zip(given, self.readings, strict=True):
            assert weight is not None
            weights.append(packed(weight, found))
            biases += [torch.zeros(len(weight)) if bias is None else bias] * found.pixels
        return [torch.cat(weights), torch.cat(biases)]

    def run(self, values: Values, prepared: Sequence[Tensor | None]) -> Values:
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
        homes = {index: home for (index, _), home in self.slots.items()}
        ways_out = [self._copy(result, *homes[index]) for index, result in results.items()]
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

    def _copy(self, picture: Tensor, number: int, slot: Slot) -> native.AmxCopy:
        return native.AmxCopy(
            picture.data_ptr(), self.starts[number] + slot.first, slot.size, slot.unit, slot.channels, slot.height,
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
