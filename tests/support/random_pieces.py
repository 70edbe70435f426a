"""Pieces of random networks: ordinary layers, and everything that code in the wild does between them.

A piece is made for samples of a shape without the batch; what does not fit raises in torch, and another is drawn.
"""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shape = tuple[int, ...]
Make = Callable[[random.Random, Shape], nn.Module]


class Do(nn.Module):
    """A function as a layer, named in the network's text."""

    def __init__(self, name: str, function: Callable[..., Any], **parts: Any):
        super().__init__()
        self.name, self.function = name, function
        for key, part in parts.items():
            setattr(self, key, part)
        self.parts = tuple(parts)

    def forward(self, x: Tensor) -> Any:
        return self.function(x, *(getattr(self, name) for name in self.parts))

    def extra_repr(self) -> str:
        return self.name


def weight(*shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> nn.Parameter:
    """A Gaussian parameter of about the size of an initialized layer."""
    return nn.Parameter(scale * torch.randn(shape, dtype=dtype))


ANY: list[Make] = []  # for samples of any rank
BY_RANK: dict[int, list[Make]] = {1: [], 2: [], 3: [], 4: []}


def piece(*ranks: int) -> Callable[[Make], Make]:
    """Registers a piece for samples of these ranks, or of any."""

    def register(make: Make) -> Make:
        for kept in [BY_RANK[rank] for rank in ranks] or [ANY]:
            kept.append(make)
        return make

    return register


ELEMENTWISE: list[Callable[[], nn.Module]] = [
    nn.ReLU,
    lambda: nn.ReLU(inplace=True),
    nn.GELU,
    lambda: nn.GELU("tanh"),
    nn.SiLU,
    lambda: nn.SiLU(inplace=True),
    nn.Mish,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Softplus,
    lambda: nn.Softplus(3.0, 1.0),
    nn.Tanh,
    nn.Sigmoid,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    lambda: nn.LeakyReLU(0.2, inplace=True),
    nn.Hardtanh,
    nn.ReLU6,
    nn.PReLU,
    nn.Softsign,
    nn.LogSigmoid,
    nn.Tanhshrink,
    nn.Dropout,
    lambda: nn.AlphaDropout(0.3),
    lambda: nn.RReLU(),
]
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "where(x > 0, x, x / 10)": lambda x: torch.where(x > 0, x, x / 10),
    "clamp": lambda x: x.clamp(-1.5, 0.8),
    "abs + sqrt": lambda x: (x.abs() + 0.1).sqrt(),
    "x * sigmoid(x)": lambda x: x * torch.sigmoid(x),
    "softmax": lambda x: 3 * x.softmax(-1),
    "softmax over the first axis": lambda x: 3 * x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(-1),
    "cumsum": lambda x: x.cumsum(-1) / 2,
    "sort": lambda x: x.sort(-1).values,
    "topk": lambda x: x.topk(min(3, x.shape[-1]), -1).values,
    "flip": lambda x: x.flip(-1),
    "roll": lambda x: x.roll(1, -1) + x,
    "center per sample": lambda x: x - x.mean(-1, keepdim=True),
    "standardize per sample": lambda x: (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 0.1),
    "std_mean": lambda x: x / (1 + torch.std_mean(x, -1, keepdim=True)[0]),
    "rfft": lambda x: torch.fft.rfft(x, dim=-1).abs(),
    "fft in and out": lambda x: torch.fft.ifft(torch.fft.fft(x, dim=-1) * 0.5j, dim=-1).imag,
    "half detached": lambda x: x.detach() * 0.5 + x,
    "x += 1": lambda x: x.add_(1.0),
    "x -= mean": lambda x: x.sub_(x.mean(-1, keepdim=True)),
    "cat with itself": lambda x: torch.cat([x, -x], 1),
    "stack and unbind": lambda x: torch.stack([x, x * x], -1).unbind(-1)[1],
    "chunk": lambda x: (lambda parts: parts[0] * parts[-1])(x.chunk(2, 1)) if x.shape[1] % 2 == 0 else x,
    "glu": lambda x: F.glu(x, 1),
    "one half by the other": lambda x: x[..., ::2],
    "normalize": lambda x: 2 * F.normalize(x, dim=1),
    "max over a pair": lambda x: torch.maximum(x, x.roll(1, 1)),
    "amax": lambda x: x - x.amax(-1, keepdim=True),
    "logsumexp": lambda x: x - x.logsumexp(1, keepdim=True),
    "gather at argmax": lambda x: x + x.gather(-1, x.argmax(-1, keepdim=True)),
    "scatter": lambda x: torch.zeros_like(x).scatter(-1, x.argsort(-1), x),
    "masked_fill": lambda x: x.masked_fill(x < -0.5, -0.5),
    "index_select": lambda x: x.index_select(1, torch.arange(x.shape[1] - 1, -1, -1)),
    "boolean mask": lambda x: x * (x > 0.3),
    "round of the detached": lambda x: x + (x.round() - x).detach(),
    "sin and cos": lambda x: torch.cat([x.sin(), x.cos()], 1),
    "pow": lambda x: (x.abs() + 0.2) ** 1.7,
    "exp, bounded": lambda x: x.clamp(max=1.0).exp(),
    "log1p": lambda x: x.abs().log1p(),
    "erf": torch.erf,
    "atan2": lambda x: torch.atan2(x, x.roll(1, -1) + 3),
    "lerp": lambda x: torch.lerp(x, x.flip(-1), 0.3),
    "addcmul": lambda x: torch.addcmul(x, x, x, value=0.1),
    "nan_to_num": lambda x: (x / x).nan_to_num(1.0) * x,
    "float64 inside": lambda x: x.double().tanh().to(x.dtype),
    "to numpy and back": lambda x: x * torch.as_tensor([0.5]).to(x.dtype),
    "prod": lambda x: x * (1 + x[..., :2].prod(-1, keepdim=True)).tanh(),
    "slices written": lambda x: (lambda y: (y[..., :1].mul_(0.5), y)[1])(x * 1.0),
    "index_put": lambda x: (lambda y: (y.__setitem__((..., 0), 0.25), y)[1])(x.clone()),
    "copy": lambda x: torch.empty_like(x).copy_(x) * 2,
    "tril": lambda x: x.tril() if x.ndim > 2 else x,
    "diff": lambda x: x.diff(dim=-1),
    "unfold": lambda x: x.unfold(-1, 2, 1).mean(-1),
    "take_along_dim": lambda x: x.take_along_dim(x.argsort(-1, descending=True), -1),
    "kthvalue": lambda x: x - x.kthvalue(1, -1, keepdim=True).values,
    "median": lambda x: x - x.median(-1, keepdim=True).values,
    "cdist to itself": lambda x: torch.cdist(x, x.flip(1)) if x.ndim == 3 else x,
    "outer": lambda x: (x[:, :4, None] * x[:, None, :4]) if x.ndim == 2 else x,
    "view as complex": lambda x: (lambda z: (z * z).abs())(torch.complex(x, x.flip(-1))),
}
SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "an extra pass for many columns": lambda x: x.tanh() if x.shape[-1] > 4 else x + 1,
    "for every column": lambda x: torch.stack([x[..., i] * (i + 1) / 3 for i in range(x.shape[-1])], -1),
    "view": lambda x: x.reshape(x.size(0), -1).view(len(x), *x.shape[1:]),
    "expand": lambda x: x + x[:, :1].expand_as(x),
    "einops-like": lambda x: x.transpose(1, -1).contiguous().transpose(1, -1),
    "by the dtype": lambda x: x * torch.finfo(x.dtype).eps * 1e3 + x if x.dtype == torch.float16 else x * 0.9,
}


@piece()
def elementwise(p: random.Random, shape: Shape) -> nn.Module:
    return p.choice(ELEMENTWISE)()


@piece()
def function(p: random.Random, shape: Shape) -> nn.Module:
    name = p.choice(list(FUNCTIONS))
    return Do(name, FUNCTIONS[name])


@piece()
def by_shape(p: random.Random, shape: Shape) -> nn.Module:
    name = p.choice(list(SHAPES))
    return Do(name, SHAPES[name])


@piece()
def scaled(p: random.Random, shape: Shape) -> nn.Module:
    kind = p.randrange(4)
    if kind == 0:
        return Do("x * layer scale", lambda x, w: x * w, w=weight(shape[0], *[1] * (len(shape) - 1)))
    if kind == 1:
        return Do("x + position", lambda x, w: x + w, w=weight(1, *shape))
    if kind == 2:
        return Do("x * exp(scalar)", lambda x, w: x * w.exp(), w=nn.Parameter(torch.tensor(0.1)))
    return Do("x * list[0] + dict['b']", _of_containers, w=nn.ParameterList([weight(shape[-1])]), d=_dict(shape[-1]))


def _dict(width: int) -> nn.ParameterDict:
    return nn.ParameterDict({"b": weight(width)})


def _of_containers(x: Tensor, w: nn.ParameterList, d: nn.ParameterDict) -> Tensor:
    return x * w[0] + d["b"]


@piece()
def over_the_last_axis(p: random.Random, shape: Shape) -> nn.Module:
    width, out = shape[-1], p.randint(2, 7)
    scale = width**-0.5
    kind = p.randrange(8)
    if kind == 0:
        return Do("einsum", lambda x, w: torch.einsum("...i,io->...o", x, w), w=weight(width, out, scale=scale))
    if kind == 1:
        return Do("F.linear", lambda x, w: F.linear(x, w), w=weight(out, width, scale=scale))
    if kind == 2:
        return Do("x @ w @ w.T", lambda x, w: x @ w @ w.T, w=weight(width, out, scale=scale))
    if kind == 3:
        return Do("x @ softmax(w)", lambda x, w: x @ w.softmax(0), w=weight(width, out))
    if kind == 4:
        return nn.utils.parametrizations.weight_norm(nn.Linear(width, out))
    if kind == 5:
        return nn.utils.parametrizations.spectral_norm(nn.Linear(width, max(2, out)))
    if kind == 6:
        return nn.utils.parametrizations.orthogonal(nn.Linear(width, width), orthogonal_map="cayley")
    return nn.Linear(width, out, bias=p.random() < 0.7)


@piece()
def normed(p: random.Random, shape: Shape) -> nn.Module:
    kind = p.randrange(6)
    if kind == 0:
        return nn.LayerNorm(shape[-1])
    if kind == 1:
        return nn.LayerNorm(shape[-2:])
    if kind == 2:
        return nn.LayerNorm(shape, elementwise_affine=p.random() < 0.5)
    if kind == 3:
        return nn.RMSNorm(shape[-1])
    if kind == 4:
        return nn.GroupNorm(p.choice([1, 2]), shape[0])
    return nn.LocalResponseNorm(2)


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
        return Do("Embedding of argmax", lambda x, inner: x[:, :1] + inner(x.argmax(1) % inner.num_embeddings), inner=nn.Embedding(shape[0], 4))
    return Do("experts", _experts, gate=nn.Linear(shape[0], 3), every=nn.ModuleList(nn.Linear(shape[0], 4) for _ in "123"))


def _experts(x: Tensor, gate: nn.Linear, every: nn.ModuleList) -> Tensor:
    """Each sample goes to one expert: control by values, sample by sample."""
    chosen = gate(x).argmax(1)
    out = x.new_zeros(len(x), 4)
    for index, expert in enumerate(every):
        rows = chosen == index
        if rows.any():
            out[rows] = expert(x[rows])
    return out


class Twice(nn.Module):
    """One module used twice, or a residual."""

    def __init__(self, inner: nn.Module, way: str):
        super().__init__()
        self.inner, self.way = inner, way

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "twice":
            return self.inner(self.inner(x))
        if self.way == "residual, in place":
            out = self.inner(x)
            out += x
            return out
        if self.way == "no_grad":
            with torch.no_grad():
                return self.inner(x)
        if self.way == "checkpoint":
            return torch.utils.checkpoint.checkpoint(self.inner, x, use_reentrant=False)
        if self.way == "vmap":
            return torch.func.vmap(self.inner)(x)
        if self.way == "concatenation":
            return torch.cat([x, self.inner(x)], 1)
        return x + self.inner(x)

    def extra_repr(self) -> str:
        return self.way


WAYS = ("twice", "residual, in place", "residual", "no_grad", "concatenation", "checkpoint", "vmap")
