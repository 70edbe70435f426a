"""Network families: their descriptions, their modules, and recognizing one from names and shapes.

Importing this package or `landscape.models.recognize` does not import torch; `build` does.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import UnknownNetworkError
from .plugins import Installed, module_called
from .recognize import Architecture, CifarResNet

__all__ = ["Architecture", "CifarResNet", "build"]

if TYPE_CHECKING:
    import torch
    from torch import nn


def build(architecture: Architecture, seed: int = 0) -> "nn.Module":
    """The module of an architecture, on the CPU, in float32, in training mode, freshly initialized.

    Convolutions and linear weights are He-normal (fan in) from a generator seeded with `seed`; biases are 0, BatchNorm
    is the identity. The global random state is neither read nor changed.

    Raises:
        UnknownNetworkError: no module is known for this architecture.

    Source: He et al. 2015, arXiv:1502.01852, section 2.2, for the initialization.

    >>> network = build(CifarResNet(depth=8, width=4))
    >>> sum(parameter.numel() for parameter in network.parameters())
    5214
    """
    import torch

    if isinstance(architecture, Installed):
        return module_called(architecture.name)
    with torch.device("meta"):  # the constructors' own random initialization must not touch the global generator
        module = _module(architecture)
    _initialize(module.to_empty(device="cpu"), torch.Generator().manual_seed(seed))
    return module


def _module(architecture: Architecture) -> "nn.Module":
    """The module as its constructor returns it."""
    if not architecture.built_by:
        raise UnknownNetworkError(f"No module is known for {architecture!r}.")
    file, _, name = architecture.built_by.partition(":")
    module: nn.Module = getattr(import_module(f".{file}", __name__), name)(architecture)
    return module


def _initialize(module: "nn.Module", generator: "torch.Generator") -> None:
    """Fill every layer of a new module in place, in the order of `modules()`."""
    from torch import nn

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm):
            layer.reset_parameters()  # also resets the statistics; draws nothing
        else:  # tokens and positions of a ViT: standard deviation 0.02, as in its source
            for parameter in layer.parameters(recurse=False):
                nn.init.normal_(parameter, std=0.02, generator=generator)
