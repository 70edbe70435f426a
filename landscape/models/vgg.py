"""VGG networks: torchvision's, their CIFAR variants and the paper's VGG-9; their description."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Self, get_args

from ..errors import UnknownNetworkError
from .base import MAX_CHANNELS, MAX_CLASSES, Shapes, check_count, leading
from .parameter_list import Plan, Planned, side_of

Head = Literal["three", "one", "normalized"]
Layout = tuple[int | str, ...]  # channels of a convolution, or "M" for a max-pooling
_NAMES = {
    "VGG-9": (64, 64, "M", 128, 128, "M", 256, 256, 256, "M"),
    "VGG-11": (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "VGG-13": (64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "VGG-16": (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"),
    "VGG-19": (64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"),
}


@dataclass(frozen=True)
class VGG(Planned):
    """3×3 convolutions with bias, ReLU, and 2×2 max-poolings as in `layout`; BatchNorm after all convolutions or none.

    `head`: "three" linear layers with dropout over 7×7 pooled positions (torchvision: `classifier.0`, `.3`, `.6`);
    "one" linear layer over the globally averaged channels (the CIFAR variants: `classifier`); "normalized": a linear
    layer with BatchNorm, then one for the classes (the paper's VGG-9: `fc.0`, `fc.1`, `classifier`). `side` is the
    height and width of the head's input; `hidden` the width of its inner layers.

    Raises:
        UnknownNetworkError: a field that is not possible.

    Source: Simonyan and Zisserman 2015, table 1; Li et al. 2018 for VGG-9.
    """

    family: ClassVar[str] = "vgg"
    built_by: ClassVar[str] = "vgg_modules:VGGModule"

    layout: Layout
    batch_norm: bool
    head: Head = "three"
    hidden: int = 4096
    side: int = 7
    classes: int = 1000
    channels: int = 3

    def __post_init__(self) -> None:
        for name, most in {"classes": MAX_CLASSES, "channels": MAX_CHANNELS, "side": 64, "hidden": 65536}.items():
            check_count(name, getattr(self, name), most)
        if type(self.layout) is not tuple or not 1 <= len(self.layout) <= 100 or self.layout[0] == "M":
            raise UnknownNetworkError("The layout of a VGG is a list of channels and 'M', a convolution first.")
        for entry in self.layout:
            if entry != "M":
                check_count("channels of a convolution", entry, 4096)
        if self.head not in get_args(Head) or type(self.batch_norm) is not bool:
            raise UnknownNetworkError(f"The head of a VGG is one of {', '.join(get_args(Head))}.")

    @property
    def label(self) -> str:
        """For example "VGG-16 with BatchNorm, CIFAR head"."""
        name = next((name for name, layout in _NAMES.items() if layout == self.layout), None)
        name = name or f"VGG of {sum(entry != 'M' for entry in self.layout)} convolutions"
        kind = {"three": "", "one": ", CIFAR head", "normalized": ""}[self.head]
        return name + (" with BatchNorm" if self.batch_norm and self.head != "normalized" else "") + kind

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Any size if the head pools; otherwise the one size that gives `side` after the poolings."""
        side = self.side << self.layout.count("M") if self.head == "normalized" else None
        return self.channels, side, side

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.classes

    @property
    def last(self) -> int:
        """Channels of the last convolution."""
        return [entry for entry in self.layout if isinstance(entry, int)][-1]

    def plan(self) -> Plan:
        """Every parameter and buffer; convolutions are numbered as if ReLUs and poolings were layers too."""
        plan, inputs, index = Plan(), self.channels, 0
        for entry in self.layout:
            if isinstance(entry, int):
                plan.layer(f"features.{index}", (entry, inputs, 3, 3))
                if self.batch_norm:
                    plan.norm(f"features.{index + 1}", entry)
                inputs, index = entry, index + (3 if self.batch_norm else 2)
            else:
                index += 1
        self._head(plan)
        return plan

    def _head(self, plan: Plan) -> None:
        flat = self.last * self.side**2
        if self.head == "one":
            plan.layer("classifier", (self.classes, self.last))
        elif self.head == "normalized":
            plan.layer("fc.0", (self.hidden, flat))
            plan.norm("fc.1", self.hidden)
            plan.layer("classifier", (self.classes, self.hidden))
        else:
            plan.layer("classifier.0", (self.hidden, flat))
            plan.layer("classifier.3", (self.hidden, self.hidden))
            plan.layer("classifier.6", (self.classes, self.hidden))

    @classmethod
    def candidates(cls, shapes: Shapes) -> list[Self]:
        """The VGG with the convolutions, poolings (gaps in the numbering) and head of `shapes`."""
        numbered = {int(m[1]): s for n, s in shapes.items() if (m := re.fullmatch(r"features\.(\d{1,3})\.weight", n))}
        convolutions = {index: shape for index, shape in sorted(numbered.items()) if len(shape) == 4}
        if not convolutions or 0 not in convolutions:
            return []
        batch_norm = any(len(shape) == 1 for shape in numbered.values())
        layout = _layout(convolutions, 3 if batch_norm else 2)
        [channels] = leading(convolutions[0][1:], (3,))
        first = "fc.0.weight" if "fc.0.weight" in shapes else "classifier.0.weight"
        last = "classifier.weight" if "classifier.weight" in shapes else "classifier.6.weight"
        hidden, flat = leading(shapes.get(first), (4096, 25088))
        [classes] = leading(shapes.get(last), (1000,))
        last_channels = [entry for entry in layout if isinstance(entry, int)][-1]
        side = side_of(flat // max(1, last_channels)) or 7
        head: Head = "normalized" if first == "fc.0.weight" else "one" if last == "classifier.weight" else "three"
        if head == "one":
            hidden, side = 4096, 1
        return [cls(layout, batch_norm, head, hidden, min(side, 64), classes, channels)]


def _layout(convolutions: Mapping[int, tuple[int, ...]], each: int) -> Layout:
    """Channels, with a pooling at each gap in the numbering, and one after the last convolution."""
    layout: list[int | str] = []
    previous = None
    for index, shape in convolutions.items():
        if previous is not None and index - previous > each:
            layout.append("M")
        layout.append(shape[0])
        previous = index
    return (*layout, "M")
