"""Complex numbers in parameters and buffers: every value equals the module itself."""

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape import api
from landscape.directions import files
from landscape.directions.plane import Plane
from landscape.directions.random import dot, filter_norms, norm, random_directions
from landscape.errors import CurvatureError, FormatError
from landscape.grid import Axis, Grid
from tests.support.small_models import gaussian

GRID = Grid(Axis(-1, 1, 3), Axis(-0.5, 1, 4))
LABELS = torch.arange(40) % 3


class Rotary(nn.Module):
    """Attention whose queries and keys are turned by complex numbers (Su et al. 2021, arXiv:2104.09864)."""

    def __init__(self, places: int = 6, width: int = 8):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.turned = nn.Embedding(20, width), nn.Linear(width, 3 * width)
        self.last = nn.Linear(width, 3)
        angles = torch.outer(torch.arange(places), 10.0 ** -torch.arange(0, 1, 2 / width))
        self.register_buffer("freqs_cis", torch.polar(torch.ones_like(angles), angles))

    def forward(self, tokens: Tensor) -> Tensor:
        queries, keys, values = self.turned(self.embedding(tokens)).chunk(3, -1)
        scores = self._turn(queries) @ self._turn(keys).transpose(1, 2)
        return self.last((scores.softmax(-1) @ values).mean(1))

    def _turn(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous())
        return torch.view_as_real(pairs * self.freqs_cis).flatten(2)


class Spectral(nn.Module):
    """Complex weights on the Fourier coefficients of a signal (Li et al. 2021, arXiv:2010.08895)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.weight = nn.Parameter(torch.randn(4, 9, dtype=torch.complex64))
        self.shift = nn.Parameter(torch.randn(4, dtype=torch.complex64))
        self.last = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        found = torch.fft.rfft(x)[:, None] * self.weight + self.shift[:, None]
        return self.last(torch.fft.irfft(found, n=16).relu().flatten(1))


def tokens() -> Tensor:
    return torch.randint(0, 20, (40, 6), generator=torch.Generator().manual_seed(2))


CASES = {"complex buffers": (Rotary, tokens), "complex parameters": (Spectral, lambda: gaussian(40, 16))}


def in_double(tensor: Tensor) -> Tensor:
    kind = torch.complex128 if tensor.is_complex() else torch.float64
    return tensor.detach().to(kind if tensor.is_complex() or tensor.is_floating_point() else tensor.dtype)


def loss_of_module(model: nn.Module, moved: Mapping[str, Tensor], samples: Tensor) -> float:
    """The loss of a copy of the module itself in float64, its parameters replaced one by one."""
    copied = copy.deepcopy(model).eval()
    for module in copied.modules():
        for name, parameter in module._parameters.items():
            module._parameters[name] = None if parameter is None else nn.Parameter(in_double(parameter))
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else in_double(buffer)
    for name, tensor in moved.items():
        copied.get_submodule(name.rpartition(".")[0])._parameters[name.rpartition(".")[2]] = nn.Parameter(tensor)
    with torch.no_grad():
        return float(F.cross_entropy(copied(in_double(samples)), LABELS))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_a_surface_is_that_of_the_module_itself(case: str, precision: str) -> None:
    make, samples = CASES[case]
    model, given = make(), samples()
    result = api.surface(model, given, LABELS, grid=GRID, seed=3, precision=precision, progress=False)  # type: ignore[arg-type]
    center = {name: in_double(parameter) for name, parameter in model.named_parameters()}
    delta, eta = random_directions(center, seed=3)
    for i, alpha in enumerate(GRID.alphas):
        for j, beta in enumerate(GRID.betas):
            moved = {name: center[name] + alpha * delta[name] + beta * eta[name] for name in center}
            expected = loss_of_module(model, moved, given)
            assert result.losses[i, j] == pytest.approx(expected, rel=1e-5 if precision == "float32" else 1e-12)
    assert all(check.passed for check in result.checks), result.checks


def test_directions_have_both_parts_and_the_norms_of_the_complex_filters() -> None:
    center = {name: parameter.detach() for name, parameter in Spectral().named_parameters()}
    delta, eta = random_directions(center, seed=0, biases="random")
    found = delta["weight"]
    assert found.dtype is torch.complex128
    assert float(found.real.norm()) > 0 < float(found.imag.norm())
    wanted = (center["weight"].real.double() ** 2 + center["weight"].imag.double() ** 2).sum(1).sqrt()
    np.testing.assert_allclose(filter_norms(found), wanted, rtol=1e-12)
    assert abs(dot(delta, eta)) < 1e-12 * norm(delta) * norm(eta)


def test_the_parts_of_a_complex_direction_are_independent_gaussians() -> None:
    center = {"weight": torch.ones(400, 400, dtype=torch.complex64)}
    [drawn] = random_directions(center, seed=5, count=1, normalization="none")
    parts = torch.view_as_real(drawn["weight"]).flatten(0, 1)
    covariance = torch.cov(parts.T)
    np.testing.assert_allclose(covariance, torch.eye(2), atol=5 / 400)


def trained_apart() -> list[nn.Module]:
    models = [Spectral() for _ in range(5)]
    for step, model in enumerate(models):
        torch.manual_seed(step)
        for parameter in model.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return models


def test_an_interpolation_ends_at_the_other_network() -> None:
    first, second = trained_apart()[:2]
    given = gaussian(40, 16)
    result = api.interpolation(first, second, given, LABELS, grid=Grid(Axis(0, 1, 3)), progress=False)
    ends = [loss_of_module(one, {}, given) for one in (first, second)]
    np.testing.assert_allclose(result.losses[[0, 2], 0], ends, rtol=1e-5)
    assert all(check.passed for check in result.checks), result.checks


def test_a_plane_and_a_trajectory_pass_through_their_networks() -> None:
    models, given = trained_apart(), gaussian(40, 16)
    plane = api.plane(*models[:3], given, LABELS, progress=False)
    assert all(check.passed for check in plane.checks), plane.checks
    path = api.trajectory(models[-1], models, given, LABELS, progress=False)
    np.testing.assert_allclose(path.path["losses"], [loss_of_module(one, {}, given) for one in models], rtol=1e-9)


def test_directions_are_kept_in_safetensors_and_refused_for_the_authors_layout(tmp_path: Path) -> None:
    model = Spectral()
    plane = Plane(random_directions(dict(model.named_parameters()), seed=1), "random")
    files.write(tmp_path / "plane.safetensors", plane, model)
    found = files.read(tmp_path / "plane.safetensors", model)
    for one, other in zip(plane.directions, found.directions, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(FormatError, match="complex"):
        files.write(tmp_path / "plane.h5", plane, model)


def test_curvature_is_refused_in_a_sentence() -> None:
    with pytest.raises(CurvatureError, match="complex parameters"):
        api.curvature(Spectral(), gaussian(40, 16), LABELS, grid=Grid.line(3), progress=False)
