"""The residual networks of the CIFAR experiments and their plain counterparts: their description."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, Self, get_args

from ..errors import UnknownNetworkError
from .base import COUNTER, MAX_CHANNELS, MAX_CLASSES, Architecture, Shape, Shapes, check_count, clip, leading

Shortcuts = Literal["projection", "none", "padding"]


@dataclass(frozen=True)
class CifarResNet(Architecture):
    """A residual network with 6n+2 layers for small images, or its counterpart without shortcuts.

    Three stages of n blocks with `width`, 2·`width`, 4·`width` channels (the stem always has `width`: the authors'
    WRN-56-k is `width = 16 k`), BatchNorm after every convolution, global average pooling, one linear layer.
    `shortcuts`: "projection" puts a 1×1 convolution where the shape changes (He's option B), "padding"
    subsamples and pads channels with zeros there (option A), "none" drops addition and projection and keeps BatchNorm.

    Raises:
        UnknownNetworkError: a field that is not possible.

    Source: He et al. 2016, section 4.2; Li et al. 2018, section 5 and the authors' `cifar10/models/resnet.py`.
    """

    family: ClassVar[str] = "cifar_resnet"
    built_by: ClassVar[str] = "resnet_cifar_modules:ResNet"

    depth: int
    width: int = 16
    shortcuts: Shortcuts = "projection"
    classes: int = 10
    channels: int = 3

    def __post_init__(self) -> None:
        for name, most in {"depth": 3002, "width": 4096, "classes": MAX_CLASSES, "channels": MAX_CHANNELS}.items():
            check_count(name, getattr(self, name), most)
        if self.depth < 8 or self.depth % 6 != 2:
            raise UnknownNetworkError(f"A CIFAR ResNet has 6n+2 layers (8, 14, 20, …, 56, …); depth is {self.depth}.")
        if self.shortcuts not in get_args(Shortcuts):
            known = ", ".join(get_args(Shortcuts))
            raise UnknownNetworkError(f"Unknown shortcuts {clip(repr(self.shortcuts))}. Known: {known}.")

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
    def input_shape(self) -> tuple[int | None, ...]:
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
        """The ResNet with the stem, classes and number of blocks of `shapes`, once per possible kind of shortcut.

        Without shortcut parameters both "none" and "padding" are possible: a checkpoint does not distinguish them.
        """
        first, channels = leading(shapes.get("conv1.weight"), (16, 3))
        classes, last = leading(shapes.get("linear.weight"), (10, 4 * first))
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
