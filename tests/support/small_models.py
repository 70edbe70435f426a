"""Small networks and data for the tests of the mathematics, each with an awkward property."""

import json

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from landscape.models import build
from landscape.models.recognize import from_json
from tests.support.paths import GALLERY

torch.set_num_threads(1)  # with several threads networks this small are ten times slower: threads wait for each other


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def stirred(model: nn.Module, seed: int = 1) -> nn.Module:
    """The model with random parameters, biases and statistics (none the identity), and positive variances."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        elif tensor.is_floating_point():
            size = 0.3 if tensor.ndim < 2 else tensor[0].numel() ** -0.5
            tensor.copy_(size * torch.randn(tensor.shape, generator=generator) + (tensor.ndim < 2))
    return model


def convolutional(seed: int = 1) -> nn.Module:
    """(N, 2, 6, 5) -> (N, 3): BatchNorm, a grouped convolution, dropout, biases; left in training mode."""
    layers = [
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, groups=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(6, 3),
    ]
    return stirred(nn.Sequential(*layers), seed)


def perceptron(seed: int = 1, hidden: int = 7) -> nn.Module:
    """(N, 5) -> (N, 3), smooth."""
    return stirred(nn.Sequential(nn.Linear(5, hidden), nn.Tanh(), nn.Linear(hidden, 3)), seed)


def pictures(count: int = 23, seed: int = 5) -> tuple[Tensor, Tensor]:
    """(N, 2, 6, 5) and labels of 3 classes."""
    return gaussian(count, 2, 6, 5, seed=seed), torch.arange(count) % 3


def vectors(count: int = 29, seed: int = 6) -> tuple[Tensor, Tensor]:
    """(N, 5) and labels of 3 classes."""
    return gaussian(count, 5, seed=seed), torch.arange(count) % 3


def shipped(name: str) -> nn.Module:
    """A checkpoint of the gallery, such as "resnet20-w8-skip"."""
    records = {record["name"]: record for record in json.loads((GALLERY / "records.json").read_text())}
    model = build(from_json(records[name]["architecture"]))
    model.load_state_dict(load_file(GALLERY / f"{name}.safetensors"), strict=False)
    return model


class TwoNumbers(nn.Module):
    """A model whose output is 10 x + y for every sample: with the output as loss, f(x, y) = 10 x + y."""

    def __init__(self) -> None:
        super().__init__()
        self.x, self.y = nn.Parameter(torch.zeros(1, 1)), nn.Parameter(torch.zeros(1, 1))

    def forward(self, samples: Tensor) -> Tensor:
        return (10 * self.x + self.y).flatten().expand(len(samples))


ALONG_X_AND_Y = ({"x": torch.ones(1, 1)}, {"y": torch.ones(1, 1)})


def the_answer(outputs: Tensor, labels: Tensor) -> Tensor:
    return outputs
