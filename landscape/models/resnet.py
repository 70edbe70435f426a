"""ResNets with four stages, as in torchvision (ResNet-18 to -152) and in CIFAR variants: their description."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, Self, get_args

from ..errors import UnknownNetworkError
from .base import MAX_CHANNELS, MAX_CLASSES, Shapes, check_count, leading
from .parameter_list import Plan, Planned

Naming = Literal["downsample", "shortcut"]
MAX_BLOCKS = 200
_KNOWN = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}


@dataclass(frozen=True)
class DeepResNet(Planned):
    """Four stages of `blocks` with width, 2·width, 4·width, 8·width channels; four times that out of bottlenecks.

    `stem`: 7 is a 7×7 convolution of stride 2 and a max-pooling (ImageNet); 3 is a 3×3 convolution of stride 1 and
    no pooling (the CIFAR variant). `naming`: "downsample" and `fc` as in torchvision, or "shortcut" and `linear` as
    in the public CIFAR collections.

    Raises:
        UnknownNetworkError: a field that is not possible.

    Source: He et al. 2016, table 1; the stride of a bottleneck is in its 3×3 convolution, as in torchvision.
    """

    family: ClassVar[str] = "resnet"
    built_by: ClassVar[str] = "resnet_modules:DeepResNetModule"

    blocks: tuple[int, int, int, int]
    bottleneck: bool
    stem: int = 7
    width: int = 64
    classes: int = 1000
    channels: int = 3
    naming: Naming = "downsample"

    def __post_init__(self) -> None:
        for name, most in {"width": 4096, "classes": MAX_CLASSES, "channels": MAX_CHANNELS}.items():
            check_count(name, getattr(self, name), most)
        if type(self.blocks) is not tuple or len(self.blocks) != 4:
            raise UnknownNetworkError("A ResNet of this family has four stages of blocks.")
        for count in self.blocks:
            check_count("blocks of a stage", count, MAX_BLOCKS)
        if self.stem not in (3, 7) or type(self.bottleneck) is not bool or self.naming not in get_args(Naming):
            raise UnknownNetworkError("The stem of a ResNet is 3 or 7, its naming 'downsample' or 'shortcut'.")

    @property
    def label(self) -> str:
        """For example "ResNet-18" or "ResNet-50, CIFAR stem, width 16"."""
        layers = 2 + (3 if self.bottleneck else 2) * sum(self.blocks)
        name = f"ResNet-{_KNOWN.get((self.blocks, self.bottleneck), layers)}"
        stem = ", CIFAR stem" if self.stem == 3 else ""
        return name + stem + (f", width {self.width}" if self.width != 64 else "")

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(channels, None, None): any image size works, since the last pooling is global."""
        return self.channels, None, None

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.classes

    @property
    def expansion(self) -> int:
        """Output channels of a block per inner channel."""
        return 4 if self.bottleneck else 1

    def plan(self) -> Plan:
        """Every parameter and buffer, by the names of `naming`, with a projection where a block changes the shape."""
        plan, inputs = Plan(), self.width
        plan.layer("conv1", (self.width, self.channels, self.stem, self.stem), bias=False)
        plan.norm("bn1", self.width)
        for stage, count in enumerate(self.blocks):
            planes = self.width << stage
            for block in range(count):
                self._block(plan, f"layer{stage + 1}.{block}", inputs, planes, strided=stage > 0 and block == 0)
                inputs = planes * self.expansion
        plan.layer("fc" if self.naming == "downsample" else "linear", (self.classes, inputs))
        return plan

    def _block(self, plan: Plan, name: str, inputs: int, planes: int, *, strided: bool) -> None:
        kernels = (1, 3, 1) if self.bottleneck else (3, 3)
        before = inputs
        for index, kernel in enumerate(kernels, start=1):
            filters = planes * self.expansion if index == len(kernels) else planes
            plan.layer(f"{name}.conv{index}", (filters, before, kernel, kernel), bias=False)
            plan.norm(f"{name}.bn{index}", filters)
            before = filters
        if strided or inputs != before:
            plan.layer(f"{name}.{self.naming}.0", (before, inputs, 1, 1), bias=False)
            plan.norm(f"{name}.{self.naming}.1", before)

    @classmethod
    def candidates(cls, shapes: Shapes) -> list[Self]:
        """The ResNet with the stem, stages and classes of `shapes`; none without a fourth stage."""
        if not any(name.startswith("layer4.") for name in shapes):
            return []
        naming: Naming = "shortcut" if "linear.weight" in shapes else "downsample"
        last = "linear" if naming == "shortcut" else "fc"
        width, channels, stem = leading(shapes.get("conv1.weight"), (64, 3, 7))
        [classes] = leading(shapes.get(f"{last}.weight"), (1000,))
        found = [{m[1] for name in shapes if (m := re.match(rf"layer{s}\.(\d{{1,4}})\.", name))} for s in range(1, 5)]
        counts = [min(max(1, len(stage)), MAX_BLOCKS) for stage in found]
        blocks = (counts[0], counts[1], counts[2], counts[3])
        bottleneck = any(name.startswith("layer1.0.conv3.") for name in shapes)
        return [cls(blocks, bottleneck, 3 if stem == 3 else 7, width, classes, channels, naming)]
