"""MLPs and LeNets: sequential layers with arbitrary names, recognized by their shapes; the descriptions.

Shapes do not determine activation, pooling or image size: each possibility is a candidate, and the user chooses.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, Self, get_args

from ..errors import UnknownNetworkError
from .base import Shape, Shapes, check_count
from .parameter_list import Plan, Planned, side_of

Activation = Literal["relu", "tanh", "gelu", "sigmoid"]
Pooling = Literal["max", "average"]
Layers = tuple[tuple[str, bool], ...]  # (name, whether it has a bias)
MAX_LAYERS = 64
_WORDS = {"relu": "ReLU", "tanh": "tanh", "gelu": "GELU", "sigmoid": "sigmoid"}


@dataclass(frozen=True)
class MLP(Planned):
    """Linear layers with one activation between them; samples of any shape are flattened.

    `sizes` are the layer widths, from the input to the output: one more than `layers`.

    Raises:
        UnknownNetworkError: a field that is not possible.
    """

    family: ClassVar[str] = "mlp"
    built_by: ClassVar[str] = "mlp_lenet_modules:MLPModule"

    layers: Layers
    sizes: tuple[int, ...]
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        _check_layers(self.layers, self.sizes)
        _check_activation(self.activation)

    @property
    def label(self) -> str:
        """For example "MLP 784-100-10, ReLU"."""
        sizes = [str(size) for size in self.sizes]
        shown = sizes if len(sizes) < 8 else [*sizes[:3], "…", *sizes[-2:]]
        return f"MLP {'-'.join(shown)}" + (f", {_WORDS[self.activation]}" if len(self.layers) > 1 else "")

    @property
    def takes(self) -> str:
        """Samples of any shape, flattened: "vectors"."""
        return "vectors"

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(inputs,): how many numbers a flattened sample has."""
        return (self.sizes[0],)

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.sizes[-1]

    def plan(self) -> Plan:
        """Every linear layer, by its name in the file."""
        plan = Plan()
        for (name, bias), inputs, outputs in zip(self.layers, self.sizes[:-1], self.sizes[1:], strict=True):
            plan.layer(name, (outputs, inputs), bias=bias)
        return plan

    @classmethod
    def candidates(cls, shapes: Shapes) -> list[Self]:
        """Chains of the linear layers of `shapes`, with every activation; none if `shapes` has anything else."""
        chain = _chain(shapes)
        if not chain or len(chain) > MAX_LAYERS or any(len(shape) != 2 for _, shape, _ in chain):
            return []
        if len(chain) == 1 and not chain[0][2]:  # a single matrix is not a network
            return []
        layers = tuple((name, bias) for name, _, bias in chain)
        sizes = (chain[0][1][1], *(shape[0] for _, shape, _ in chain))
        kinds = get_args(Activation) if len(chain) > 1 else ("relu",)
        return [cls(layers, sizes, kind) for kind in kinds]


@dataclass(frozen=True)
class LeNet(Planned):
    """Two convolutions, each with an activation and a 2×2 pooling, then linear layers with the activation between them.

    `side` is the height and width of the images; `padding` and `kernels` are those of the two convolutions, `filters`
    their (input, first, second) channels, `sizes` the widths of the linear layers, the classes last.

    Raises:
        UnknownNetworkError: a field that is not possible.

    Source: LeCun et al. 1998, section II, in its common modern form.
    """

    family: ClassVar[str] = "lenet"
    built_by: ClassVar[str] = "mlp_lenet_modules:LeNetModule"

    layers: Layers
    filters: tuple[int, int, int]
    kernels: tuple[int, int]
    sizes: tuple[int, ...]
    side: int = 28
    padding: tuple[int, int] = (0, 0)
    activation: Activation = "relu"
    pooling: Pooling = "max"

    def __post_init__(self) -> None:
        pairs = ((self.filters, 3, 4096), (self.kernels, 2, 15), (self.sizes, len(self.layers) - 2, 1 << 20))
        for values, count, most in pairs:
            if type(values) is not tuple or len(values) != count:
                raise UnknownNetworkError("A LeNet has two convolutions and at least one linear layer.")
            for value in values:
                check_count("size in a LeNet", value, most)
        _check_layers(self.layers[2:], (1, *self.sizes))
        _check_activation(self.activation)
        check_count("side", self.side, 1024)
        if self.pooling not in get_args(Pooling) or type(self.padding) is not tuple or len(self.padding) != 2:
            raise UnknownNetworkError("The pooling of a LeNet is 'max' or 'average', its padding two numbers.")
        for padding in self.padding:
            check_count("padding", padding + 1 if type(padding) is int else padding, 8)

    @property
    def label(self) -> str:
        """For example "LeNet 6-16-120-84-10, images 28×28, ReLU, max-pooling"."""
        sizes = "-".join(str(size) for size in (*self.filters[1:], *self.sizes))
        return f"LeNet {sizes}, images {self.side}×{self.side}, {_WORDS[self.activation]}, {self.pooling} pooling"

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(channels, side, side): the first linear layer fits one image size only."""
        return self.filters[0], self.side, self.side

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.sizes[-1]

    @property
    def flat(self) -> int:
        """Count of numbers after the second pooling."""
        side = _left(self.side, self.kernels, self.padding)
        return self.filters[2] * side * side

    def plan(self) -> Plan:
        """Both convolutions and every linear layer, by their names in the file."""
        plan, first = Plan(), self.layers[:2]
        for index, (name, bias) in enumerate(first):
            kernel = self.kernels[index]
            plan.layer(name, (self.filters[index + 1], self.filters[index], kernel, kernel), bias=bias)
        sizes = (self.flat, *self.sizes)
        for (name, bias), inputs, outputs in zip(self.layers[2:], sizes[:-1], sizes[1:], strict=True):
            plan.layer(name, (outputs, inputs), bias=bias)
        return plan

    @classmethod
    def candidates(cls, shapes: Shapes) -> list[Self]:
        """Every image size, padding and kind of layers with which the linear layers fit the convolutions."""
        chain = _chain(shapes, convolutions=2)
        if len(chain) < 3 or len(chain) > 8 or [len(shape) for _, shape, _ in chain[:2]] != [4, 4]:
            return []
        (_, one, _), (_, two, _) = chain[:2]
        if any(len(shape) != 2 for _, shape, _ in chain[2:]) or one[2] != one[3] or two[2] != two[3]:
            return []
        layers = tuple((name, bias) for name, _, bias in chain)
        filters, kernels = (one[1], one[0], two[0]), (one[2], two[2])
        sizes = tuple(shape[0] for _, shape, _ in chain[2:])
        side = side_of(chain[2][1][1] // max(1, two[0])) or 0
        sides = [
            (image, padding)
            for image in ((28, 32) if one[1] == 1 else (32, 28))
            for padding in dict.fromkeys(((0, 0), (one[2] // 2, 0), (one[2] // 2, two[2] // 2)))
            if _left(image, kernels, padding) == side
        ]
        kinds: tuple[tuple[Activation, Pooling], ...] = (("relu", "max"), ("tanh", "average"), ("sigmoid", "average"))
        return [cls(layers, filters, kernels, sizes, *at, *kind) for at in sides for kind in kinds]


def _left(side: int, kernels: tuple[int, int], padding: tuple[int, int]) -> int:
    """The image side after both convolutions and poolings."""
    for kernel, edge in zip(kernels, padding, strict=True):
        side = (side + 2 * edge - kernel + 1) // 2
    return side


def _chain(shapes: Shapes, convolutions: int = 0) -> list[tuple[str, Shape, bool]]:
    """(name, shape of the weight, whether there is a bias) of layers that follow each other; empty for anything else.

    In the order of the file, or in the only order in which output sizes match input sizes.
    """
    weights = {name.removesuffix(".weight"): tuple(shape) for name, shape in shapes.items() if name.endswith(".weight")}
    others = {
        name.removesuffix(".bias"): tuple(shape) for name, shape in shapes.items() if not name.endswith(".weight")
    }
    if not weights or any(len(shape) not in (2, 4) or min(shape) < 1 for shape in weights.values()):
        return []
    if any(name not in weights or shape != weights[name][:1] for name, shape in others.items()):
        return []
    chain = [(name, shape, name in others) for name, shape in weights.items()]
    return chain if _follows(chain[convolutions:]) else _sorted_chain(chain)


def _follows(chain: list[tuple[str, Shape, bool]]) -> bool:
    return all(one[1][0] == other[1][1] for one, other in pairwise(chain))


def _sorted_chain(chain: list[tuple[str, Shape, bool]]) -> list[tuple[str, Shape, bool]]:
    """The convolutions ordered by their channels, the linear layers by their sizes, if that order is unique."""
    parts = []
    for axes in (4, 2):
        left = {layer[1][1]: layer for layer in chain if len(layer[1]) == axes}
        outputs = {shape[0] for _, shape, _ in left.values()}
        starts = [inputs for inputs in left if inputs not in outputs]
        at = starts[0] if len(starts) == 1 else None
        while at in left:
            layer = left.pop(at)
            parts.append(layer)
            at = layer[1][0]
    return parts if len(parts) == len(chain) else []


def _check_layers(layers: Layers, sizes: tuple[int, ...]) -> None:
    if type(layers) is not tuple or not 1 <= len(layers) <= MAX_LAYERS or len(sizes) != len(layers) + 1:
        raise UnknownNetworkError(f"An MLP has 1 to {MAX_LAYERS} layers and one more size than layers.")
    for layer in layers:
        if type(layer) is not tuple or len(layer) != 2 or type(layer[0]) is not str or type(layer[1]) is not bool:
            raise UnknownNetworkError("A layer of a chain is a name and whether it has a bias.")
    for size in sizes:
        check_count("size of a layer", size, 1 << 28)


def _check_activation(activation: object) -> None:
    if activation not in get_args(Activation):
        raise UnknownNetworkError(f"Unknown activation. Known: {', '.join(get_args(Activation))}.")
