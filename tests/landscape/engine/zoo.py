"""Small networks of every kind that the engine must compute, with statistics and biases that are not the identity."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape.directions.random import Params, random_directions
from landscape.models import CifarResNet, build
from landscape.objective.objective import Objective


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed))


def stirred(model: nn.Module) -> nn.Module:
    """Evaluation mode; weights He-normal, scales and variances around one, biases and means around zero."""
    random = generator(7)
    for name, tensor in model.state_dict().items():
        if tensor.ndim > 1:
            tensor.copy_(torch.randn(tensor.shape, generator=random) * (2 / tensor[0].numel()) ** 0.5)
        elif tensor.is_floating_point() and name.endswith(("bias", "mean")):
            tensor.copy_(0.2 * torch.randn(tensor.shape, generator=random))
        elif tensor.is_floating_point():
            tensor.copy_(0.6 + torch.rand(tensor.shape, generator=random))
    return model.eval()


def head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


class Residual(nn.Module):
    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.inner(x)
        return torch.relu(x)


class InPlace(nn.Module):
    """Writes into its own results, as much published code does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x), inplace=True)
        out = self.second(x)
        out += x
        return self.last(out.relu_().mean((2, 3)))


class Dense(nn.Module):
    """DenseNet's order: BatchNorm and ReLU before the convolution, results joined."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(8), nn.BatchNorm2d(13)])
        self.convolutions = nn.ModuleList([nn.Conv2d(8, 5, 3, padding=1), nn.Conv2d(13, 5, 3, padding=1)])
        self.norm, self.last = nn.BatchNorm2d(18), nn.Linear(18, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            x = torch.cat([x, convolution(F.relu(norm(x)))], dim=1)
        x = F.avg_pool2d(F.relu(self.norm(x)), 2)
        return self.last(x.mean((2, 3)))


class Tied(nn.Module):
    """One convolution used twice, and one weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.twice = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.one, self.other, self.last = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 10)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.twice(F.relu(self.twice(F.relu(self.stem(x))))))
        return self.last(F.relu(self.other(F.relu(self.one(x.mean((2, 3)))))))


class Attention(nn.Module):
    """Patches, one transformer layer, mean over tokens: operators the engine has no layer for."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 12, 2, stride=2)
        self.block = nn.TransformerEncoderLayer(12, 3, 24, dropout=0.1, batch_first=True, activation="gelu")
        self.last = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        return self.last(self.block(tokens).mean(1))


class OnValues(nn.Module):
    """Data-dependent control flow, which cannot be traced to a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.mean((2, 3))
        return self.last(x if bool(x.sum() > 0) else -x)


def resnet(shortcuts: str, depth: int = 20, width: int = 4) -> nn.Module:
    return build(CifarResNet(depth, width, shortcuts))  # type: ignore[arg-type]


def vgg() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, filters in ((3, 6), (6, 10)):
        layers += [nn.Conv2d(inputs, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(), nn.Linear(10 * 2 * 1, 12), nn.ReLU(), nn.Linear(12, 10))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 6, 16), nn.ReLU(), nn.Linear(16, 10))


def grouped() -> nn.Module:
    middle = [nn.Conv2d(8, 12, 3, padding=1, groups=2), nn.BatchNorm2d(12), nn.ReLU()]
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), *middle, *head(12))


def depthwise() -> nn.Module:
    middle = [nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 1), nn.ReLU()]
    return nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), *middle, *head(8))


def transposed() -> nn.Module:
    middle = [nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1), nn.BatchNorm2d(4), nn.ReLU()]
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), *middle, *head(4))


def odd_windows() -> nn.Module:
    first = [nn.Conv2d(3, 7, (5, 3), stride=(1, 2), padding=(2, 1)), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*first, nn.Conv2d(7, 5, 3, padding=2, dilation=2), nn.ReLU(), *head(5))


def activations() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Conv2d(6, 6, 3), nn.GELU(), nn.ReLU6(), *head(6))


def without_norm() -> nn.Module:
    inner = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1))
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), Residual(inner), *head(6))


ZOO: dict[str, Callable[[], nn.Module]] = {
    "resnet-20 with shortcuts": lambda: resnet("projection"),
    "resnet-20 plain": lambda: resnet("none"),
    "resnet-20 option A": lambda: resnet("padding"),
    "resnet-56 with shortcuts": lambda: resnet("projection", 56),
    "vgg": vgg,
    "mlp": mlp,
    "grouped": grouped,
    "depthwise": depthwise,
    "transposed": transposed,
    "odd windows": odd_windows,
    "activations": activations,
    "without BatchNorm": without_norm,
    "in place": InPlace,
    "dense": Dense,
    "tied": Tied,
    "attention": Attention,
    "on values": OnValues,
}
LANED = set(ZOO) - {"transposed", "activations", "attention", "on values"}  # computed by the native kernels


def objective(name: str, precision: str = "float32", samples: int = 53) -> Objective:
    """The network called `name` on images of 8×6 pixels."""
    images, labels = gaussian(samples, 3, 8, 6, seed=3), torch.randint(0, 10, (samples,), generator=generator(4))
    return Objective.of(stirred(ZOO[name]()), images, labels, precision=precision)


def directions(given: Objective, *, everything: bool = False) -> tuple[Params, ...]:
    """Filter-normalized directions; with `everything` they change biases and BatchNorm's scales and shifts as well."""
    center = given.parameters()
    drawn = random_directions(center, seed=5)
    if not everything:
        return drawn
    return tuple(
        {
            name: step if step.ndim > 1 or "running" in name else 0.3 * gaussian(*step.shape, seed=9 + k).double()
            for name, step in direction.items()
        }
        for k, direction in enumerate(drawn)
    )
