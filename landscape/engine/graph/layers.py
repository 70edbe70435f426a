"""Lowers a graph to layers, the form in which back ends read a network. Every weight of a layer is an `Affine`.

The operators that matter for speed (convolution, BatchNorm, linear, add, ReLU, pooling) become layers of their own
kind; any other operator is a "generic" layer that runs unchanged, so every graph can be lowered. Folding and fusing are
in fold.py.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ...parsers.source import FileError
from .affine import Affine
from .graph import Graph, Node, Ref, Size

REARRANGING = frozenset(  # operators that only rearrange numbers and add zeros
    f"aten.{name}"
    for name in (
        *("slice.Tensor", "select.int", "cat.default", "constant_pad_nd.default", "flip.default", "expand.default"),
        *("permute.default", "transpose.int", "view.default", "_unsafe_view.default", "pixel_shuffle.default"),
        *("squeeze.dim", "squeeze.dims", "unsqueeze.default", "clone.default", "alias.default", "detach.default"),
    )
)


@dataclass(frozen=True)
class Norm:
    """BatchNorm with given statistics: γ (x − μ) / √(σ² + ε) + β, with γ, β, μ, σ² each affine in the coefficients.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 2.
    """

    gamma: Affine
    beta: Affine
    mean: Affine
    variance: Affine
    epsilon: float
    buffers: tuple[str, str]  # names of mean and variance


@dataclass(frozen=True)
class Layer:
    """result = kind(inputs; weights, settings), then + residual and ReLU, if present."""

    # convolution, linear, affine, batch_norm, normalize, add, relu, max_pool, average_pool, mean, flatten, generic
    kind: str
    inputs: tuple[int, ...]
    results: tuple[int | None, ...]
    weights: tuple[Affine | None, ...] = ()  # convolution, linear: weight, bias; affine, normalize: scale, shift
    settings: dict[str, Any] = field(default_factory=dict)
    residual: int | None = None
    relu: bool = False
    norm: Norm | None = None  # of the result before residual and ReLU; folded into the weights at every point

    @property
    def result(self) -> int:
        """Index of the first result."""
        index = self.results[0]
        assert index is not None
        return index

    def reads(self) -> tuple[int, ...]:
        """Indices of the values that it reads: the inputs, then the residual."""
        return self.inputs if self.residual is None else (*self.inputs, self.residual)


@dataclass(frozen=True)
class Network:
    """Layers in execution order; `shapes` without the batch axis, None if the first axis is not the batch."""

    input: int
    layers: tuple[Layer, ...]
    output: int
    shapes: dict[int, tuple[int, ...] | None]
    fixed: dict[int, Tensor] = field(default_factory=dict)  # tensors that no direction changes: indices, masks

    def uses(self) -> dict[int, int]:
        """How often every value is read; being the output counts as one read."""
        counts = {self.output: 1}
        for layer in self.layers:
            for index in layer.reads():
                counts[index] = counts.get(index, 0) + 1
        return counts

    def require_shapes(self, made: Mapping[int, Tensor], samples: int) -> None:
        """Refuse results of other shapes than `shapes` says: native kernels read as many numbers.

        Raises:
            FileError: a size that was linear in the batch when the network was recorded, and is not at this one.
        """
        for index, tensor in made.items():
            shape = self.shapes.get(index)
            if shape is not None and tensor.shape != (samples, *shape):
                raise FileError(
                    f"A batch of {samples} samples has values of shape {list(tensor.shape)} instead of "
                    f"{[samples, *shape]}: sizes in the network must be linear in the batch, without limits."
                )


def lower(graph: Graph, weights: Mapping[int, Affine], fixed: Mapping[int, Tensor]) -> Network:
    """The layers of `graph`, whose parameters, buffers and constants are in `weights` or `fixed`, by index."""
    lowering = _Lowering(graph, weights)
    layers = tuple(layer for node in graph.nodes if (layer := lowering.layer(node)) is not None)
    shapes = {index: _sample_shape(shape) for index, shape in graph.shapes.items()}
    return Network(graph.input, layers, graph.output, shapes, dict(fixed))


def _sample_shape(shape: tuple[int | Size, ...]) -> tuple[int, ...] | None:
    if not shape or shape[0] != Size(1, 0) or any(isinstance(size, Size) for size in shape[1:]):
        return None
    return tuple(size for size in shape[1:] if isinstance(size, int))


class _Lowering:
    def __init__(self, graph: Graph, weights: Mapping[int, Affine]):
        self.uses, self.weights = graph.uses(), dict(weights)
        self.directions = max((len(weight.steps) for weight in weights.values()), default=0)
        self.names: dict[int | None, str] = {index: name for name, index in graph.buffers.items()}
        self.shapes = {index: _sample_shape(shape) for index, shape in graph.shapes.items()}

    def layer(self, node: Node) -> Layer | None:
        """The layer of a node; None for one that only rearranges weights, whose result becomes a weight."""
        if self._rearranged(node):
            return None
        read = READERS.get(node.operator)
        return (read(self, node) if read else None) or self._generic(node)

    def _rearranged(self, node: Node) -> bool:
        """Apply a rearrangement of a weight, such as the transposition in nn.Linear, once per plan."""
        if node.operator != "aten.t.default" or (index := _index(node.arguments[0])) not in self.weights:
            return False
        assert node.results[0] is not None
        self.weights[node.results[0]] = self.weights[index].map(lambda tensor: tensor.t())
        return True

    def _generic(self, node: Node) -> Layer:
        reads = dict.fromkeys(node.reads())
        slots = [index for index in reads if index in self.weights]
        return Layer(
            "generic",
            tuple(index for index in reads if index not in self.weights),
            node.results,
            tuple(self.weights[index] for index in slots),
            {"node": node, "slots": tuple(slots)},
        )

    def weight(self, argument: Any) -> Affine | None:
        index = _index(argument)
        return None if index is None else self.weights.get(index)

    def value(self, argument: Any) -> int | None:
        """The index of a tensor that depends on the sample, its first axis being the batch."""
        index = _index(argument)
        return index if index not in self.weights and index is not None and self.shapes[index] is not None else None

    def only_first(self, node: Node) -> bool:
        return not any(index is not None and self.uses[index] for index in node.results[1:])

    # One method per operator; None if the layer does not support the node's arguments.

    def convolution(self, node: Node) -> Layer | None:
        x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = node.arguments
        source, kernel = self.value(x), self.weight(weight)
        if source is None or kernel is None or (bias is not None and self.weight(bias) is None):
            return None
        if node.options or not _fixed(node.arguments[3:]):
            return None
        settings = {
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "transposed": transposed,
            "output_padding": output_padding,
            "groups": groups,
        }
        return Layer("convolution", (source,), node.results, (kernel, self.weight(bias)), settings)

    def batch_norm(self, node: Node) -> Layer | None:
        """BatchNorm with running statistics, which fold.py folds into the layer before. In training mode it stays."""
        if node.arguments[5] and (layer := self._normalize(node)) is not None:
            return layer
        x, gamma, beta, mean, variance, training, _, epsilon = node.arguments
        source, mu, sigma = self.value(x), self.weight(mean), self.weight(variance)
        if source is None or mu is None or sigma is None or not self.only_first(node):
            return None
        buffers = (self.names.get(_index(mean), ""), self.names.get(_index(variance), ""))
        if training:  # recalibrate.py needs the new running statistics
            layer, slots = self._generic(node), (_index(mean), _index(variance))
            return replace(layer, settings={**layer.settings, "buffers": dict(zip(buffers, slots, strict=True))})
        gain = self.weight(gamma) or Affine(torch.ones_like(mu.center), (None,) * len(mu.steps))
        offset = self.weight(beta) or Affine(torch.zeros_like(mu.center), (None,) * len(mu.steps))
        norm = Norm(gain, offset, mu, sigma, float(epsilon), buffers)  # type: ignore[arg-type]
        return Layer("batch_norm", (source,), node.results[:1], norm=norm)

    def _normalize(self, node: Node) -> Layer | None:
        """BatchNorm with batch statistics, kept under the names of its buffers, if it has any."""
        x, gamma, beta, mean, variance, _, momentum, epsilon = node.arguments
        source, kept = self.value(x), mean is not None
        shape = None if source is None else self.shapes[source]
        if shape is None or source is None or not self.only_first(node) or (kept and momentum != 1.0):
            return None
        one = Affine(torch.ones(shape[0], dtype=torch.float64), (None,) * self.directions)
        gain, offset = self.weight(gamma) or one, self.weight(beta) or one.map(torch.zeros_like)
        buffers = tuple(self.names.get(_index(part), "") for part in (mean, variance)) if kept else ()
        settings = {"epsilon": float(epsilon), "buffers": buffers}  # type: ignore[arg-type]
        return Layer("normalize", (source,), node.results[:1], (gain, offset), settings)

    def addmm(self, node: Node) -> Layer | None:
        if node.options:
            return None
        bias, x, weight = node.arguments
        return self._linear(node, x, weight, bias)

    def mm(self, node: Node) -> Layer | None:
        return self._linear(node, node.arguments[0], node.arguments[1], None)

    def _linear(self, node: Node, x: Any, weight: Any, bias: Any) -> Layer | None:
        source, matrix, offset = self.value(x), self.weight(weight), self.weight(bias)
        if source is None or matrix is None or (bias is not None and offset is None):
            return None
        if offset is not None and offset.center.shape != matrix.center.shape[1:]:  # torch would repeat a single number
            return None
        return Layer("linear", (source,), node.results, (matrix.map(lambda tensor: tensor.t()), offset))

    def add(self, node: Node) -> Layer | None:
        one, other = (self.value(argument) for argument in node.arguments[:2])
        if one is None or other is None or node.options or len(node.arguments) > 2:
            return None
        return Layer("add", (one, other), node.results) if self.shapes[one] == self.shapes[other] else None

    def relu(self, node: Node) -> Layer | None:
        source = self.value(node.arguments[0])
        return None if source is None else Layer("relu", (source,), node.results, relu=True)

    def mean(self, node: Node) -> Layer | None:
        """The mean over all pixels, from a mean or from adaptive pooling to one pixel."""
        source = self.value(node.arguments[0])
        shape = None if source is None else self.shapes[source]
        pixels = node.operator == "aten._adaptive_avg_pool2d.default" or (
            sorted(axis % 4 for axis in node.arguments[1]) == [2, 3]  # type: ignore[union-attr, operator]
        )
        if source is None or shape is None or len(shape) != 3 or not pixels or node.options:
            return None
        out = self.shapes[node.results[0]]  # type: ignore[index]
        if out is None or math.prod(out) != shape[0]:
            return None
        return Layer("mean", (source,), node.results, (), {"shape": out})

    def flatten(self, node: Node) -> Layer | None:
        """Any reshaping that keeps the batch: the order of the numbers of a sample does not change."""
        source, result = self.value(node.arguments[0]), node.results[0]
        shape = None if result is None else self.shapes[result]
        if source is None or shape is None:
            return None
        return Layer("flatten", (source,), node.results, (), {"shape": shape})

    def max_pool(self, node: Node) -> Layer | None:
        source, numbers = self.value(node.arguments[0]), list[Any](node.arguments[1:])
        if node.options or not _fixed(numbers):
            return None
        numbers += [(), (0, 0), (1, 1), False][len(numbers) - 1 :]
        kernel, stride, padding, dilation, ceil = numbers
        if source is None or not self.only_first(node) or ceil or tuple(_pair(dilation)) != (1, 1):
            return None
        return self._pool("max_pool", node, source, kernel, stride, padding)

    def average_pool(self, node: Node) -> Layer | None:
        source, numbers = self.value(node.arguments[0]), list[Any](node.arguments[1:])
        if node.options or not _fixed(numbers):
            return None
        numbers += [(), (0, 0), False, True, None][len(numbers) - 1 :]
        kernel, stride, padding, ceil, _, divisor = numbers
        if source is None or ceil or divisor is not None or _pair(padding) != (0, 0):
            return None
        return self._pool("average_pool", node, source, kernel, stride, padding)

    def _pool(self, kind: str, node: Node, source: int, kernel: Any, stride: Any, padding: Any) -> Layer:
        settings = {"kernel": _pair(kernel), "stride": _pair(stride or kernel), "padding": _pair(padding)}
        return Layer(kind, (source,), node.results[:1], (), settings)


def _fixed(argument: Any) -> bool:
    """Whether no number in an argument depends on the batch."""
    if isinstance(argument, tuple | list):
        return all(_fixed(item) for item in argument)
    return not isinstance(argument, Size)


def _pair(numbers: Any) -> tuple[int, int]:
    return (numbers, numbers) if isinstance(numbers, int) else (numbers[0], numbers[-1])


def _index(argument: Any) -> int | None:
    return argument.index if isinstance(argument, Ref) else None


READERS: dict[str, Callable[[_Lowering, Node], Layer | None]] = {
    "aten.convolution.default": _Lowering.convolution,
    "aten.native_batch_norm.default": _Lowering.batch_norm,
    "aten.addmm.default": _Lowering.addmm,
    "aten.mm.default": _Lowering.mm,
    "aten.add.Tensor": _Lowering.add,
    "aten.relu.default": _Lowering.relu,
    "aten.mean.dim": _Lowering.mean,
    "aten._adaptive_avg_pool2d.default": _Lowering.mean,
    "aten.view.default": _Lowering.flatten,
    "aten._unsafe_view.default": _Lowering.flatten,
    "aten.reshape.default": _Lowering.flatten,
    "aten.max_pool2d_with_indices.default": _Lowering.max_pool,
    "aten.avg_pool2d.default": _Lowering.average_pool,
}


def weights_of(layers: tuple[Layer, ...]) -> list[Affine]:
    """Every weight of the layers, in order."""
    return [weight for layer in layers for weight in layer.weights if weight is not None]
