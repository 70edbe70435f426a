"""Memory layouts for amx.py: how images are stored in its workspace and read by convolutions, in lines of 32 bfloat16.

Determines which convolutions AMX supports (`read_pattern`) and packs their weights (`pack_weights`); computes nothing.

A tile multiplies 16 positions × 32 channels with 32 channels × 16 filters, and the kernel computes 32 positions × 32
filters at a time. Where a value has 16 channels, two neighboring pixels are one position of 32 numbers, and the 16
filters of both pixels are one block of 32.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..graph.layers import Layer, Network

ROWS = 16  # positions of a tile
DEPTH = 32  # numbers multiplied at once, and filters of a block
LINE = 64  # bytes of DEPTH numbers
FEW = 3  # channels, at most, whose 3×3 window fits into a line


@dataclass(frozen=True)
class Layout:
    """How a value is stored in the workspace, `group` images side by side in every position; distances in bytes.

    Kinds: "plain", a position is a pixel; "pairs", for 16 channels, it is the pixels 2r − 1 and 2r; "halves", for a
    stride of two, has the odd pixels of a row, then the even ones; these have a border of zeros. In "windows" and
    "halved windows" a position is the content of the 3×3 window around a pixel.
    """

    kind: str
    channels: int
    height: int
    width: int
    group: int

    @property
    def unit(self) -> int:
        """Size of a position of one image; also the distance from one image of the group to the next."""
        return LINE if self.kind in ("pairs", "windows", "halved windows") else 2 * self.channels

    @property
    def pitch(self) -> int:
        """Distance from a position to the next."""
        return self.group * self.unit

    @property
    def row(self) -> int:
        """Distance from a position to the one below it."""
        ring = {"plain": self.width + 2, "pairs": self.width // 2 + 1, "halves": self.width + 1}
        return self.pitch * ring.get(self.kind, self.width)

    @property
    def size(self) -> int:
        """Size of one group of images, with a row above and one below."""
        return self.row * (self.height + 2)

    @property
    def start(self) -> int:
        """Offset of the position with pixel (0, 0)."""
        half = self.width // 2
        return self.row + self.pitch * {"plain": 1, "halves": half + 1, "halved windows": half}.get(self.kind, 0)

    @property
    def first(self) -> int:
        """Offset of pixel (0, 0), which is the second of its pair."""
        return self.start + (LINE // 2 if self.kind == "pairs" else 0)

    @property
    def halved(self) -> bool:
        """Whether the even and the odd pixels of a row are addressed separately; see `odd`."""
        return self.kind != "plain" and self.kind != "windows"

    @property
    def odd(self) -> int:
        """Distance from an even pixel to the odd one after it, if `halved`."""
        return self.pitch - LINE // 2 if self.kind == "pairs" else -self.pitch * (self.width // 2)

    def at(self, rows: int, positions: int) -> int:
        """Distance from a position to the one `rows` below and `positions` to the right."""
        return rows * self.row + positions * self.pitch


@dataclass(frozen=True)
class ReadPattern:
    """How a layer reads its input.

    kind: layout of the input.
    offsets: rows, positions and bytes from the first position of the input to the line that each product reads.
    expand: maps weights (filters, height, width, channels) to the factors of these lines, (filters, offsets, DEPTH).
    pixels: number of pixels of the result per position.
    """

    kind: str
    offsets: tuple[tuple[int, int, int], ...]
    expand: Callable[[Tensor], Tensor]
    pixels: int = 1


def read_pattern(network: Network, layer: Layer) -> ReadPattern | None:
    """How the kernel reads the input of `layer`; None if it does not support the layer."""
    weight = layer.weights[0] if layer.kind == "convolution" else None
    given, out = (network.shapes[index] for index in (layer.inputs[0], layer.result)) if weight else (None, None)
    if weight is None or given is None or out is None or len(given) != 3 or not _regular(layer, weight.center):
        return None
    filters, channels, size = weight.center.shape[:3]
    stride = layer.settings["stride"][0]
    if stride == 2 and (given[1] % 2 or given[2] % 2):
        return None
    found = _pattern(channels, filters, size, stride, given[2])
    return found if found is not None and out[2] % found.pixels == 0 else None


def _regular(layer: Layer, weight: Tensor) -> bool:
    """Whether this is a square convolution of size one or three that keeps the image's size or halves it."""
    settings, size = layer.settings, weight.shape[-1]
    once = settings["groups"] == 1 and not settings["transposed"] and set(settings["dilation"]) == {1}
    square = weight.shape[2:] in ((1, 1), (3, 3)) and set(settings["padding"]) == {size // 2}
    return once and square and tuple(settings["stride"]) in ((1, 1), (2, 2))


def _pattern(channels: int, filters: int, size: int, stride: int, width: int) -> ReadPattern | None:
    wide = channels % DEPTH == 0 and filters % DEPTH == 0
    if wide:
        return _plain(channels, size) if stride == 1 else _halves(channels, size, width)
    if channels == ROWS and (filters, size, stride) == (ROWS, 3, 1):
        return ReadPattern("pairs", _PAIRS, _both_of_pairs, pixels=2)
    if channels == ROWS and filters % DEPTH == 0 and stride == 2:
        return (
            ReadPattern("pairs", _PAIRS, _even_of_pairs)
            if size == 3
            else ReadPattern("pairs", ((0, 0, 0),), _second_of_pair)
        )
    if channels <= FEW and (size, stride) == (3, 1) and filters % DEPTH == 0:
        return ReadPattern("windows", ((0, 0, 0),), _window)
    if channels <= FEW and (size, stride, filters) == (3, 1, ROWS):
        return ReadPattern("halved windows", ((0, 0, 0), (0, -(width // 2), 0)), _two_windows, pixels=2)
    return None


_PAIRS = tuple((y, pair, 0) for y in (-1, 0, 1) for pair in (0, 1))


def _plain(channels: int, size: int) -> ReadPattern:
    window = range(-(size // 2), size // 2 + 1)
    lines = range(0, 2 * channels, LINE)
    return ReadPattern("plain", tuple((y, x, line) for y in window for x in window for line in lines), _by_lines)


def _halves(channels: int, size: int, width: int) -> ReadPattern:
    positions = {-1: -(width // 2) - 1, 0: 0, 1: -(width // 2)}  # from pixel 2x
    kept = _plain(channels, size).offsets
    return ReadPattern("halves", tuple((y, positions[x], line) for y, x, line in kept), _by_lines)


def _by_lines(weight: Tensor) -> Tensor:
    return weight.reshape(len(weight), -1, DEPTH)


def _both_of_pairs(weight: Tensor) -> Tensor:
    """Of the pixels 2r − 1 to 2r + 2, the first three give pixel 2r and the last three pixel 2r + 1."""
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
    """The first window gives the even pixel of a pair, the second the odd one."""
    wide = weight.new_zeros(2, ROWS, 2, DEPTH)
    wide[0, :, :1] = wide[1, :, 1:] = _window(weight)
    return wide.view(2 * ROWS, 2, DEPTH)


def group_size(found: ReadPattern, width: int) -> int:
    """The smallest number of images whose positions in a row of the result, `width` pixels, fill whole tiles."""
    return ROWS // math.gcd(ROWS, width // found.pixels)


def pack_weights(weight: Tensor, found: ReadPattern) -> Tensor:
    """Weights (filters, channels, height, width) in the order of the kernel, (n,): tile after tile, in bfloat16."""
    wide = found.expand(weight.permute(0, 2, 3, 1).bfloat16())
    filters, offsets, _ = wide.shape
    tiles = wide.view(filters // DEPTH, 2, ROWS, offsets, DEPTH // 2, 2)
    return tiles.permute(0, 3, 1, 4, 2, 5).flatten()
