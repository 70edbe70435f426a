"""Small networks with the operators that packed networks may use, to be changed at random."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Convolutions(nn.Module):
    """Residual blocks as the native kernels take them, pooling, a transposed and a grouped convolution."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm, self.apart = nn.BatchNorm2d(width), nn.Conv2d(width, width, 3, 2, 1, groups=width // 2)
        self.up, self.last = nn.ConvTranspose2d(width, width, 2, 2), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        one = F.relu(self.first(x))
        two = F.relu(self.norm(self.second(one)) + one)
        three = F.max_pool2d(F.relu(self.up(self.apart(two))) + two, 2)
        wide = F.pad(torch.cat([three, three.flip(3)], 3), (1, 1))
        scores: Tensor = self.last(F.avg_pool2d(wide, 2).mean((2, 3)))
        return scores


class Plain(nn.Module):
    """What the lanes take: convolutions, additions, pooling, rearrangements."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, width, 3, 2, 1)
        self.third, self.last = nn.Conv2d(width, width, 3, padding=1), nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        one = F.relu(self.first(x))
        two = F.pad(one[:, :, ::2, ::2], (0, 0, 0, 0, 0, 0)) + self.second(one)
        three = torch.cat([F.relu(self.third(two)) + two, two.flip(3)], 1)
        scores: Tensor = self.last(F.max_pool2d(F.pad(three, (0, 2, 1, 1)), 2).mean((2, 3)))
        return scores


class Gated(nn.Module):
    """Channels weighted by a small network of 1×1 convolutions, normalization by groups, upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.GroupNorm(4, 16)
        self.down, self.up, self.last = nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 1), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        one = self.norm(self.first(x))
        gate = torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(one, 1)))))
        two = F.interpolate(one * gate, scale_factor=2, mode="bilinear")
        scores: Tensor = self.last(F.relu(two).mean((2, 3)))
        return scores


class Bordered(nn.Module):
    """Paddings from inside, pooling to a size, rearrangements, scans and a table."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.gate = nn.Embedding(4, 2), nn.PReLU(4)

    def forward(self, x: Tensor) -> Tensor:
        one = F.pad(F.pad(x, (1, 2, 0, 1), mode="reflect"), (0, 1, 1, 0), mode="replicate")
        two = F.adaptive_avg_pool2d(self.gate(one), (6, 4)) + F.adaptive_max_pool2d(one, (6, 4))
        three = F.interpolate(F.pixel_shuffle(two, 2), scale_factor=0.5, mode="nearest")
        four = F.interpolate(three, size=(3, 5), mode="bicubic").cumsum(3).roll((1, -1), (2, 3)).triu(1)
        five = self.table((two.flatten(1)[:, :8] > 0).long()).flatten(1).softmax(1)
        six = F.glu(four.flatten(1)[:, :8], 1) * F.max_pool2d(two, 3, 1, 1).amax((2, 3))
        seven = torch.cat([five.repeat(1, 1), six, six.var(1, keepdim=True).expand(-1, 4), six.square(), six.exp()], 1)
        return seven.tanh()


class Volumes(nn.Module):
    """Convolution and pooling in three dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up, self.last = nn.Conv3d(2, 4, 3, padding=1), nn.ConvTranspose3d(4, 4, 2, 2), nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        one = F.avg_pool3d(F.max_pool3d(F.relu(self.first(x)), 2), (1, 2, 2), (1, 1, 1))
        scores: Tensor = self.last(F.adaptive_avg_pool3d(self.up(one), 2).flatten(1))
        return scores


def templates() -> list[tuple[nn.Module, tuple[int, ...]]]:
    """Good networks, each with the shape of a sample."""
    torch.manual_seed(0)
    attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    layers = (nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4))
    sequence = nn.Sequential(nn.Conv1d(6, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    return [
        *[(Convolutions(width), (3, 8, 8)) for width in (4, 32)],
        *[(Plain(width), (3, 8, 8)) for width in (6, 16)],
        (Gated(), (3, 8, 8)),
        (nn.Sequential(*layers), (12,)),
        (nn.Sequential(attention, nn.Flatten(), nn.Linear(48, 4)), (6, 8)),
        (sequence, (6, 8)),
        (Bordered(), (4, 6, 5)),
        (Volumes(), (2, 4, 6, 6)),
    ]
