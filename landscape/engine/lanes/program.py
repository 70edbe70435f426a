"""Compiles a network to instructions for the native lanes, with locations of values and packed weights.

Made for native/kernels.inc: a value is (row, column, channel), a line per number; the weights of a convolution are
(group, tile of filters, row, column, channel, filter in the tile). Raises `NotInLanes` for unsupported layers; then
another back end is chosen.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..graph.affine import Affine
from ..graph.graph import Node
from ..graph.interpret import run
from ..graph.layers import REARRANGING, Layer, Network
from .allocation import Allocator, crossing, stretches

KINDS = ("convolution", "affine", "add", "relu", "max_pool", "average_pool", "gather", "statistics", "normalize")
FIELDS = (
    *("kind", "input", "other", "output", "weight", "bias", "relu", "channels", "height", "width"),
    *("out_channels", "out_height", "out_width", "kernel_y", "kernel_x", "stride_y", "stride_x"),
    *("padding_y", "padding_x", "dilation_y", "dilation_x", "groups", "tile", "table"),
    *("input_outer", "other_outer", "output_outer", "epsilon", "state"),
)
STATE = 7  # lines per channel of a BatchNorm with batch statistics, in the layout of statistics.inc


class NotInLanes(Exception):
    """A layer for which there is no native kernel."""


@dataclass(frozen=True)
class Program:
    """A program for the native module."""

    instructions: Tensor  # (n, 29) int64
    weights: tuple[Affine, ...]  # packed, one vector each, in the order of the lines
    stretches: Tensor  # (m, 2) int64: the end of a stretch of instructions, and its images
    tables: Tensor  # (k,) int64: 2 · line, + 1 in the outer workspace; -1 for zero
    lines: int  # of the inner workspace, all images of a stretch
    outer_lines: int  # of the outer workspace, all images of a block
    block: int  # images; the whole batch if BatchNorm uses batch statistics
    input: int  # first line of the input, in the outer workspace
    output: int  # first line of the scores, in the outer workspace
    scores: int
    weight_lines: int
    states: dict[int, tuple[int, int]]  # result of such a BatchNorm -> first line of its statistics, channels

    @property
    def state_lines(self) -> int:
        """Number of lines of statistics."""
        return STATE * sum(channels for _, channels in self.states.values())


def compile_network(network: Network, *, filters: int, block: int, batch: int) -> Program:
    """The program of `network` for kernels that compute `filters` filters together, at most `block` images at a time.

    Args:
        batch: images that share their statistics, if BatchNorm uses batch statistics.

    Raises:
        NotInLanes: there is no kernel for a layer or a shape.
    """
    return _Compiler(network, filters, block, batch).program()


class _Compiler:
    def __init__(self, network: Network, filters: int, block: int, batch: int):
        self.network, self.filters = network, filters
        self.states: dict[int, tuple[int, int]] = {}
        self.norm_of = {layer.inputs[0]: layer for layer in network.layers if layer.kind == "normalize"}
        self.batch = batch if self.norm_of else 0
        counts = {index: self.count(index) for index in _values(network)}
        self.stretches = stretches(network, counts, largest=block)
        self.allocator = Allocator(network, counts, crossing(network, self.stretches))
        self.instructions: list[list[int]] = []
        self.weights: list[Affine] = []
        self.tables: list[int] = []
        self.weight_lines = 0

    def program(self) -> Program:
        network, shape = self.network, self.shape(self.network.output)
        if len(shape) != 1:
            raise NotInLanes("the scores are not one number per class")
        start = self.allocator.allocate(network.input)
        cuts = []
        if network.input in self.norm_of:
            raise NotInLanes("BatchNorm of the images")
        for stretch in self.stretches:
            for layer in network.layers[stretch.first : stretch.end]:
                self._compile(layer)
                if layer.results[0] in self.norm_of:
                    self._statistics(layer.result)
            cuts.append((len(self.instructions), stretch.block))
        block = max(block for _, block in cuts)
        outer = max(1, -(-self.batch // block)) * block
        return Program(
            instructions=torch.tensor(self.instructions, dtype=torch.int64).reshape(-1, len(FIELDS)),
            stretches=torch.tensor(cuts, dtype=torch.int64),
            weights=tuple(self.weights),
            tables=torch.tensor(self.tables, dtype=torch.int64),
            lines=self.allocator.workspaces[False].size * block,
            outer_lines=self.allocator.workspaces[True].size * outer,
            block=outer,
            input=start.line,
            output=self.allocator.at[network.output].line,
            scores=shape[0],
            weight_lines=self.weight_lines,
            states=self.states,
        )

    def _compile(self, layer: Layer) -> None:
        compilers: dict[str, Callable[[Layer], None]] = {
            "convolution": self._convolution,
            "linear": self._linear,
            "affine": self._affine,
            "add": self._element_wise,
            "relu": self._element_wise,
            "mean": self._mean,
            "max_pool": self._pool,
            "average_pool": self._pool,
            "flatten": self._flatten,
            "generic": self._generic,
            "normalize": self._normalize,
        }
        compilers[layer.kind](layer)

    # Shapes and locations of values.

    def shape(self, index: int) -> tuple[int, ...]:
        shape = self.network.shapes[index]
        if shape is None or len(shape) not in (1, 3):
            raise NotInLanes(f"a value of shape {shape}")
        return shape

    def picture(self, index: int) -> tuple[int, int, int]:
        """(channels, height, width); a vector is an image of one pixel."""
        shape = self.shape(index)
        return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], shape[1], shape[2])

    def count(self, index: int) -> int:
        return math.prod(self.shape(index))

    def _emit(self, kind: str, layer: Layer, *, over: int | None = None, **fields: int) -> None:
        """Write an instruction; the result overwrites the value `over` if that is not needed again."""
        others = layer.inputs[1:2] if layer.residual is None else (layer.residual,)
        known = dict.fromkeys(FIELDS, 0) | {"other": -1, "kind": KINDS.index(kind), "relu": int(layer.relu)}
        known |= self._read("input", layer.inputs[0])
        for index in others:
            known |= self._read("other", index)
        location = self.allocator.write(layer, over=over)
        known |= {"output": location.line, "output_outer": int(location.outer)}
        known |= dict(zip(("channels", "height", "width"), self.picture(layer.inputs[0]), strict=True))
        known |= dict(zip(("out_channels", "out_height", "out_width"), self.picture(layer.result), strict=True))
        self.instructions.append([(known | fields)[name] for name in FIELDS])

    def _read(self, name: str, index: int) -> dict[str, int]:
        location = self.allocator.at[index]
        return {name: location.line, f"{name}_outer": int(location.outer)}

    def _weights(self, packed: Affine) -> int:
        start = self.weight_lines
        self.weights.append(packed.map(torch.flatten))
        self.weight_lines += packed.center.numel()
        return start

    # One method per kind of layer.

    def _convolution(self, layer: Layer) -> None:
        weight, given = layer.weights[0], layer.settings
        if given["transposed"] or weight is None or weight.center.ndim != 4:
            raise NotInLanes("a convolution that is transposed or not in two dimensions")
        numbers = {name: _two(given[name]) for name in ("stride", "padding", "dilation")}
        fields = {f"{name}_{axis}": pair[k] for name, pair in numbers.items() for k, axis in enumerate("yx")}
        self._filters(layer, weight, layer.weights[1], int(given["groups"]), fields)

    def _linear(self, layer: Layer) -> None:
        weight = layer.weights[0]
        assert weight is not None
        if len(self.shape(layer.inputs[0])) != 1:
            raise NotInLanes("a linear layer on more than one vector per sample")
        ones = dict.fromkeys(("stride_y", "stride_x", "dilation_y", "dilation_x"), 1)
        self._filters(layer, weight.map(lambda tensor: tensor[:, :, None, None]), layer.weights[1], 1, ones)

    def _filters(self, layer: Layer, weight: Affine, bias: Affine | None, groups: int, fields: dict[str, int]) -> None:
        filters, _, height, width = weight.center.shape
        tile = 1 if filters // groups == 1 else self.filters
        bias = bias or weight.map(lambda tensor: torch.zeros_like(tensor[:, 0, 0, 0]))
        fields |= {"kernel_y": height, "kernel_x": width, "groups": groups, "tile": tile}
        fields["weight"] = self._weights(weight.map(lambda tensor: pack_filters(tensor, groups, tile)))
        fields["bias"] = self._weights(bias.map(lambda tensor: pack_filters(tensor, groups, tile)))
        free = (
            layer.residual if layer.residual not in layer.inputs else None
        )  # windows overlap: the input is read again
        self._emit("convolution", layer, over=free, **fields)

    def _affine(self, layer: Layer) -> None:
        scale, shift = layer.weights
        assert scale is not None
        assert shift is not None
        self._emit("affine", layer, over=layer.inputs[0], weight=self._weights(scale), bias=self._weights(shift))

    def _statistics(self, index: int) -> None:
        """Gather the statistics of a value while it is in the cache; BatchNorm reads them after all images."""
        channels, height, width = self.picture(index)
        result, location = self.norm_of[index].result, self.allocator.at[index]
        self.states[result] = (STATE * sum(count for _, count in self.states.values()), channels)
        known = dict.fromkeys(FIELDS, 0) | {"kind": KINDS.index("statistics"), "state": self.states[result][0]}
        known |= {"channels": channels, "height": height, "width": width}
        known |= {"input": location.line, "input_outer": int(location.outer)}
        self.instructions.append([known[name] for name in FIELDS])

    def _normalize(self, layer: Layer) -> None:
        gamma, beta = layer.weights
        assert gamma is not None
        assert beta is not None
        if layer.result not in self.states:
            raise NotInLanes("two BatchNorms of one value")
        epsilon = gamma.map(lambda tensor: torch.zeros_like(tensor[:1]))
        epsilon = Affine(epsilon.center + layer.settings["epsilon"], epsilon.steps)
        weights = {"weight": self._weights(gamma), "bias": self._weights(beta), "epsilon": self._weights(epsilon)}
        self._emit("normalize", layer, over=layer.inputs[0], state=self.states[layer.result][0], **weights)

    def _element_wise(self, layer: Layer) -> None:
        self._emit(layer.kind, layer, over=layer.inputs[0])

    def _pool(self, layer: Layer) -> None:
        names = [(name, k, axis) for name in ("kernel", "stride", "padding") for k, axis in enumerate("yx")]
        self._emit(layer.kind, layer, **{f"{name}_{axis}": layer.settings[name][k] for name, k, axis in names})

    def _mean(self, layer: Layer) -> None:
        """The mean over all pixels is pooling with a window as large as the image."""
        _, height, width = self.picture(layer.inputs[0])
        out = {"out_channels": self.count(layer.result), "out_height": 1, "out_width": 1}
        self._emit("average_pool", layer, kernel_y=height, kernel_x=width, stride_y=1, stride_x=1, **out)

    def _flatten(self, layer: Layer) -> None:
        shape = layer.settings["shape"]
        self._gather(layer, lambda numbers: numbers[0].reshape(len(numbers[0]), *shape))

    def _generic(self, layer: Layer) -> None:
        node: Node = layer.settings["node"]
        if node.operator not in REARRANGING or layer.weights or len(layer.results) != 1:
            raise NotInLanes(f"the operator {node.operator}")

        def rearranged(numbers: list[Tensor]) -> Tensor:
            values = dict(zip(layer.inputs, numbers, strict=True))
            return run(node, values, len(numbers[0]), torch.device("cpu"))[layer.result]

        self._gather(layer, rearranged)

    def _gather(self, layer: Layer, rearranged: Callable[[list[Tensor]], Tensor]) -> None:
        """Apply the operator to the line numbers, counted from 1, to make a table: a 0 in the result is padding."""
        numbers = [self._lines(index) for index in layer.inputs]
        table = len(self.tables)
        made = rearranged([torch.stack([lines, lines]) for lines in numbers])
        self.network.require_shapes({layer.result: made}, 2)
        entries = _channels_last(made[0]).flatten()
        if not torch.isin(entries, torch.cat([torch.zeros(1), *(lines.flatten() for lines in numbers)])).all():
            raise NotInLanes("padding with another number than zero")
        self.tables += (entries.long() - 1).tolist()
        for index in layer.inputs:
            self.picture(index)
        self._emit("gather", layer, table=table)

    def _lines(self, index: int) -> Tensor:
        """The lines of a value in its own shape: 2 · line + 1, and 1 more in the outer workspace."""
        (channels, height, width), location = self.picture(index), self.allocator.at[index]
        lines = torch.arange(channels * height * width, dtype=torch.float64) + location.line
        lines = 2 * lines + 1 + location.outer
        return lines.view(height, width, channels).permute(2, 0, 1).reshape(self.shape(index))


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.permute(1, 2, 0) if tensor.ndim == 3 else tensor


def _values(network: Network) -> set[int]:
    return {network.input, *(index for layer in network.layers for index in (*layer.reads(), layer.result))}


def _two(numbers: Any) -> tuple[int, int]:
    return (int(numbers[0]), int(numbers[-1]))


def pack_filters(tensor: Tensor, groups: int, tile: int) -> Tensor:
    """(filters, inputs, height, width) as (group, tile of filters, height, width, inputs, filter in the tile).

    A bias, (filters,), becomes (group, tile of filters, filter in the tile). The last tile is padded with zeros.
    """
    grouped = tensor.reshape(groups, -1, *tensor.shape[1:])
    missing = -grouped.shape[1] % tile
    filled = torch.cat([grouped, grouped.new_zeros(groups, missing, *tensor.shape[1:])], dim=1)
    tiled = filled.view(groups, -1, tile, *tensor.shape[1:])  # (group, tile, filter, inputs, height, width)
    return (tiled.permute(0, 1, 4, 5, 3, 2) if tensor.ndim == 4 else tiled).contiguous()
