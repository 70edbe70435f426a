"""DenseNets of the CIFAR collections (the paper's DenseNet-121) and of torchvision: their description."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, Self, get_args

from ..errors import UnknownNetworkError
from .base import MAX_CHANNELS, MAX_CLASSES, Shapes, check_count, leading
from .parameter_list import Plan, Planned

Naming = Literal["cifar", "torchvision"]
_NAMES: dict[tuple[int, ...], int] = {
    (6, 12, 24, 16): 121,
    (6, 12, 32, 32): 169,
    (6, 12, 48, 32): 201,
    (6, 12, 36, 24): 161,
}


@dataclass(frozen=True)
class DenseNet(Planned):
    """Stages of layers, each of which adds `growth` channels; transitions halve channels and image sides.

    `naming`: "cifar" has a 3×3 stem and names like `dense1.0.bn1`; "torchvision" a 7×7 stem of stride 2 with a
    max-pooling and names like `features.denseblock1.denselayer1.norm1`.

    Raises:
        UnknownNetworkError: a field that is not possible.

    Source: Huang et al. 2017, table 1 (bottlenecks of 4·growth, compression 0.5).
    """

    family: ClassVar[str] = "densenet"
    built_by: ClassVar[str] = "densenet_modules:densenet"

    blocks: tuple[int, ...]
    growth: int = 32
    stem: int = 64
    classes: int = 10
    channels: int = 3
    naming: Naming = "cifar"

    def __post_init__(self) -> None:
        limits = {"growth": 512, "stem": 4096, "classes": MAX_CLASSES, "channels": MAX_CHANNELS}
        for name, most in limits.items():
            check_count(name, getattr(self, name), most)
        if type(self.blocks) is not tuple or not 1 <= len(self.blocks) <= 6 or self.naming not in get_args(Naming):
            raise UnknownNetworkError("A DenseNet has one to six stages, its naming is 'cifar' or 'torchvision'.")
        for count in self.blocks:
            check_count("layers of a stage", count, 200)

    @property
    def label(self) -> str:
        """For example "DenseNet-121, CIFAR stem"."""
        known = _NAMES.get(self.blocks) if self.growth == (48 if self.blocks == (6, 12, 36, 24) else 32) else None
        depth = known or 2 * sum(self.blocks) + len(self.blocks) + 1
        growth = "" if known else f", growth {self.growth}"
        return f"DenseNet-{depth}{growth}{', CIFAR stem' if self.naming == 'cifar' else ''}"

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(channels, None, None): any image size works, since the last pooling is global."""
        return self.channels, None, None

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.classes

    def widths(self) -> list[tuple[int, int]]:
        """(channels into a stage, channels out of it) of every stage; a transition halves them."""
        found, channels = [], self.stem
        for count in self.blocks:
            found.append((channels, channels + count * self.growth))
            channels = found[-1][1] // 2
        return found

    def plan(self) -> Plan:
        """Every parameter and buffer, by the names of `naming`."""
        return self._cifar() if self.naming == "cifar" else self._torchvision()

    def _cifar(self) -> Plan:
        plan, last = Plan(), len(self.blocks)
        plan.layer("conv1", (self.stem, self.channels, 3, 3), bias=False)
        for stage, (inputs, outputs) in enumerate(self.widths(), start=1):
            for layer in range(self.blocks[stage - 1]):
                self._layer(plan, f"dense{stage}.{layer}", inputs + layer * self.growth, "bn")
            if stage < last:
                plan.norm(f"trans{stage}.bn", outputs)
                plan.layer(f"trans{stage}.conv", (outputs // 2, outputs, 1, 1), bias=False)
        plan.norm("bn", outputs)
        plan.layer("linear", (self.classes, outputs))
        return plan

    def _torchvision(self) -> Plan:
        plan, last = Plan(), len(self.blocks)
        plan.layer("features.conv0", (self.stem, self.channels, 7, 7), bias=False)
        plan.norm("features.norm0", self.stem)
        for stage, (inputs, outputs) in enumerate(self.widths(), start=1):
            for layer in range(self.blocks[stage - 1]):
                name = f"features.denseblock{stage}.denselayer{layer + 1}"
                self._layer(plan, name, inputs + layer * self.growth, "norm")
            if stage < last:
                plan.norm(f"features.transition{stage}.norm", outputs)
                plan.layer(f"features.transition{stage}.conv", (outputs // 2, outputs, 1, 1), bias=False)
        plan.norm(f"features.norm{last + 1}", outputs)
        plan.layer("classifier", (self.classes, outputs))
        return plan

    def _layer(self, plan: Plan, name: str, inputs: int, norm: str) -> None:
        plan.norm(f"{name}.{norm}1", inputs)
        plan.layer(f"{name}.conv1", (4 * self.growth, inputs, 1, 1), bias=False)
        plan.norm(f"{name}.{norm}2", 4 * self.growth)
        plan.layer(f"{name}.conv2", (self.growth, 4 * self.growth, 3, 3), bias=False)

    @classmethod
    def candidates(cls, shapes: Shapes) -> list[Self]:
        """The DenseNet with the stages, growth and classes of `shapes`; none without a first dense layer."""
        for naming, stem, first, pattern, last in (
            ("cifar", "conv1", "dense1.0", r"dense(\d)\.(\d{1,3})\.", "linear"),
            ("torchvision", "features.conv0", "features.denseblock1.denselayer1",
             r"features\.denseblock(\d)\.denselayer(\d{1,3})\.", "classifier"),
        ):  # fmt: skip
            if f"{first}.conv2.weight" not in shapes:
                continue
            found = {(int(m[1]), int(m[2])) for name in shapes if (m := re.match(pattern, name))}
            stages = range(1, max(stage for stage, _ in found) + 1)
            blocks = tuple(sum(1 for stage, _ in found if stage == wanted) for wanted in stages)
            width, channels = leading(shapes.get(f"{stem}.weight"), (64, 3))
            [growth] = leading(shapes.get(f"{first}.conv2.weight"), (32,))
            [classes] = leading(shapes.get(f"{last}.weight"), (10,))
            return [cls(blocks, growth, width, classes, channels, naming)]  # type: ignore[arg-type]
        return []
