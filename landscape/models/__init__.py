"""Architectures by name, their modules, and recognising one from names and shapes.

Importing this package or `landscape.models.architecture` does not import torch; `build` does.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import UnknownNetworkError
from .architecture import COUNTER, Architecture, CifarResNet, from_json
from .installed import Installed, module_called

__all__ = ["Architecture", "CifarResNet", "build", "clean_file", "load", "own_copy"]

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor, nn


def build(architecture: Architecture, seed: int = 0) -> "nn.Module":
    """The module of an architecture, on the CPU, in float32, in training mode, freshly initialised.

    Convolutions and linear weights are He-normal (fan in) from a generator seeded with `seed`; biases are 0, BatchNorm
    is the identity. The global random state is neither read nor changed.

    Raises:
        UnknownNetworkError: no module is known for this architecture.
    """
    import torch

    if isinstance(architecture, Installed):
        return module_called(architecture.name)
    with torch.device("meta"):  # the constructors' own random initialisation must not touch the global generator
        module = _module(architecture)
    _initialize(module.to_empty(device="cpu"), torch.Generator().manual_seed(seed))
    return module


def _module(architecture: Architecture) -> "nn.Module":
    """As its constructor leaves it."""
    if not architecture.built_by:
        raise UnknownNetworkError(f"No module is known for {architecture!r}.")
    file, _, name = architecture.built_by.partition(":")
    module: nn.Module = getattr(import_module(f".{file}", __name__), name)(architecture)
    return module


def load(description: Mapping[str, Any], state: "Mapping[str, Tensor]", graph: str | None = None) -> "nn.Module":
    """The module that `Architecture.described` described, with the weights of a sanitised file, in evaluation mode.

    Args:
        description: as the reader answers it; `copy` says which of the copies in `state` is meant.
        graph: of a packed network, as `clean_file` finds it.

    Raises:
        UnknownNetworkError: the description fits no module, or `state` lacks a parameter.
    """
    if description.get("family") == "packed":
        from ..packing.module import PackedModule
        from ..packing.text import from_text

        return PackedModule(from_text(graph or ""), state).eval()
    module = build(from_json(description))
    named = own_copy(description, state)
    missing = [name for name in module.load_state_dict(named, strict=False).missing_keys if not name.endswith(COUNTER)]
    if missing:
        raise UnknownNetworkError(f"The weights lack {missing[0][:100]!r}. Upload the checkpoint again.")
    return module.eval()


def clean_file(path: "Path") -> "tuple[dict[str, Tensor], str | None]":
    """The tensors of a sanitised file, and the graph where it carries one."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        return {name: file.get_tensor(name) for name in file.keys()}, metadata.get("graph")  # noqa: SIM118


def own_copy(description: Mapping[str, Any], state: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """The tensors of `state` that belong to the copy that `description` means, by bare name."""
    if description.get("family") == "packed":
        return dict(state)
    copy = description.get("copy", "")
    chosen = {name: tensor for name, tensor in state.items() if name.startswith("@") == bool(copy)}
    return {name.removeprefix(copy): tensor for name, tensor in chosen.items()}


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
        else:  # tokens and positions of a ViT: 0.02 as its source has it
            for parameter in layer.parameters(recurse=False):
                nn.init.normal_(parameter, std=0.02, generator=generator)
