"""The module of every family. Imports torch, the descriptions and their modules."""

from collections.abc import Callable
from typing import Any

from torch import nn

from ..errors import UnknownNetworkError
from .base import Architecture
from .chains import MLP, LeNet
from .chains_modules import LeNetModule, MLPModule
from .cifar_resnet import CifarResNet
from .deep_resnet import DeepResNet
from .deep_resnet_modules import DeepResNetModule
from .densenet import DenseNet
from .densenet_modules import densenet
from .resnet import ResNet
from .vgg import VGG
from .vgg_modules import VGGModule
from .vit import ViT
from .vit_modules import ViTModule

_MODULES: dict[type[Architecture], Callable[[Any], nn.Module]] = {
    CifarResNet: ResNet,
    DeepResNet: DeepResNetModule,
    VGG: VGGModule,
    DenseNet: densenet,
    ViT: ViTModule,
    LeNet: LeNetModule,
    MLP: MLPModule,
}


def module_of(architecture: Architecture) -> nn.Module:
    """The module of an architecture, as its constructor leaves it.

    Raises:
        UnknownNetworkError: no module is known for this architecture.
    """
    if type(architecture) not in _MODULES:
        known = ", ".join(family.family for family in _MODULES)
        raise UnknownNetworkError(f"No module is known for {architecture!r}. Known families: {known}.")
    return _MODULES[type(architecture)](architecture)
