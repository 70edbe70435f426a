"""MLPs and LeNets as modules."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UnknownNetworkError
from ..parsers.source import printable
from .mlp_lenet import MLP, LeNet

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "sigmoid": torch.sigmoid,
}


def put(module: nn.Module, name: str, layer: nn.Module) -> None:
    """Add `layer` under a dotted name, creating the modules in between.

    Raises:
        UnknownNetworkError: torch cannot have a layer of this name, such as "forward".
    """
    *path, last = name.split(".")
    try:
        for part in path:
            if part not in module._modules:
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        module.add_module(last, layer)
    except (KeyError, AttributeError):
        raise UnknownNetworkError(f"A layer cannot be called {printable(name)!r}. Rename it in the file.") from None


class MLPModule(nn.Module):
    """Samples (N, …) -> (N, outputs).

    Raises:
        UnknownNetworkError: torch cannot have a layer of a name in `architecture`.
    """

    def __init__(self, architecture: MLP):
        super().__init__()
        self._given = architecture
        sizes = architecture.sizes
        for (name, bias), inputs, outputs in zip(architecture.layers, sizes[:-1], sizes[1:], strict=True):
            put(self, name, nn.Linear(inputs, outputs, bias=bias))

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) -> (N, outputs)."""
        activation = ACTIVATIONS[self._given.activation]
        x = x.flatten(1)
        for index, (name, _) in enumerate(self._given.layers):
            x = self.get_submodule(name)(activation(x) if index else x)
        return x


class LeNetModule(nn.Module):
    """Images (N, channels, side, side) -> logits (N, classes).

    Raises:
        UnknownNetworkError: torch cannot have a layer of a name in `architecture`.
    """

    def __init__(self, architecture: LeNet):
        super().__init__()
        a = self._given = architecture
        for index, (name, bias) in enumerate(a.layers[:2]):
            inputs, filters = a.filters[index], a.filters[index + 1]
            put(self, name, nn.Conv2d(inputs, filters, a.kernels[index], padding=a.padding[index], bias=bias))
        sizes = (a.flat, *a.sizes)
        for (name, bias), inputs, outputs in zip(a.layers[2:], sizes[:-1], sizes[1:], strict=True):
            put(self, name, nn.Linear(inputs, outputs, bias=bias))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, side, side) -> logits (N, classes)."""
        a = self._given
        activation, pool = ACTIVATIONS[a.activation], F.max_pool2d if a.pooling == "max" else F.avg_pool2d
        for name, _ in a.layers[:2]:
            x = pool(activation(self.get_submodule(name)(x)), 2)
        x = x.flatten(1)
        for index, (name, _) in enumerate(a.layers[2:]):
            x = self.get_submodule(name)(activation(x) if index else x)
        return x
