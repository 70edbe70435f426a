"""The residual networks of the CIFAR experiments and their plain counterparts as modules.

Draws no random numbers: `landscape.models.build` initializes.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from .resnet_cifar import CifarResNet, Shortcuts


class Block(nn.Module):
    """Two 3×3 convolutions with BatchNorm and the shortcut around them.

    The names of parameters are the authors': `conv1`, `bn1`, `conv2`, `bn2`, `shortcut.0`, `shortcut.1`.
    """

    def __init__(self, inputs: int, planes: int, *, stride: int, shortcuts: Shortcuts):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = _shortcut(inputs, planes, stride=stride, shortcuts=shortcuts)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, planes, ⌈H/stride⌉, ⌈W/stride⌉)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.shortcut is not None:
            out = out + self.shortcut(x)
        return F.relu(out)


class Padding(nn.Module):
    """He's option A: every second pixel, zeros for the new channels, half before and half after; no parameters.

    "Half before and half after" follows the public CIFAR checkpoints with option A; He et al. do not specify it.
    """

    def __init__(self, added: int, *, stride: int):
        super().__init__()
        self.before, self.after, self.stride = added // 2, added - added // 2, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C + added, ⌈H/stride⌉, ⌈W/stride⌉)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


class ResNet(nn.Module):
    """The module of a `CifarResNet`: images (N, channels, H, W) -> logits (N, classes), any H and W."""

    def __init__(self, architecture: CifarResNet):
        super().__init__()
        width = architecture.width
        self.conv1 = nn.Conv2d(architecture.channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(architecture, width, width, stride=1)
        self.layer2 = _stage(architecture, width, 2 * width, stride=2)
        self.layer3 = _stage(architecture, 2 * width, 4 * width, stride=2)
        self.linear = nn.Linear(4 * width, architecture.classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, H, W) -> logits (N, classes)."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


def _stage(architecture: CifarResNet, inputs: int, planes: int, *, stride: int) -> nn.Sequential:
    kind = architecture.shortcuts
    first = Block(inputs, planes, stride=stride, shortcuts=kind)
    rest = [Block(planes, planes, stride=1, shortcuts=kind) for _ in range(architecture.blocks - 1)]
    return nn.Sequential(first, *rest)


def _shortcut(inputs: int, planes: int, *, stride: int, shortcuts: Shortcuts) -> nn.Module | None:
    if shortcuts == "none":
        return None
    if stride == 1 and inputs == planes:
        return nn.Sequential()
    if shortcuts == "padding":
        return Padding(planes - inputs, stride=stride)
    return nn.Sequential(nn.Conv2d(inputs, planes, 1, stride=stride, bias=False), nn.BatchNorm2d(planes))
