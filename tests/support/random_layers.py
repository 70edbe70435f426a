"""Layers of random networks: convolutions, pooling, recurrence, attention, tables, and their normalization."""

import random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.random_pieces import Do, Shape, piece, weight

BATCH_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d, 4: nn.BatchNorm3d}
INSTANCE_NORMS = {2: nn.InstanceNorm1d, 3: nn.InstanceNorm2d, 4: nn.InstanceNorm3d}


@piece()
def batch_normed(p: random.Random, shape: Shape) -> nn.Module:
    kind = nn.SyncBatchNorm if p.random() < 0.1 else BATCH_NORMS[len(shape)]
    return kind(shape[0], affine=p.random() < 0.8, track_running_stats=p.random() < 0.9)


@piece(2, 3, 4)
def instance_normed(p: random.Random, shape: Shape) -> nn.Module:
    kind = INSTANCE_NORMS[len(shape)]
    return kind(shape[0], affine=p.random() < 0.6, track_running_stats=p.random() < 0.5)


CONVOLUTIONS = {2: nn.Conv1d, 3: nn.Conv2d, 4: nn.Conv3d}
TRANSPOSED = {2: nn.ConvTranspose1d, 3: nn.ConvTranspose2d, 4: nn.ConvTranspose3d}


@piece(2, 3, 3, 3, 4)
def convolution(p: random.Random, shape: Shape) -> nn.Module:
    channels, kind = shape[0], CONVOLUTIONS[len(shape)]
    groups = p.choice([one for one in (1, 1, 1, 2, 3, channels) if channels % one == 0])
    out = groups * p.randint(1, max(1, 6 // groups))
    size = p.choice([1, 2, 3, 3, 3])
    options: dict[str, Any] = {"padding": size // 2, "groups": groups, "bias": p.random() < 0.6}
    options["stride"] = p.choice([1, 1, 2])
    options["padding_mode"] = p.choice(["zeros", "zeros", "circular", "reflect", "replicate"])
    if p.random() < 0.2:
        options["dilation"] = 2
    if p.random() < 0.15:
        options |= {"padding": "same", "stride": 1}
    layer: nn.Module = kind(channels, out, size, **options)
    if p.random() < 0.15:
        layer = nn.utils.parametrizations.weight_norm(layer)
    return layer


@piece(2, 3, 4)
def transposed(p: random.Random, shape: Shape) -> nn.Module:
    kind = TRANSPOSED[len(shape)]
    groups = p.choice([one for one in (1, 1, 2) if shape[0] % one == 0])
    return kind(shape[0], 2 * groups, p.choice([1, 2, 3]), p.choice([1, 2]), padding=p.choice([0, 0, 1]), groups=groups)


@piece(2, 3)
def by_functional(p: random.Random, shape: Shape) -> nn.Module:
    run = F.conv1d if len(shape) == 2 else F.conv2d
    kernel = weight(3, shape[0], *[2] * (len(shape) - 1), scale=(4 * shape[0]) ** -0.5)
    if p.random() < 0.3:
        return Do("conv with a centered kernel", lambda x, w: run(x, w - w.mean(1, keepdim=True)), w=kernel)
    return Do("F.conv, padding 1", lambda x, w: run(x, w, padding=1), w=kernel)


@piece(2, 3, 4)
def pooled(p: random.Random, shape: Shape) -> nn.Module:
    axes = len(shape) - 1
    kind = p.randrange(6)
    if kind == 0:
        layers = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
        return layers[axes](3, 2, 1, ceil_mode=p.random() < 0.5)
    if kind == 1:
        average = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
        return average[axes](3, 2, 1, ceil_mode=p.random() < 0.5, count_include_pad=p.random() < 0.5)
    if kind == 2:
        adaptive = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
        return adaptive[axes](p.choice([1, 2, 3]))
    if kind == 3:
        largest = {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d, 3: nn.AdaptiveMaxPool3d}
        return largest[axes](p.choice([1, 2, 3]))
    if kind == 4 and axes < 3:
        powers = {1: nn.LPPool1d, 2: nn.LPPool2d}
        return powers[axes](2, 2)
    if axes == 2 and p.random() < 0.5:
        return nn.MaxPool2d((2, 3), (1, 2), (1, 1), dilation=(2, 1))
    return Do("global mean", lambda x: x.flatten(2).mean(-1))


@piece(3)
def resized(p: random.Random, shape: Shape) -> nn.Module:
    kind = p.randrange(7)
    if kind == 0 and shape[0] % 4 == 0:
        return nn.PixelShuffle(2)
    if kind == 1:
        return nn.PixelUnshuffle(2)
    if kind == 2:
        return nn.Upsample(scale_factor=1.5, mode=p.choice(["bilinear", "bicubic"]), align_corners=p.random() < 0.5)
    if kind == 3:
        return nn.Upsample(size=(3, 5), mode=p.choice(["nearest", "nearest-exact", "area"]))
    if kind == 4:
        return p.choice([nn.ZeroPad2d((1, 0, 2, 1)), nn.ReflectionPad2d(1), nn.ReplicationPad2d((1, 2, 0, 1))])
    if kind == 5:
        return nn.ChannelShuffle(2)
    return Do("grid_sample", _sampled)


def _sampled(x: Tensor) -> Tensor:
    angles = x.new_tensor([[0.9, 0.1, 0.0], [-0.1, 0.8, 0.1]]).expand(len(x), 2, 3)
    return F.grid_sample(x, F.affine_grid(angles, [len(x), *x.shape[1:]], align_corners=False), align_corners=False)


class Recurrent(nn.Module):
    """A recurrent layer whose state is made in the forward pass."""

    def __init__(self, layer: nn.RNNBase, zeros: str):
        super().__init__()
        self.layer, self.zeros = layer, zeros

    def forward(self, x: Tensor) -> Tensor:
        count = self.layer.num_layers * (2 if self.layer.bidirectional else 1)
        shape = (count, len(x), self.layer.hidden_size)
        if self.zeros == "none":
            return self.layer(x)[0]
        state = torch.zeros(shape) if self.zeros == "float32" else x.new_zeros(shape)
        return self.layer(x, (state, state) if isinstance(self.layer, nn.LSTM) else state)[0]


@piece(2)
def recurrent(p: random.Random, shape: Shape) -> nn.Module:
    kind = p.choice([nn.LSTM, nn.GRU, nn.RNN])
    layer = kind(shape[1], 4, num_layers=p.choice([1, 1, 2]), batch_first=True, bidirectional=p.random() < 0.3)
    return Recurrent(layer, p.choice(["none", "float32", "alike"]))


@piece(2)
def unrolled(p: random.Random, shape: Shape) -> nn.Module:
    def run(x: Tensor, cell: nn.GRUCell) -> Tensor:
        state = x.new_zeros(len(x), 4)
        found = []
        for step in x.unbind(1):
            state = cell(step, state)
            found.append(state)
        return torch.stack(found, 1)

    return Do("GRUCell, unrolled", run, cell=nn.GRUCell(shape[1], 4))


class Attention(nn.Module):
    def __init__(self, width: int, causal: bool, bias: bool):
        super().__init__()
        self.inner = nn.MultiheadAttention(width, 2, batch_first=True, bias=bias, add_bias_kv=bias)
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if self.causal else None
        return x + self.inner(x, x, x, attn_mask=mask, need_weights=False)[0]


@piece(2)
def attention(p: random.Random, shape: Shape) -> nn.Module:
    width, kind = shape[1], p.randrange(4)
    if kind == 0:
        return Attention(width, p.random() < 0.5, p.random() < 0.4)
    if kind == 1:
        return nn.TransformerEncoderLayer(
            width, 2, 6, batch_first=True, norm_first=p.random() < 0.5, activation=p.choice(["relu", "gelu"])
        )
    if kind == 2:
        return Rotary(shape[0], width)
    return Do("scaled_dot_product_attention", _attend, q=nn.Linear(width, 3 * width))


def _attend(x: Tensor, q: nn.Linear) -> Tensor:
    one, two, three = q(x).unsqueeze(1).chunk(3, -1)
    return F.scaled_dot_product_attention(one, two, three, is_causal=True).squeeze(1)


class Rotary(nn.Module):
    """Positions by complex rotation, as in language models."""

    def __init__(self, length: int, width: int):
        super().__init__()
        angles = torch.outer(torch.arange(length), 0.7 ** torch.arange(width // 2))
        self.register_buffer("rotation", torch.polar(torch.ones_like(angles), angles), persistent=False)
        self.mix = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous())
        return self.mix(torch.view_as_real(pairs * self.rotation).flatten(-2))


@piece(1, 2, 3, 4)
def reshaped(p: random.Random, shape: Shape) -> nn.Module:
    if len(shape) == 1:
        first = p.choice([one for one in (2, 3, 4) if shape[0] % one == 0] or [1])
        return nn.Unflatten(1, (first, -1))
    if len(shape) == 2:
        kind = p.randrange(5)
        if kind == 0:
            return Do("transpose", lambda x: x.transpose(1, 2))
        if kind == 1:
            return Do("last step", lambda x: x[:, -1])
        if kind == 2:
            return Do("mean", lambda x: x.mean(1))
        if kind == 3:
            return Do("unsqueeze", lambda x: x.unsqueeze(1))
        return nn.Flatten()
    if len(shape) == 3:
        kind = p.randrange(4)
        if kind == 0:
            return Do("to a sequence", lambda x: x.flatten(2).transpose(1, 2))
        if kind == 1:
            return Do("permute", lambda x: x.permute(0, 2, 3, 1))
        if kind == 2:
            return Do("max over rows", lambda x: x.amax(2))
        return nn.Flatten()
    return p.choice([nn.Flatten(), nn.Flatten(2), Do("mean of depth", lambda x: x.mean(2))])


@piece(1)
def bilinear(p: random.Random, shape: Shape) -> nn.Module:
    if p.random() < 0.5:
        return Do("Bilinear", lambda x, inner: inner(x, x), inner=nn.Bilinear(shape[0], shape[0], 3))
    return Do("complex matrix", _complex, w=weight(shape[0], 4, scale=0.5, dtype=torch.complex64))


def _complex(x: Tensor, w: Tensor) -> Tensor:
    return (x.to(w.dtype) @ w).abs()


@piece(1)
def table(p: random.Random, shape: Shape) -> nn.Module:
    if p.random() < 0.5:
        return Do(
            "Embedding of argmax",
            lambda x, inner: x[:, :1] + inner(x.argmax(1) % inner.num_embeddings),
            inner=nn.Embedding(shape[0], 4),
        )
    return Do(
        "experts", _experts, gate=nn.Linear(shape[0], 3), every=nn.ModuleList(nn.Linear(shape[0], 4) for _ in "123")
    )


def _experts(x: Tensor, gate: nn.Linear, every: nn.ModuleList) -> Tensor:
    """Each sample goes to one expert: control by values, sample by sample."""
    chosen = gate(x).argmax(1)
    out = x.new_zeros(len(x), 4)
    for index, expert in enumerate(every):
        rows = chosen == index
        if rows.any():
            out[rows] = expert(x[rows])
    return out
