"""Memory allocation of a program for the lanes: the locations of values, and the images per stretch of layers.

A line holds the lanes of one number of one image. Wide layers run few images at a time, so that their values stay in
the cache; narrow layers with big weights run many, so that the weights are read less often. A value read in another
stretch than the one that computes it is in the outer workspace, which holds all images of the outer block.

Measured: 5 % at width 8, 20 % at width 16 (docs/performance.md, attempt 3). Off: `block=6` makes one stretch.
"""

from dataclasses import dataclass

from ..graph.layers import Layer, Network

CACHE_LINES = 16_384  # 1 MiB of lines of 64 bytes: half of the second-level cache; the other half is for weights
BLOCKS = (6, 12, 24, 48, 96)  # images; multiples of the register tile, each dividing the next


@dataclass(frozen=True)
class Stretch:
    """Consecutive layers that run with the same number of images."""

    first: int
    end: int
    block: int


def stretches(network: Network, counts: dict[int, int], *, largest: int) -> list[Stretch]:
    """Cut the layers into stretches of at most `largest` images; `counts` are the sizes of values, per image."""
    wanted = [_block(lines, largest) for lines in _live_lines(network, counts)]
    cut: list[Stretch] = []
    for at, block in enumerate(wanted):
        if cut and cut[-1].block == block and network.layers[at].kind != "normalize":
            cut[-1] = Stretch(cut[-1].first, at + 1, block)
        else:
            cut.append(Stretch(at, at + 1, block))
    return _merge_short(cut, {at for at, layer in enumerate(network.layers) if layer.kind == "normalize"})


def _block(lines: int, largest: int) -> int:
    fitting = [block for block in BLOCKS if block <= largest and block * lines <= CACHE_LINES]
    return max(fitting, default=BLOCKS[0])


def _merge_short(cut: list[Stretch], fixed: set[int], *, least: int = 3) -> list[Stretch]:
    """Join stretches of one or two layers, which cost more than they gain, to the one before or after.

    Never across the start of a layer in `fixed`: a BatchNorm waits for the statistics of all images.
    """
    kept: list[Stretch] = []
    for stretch in cut:
        if stretch.first in fixed:
            kept.append(stretch)
        elif kept and (stretch.end - stretch.first < least or kept[-1].end - kept[-1].first < least):
            kept[-1] = Stretch(kept[-1].first, stretch.end, min(kept[-1].block, stretch.block))
        elif kept and kept[-1].block == stretch.block:
            kept[-1] = Stretch(kept[-1].first, stretch.end, stretch.block)
        else:
            kept.append(stretch)
    return kept


def _live_lines(network: Network, counts: dict[int, int]) -> list[int]:
    """Lines per image that are live while each layer runs; a sum overwrites the summand that is last read there."""
    last = last_uses(network)
    alive, lines = {network.input: counts[network.input]}, []
    for at, layer in enumerate(network.layers):
        if layer.residual is not None and last[layer.residual] == at:
            alive.pop(layer.residual, None)
        alive[layer.result] = counts[layer.result]
        lines.append(sum(alive.values()))
        alive = {index: count for index, count in alive.items() if last.get(index, at) > at}
    return lines


def last_uses(network: Network) -> dict[int, int]:
    """The position of the last layer that reads each value; the output is read at the end."""
    last = {index: at for at, layer in enumerate(network.layers) for index in layer.reads()}
    return last | {network.output: len(network.layers)}


def crossing(network: Network, cut: list[Stretch]) -> set[int]:
    """Values read in another stretch than the one that computes them, with the input and the output."""
    stretch_of = {at: number for number, stretch in enumerate(cut) for at in range(stretch.first, stretch.end)}
    producer = {layer.result: stretch_of[at] for at, layer in enumerate(network.layers)}
    read = {(index, stretch_of[at]) for at, layer in enumerate(network.layers) for index in layer.reads()}
    return {network.input, network.output} | {index for index, where in read if producer.get(index) != where}


@dataclass(frozen=True)
class Location:
    """The first line of a value, in the outer workspace or in its stretch's."""

    line: int
    outer: bool


class Workspace:
    """The lines of one workspace: the free ones, and the total size needed."""

    def __init__(self) -> None:
        self.gaps: list[tuple[int, int]] = []  # free lines (start, count), sorted by start
        self.size = 0

    def allocate(self, count: int) -> int:
        """The first of `count` free lines."""
        for position, (start, length) in enumerate(self.gaps):
            if length >= count:
                self.gaps[position : position + 1] = [(start + count, length - count)] if length > count else []
                return start
        self.size += count
        return self.size - count

    def free(self, start: int, count: int) -> None:
        """Free lines, and merge them with adjacent free ones."""
        merged: list[tuple[int, int]] = []
        for position, length in sorted([*self.gaps, (start, count)]):
            if merged and sum(merged[-1]) == position:
                merged[-1] = (merged[-1][0], merged[-1][1] + length)
            else:
                merged.append((position, length))
        self.gaps = merged


class Allocator:
    """The location of every live value."""

    def __init__(self, network: Network, counts: dict[int, int], outer: set[int]):
        self.counts, self.outer = counts, outer
        self.left = network.uses()
        self.workspaces = {True: Workspace(), False: Workspace()}
        self.at: dict[int, Location] = {}

    def allocate(self, index: int) -> Location:
        """A location for the value that is computed next."""
        outer = index in self.outer
        self.at[index] = Location(self.workspaces[outer].allocate(self.counts[index]), outer)
        return self.at[index]

    def write(self, layer: Layer, *, over: int | None) -> Location:
        """The location of the result of `layer`: that of `over`, if that value is not read again and is as large."""
        for index in layer.reads():
            self.left[index] -= 1
        if over is not None and self._replaceable(over, layer.result):
            self.at[layer.result] = self.at.pop(over)
        else:
            self.allocate(layer.result)
        for index in set(layer.reads()) & self.at.keys():
            if not self.left[index]:
                location = self.at.pop(index)
                self.workspaces[location.outer].free(location.line, self.counts[index])
        return self.at[layer.result]

    def _replaceable(self, old: int, new: int) -> bool:
        same_space = (old in self.outer) == (new in self.outer)
        return same_space and not self.left[old] and self.counts[old] == self.counts[new]
