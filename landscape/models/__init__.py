"""Architectures by name, their modules, and recognising one from names and shapes.

Importing this package or `landscape.models.architecture` does not import torch; `build` does.
"""

from typing import TYPE_CHECKING

from .architecture import Architecture, CifarResNet

__all__ = ["Architecture", "CifarResNet", "build"]

if TYPE_CHECKING:
    import torch
    from torch import nn


def build(architecture: Architecture, seed: int = 0) -> "nn.Module":
    """The module of an architecture, on the CPU, in float32, in training mode, freshly initialised.

    Convolutions and linear weights are He-normal (fan in) from a generator seeded with `seed`; biases are 0, BatchNorm
    is the identity. The global random state is neither read nor changed.

    Raises:
        UnknownNetworkError: no module is known for this architecture.
    """
    import torch

    with torch.device("meta"):  # the constructors' own random initialisation must not touch the global generator
        module = _module(architecture)
    _initialize(module.to_empty(device="cpu"), torch.Generator().manual_seed(seed))
    return module


def _module(architecture: Architecture) -> "nn.Module":
    from ..errors import UnknownNetworkError
    from .resnet import ResNet

    if isinstance(architecture, CifarResNet):
        return ResNet(architecture)
    raise UnknownNetworkError(f"No module is known for {architecture!r}. Known families: {CifarResNet.family}.")


def _initialize(module: "nn.Module", generator: "torch.Generator") -> None:
    """Fill every layer of a new module in place, in the order of `modules()`."""
    from torch import nn

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()  # also resets the statistics; draws nothing
