"""Random small networks with samples, a loss and options, each made from a seed."""

import contextlib
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape.grid import Axis, Grid
from tests.support import random_layers
from tests.support.random_losses import Target, target
from tests.support.random_mischief import AWKWARD
from tests.support.random_pieces import ANY, BY_RANK, WAYS, Do, Shape, Twice

__all__ = ["Case", "case", "random_layers"]  # whose pieces are registered when it is imported
MOST = 400  # numbers per sample between two pieces
CLASSES = 3


class Network(nn.Module):
    """Pieces in a row, then scores; `wrap` makes of them what the loss takes."""

    def __init__(self, pieces: list[nn.Module], wrap: str):
        super().__init__()
        self.pieces, self.wrap = nn.ModuleList(pieces), wrap

    def forward(self, x: Tensor) -> Any:
        for piece in self.pieces:
            x = piece(x)
        return {"tensor": x, "dict": {"scores": x}, "tuple": (x, x * 2)}[self.wrap]


@dataclass(frozen=True)
class Case:
    """A network of a seed, and how its landscape is asked for."""

    seed: int
    model: nn.Module
    images: Tensor
    target: Target
    kind: str  # "surface", "slice" or "interpolation"
    grid: Grid
    options: dict[str, Any]
    tags: frozenset[str]
    other: dict[str, Tensor] | None = None  # the far end of an interpolation
    scales: tuple[str, ...] = ()  # parameters without filters, as the library found them

    def __str__(self) -> str:
        given = f"{tuple(self.images.shape)} {self.images.dtype}, loss {self.target.name}, {self.options}"
        return f"seed {self.seed}: {self.kind}, {given}, tags {sorted(self.tags)}\n{self.model}"


def case(seed: int) -> Case:
    """The case of a seed: the same one always."""
    p = random.Random(seed)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's remarks on a layer's options
        torch.manual_seed(seed)
        images, first = _samples(p)
        pieces, tags = _pieces(p, images, first)
        wanted = target(p, _after(pieces, images), len(images))
        tags |= wanted.tags
        model = Network(pieces, wanted.wrap)
        _stir(model, p)
        types = p.choice(["float32"] * 5 + ["float64"])
        if types == "float64":
            model.double()
            images = images.double() if images.is_floating_point() and p.random() < 0.7 else images
        model.train(p.random() < 0.3)
        if p.random() < 0.2 and not tags & {"random", "state"}:
            model.eval()
            with contextlib.suppress(RuntimeError, ValueError), torch.no_grad():
                model(_cast(images, model))  # was used before
        options = _options(p, model, wanted, tags, len(images))
        kind = p.choice(["surface"] * 3 + ["slice", "interpolation"])
        grid = Grid(Axis(-1, 1, 3), Axis(-0.5, 1, 4)) if kind == "surface" else Grid(Axis(-0.5, 1, 4))
        other = _other(model) if kind == "interpolation" else None
    return Case(seed, model, images, wanted, kind, grid, options, frozenset(tags), other)


def _other(model: nn.Module) -> dict[str, Tensor]:
    """The state of another network of the same architecture; tied weights are tied in it too."""
    found: dict[int, Tensor] = {}
    for name, tensor in model.state_dict().items():
        moves = (tensor.is_floating_point() or tensor.is_complex()) and not name.endswith("var")
        found.setdefault(tensor.data_ptr(), tensor + 0.2 * torch.randn_like(tensor) if moves else tensor.clone())
    return {name: found[tensor.data_ptr()] for name, tensor in model.state_dict().items()}


def _cast(images: Tensor, model: nn.Module) -> Tensor:
    return (
        images.to(
            next(one.dtype.to_real() for one in model.parameters() if one.is_floating_point() or one.is_complex())
        )
        if images.is_floating_point()
        else images
    )


def _samples(p: random.Random) -> tuple[Tensor, list[nn.Module]]:
    """Samples, and the pieces that take them."""
    count = p.choice([1, 2, 3, 5, 7, 13, 16, 17, 23, 29, 31, 40])
    if p.random() < 0.04:
        count = 263
    kind = p.choice(["vectors", "sequences", "pictures", "pictures", "volumes", "tokens", "bytes", "odd"])
    if kind == "vectors":
        return torch.randn(count, p.randint(2, 9)), []
    if kind == "sequences":
        return torch.randn(count, p.randint(2, 6), p.choice([2, 4, 6, 7])), []
    if kind == "pictures":
        return torch.randn(count, p.choice([1, 2, 3, 4]), p.choice([5, 6, 8]), p.choice([4, 5, 8])), []
    if kind == "volumes":
        return torch.randn(count, p.choice([1, 2]), 4, p.choice([3, 4]), 4), []
    if kind == "tokens":
        tokens = torch.randint(0, 9, (count, p.randint(2, 6)))
        if p.random() < 0.5:
            return tokens, [nn.Embedding(9, p.choice([4, 6]), padding_idx=p.choice([None, 0]))]
        if p.random() < 0.5:
            return tokens, [nn.EmbeddingBag(9, 5, mode=p.choice(["mean", "sum", "max"]))]
        return tokens, [Do("one_hot in the forward pass", lambda x: F.one_hot(x, 9).float())]
    if kind == "bytes":
        pictures = torch.randint(0, 256, (count, 3, 6, 5), dtype=torch.uint8)
        ways: dict[str, Callable[[Tensor], Tensor]] = {
            "x.float() / 255": lambda x: x.float() / 255,
            "x / 255": lambda x: x / 255,
        }
        name = p.choice(list(ways))
        return pictures, [Do(name, ways[name])]
    odd = p.randrange(3)
    if odd == 0:
        return torch.randn(count, 5, dtype=torch.complex64), [Do("abs of complex samples", lambda x: x.abs())]
    if odd == 1:
        return torch.rand(count, 6) > 0.5, [Do("bool to float", lambda x: x.float())]
    return torch.randn(count, 6, dtype=torch.float64), []


def _pieces(p: random.Random, images: Tensor, first: list[nn.Module]) -> tuple[list[nn.Module], set[str]]:
    pieces, tags = list(first), set()
    depth = p.randint(2, 6)
    few = images[:3].float() if images.is_floating_point() else images[:3]
    few = few if len(few) == 3 else few[:1].repeat(3, *[1] * (few.ndim - 1))
    for one in pieces:
        few = one.eval()(few)
    if any("float" in str(one) or "one_hot" in str(one) for one in first):
        tags.add("coarse")
    tries = 0
    while depth > 0 and tries < 60:
        tries += 1
        made, more = _piece(p, tuple(few.shape[1:]))
        found = _fits(made, few)
        if found is not None:
            few, depth = found, depth - 1
            pieces.append(made)
            tags |= more
    if few.ndim > 2:
        pieces.append(nn.Flatten())
        few = few.flatten(1)
    if p.random() < 0.85 or not any(True for one in pieces for _ in one.parameters()):
        pieces.append(nn.Linear(few.shape[1], CLASSES))
    return pieces, tags


def _piece(p: random.Random, shape: Shape) -> tuple[nn.Module, set[str]]:
    if p.random() < 0.12:
        make, tags = p.choice(AWKWARD)
        return _built(make, p, shape), set(tags)
    own = p.random() < 0.65
    made = _built(p.choice(BY_RANK[len(shape)] if own else ANY), p, shape)
    if p.random() < 0.12:
        return Twice(made, p.choice(WAYS)), set()
    return made, set()


def _built(make: Callable[[random.Random, Shape], nn.Module], p: random.Random, shape: Shape) -> nn.Module:
    try:
        return make(p, shape).eval()
    except (ValueError, RuntimeError, IndexError, ZeroDivisionError, AssertionError):
        return nn.Identity().eval()


def _fits(made: nn.Module, few: Tensor) -> Tensor | None:
    """What a piece gives for a few samples, if it can stand there."""
    if isinstance(made, nn.Identity):
        return None
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            kept = random.getstate()
            out = made(few.clone()).detach()
            random.setstate(kept)
    except (ValueError, RuntimeError, IndexError, TypeError, NotImplementedError, AssertionError, AttributeError):
        return None
    sizes = out.shape[1:]
    fine = out.ndim in (2, 3, 4, 5) and len(out) == len(few) and 2 <= sizes.numel() <= MOST and min(sizes) > 0
    if not fine or out.dtype != torch.float32 or not bool(torch.isfinite(out).all()):
        return None
    return out if 1e-3 < float(out.abs().max()) < 50 else None


def _after(pieces: list[nn.Module], images: Tensor) -> int:
    last = pieces[-1]
    if isinstance(last, nn.Linear):
        return CLASSES
    x = images[:3].float() if images.is_floating_point() else images[:3]
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        for one in pieces:
            x = one(x.clone())
    return int(x.shape[1])


def _stir(model: nn.Module, p: random.Random) -> None:
    """Statistics, scales and shifts that are not the identity; counters as if the pieces had never run."""
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape))
        elif name.endswith("running_mean"):
            tensor.copy_(0.3 * torch.randn(tensor.shape))
        elif name.endswith((".calls", ".number", ".mean")):
            tensor.zero_()
        elif tensor.is_floating_point() and tensor.ndim == 1 and p.random() < 0.7:
            tensor.add_(0.1 * torch.randn(tensor.shape).to(tensor))


def _options(p: random.Random, model: nn.Module, wanted: Target, tags: set[str], count: int) -> dict[str, Any]:
    options: dict[str, Any] = {"precision": p.choice(["float32"] * 3 + ["float64"])}
    options["seed"] = p.randrange(100)
    if p.random() < 0.25:
        options["weight_decay"] = p.choice([0.001, 0.1])
    if p.random() < 0.5:
        options["normalization"] = p.choice(["filter", "layer", "weight", "dfilter", "dlayer", "none"])
    if p.random() < 0.4:
        options["biases"] = p.choice(["fixed", "parameter", "random"])
    if p.random() < 0.3:
        options["orthogonality"] = p.choice(["filter", "overall", "none"])
    if p.random() < 0.15:
        options["drawn"] = "authors"
    norms = [one for one in model.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]
    if norms and p.random() < 0.6:
        options["batch_norm"] = p.choice(["recalibrated", "batch"])
        if p.random() < 0.4:
            options["calibration"] = p.choice([5, 11])
    if p.random() < 0.15:
        options["batch"] = p.choice([2, 4, 5, 8])
    if wanted.smoothing:
        options["label_smoothing"] = wanted.smoothing
    return options
