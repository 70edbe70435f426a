"""Kept weights: what moves nothing is named, and is red where a value would be that of another network."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape import api
from landscape.errors import DataError
from landscape.grid import Grid
from landscape.result import Result
from landscape.results.self_check import Check
from tests.support.small_models import gaussian, perceptron, stirred, vectors


def forward_line(model: nn.Module, **options: object) -> Check | None:
    images, labels = vectors()
    result: Result = api.slice(model, images, labels, grid=Grid.line(3), progress=False, **options)  # type: ignore[arg-type]
    return next((check for check in result.checks if check.name == "forward pass"), None)


class Kept(nn.Module):
    """A perceptron, the first layer of which computes with a copy of its weights."""

    def __init__(self, when: str, copied: Callable[[Tensor], Tensor] = torch.clone):
        super().__init__()
        self.first, self.rest, self.when, self.copied = nn.Linear(5, 7), nn.Linear(7, 3), when, copied
        stirred(self)
        self.kept: dict[str, list[Tensor]] = {}
        if when == "made":
            self._keep()

    def _keep(self) -> None:
        self.kept["first"] = [self.copied(self.first.weight.detach())]

    def train(self, mode: bool = True) -> "Kept":
        super().train(mode)
        if self.when == "in evaluation" and not mode:
            self._keep()
        return self

    def forward(self, x: Tensor) -> Tensor:
        if not self.kept:
            self._keep()
        [weight] = self.kept["first"]
        turned = weight.T if weight.shape == (5, 7) else weight
        return self.rest(torch.tanh(F.linear(x, turned.to(x.dtype), self.first.bias)))


@pytest.mark.parametrize("when", ["made", "first pass", "in evaluation"])
@pytest.mark.parametrize("copied", [torch.clone, lambda w: w.T.contiguous(), Tensor.double], ids=["", "turned", "wide"])
def test_a_copy_of_some_weights_is_red_and_names_them(when: str, copied: Callable[[Tensor], Tensor]) -> None:
    line = forward_line(Kept(when, copied))
    assert line is not None
    assert not line.passed
    assert "'first.weight'" in line.text
    assert "rest" not in line.text


class Merging(nn.Module):
    """A product of two weights, multiplied on the way to evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Parameter(gaussian(4, 5)), nn.Parameter(gaussian(3, 4, seed=1))
        self.last = nn.Linear(3, 3)

    def train(self, mode: bool = True) -> "Merging":
        super().train(mode)
        self.merged = None if mode else (self.two @ self.one).detach()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.linear(x, self.two @ self.one if self.merged is None else self.merged.to(x.dtype)))


def test_weights_merged_for_evaluation_are_red() -> None:
    line = forward_line(Merging())
    assert line is not None
    assert not line.passed
    assert "new copy" in line.text


class Aliased(nn.Module):
    """Holds a parameter in a list too, and computes with that."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.rest = nn.Linear(5, 7), nn.Linear(7, 3)
        self.weights = [self.inner.weight]

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(F.linear(x, self.weights[0].to(x.dtype)).tanh())


def test_a_parameter_used_through_a_list_is_red_where_it_does_not_follow() -> None:
    line = forward_line(Aliased())
    assert line is not None
    assert not line.passed


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = perceptron(), nn.Linear(3, 4)
        self.table, self.ones = gaussian(3, 4, seed=9), torch.ones(4)  # of the same sizes, with other numbers
        nn.init.ones_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_parameter_that_a_function_has_captured_is_red_and_the_network_unchanged(frozen: bool) -> None:
    class Captured(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm, self.rest = nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3)
            stirred(self)
            weight = self.first.weight
            self.act = lambda x: torch.tanh(F.linear(x, weight))

        def forward(self, x: Tensor) -> Tensor:
            return self.rest(self.norm(self.act(x)))

    model = Captured().train()
    model.first.weight.requires_grad_(not frozen)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    line = forward_line(model)
    assert line is not None
    assert not line.passed
    assert "'first.weight'" in line.text
    assert model.first.weight.requires_grad == (not frozen)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


class Constrained(nn.Module):
    """Writes to its own weights in every pass: the rows of an embedding, and a layer by `.data`."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.unused = nn.Embedding(10, 4, max_norm=0.5), nn.Parameter(torch.ones(3, 3))
        self.layer, weight = nn.Linear(24, 3), nn.Parameter(torch.randn(4, 4))
        self.held = weight
        self.act = lambda x: x @ weight.renorm(2, 0, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        self.layer.weight.data = torch.renorm(self.layer.weight.data, 2, 0, 0.7)
        found = self.act(self.rows((x * 10).long().remainder(10))).flatten(1)
        return self.layer(nn.functional.pad(found, (0, 24 - found.shape[1])))


def test_a_network_that_writes_to_its_weights_keeps_the_callers() -> None:
    torch.manual_seed(0)
    model = Constrained().eval()
    before = {name: (id(one), one.detach().clone()) for name, one in model.named_parameters()}
    forward_line(model)
    for name, one in model.named_parameters():
        assert before[name][0] == id(one)
        assert torch.equal(before[name][1], one.detach()), name


def test_a_network_that_exchanges_its_parameters_for_evaluation_is_refused_unless_it_is_there_already() -> None:
    class Merged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(5, 3), nn.Linear(5, 3)

        def train(self, mode: bool = True) -> "Merged":
            super().train(mode)
            if not mode and hasattr(self, "a"):
                self.c = nn.Linear(5, 3)
                with torch.no_grad():
                    self.c.weight.copy_(self.a.weight + self.b.weight)
                    self.c.bias.copy_(self.a.bias + self.b.bias)
                del self.a, self.b
            return self

        def forward(self, x: Tensor) -> Tensor:
            return self.c(x) if hasattr(self, "c") else self.a(x) + self.b(x)

    with pytest.raises(DataError, match=r"change on the way to evaluation mode, 'a.bias' for one. Pass model.eval()"):
        forward_line(Merged().train())
    with pytest.raises(DataError, match=r"'0\.a\.bias' for one"):
        forward_line(nn.Sequential(Merged(), nn.Linear(3, 3)).train())
    assert forward_line(Merged().eval()) is None


@pytest.mark.parametrize("where", ["buffer", "array", "rounded", "bfloat16"])
def test_copies_in_buffers_and_arrays_and_rounded_ones_are_red(where: str) -> None:
    class Copied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.rest = nn.Linear(5, 7), nn.Linear(7, 3)
            stirred(self)
            weight = self.first.weight.detach()
            if where == "buffer":
                self.register_buffer("kept", weight.clone())
            elif where == "array":
                self.kept = weight.numpy().copy()
            else:
                self.kept = (weight * 127).round() / 127 if where == "rounded" else weight.bfloat16()

        def forward(self, x: Tensor) -> Tensor:
            weight = torch.as_tensor(self.kept).to(x.dtype)
            return self.rest(torch.tanh(F.linear(x, weight, self.first.bias)))

    line = forward_line(Copied())
    assert line is not None
    assert not line.passed
    assert "'first.weight'" in line.text


def test_an_unused_parameter_is_named_and_green() -> None:
    line = forward_line(Unused(), biases="random")
    assert line is not None
    assert line.passed
    assert "'head.weight', 'head.bias'" in line.text


class Quiet(nn.Module):
    """Gradients are off, so that only moving a parameter shows that it matters."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = perceptron()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Dead(nn.Module):
    """A unit that is never active: its weights are computed with, and change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.rest = nn.Linear(5, 4), nn.Linear(5, 3)
        nn.init.constant_(self.inner.bias, -100.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(x) + self.inner(x).relu().sum(1, keepdim=True)


class Recurrent(nn.Module):
    """One step from a state of zeros, by which the recurrent weights are multiplied; torch holds them in a list too."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.rest = nn.GRU(5, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.inner(x[:, None])[0][:, 0])


class Flat(nn.Module):
    """All scores are equal, for any weights."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).expand(-1, 3)


class OneFilter(nn.Module):
    """Its only filter has one number: both directions are that number or its opposite."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1, 1), 0.7))

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :3] * self.scale


@pytest.mark.parametrize("make", [Quiet, Dead, Flat, Recurrent])
def test_no_line_is_red_where_the_values_are_right(make: type[nn.Module]) -> None:
    line = forward_line(make())
    assert line is None or line.passed


@pytest.mark.parametrize("seed", range(4))
def test_directions_that_cancel_each_other_are_not_taken_for_kept_weights(seed: int) -> None:
    images, labels = vectors()
    how = {"seed": seed, "orthogonality": "none", "filters": "axes"}
    result = api.surface(OneFilter(), images, labels, grid=Grid.square(3), progress=False, **how)
    assert [check.name for check in result.checks if not check.passed] == []
