"""Names and shapes of parameters and buffers, listed layer by layer in the order of a module."""

import math
from abc import abstractmethod
from dataclasses import dataclass, field

from .base import COUNTER, Architecture, Shape


@dataclass
class Plan:
    """What a module's `named_parameters` and `named_buffers` would list."""

    parameters: dict[str, Shape] = field(default_factory=dict)
    buffers: dict[str, Shape] = field(default_factory=dict)

    def layer(self, name: str, shape: Shape, *, bias: bool = True) -> None:
        """A convolution (outputs, inputs, height, width) or a linear layer (outputs, inputs)."""
        self.parameters[f"{name}.weight"] = shape
        if bias:
            self.parameters[f"{name}.bias"] = shape[:1]

    def scale(self, name: str, channels: int) -> None:
        """The scale and shift of a LayerNorm."""
        self.parameters[f"{name}.weight"] = self.parameters[f"{name}.bias"] = (channels,)

    def norm(self, name: str, channels: int) -> None:
        """A BatchNorm: scale, shift, running statistics and counter."""
        self.scale(name, channels)
        self.buffers |= {f"{name}.running_mean": (channels,), f"{name}.running_var": (channels,)}
        self.buffers[f"{name}.{COUNTER}"] = ()


class Planned(Architecture):
    """An architecture whose shapes come from one `plan`."""

    @abstractmethod
    def plan(self) -> Plan:
        """Every parameter and buffer."""

    def parameter_shapes(self) -> dict[str, Shape]:
        """Name -> shape of every trainable parameter, in the order of the module's `parameters()`."""
        return self.plan().parameters

    def buffer_shapes(self) -> dict[str, Shape]:
        """Name -> shape of every buffer (BatchNorm's statistics and counters), in the module's order."""
        return self.plan().buffers


def side_of(count: int) -> int | None:
    """The side of a square of `count` numbers; None if `count` is not a square."""
    side = math.isqrt(max(0, count))
    return side if side * side == count else None
