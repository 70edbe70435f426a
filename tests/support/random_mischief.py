"""Pieces of random networks that are awkward to evaluate, each with tags that say how.

"random": draws numbers in evaluation mode. "state": a second pass gives another result. "together": the result of a
sample depends on the others of its batch. "kept": computes with copies of weights, which a moved parameter leaves as
they are. "coarse": computes in a coarser type than the network's.
"""

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.random_pieces import Do, Make, Shape, weight

AWKWARD: list[tuple[Make, tuple[str, ...]]] = []


def awkward(*tags: str) -> Callable[[Make], Make]:
    """Registers a piece with its tags."""

    def register(make: Make) -> Make:
        AWKWARD.append((make, tags))
        return make

    return register


@awkward("together")
def of_the_batch(p: random.Random, shape: Shape) -> nn.Module:
    share = p.choice([1.0, 0.1, 0.01])
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "x - share * batch mean": lambda x: x - share * x.mean(0, keepdim=True),
        "x / batch size": lambda x: x * (1 + share / len(x)),
        "place in the batch": lambda x: x * (1 + share * torch.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1))),
        "whitened": lambda x: (x - x.mean(0)) / (x.std(0) + 0.1) if len(x) > 1 else x,
        "seeded noise": lambda x: x + share * torch.randn(x.shape, generator=torch.Generator().manual_seed(3)).to(x),
        "attention over the batch": lambda x: x + share * (x.flatten(1) @ x.flatten(1).T).softmax(1).mean() * x,
    }
    name = p.choice(list(ways))
    return Do(f"{name}, share {share}", ways[name])


@awkward()
def branching_on_weights(p: random.Random, shape: Shape) -> nn.Module:
    def run(x: Tensor, w: Tensor) -> Tensor:
        return x * w.tanh() if w.norm() > 0.9 * shape[-1] ** 0.5 else x - w

    return Do("branches on a weight's norm", run, w=weight(shape[-1]))


@awkward("branches")
def branching_on_values(p: random.Random, shape: Shape) -> nn.Module:
    bound = p.choice([0.0, 1.0, 2.5])
    return Do(f"branches on the largest value, {bound}", lambda x: x * 0.5 if x.max() > bound else x + 1)


@awkward("random")
def noisy(p: random.Random, shape: Shape) -> nn.Module:
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "randn_like": lambda x: x + 0.2 * torch.randn_like(x),
        "F.dropout, always": lambda x: F.dropout(x, 0.3),
        "bernoulli": lambda x: x * torch.bernoulli(torch.full_like(x, 0.7)),
        "numpy": lambda x: x * (1 + 0.1 * float(np.random.rand())),
        "python": lambda x: x * (1 + 0.1 * random.random()),
    }
    name = p.choice(list(ways))
    return Do(name, ways[name])


class Counting(nn.Module):
    def __init__(self, matters: bool):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("number", torch.zeros((), dtype=torch.long))
        self.matters = matters

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.number.add_(1)
        self.last = x
        return x * (1 + 0.1 * self.calls) if self.matters else x * 1.1


@awkward()
def counting(p: random.Random, shape: Shape) -> nn.Module:
    return Counting(False)


@awkward("state")
def counted(p: random.Random, shape: Shape) -> nn.Module:
    return Counting(True)


class Tracking(nn.Module):
    """Moves an average in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean()
        return x - self.mean


@awkward("state")
def tracking(p: random.Random, shape: Shape) -> nn.Module:
    return Tracking()


ALIAS = "the parameter, in a list"


class Kept(nn.Module):
    """A linear layer that computes with a copy of its weights: made with it, at the first pass, or in evaluation."""

    def __init__(self, width: int, way: str):
        super().__init__()
        self.inner, self.way = nn.Linear(width, width), way
        self.kept: Tensor | None = None
        self.many: dict[str, Tensor] = {}
        self.alias = [self.inner.weight]
        if way in ("made", "transposed"):
            self.kept = self._copy()

    def _copy(self) -> Tensor:
        copied = self.inner.weight.detach().clone()
        return copied.T.contiguous() if self.way == "transposed" else copied

    def train(self, mode: bool = True) -> "Kept":
        super().train(mode)
        if self.way == "in evaluation" and not mode:
            self.kept = self._copy()
        return self

    def forward(self, x: Tensor) -> Tensor:
        if self.way == ALIAS:
            return F.linear(x, self.alias[0], self.inner.bias)
        if self.way == "in a dictionary":
            return F.linear(x, self.many.setdefault("w", self._copy()), self.inner.bias)
        if self.kept is None:
            self.kept = self._copy()
        kept = self.kept.T if self.way == "transposed" else self.kept
        return F.linear(x, kept, self.inner.bias)

    def extra_repr(self) -> str:
        return self.way


@awkward("kept")
def kept(p: random.Random, shape: Shape) -> nn.Module:
    return Kept(shape[-1], p.choice(["made", "transposed", "first pass", "in evaluation", "in a dictionary", ALIAS]))


class Force(nn.Module):
    """The gradient of an energy with respect to the samples, as a force field has it."""

    def __init__(self, width: int, way: str):
        super().__init__()
        self.energy, self.way = nn.Sequential(nn.Linear(width, 5), nn.Tanh(), nn.Linear(5, 1)), way

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "enabled":
            with torch.enable_grad():
                at = x.detach().clone().requires_grad_()
                [slope] = torch.autograd.grad(self.energy(at).sum(), at)
        elif self.way == "functional":
            slope = torch.func.grad(lambda at: self.energy(at).sum())(x)
        else:
            at = x.clone().requires_grad_() if x.is_leaf else x
            at = at if at.requires_grad else at.requires_grad_()
            [slope] = torch.autograd.grad(self.energy(at).sum(), at, create_graph=True)
        return x - slope

    def extra_repr(self) -> str:
        return self.way


@awkward()
def force(p: random.Random, shape: Shape) -> nn.Module:
    return Force(shape[-1], p.choice(["enabled", "functional", "as training does"]))


@awkward("coarse")
def in_float32(p: random.Random, shape: Shape) -> nn.Module:
    way = p.randrange(4)
    if way == 0:
        return Do("x.float()", lambda x: x.float().tanh())
    if way == 1:
        return Do("times float32 zeros", lambda x: x + torch.zeros(x.shape, dtype=torch.float32) + 0.1)
    if way == 2:
        return Do("one_hot", lambda x: x * F.one_hot(x.flatten(1).argmax(1), x.flatten(1).shape[1]).float().view_as(x))
    return Do("Linear of x.float()", lambda x, inner: inner(x.float()), inner=nn.Linear(shape[-1], 4))


@awkward("coarse", "bfloat16")
def in_bfloat16(p: random.Random, shape: Shape) -> nn.Module:
    if p.random() < 0.3:
        return Do("autocast", _autocast, inner=nn.Linear(shape[-1], 4))
    inner = nn.Linear(shape[-1], 4).to(torch.bfloat16)
    return Do("bfloat16 inside", lambda x, inner: inner(x.to(inner.weight.dtype)).to(x.dtype), inner=inner)


def _autocast(x: Tensor, inner: nn.Linear) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return inner(x).to(x.dtype)


@awkward()
def in_float64(p: random.Random, shape: Shape) -> nn.Module:
    inner = nn.Linear(shape[-1], 4).double()
    return Do("float64 inside", lambda x, inner: inner(x.to(inner.weight.dtype)).to(x.dtype), inner=inner)


@awkward("double only")
def in_named_float64(p: random.Random, shape: Shape) -> nn.Module:
    return Do("x.double()", lambda x, inner: inner(x.double()).to(x.dtype), inner=nn.Linear(shape[-1], 4).double())


class Beside(nn.Module):
    """A layer with something odd beside it, which no value depends on."""

    def __init__(self, width: int, way: str):
        super().__init__()
        self.inner, self.way = nn.Linear(width, 5), way
        if way == "unused":
            self.head = nn.Linear(5, 7)
            self.place = torch.randn(3)
        elif way == "empty":
            self.empty = nn.Parameter(torch.empty(0, 4))
        elif way == "integers":
            self.numbers = nn.Parameter(torch.arange(6).reshape(2, 3), requires_grad=False)
        elif way == "zero":
            nn.init.zeros_(self.inner.weight)
        elif way == "frozen":
            self.inner.requires_grad_(False)
        elif way == "dead":
            nn.init.constant_(self.inner.bias, -100.0)
        elif way == "hook":
            self.inner.register_forward_hook(lambda module, given, out: out * 1.5)
        elif way == "pre-hook":
            self.inner.register_forward_pre_hook(lambda module, given: (given[0].tanh(),))
        elif way == "old weight norm":
            self.inner = torch.nn.utils.weight_norm(self.inner)

    def forward(self, x: Tensor) -> Tensor:
        out = self.inner(x)
        return out.relu() + x.mean(-1, keepdim=True) if self.way == "dead" else out

    def extra_repr(self) -> str:
        return self.way


@awkward()
def beside(p: random.Random, shape: Shape) -> nn.Module:
    ways = ["unused", "empty", "integers", "zero", "frozen", "dead", "hook", "pre-hook", "old weight norm"]
    return Beside(shape[-1], p.choice(ways))


@awkward()
def tied(p: random.Random, shape: Shape) -> nn.Module:
    first, second = nn.Linear(shape[-1], shape[-1]), nn.Linear(shape[-1], shape[-1])
    second.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), second)


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.sign() * 0.5

    @staticmethod
    def backward(ctx: object, slope: Tensor) -> Tensor:
        return slope


@awkward()
def straight_through(p: random.Random, shape: Shape) -> nn.Module:
    return Do("a sign whose gradient is one", lambda x: x + _Sign.apply(x - 0.1))


@awkward()
def wrapped(p: random.Random, shape: Shape) -> nn.Module:
    return nn.DataParallel(nn.Linear(shape[-1], 4))


@awkward()
def of_buffers(p: random.Random, shape: Shape) -> nn.Module:
    return _OfBuffers(shape[-1])


class _OfBuffers(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("table", torch.randn(width))
        self.register_buffer("mask", torch.rand(width) > 0.3)
        self.register_buffer("order", torch.randperm(width))
        self.plain = torch.tensor([0.5])  # no buffer

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.table * self.mask)[..., self.order] + float(self.plain)
