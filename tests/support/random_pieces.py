"""Pieces of random networks: ordinary layers, and everything that code in the wild does between them.

A piece is made for samples of a shape without the batch; what does not fit raises in torch, and another is drawn.
"""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

torch.set_num_threads(1)  # with several threads networks this small are ten times slower

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
