"""The loss of a module by itself, of one or several types."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from landscape import api
from landscape.grid import Axis, Grid
from landscape.result import Result
from tests.support.small_models import gaussian, perceptron, stirred, vectors


class Before(nn.Module):
    def __init__(self, first: nn.Module, inner: nn.Module | None = None):
        super().__init__()
        self.first, self.inner = first, inner or perceptron()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.first(x))


class Cast(nn.Module):
    """A layer in a type of its own."""

    def __init__(self, dtype: torch.dtype):
        super().__init__()
        self.layer = stirred(nn.Linear(5, 5)).to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.to(self.layer.weight.dtype)).to(x.dtype)


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = stirred(nn.Linear(5, 5))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.layer(x).to(x.dtype)


class Float(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float() / 255


class Numbers(nn.Module):
    """Its first parameter holds integers, as quantized networks have them."""

    def __init__(self, whole: bool):
        super().__init__()
        codes = torch.arange(6).reshape(2, 3)
        self.codes = nn.Parameter(codes, requires_grad=False) if whole else codes
        self.layer = stirred(nn.Linear(5, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * self.codes.sum()


def slice_of(model: nn.Module, images: Tensor, **options: object) -> Result:
    labels = torch.arange(len(images)) % 3
    return api.slice(model, images, labels, grid=Grid.line(3), progress=False, **options)  # type: ignore[arg-type]


def center(result: Result) -> tuple[str, str]:
    found = result.provenance["center"]
    return found["independent_precision"], found["independent_method"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_a_first_layer_in_another_type_leaves_the_samples_in_theirs(dtype: torch.dtype) -> None:
    result = slice_of(Before(Cast(dtype)), gaussian(20, 5))
    assert center(result)[0] == "float64"
    assert all(check.passed for check in result.checks)


def test_a_network_that_computes_partly_in_a_coarse_type_is_compared_by_the_rounding_of_that_type() -> None:
    result = slice_of(Before(Autocast()), gaussian(20, 5))
    assert center(result) == ("bfloat16", "plain float64 forward pass (the network computes partly in bfloat16)")
    assert all(check.passed for check in result.checks)


def test_a_network_that_fails_in_its_own_types_and_in_float64_is_compared_in_those_of_the_values() -> None:
    images = torch.randint(0, 256, (20, 5), dtype=torch.uint8)
    result = slice_of(Before(Float(), perceptron()).double(), images)
    precision, words = center(result)
    assert precision == "float32"
    assert "in its own types the network fails" in words
    same = slice_of(Before(Float(), perceptron()), images)
    np.testing.assert_allclose(result.losses, same.losses, rtol=1e-6)
    assert all(check.passed for check in result.checks)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_parameters_of_integers_neither_move_nor_count(precision: str) -> None:
    images, options = gaussian(20, 5), {"precision": precision, "weight_decay": 0.1, "normalization": "none"}
    result = slice_of(Before(Numbers(True)), images, **options)
    same = slice_of(Before(Numbers(False)), images, **options)
    np.testing.assert_allclose(result.losses, same.losses, rtol=1e-6)
    assert all(check.passed for check in result.checks)


def test_an_interpolation_of_tied_weights_ends_at_the_other_network() -> None:
    images, labels = vectors()

    def tied(seed: int) -> nn.Module:
        one, two = nn.Linear(5, 5), nn.Linear(5, 5)
        two.weight = one.weight
        return stirred(nn.Sequential(one, nn.Tanh(), two, nn.Tanh(), nn.Linear(5, 3)), seed)

    result = api.interpolation(tied(1), tied(2), images, labels, grid=Grid(Axis(0, 1, 3)), progress=False)
    for row, seed in ((0, 1), (2, 2)):
        with torch.no_grad():
            expected = nn.functional.cross_entropy(tied(seed).double()(images.double()), labels)
        assert result.losses[row, 0] == pytest.approx(float(expected), rel=1e-5)
    assert all(check.passed for check in result.checks)


def test_a_coarse_type_that_rounds_nothing_does_not_widen_the_check() -> None:
    class Ones(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = perceptron()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x * torch.ones(len(x), 1, dtype=torch.float16).to(x.dtype))

    result = api.slice(Ones(), *vectors(), grid=Grid.line(3), progress=False)
    assert result.provenance["center"]["independent_precision"] == "float64"
    result.provenance["center"]["loss"] *= 1.01
    assert "center loss" in [line.name for line in result.checks if not line.passed]
