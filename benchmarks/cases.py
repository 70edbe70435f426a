"""The networks and data of the benchmark table, the same for every contestant: seeded, never zeros.

Images of CIFAR's shape are Gaussian; digits are scikit-learn's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape.data.builtin import load
from landscape.models import CifarResNet, build


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    network: Callable[[], nn.Module]
    data: str  # "cifar" (32×32×3, Gaussian) or "digits" (8×8)
    samples: int
    short_samples: int  # in short mode; 0 skips the case


def case_of(name: str) -> Case:
    """The case of that name."""
    return next(case for case in CASES if case.name == name)


def model_of(case: Case) -> nn.Module:
    """The network in evaluation mode, with BatchNorm statistics of one batch, so that values stay moderate."""
    random_state = torch.get_rng_state()
    torch.manual_seed(0)
    model = case.network()
    torch.set_rng_state(random_state)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(data_of(case, 16)[0])
    return model.eval().requires_grad_(False)


def data_of(case: Case, samples: int) -> tuple[Tensor, Tensor]:
    """Images (n, …) and labels (n,), at most `samples` of them."""
    if case.data == "digits":
        digits = load("digits", "train")
        return digits.images[:samples].contiguous(), digits.labels[:samples].contiguous()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(samples, 3, 32, 32, generator=generator)
    return images, torch.randint(0, 10, (samples,), generator=generator)


def mlp() -> nn.Module:
    """64-128-128-10 on digits."""
    layers = [nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)]
    return nn.Sequential(nn.Flatten(), *layers)


def vgg9() -> nn.Module:
    """Six convolutions with BatchNorm, three linear layers; about the size of the paper's VGG-9."""
    layers: list[nn.Module] = []
    plan = [(3, 64), (64, 64), None, (64, 128), (128, 128), None, (128, 256), (256, 256), None]
    for pair in plan:
        if pair is None:
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(*pair, 3, padding=1), nn.BatchNorm2d(pair[1]), nn.ReLU()]
    tail = [nn.Linear(4096, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)]
    return nn.Sequential(*layers, nn.Flatten(), *tail)


class DenseLayer(nn.Module):
    """BatchNorm, ReLU, 1×1, BatchNorm, ReLU, 3×3; the result is concatenated with its input."""

    def __init__(self, inputs: int, growth: int):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, inputs + growth, H, W)."""
        return torch.cat([self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x)))))), x], 1)


def densenet121(growth: int = 32) -> nn.Module:
    """DenseNet-121 for 32×32 images: blocks of 6, 12, 24, 16 layers, halved in between."""
    channels = 2 * growth
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1, bias=False)]
    for number, depth in enumerate((6, 12, 24, 16)):
        layers += [DenseLayer(channels + k * growth, growth) for k in range(depth)]
        channels += depth * growth
        if number < 3:
            halved = channels // 2
            layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, halved, 1, bias=False), nn.AvgPool2d(2)]
            channels = halved
    tail = [nn.BatchNorm2d(channels), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(channels, 10)]
    return nn.Sequential(*layers, *tail)


def resnet(depth: int, width: int, channels: int = 3) -> Callable[[], nn.Module]:
    """A CIFAR ResNet with projection shortcuts."""
    return lambda: build(CifarResNet(depth, width, "projection", channels=channels))


CASES = (
    Case("ResNet-20", resnet(20, 16), "cifar", 1000, 128),
    Case("ResNet-56", resnet(56, 16), "cifar", 1000, 64),
    Case("WRN-56-4", resnet(56, 64), "cifar", 200, 16),
    Case("VGG-9", vgg9, "cifar", 500, 64),
    Case("DenseNet-121", densenet121, "cifar", 200, 16),
    Case("MLP, digits", mlp, "digits", 1437, 1437),
    Case("ResNet-8 of width 8, digits", resnet(8, 8, 1), "digits", 1437, 1437),
    Case("ResNet-56 of width 8, digits", resnet(56, 8, 1), "digits", 1437, 0),
)
