"""DenseNets as modules."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .densenet import DenseNet


class DenseLayer(nn.Module):
    """BatchNorm, ReLU, 1×1 convolution, then the same with 3×3; the result is put before or after the input."""

    def __init__(self, inputs: int, growth: int, *, norm: str, before: bool):
        super().__init__()
        self.kind, self.before = norm, before
        self.add_module(f"{norm}1", nn.BatchNorm2d(inputs))
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.add_module(f"{norm}2", nn.BatchNorm2d(4 * growth))
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, inputs + growth, H, W)."""
        layers = dict(self.named_children())
        out = self.conv1(F.relu(layers[f"{self.kind}1"](x)))
        out = self.conv2(F.relu(layers[f"{self.kind}2"](out)))
        return torch.cat([out, x] if self.before else [x, out], dim=1)


class Transition(nn.Module):
    """BatchNorm, ReLU, a 1×1 convolution that halves the channels, 2×2 average pooling."""

    def __init__(self, inputs: int, *, norm: str):
        super().__init__()
        self.kind = norm
        self.add_module(norm, nn.BatchNorm2d(inputs))
        self.conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, inputs // 2, H // 2, W // 2)."""
        return F.avg_pool2d(self.conv(F.relu(dict(self.named_children())[self.kind](x))), 2)


class CifarDenseNetModule(nn.Module):
    """Images (N, channels, H, W) -> logits (N, classes); new channels come before the old ones."""

    def __init__(self, a: DenseNet):
        super().__init__()
        self.conv1 = nn.Conv2d(a.channels, a.stem, 3, padding=1, bias=False)
        for stage, (inputs, outputs) in enumerate(a.widths(), start=1):
            layers = [
                DenseLayer(inputs + index * a.growth, a.growth, norm="bn", before=True)
                for index in range(a.blocks[stage - 1])
            ]
            self.add_module(f"dense{stage}", nn.Sequential(*layers))
            if stage < len(a.blocks):
                self.add_module(f"trans{stage}", Transition(outputs, norm="bn"))
        self.bn, self.linear = nn.BatchNorm2d(outputs), nn.Linear(outputs, a.classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, H, W) -> logits (N, classes)."""
        x = self.conv1(images)
        for name, layer in self.named_children():
            if name.startswith(("dense", "trans")):
                x = layer(x)
        logits: Tensor = self.linear(F.relu(self.bn(x)).mean(dim=(2, 3)))
        return logits


class DenseStage(nn.Sequential):
    """The layers of a stage, named as torchvision names them."""

    def __init__(self, inputs: int, a: DenseNet, count: int):
        super().__init__()
        for index in range(count):
            layer = DenseLayer(inputs + index * a.growth, a.growth, norm="norm", before=False)
            self.add_module(f"denselayer{index + 1}", layer)


class DenseNetModule(nn.Module):
    """Images (N, channels, H, W) -> logits (N, classes), with the names and the order of torchvision."""

    def __init__(self, a: DenseNet):
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(a.channels, a.stem, 7, stride=2, padding=3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(a.stem))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
        for stage, (inputs, outputs) in enumerate(a.widths(), start=1):
            self.features.add_module(f"denseblock{stage}", DenseStage(inputs, a, a.blocks[stage - 1]))
            if stage < len(a.blocks):
                self.features.add_module(f"transition{stage}", Transition(outputs, norm="norm"))
        self.features.add_module(f"norm{len(a.blocks) + 1}", nn.BatchNorm2d(outputs))
        self.classifier = nn.Linear(outputs, a.classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, H, W) -> logits (N, classes)."""
        logits: Tensor = self.classifier(F.relu(self.features(images)).mean(dim=(2, 3)))
        return logits


def densenet(architecture: DenseNet) -> nn.Module:
    """The module with the parameter names of `architecture.naming`."""
    return CifarDenseNetModule(architecture) if architecture.naming == "cifar" else DenseNetModule(architecture)
