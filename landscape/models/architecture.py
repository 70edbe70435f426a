"""Architectures by name, parameter shapes and JSON, and recognising one from the names and shapes of a checkpoint.

Imports errors only; no torch, so that the HTTP face and the reader can use it. Never builds a module: `build` does.
A new family is one subclass of `Architecture`, one entry in `FAMILIES` and its branch in `landscape.models.build`.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, Self, get_args

from ..errors import UnknownNetworkError

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
Shortcuts = Literal["projection", "none", "padding"]

COUNTER = "num_batches_tracked"  # BatchNorm's batch counter: older files and safetensors of ours leave it out


@dataclass(frozen=True)
class Architecture(ABC):
    """A network described by numbers: enough to know every parameter's name and shape and to build it."""

    family: ClassVar[str]

    @property
    @abstractmethod
    def label(self) -> str:
        """What a person calls it, for example "ResNet-56, width 8, with shortcuts"."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int | None, int | None, int | None]:
        """(channels, height, width) of one image; None where any size works."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Number of classes."""

    @abstractmethod
    def parameter_shapes(self) -> dict[str, Shape]:
        """Name -> shape of every trainable parameter, in the order of the module's `parameters()`."""

    @abstractmethod
    def buffer_shapes(self) -> dict[str, Shape]:
        """Name -> shape of every buffer (BatchNorm's statistics and counters), in the module's order."""

    @classmethod
    @abstractmethod
    def candidates(cls, shapes: Shapes) -> list[Self]:
        """Members of the family that come closest to `shapes`, read off them; they need not fit. Never empty."""

    @property
    def parameter_count(self) -> int:
        """Number of trainable numbers (buffers not counted)."""
        return sum(math.prod(shape) for shape in self.parameter_shapes().values())

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary with the key "family" and every field; `from_json` is its inverse."""
        return {"family": self.family, **asdict(self)}


@dataclass(frozen=True)
class CifarResNet(Architecture):
    """A residual network with 6n+2 layers for small images, or its plain twin.

    Three stages of n blocks with `width`, 2·`width`, 4·`width` channels (the stem has `width`, also where the network
    is wide: the authors' WRN-56-k is `width = 16 k`), BatchNorm after every convolution, global average pooling, one
    linear layer. `shortcuts`: "projection" puts a 1×1 convolution where the shape changes (He's option B), "padding"
    subsamples and pads channels with zeros there (option A), "none" drops addition and projection and keeps BatchNorm.

    Raises:
        UnknownNetworkError: a field that is not possible.

    Source: He et al. 2016, section 4.2; Li et al. 2018, section 5 and the authors' `cifar10/models/resnet.py`.
    """

    family: ClassVar[str] = "cifar_resnet"

    depth: int
    width: int = 16
    shortcuts: Shortcuts = "projection"
    classes: int = 10
    channels: int = 3

    def __post_init__(self) -> None:
        for name, most in {"depth": 3002, "width": 4096, "classes": 100_000, "channels": 4096}.items():
            _check_count(name, getattr(self, name), most)
        if self.depth < 8 or self.depth % 6 != 2:
            raise UnknownNetworkError(f"A CIFAR ResNet has 6n+2 layers (8, 14, 20, …, 56, …); depth is {self.depth}.")
        if self.shortcuts not in get_args(Shortcuts):
            known = ", ".join(get_args(Shortcuts))
            raise UnknownNetworkError(f"Unknown shortcuts {_clip(repr(self.shortcuts))}. Known: {known}.")

    @property
    def blocks(self) -> int:
        """Blocks in each of the three stages: the n of 6n+2."""
        return (self.depth - 2) // 6

    @property
    def label(self) -> str:
        """For example "ResNet-56, width 8, without shortcuts"; "WRN-56-2, width 32, …" for 16 k channels, k > 1."""
        wide = self.width > 16 and self.width % 16 == 0
        name = f"WRN-{self.depth}-{self.width // 16}" if wide else f"ResNet-{self.depth}"
        kind = {"projection": "with shortcuts", "none": "without shortcuts", "padding": "option-A shortcuts"}
        return f"{name}, width {self.width}, {kind[self.shortcuts]}"

    @property
    def input_shape(self) -> tuple[int | None, int | None, int | None]:
        """(channels, None, None): any image size works, since the last pooling is global."""
        return self.channels, None, None

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.classes

    def parameter_shapes(self) -> dict[str, Shape]:
        """Name -> shape of every trainable parameter, in the order of the module's `parameters()`."""
        shapes: dict[str, Shape] = {}
        for name, shape in self._layers():
            shapes[f"{name}.weight"] = shape
            if len(shape) < 4:
                shapes[f"{name}.bias"] = shape[:1]
        return shapes

    def buffer_shapes(self) -> dict[str, Shape]:
        """Name -> shape of BatchNorm's running statistics and counters, in the module's order."""
        shapes: dict[str, Shape] = {}
        for name, shape in self._layers():
            if len(shape) == 1:
                shapes |= {f"{name}.running_mean": shape, f"{name}.running_var": shape, f"{name}.{COUNTER}": ()}
        return shapes

    @classmethod
    def candidates(cls, shapes: Shapes) -> list[Self]:
        """The ResNet whose stem, classes and number of blocks are those of `shapes`, each kind of shortcut that may be.

        Without shortcut parameters both "none" and "padding" may be: a checkpoint does not tell them apart.
        """
        first, channels = _leading(shapes.get("conv1.weight"), (16, 3))
        classes, last = _leading(shapes.get("linear.weight"), (10, 4 * first))
        widths = dict.fromkeys(max(1, min(width, 4096)) for width in (first, last // 4))
        found = {match[1] for name in shapes if (match := re.match(r"layer[123]\.(\d{1,6})\.", name))}
        depth = 6 * min(max(1, len(found)), 500) + 2
        projected = any(".shortcut." in name for name in shapes)
        kinds: tuple[Shortcuts, ...] = ("projection",) if projected else ("none", "padding")
        classes, channels = min(classes, 100_000), min(channels, 4096)
        return [cls(depth, width, kind, classes, channels) for width in widths for kind in kinds]

    def _layers(self) -> list[tuple[str, Shape]]:
        """(name, shape of the weight) of every convolution (4 axes), BatchNorm (1 axis) and linear layer (2 axes)."""
        layers: list[tuple[str, Shape]] = [
            ("conv1", (self.width, self.channels, 3, 3)),
            ("bn1", (self.width,)),
        ]
        previous = self.width
        for stage, planes in enumerate((self.width, 2 * self.width, 4 * self.width), start=1):
            for block in range(self.blocks):
                layers += self._block(f"layer{stage}.{block}", previous, planes)
                previous = planes
        return [*layers, ("linear", (self.classes, previous))]

    def _block(self, prefix: str, inputs: int, planes: int) -> list[tuple[str, Shape]]:
        layers: list[tuple[str, Shape]] = [
            (f"{prefix}.conv1", (planes, inputs, 3, 3)),
            (f"{prefix}.bn1", (planes,)),
            (f"{prefix}.conv2", (planes, planes, 3, 3)),
            (f"{prefix}.bn2", (planes,)),
        ]
        if self.shortcuts == "projection" and inputs != planes:
            layers += [(f"{prefix}.shortcut.0", (planes, inputs, 1, 1)), (f"{prefix}.shortcut.1", (planes,))]
        return layers


FAMILIES: tuple[type[Architecture], ...] = (CifarResNet,)


def from_json(description: Mapping[str, Any]) -> Architecture:
    """The architecture that `Architecture.to_json` described.

    Raises:
        UnknownNetworkError: the family is unknown, or a field is missing, unknown or not possible.
    """
    known = {family.family: family for family in FAMILIES}
    name = description.get("family") if isinstance(description, Mapping) else None
    if not isinstance(name, str) or name not in known:
        raise UnknownNetworkError(f"Unknown network family {_clip(repr(name))}. Known: {', '.join(known)}.")
    given = {key: value for key, value in description.items() if key != "family"}
    expected = {field.name for field in fields(known[name])}
    if given.keys() != expected:
        parts = [f"missing {_names(expected - given.keys())}"] if expected - given.keys() else []
        parts += [f"unknown {_names(given.keys() - expected)}"] if given.keys() - expected else []
        raise UnknownNetworkError(f"The description of a {name} network does not fit: {'; '.join(parts)}.")
    return known[name](**given)


def recognize(shapes: Shapes) -> list[Architecture]:
    """All known architectures with exactly these names and shapes.

    Args:
        shapes: name -> shape of every parameter and buffer of a checkpoint; `num_batches_tracked` may be left out.

    Returns:
        One architecture or several (a ResNet without shortcut parameters fits "none" and "padding", in this order).

    Raises:
        UnknownNetworkError: none fits; the sentence names the closest and what is missing, extra or misshapen.
    """
    candidates = [candidate for family in FAMILIES for candidate in family.candidates(shapes)]
    differences = [_difference(candidate, shapes) for candidate in candidates]
    fitting = [candidate for candidate, found in zip(candidates, differences, strict=True) if not any(found)]
    if fitting:
        return fitting
    closest = min(range(len(candidates)), key=lambda i: sum(map(len, differences[i])))
    raise UnknownNetworkError(_refusal(candidates[closest], shapes, differences[closest]))


Difference = tuple[list[str], list[str], list[str]]  # names that are missing, extra, misshapen


def _difference(candidate: Architecture, shapes: Shapes) -> Difference:
    expected = candidate.parameter_shapes() | candidate.buffer_shapes()
    missing = [name for name in expected if name not in shapes and not name.endswith(COUNTER)]
    extra = [name for name in shapes if name not in expected]
    misshapen = [name for name in expected if name in shapes and tuple(shapes[name]) != expected[name]]
    return missing, extra, misshapen


def _refusal(closest: Architecture, shapes: Shapes, difference: Difference) -> str:
    if not shapes:
        return "The checkpoint holds no parameters. Save the model's state_dict()."
    missing, extra, misshapen = difference
    if len(extra) == len(shapes):
        return (
            f"No known network has parameters with these names: {_names(extra)}. "
            "Known are CIFAR ResNets of 6n+2 layers (conv1, bn1, layer1.0.conv1, …, linear). Use one's state_dict()."
        )
    parts = []
    if missing:
        parts.append(f"missing {_names(missing)}")
    if extra:
        parts.append(f"extra {_names(extra)}")
    if misshapen:
        expected = closest.parameter_shapes() | closest.buffer_shapes()
        name = misshapen[0]
        shape = f"{_clip(str(tuple(shapes[name])))} instead of {expected[name]}"
        parts.append(f"misshapen {_clip(name)}: {shape}{_rest(len(misshapen) - 1)}")
    return (
        f"No known network has these parameters; the closest is {closest.label}, {'; '.join(parts)}. "
        "Use the unchanged state_dict() of a known network."
    )


def _names(names: Iterable[str], shown: int = 2) -> str:
    ordered = [_clip(str(name)) for name in (names if isinstance(names, Sequence) else sorted(names, key=str))]
    return ", ".join(ordered[:shown]) + _rest(len(ordered) - shown)


def _rest(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _clip(text: str, length: int = 40) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _leading(shape: Shape | None, default: Shape) -> Shape:
    """The first entries of `shape`, as many as `default` has; `default` where the shape is absent or not usable."""
    if shape is None or len(shape) < len(default) or min(shape[: len(default)]) < 1:
        return default
    return tuple(shape[: len(default)])


def _check_count(name: str, value: object, most: int) -> None:
    if type(value) is not int or not 1 <= value <= most:
        raise UnknownNetworkError(
            f"The {name} of a network is a whole number from 1 to {most}; got {_clip(repr(value))}."
        )
