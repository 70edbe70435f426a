"""Architectures from Python packages installed on the hosts, found by the entry point `landscape.architectures`.

An entry point names a function without arguments that returns an `nn.Module`; the module may have `input_shape` (of one
sample) and `classes`. An upload cannot decide what is imported: the administrators of the hosts install these packages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, ClassVar

from ..errors import UnknownNetworkError
from .base import COUNTER, Architecture, Shape, Shapes, clip

if TYPE_CHECKING:
    from torch import nn

GROUP = "landscape.architectures"


@dataclass(frozen=True)
class Installed(Architecture):
    """A network from an installed package, by the name of its entry point."""

    family: ClassVar[str] = "installed"

    name: str
    sample: tuple[int | None, ...]
    classes: int

    @property
    def label(self) -> str:
        """The name of its entry point."""
        return self.name

    @property
    def takes(self) -> str:
        """Samples with three axes are "images", all others "vectors"."""
        return "images" if len(self.sample) == 3 else "vectors"

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The `input_shape` of the module, of one sample; (None, None, None) if it has none."""
        return self.sample

    @property
    def outputs(self) -> int:
        """The `classes` of the module; the length of its last parameter if it has none."""
        return self.classes

    def parameter_shapes(self) -> dict[str, Shape]:
        """Name -> shape of every trainable parameter, in the order of the module's `parameters()`.

        Raises:
            UnknownNetworkError: its package is not installed on this host.
        """
        return {name: tuple(tensor.shape) for name, tensor in module_called(self.name).named_parameters()}

    def buffer_shapes(self) -> dict[str, Shape]:
        """Name -> shape of every buffer, in the module's order.

        Raises:
            UnknownNetworkError: its package is not installed on this host.
        """
        return {name: tuple(tensor.shape) for name, tensor in module_called(self.name).named_buffers()}

    @classmethod
    def candidates(cls, shapes: Shapes) -> list["Installed"]:
        """Every installed network with exactly these names and shapes.

        Raises:
            UnknownNetworkError: a package was removed after it was listed.
        """
        wanted = {name: tuple(shape) for name, shape in shapes.items() if not name.endswith(COUNTER)}
        return [_described(name) for name in names() if _shapes(module_called(name)) == wanted]


def names() -> list[str]:
    """Names of the installed architectures."""
    return sorted(point.name for point in entry_points(group=GROUP))


def module_called(name: str) -> "nn.Module":
    """The module of the installed architecture called `name`.

    Raises:
        UnknownNetworkError: there is none on this host.
    """
    for point in entry_points(group=GROUP, name=name):
        module: nn.Module = point.load()()
        return module
    known = ", ".join(names()) or "none"
    raise UnknownNetworkError(f"No installed architecture is called {clip(repr(name))}. Installed: {known}.")


def _described(name: str) -> Installed:
    module = module_called(name)
    sample = tuple(getattr(module, "input_shape", (None, None, None)))
    last = list(module.parameters())[-1]
    return Installed(name, sample, int(getattr(module, "classes", last.shape[0])))


def _shapes(module: "nn.Module") -> Mapping[str, Shape]:
    return {name: tuple(t.shape) for name, t in module.state_dict().items() if not name.endswith(COUNTER)}
