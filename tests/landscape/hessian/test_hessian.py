"""Curvature: products, extremes, trace and density against dense matrices and finite differences."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import landscape as ls
from landscape import api
from landscape.directions.measures import cosine
from landscape.errors import CurvatureError, UnknownNameError
from landscape.evaluation.curvature_map import CurvatureLandscape
from landscape.grid import Axis, Grid
from landscape.hessian import lanczos
from landscape.hessian.products import Hessian, names_over
from landscape.objective.objective import Objective
from landscape.stop import Stopped
from tests.support.landscapes import landscape_of
from tests.support.small_models import convolutional, gaussian, perceptron, pictures, vectors


def dense(objective: Objective, at: dict[str, Tensor], names: list[str]) -> Tensor:
    """The Hessian of the mean loss by two Jacobians, one block per pair of parameters, (n, n)."""

    def loss(moving: dict[str, Tensor]) -> Tensor:
        outputs = torch.func.functional_call(objective.model, {**at, **moving}, (objective.samples(0, None),))
        return objective.loss(outputs, objective.labels).mean()

    moving = {name: at[name] for name in names}
    blocks = torch.func.jacrev(torch.func.jacrev(loss))(moving)
    sizes = {name: at[name].numel() for name in names}
    rows = [torch.cat([blocks[a][b].reshape(sizes[a], sizes[b]) for b in names], dim=1) for a in names]
    return torch.cat(rows).double()


def located(
    model: nn.Module, samples: tuple[Tensor, Tensor], precision: str = "float64"
) -> tuple[Objective, dict[str, Tensor]]:
    objective = Objective.of(model, *samples, precision=precision, batch=8)
    return objective, objective.parameters()


CASES = [(perceptron, vectors), (convolutional, pictures)]


@pytest.mark.parametrize("over", ["filters", "all"])
@pytest.mark.parametrize(("model", "samples"), CASES, ids=["perceptron", "convolutional"])
def test_products_are_those_of_the_dense_hessian_also_with_a_short_last_batch(model, samples, over: str) -> None:  # type: ignore[no-untyped-def]
    objective, at = located(model(), samples())
    hessian = Hessian(objective, at, over=over)
    matrix = dense(objective, at, hessian.names)
    for seed in range(3):
        vector = gaussian(hessian.size, seed=seed).double()
        torch.testing.assert_close(hessian.product(vector), matrix @ vector, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("model", "samples"), CASES, ids=["perceptron", "convolutional"])
def test_gradients_and_products_are_those_of_finite_differences(model, samples) -> None:  # type: ignore[no-untyped-def]
    objective, at = located(model(), samples())
    hessian = Hessian(objective, at, over="all")
    vector = gaussian(hessian.size, seed=1).double()
    step = 1e-5

    def moved(sign: int) -> dict[str, Tensor]:
        along = hessian.split(vector)
        return {**at, **{name: at[name] + sign * step * along[name] for name in along}}

    slope = (objective.evaluate(moved(1)).loss - objective.evaluate(moved(-1)).loss) / (2 * step)
    assert float(hessian.gradient() @ vector) == pytest.approx(slope, rel=1e-6)
    ahead, behind = (Hessian(objective, moved(sign), over="all").gradient() for sign in (1, -1))
    expected = (ahead - behind) / (2 * step)
    assert float((hessian.product(vector) - expected).norm() / expected.norm()) < 1e-5


@pytest.mark.parametrize(("model", "samples"), CASES, ids=["perceptron", "convolutional"])
def test_extreme_eigenvalues_are_those_of_the_dense_hessian_within_their_bounds(model, samples) -> None:  # type: ignore[no-untyped-def]
    objective, at = located(model(), samples())
    hessian = Hessian(objective, at)
    exact = torch.linalg.eigvalsh(dense(objective, at, hessian.names))
    low, high = hessian.extremes()
    for pair, expected in ((low, exact[0]), (high, exact[-1])):
        assert abs(pair.value - float(expected)) <= pair.residual + 1e-10
        assert pair.value == pytest.approx(float(expected), abs=1e-4 * float(exact.abs().max()))


def test_eigenvalues_are_those_of_the_mean_loss_for_any_batch_size() -> None:
    values = []
    for batch in (5, 29):
        objective = Objective.of(perceptron(), *vectors(), precision="float64", batch=batch)
        values.append(Hessian(objective, objective.parameters()).extremes()[1].value)
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_single_precision_finds_the_eigenvalues_of_double_precision() -> None:
    pairs = [
        Hessian(*located(convolutional(), pictures(), precision=precision)).extremes()
        for precision in ("float32", "float64")
    ]
    for one, other in zip(*pairs, strict=True):
        assert one.value == pytest.approx(other.value, rel=2e-3)


def symmetric(size: int, eigenvalues: Tensor, seed: int = 0) -> Tensor:
    turn = torch.linalg.qr(gaussian(size, size, seed=seed).double()).Q
    return turn @ torch.diag(eigenvalues) @ turn.T


def test_lanczos_stays_orthonormal_and_makes_no_copies_of_a_dominant_eigenvalue() -> None:
    eigenvalues = torch.cat([torch.tensor([1000.0]), torch.linspace(-1, 1, 79)]).double()
    matrix = symmetric(80, eigenvalues)
    found = lanczos.lanczos(lambda v: matrix @ v, gaussian(80, seed=1).double(), 60)
    identity = found.basis @ found.basis.T
    torch.testing.assert_close(identity, torch.eye(60, dtype=torch.float64), atol=1e-12, rtol=0)
    values = [pair.value for pair in lanczos.eigenpairs_of(found)]
    assert sum(value > 500 for value in values) == 1


def test_lanczos_with_as_many_steps_as_dimensions_finds_every_eigenvalue() -> None:
    eigenvalues = torch.linspace(-2, 5, 30).double()
    matrix = symmetric(30, eigenvalues)
    found = lanczos.lanczos(lambda v: matrix @ v, gaussian(30, seed=1).double(), 100)
    np.testing.assert_allclose([pair.value for pair in lanczos.eigenpairs_of(found)], eigenvalues, atol=1e-10)


def test_lanczos_stops_when_the_space_is_exhausted_and_its_eigenvalues_are_exact() -> None:
    matrix = symmetric(40, torch.cat([torch.tensor([3.0, -1.0]), torch.zeros(38)]).double())
    low, high = lanczos.extremes(lambda v: matrix @ v, 40)
    assert (low.value, high.value) == pytest.approx((-1, 3), abs=1e-10)
    assert max(low.residual, high.residual) < 1e-8


def test_the_largest_by_magnitude_come_first_with_their_vectors() -> None:
    matrix = symmetric(50, torch.cat([torch.tensor([-9.0, 7.0, 4.0]), torch.linspace(-1, 1, 47)]).double())
    pairs = lanczos.largest(lambda v: matrix @ v, 50, count=3)
    assert [pair.value for pair in pairs] == pytest.approx([-9, 7, 4], rel=1e-8)
    for pair in pairs:
        torch.testing.assert_close(matrix @ pair.vector, pair.value * pair.vector, atol=1e-5, rtol=1e-5)
    with pytest.raises(CurvatureError, match="has 1 different eigenvalues at this point; 2 are needed"):
        lanczos.largest(lambda v: v, 50, count=2)


def test_the_trace_is_within_six_standard_errors_and_the_errors_match_their_formula() -> None:
    matrix = symmetric(60, torch.linspace(-1, 4, 60).double(), seed=3)
    estimates = [lanczos.trace(lambda v: matrix @ v, 60, probes=12, seed=seed) for seed in range(40)]
    exact = float(matrix.trace())
    assert all(abs(found.value - exact) < 6 * found.standard_error for found in estimates)
    spread = np.std([found.value for found in estimates])
    assert np.mean([found.standard_error for found in estimates]) == pytest.approx(spread, rel=0.35)
    variance = 2 * float(matrix.square().sum() - matrix.diagonal().square().sum())
    assert spread == pytest.approx(math.sqrt(variance / 12), rel=0.35)


def test_the_trace_of_a_diagonal_matrix_is_exact_with_a_single_probe() -> None:
    diagonal = torch.linspace(-1, 4, 9).double()
    assert lanczos.trace(lambda v: diagonal * v, 9, probes=1).value == pytest.approx(float(diagonal.sum()), rel=1e-14)


def test_the_density_integrates_to_one_and_has_the_moments_of_each_probe_exactly() -> None:
    matrix = symmetric(70, torch.linspace(-1, 4, 70).double().pow(3) / 10)
    found = lanczos.density(lambda v: matrix @ v, 70, probes=4, steps=10)
    area = torch.trapezoid(found.density, found.eigenvalues)
    assert float(area) == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(4, dtype=torch.float64))
    for probe in range(4):
        vector = lanczos.signs(70, 0, probe)
        image = vector.clone()
        for power in range(1, 20):  # a Gauss rule of 10 nodes is exact to degree 19
            image = matrix @ image
            moment = (found.weights[probe] * found.nodes[probe] ** power).sum()
            assert float(moment) == pytest.approx(float(vector @ image) / 70, rel=1e-8, abs=1e-9)


def test_the_density_of_a_network_matches_the_eigenvalues_of_its_dense_hessian() -> None:
    objective = Objective.of(perceptron(), *vectors(), precision="float64")
    at = objective.parameters()
    hessian = Hessian(objective, at, over="all")
    exact = torch.linalg.eigvalsh(dense(objective, at, hessian.names))
    found = hessian.spectrum(probes=20, steps=25)
    bells = torch.exp(-0.5 * ((found.density.eigenvalues[:, None] - exact) / found.density.width) ** 2)
    expected = bells.sum(1) / (len(exact) * found.density.width * math.sqrt(2 * math.pi))
    error = torch.trapezoid((found.density.density - expected).abs(), found.density.eigenvalues)
    assert float(error) < 0.25
    assert abs(found.trace.value - float(exact.sum())) < 4 * found.trace.standard_error
    assert found.ratio == pytest.approx(abs(float(exact[0] / exact[-1])), rel=1e-3)


def test_a_curvature_map_holds_the_dense_eigenvalues_of_every_point_of_a_grid_that_is_not_square() -> None:
    model, samples, grid = perceptron(), vectors(), Grid(Axis(-1, 1, 3), Axis(-0.5, 0.5, 2))
    result = api.curvature(model, *samples, grid=grid, seed=2, precision="float64", weight_decay=0.25)
    landscape = landscape_of(model, *samples, seed=2, precision="float64")
    for i, alpha in enumerate(grid.alphas):
        for j, beta in enumerate(grid.betas):
            objective, at = landscape.objective_at((alpha, beta))
            exact = torch.linalg.eigvalsh(dense(objective, at, names_over(objective, "filters"))) + 0.25
            found = [result.array(name)[i, j] for name in ("lambda_min", "lambda_max", "curvature_ratio")]
            expected = [float(exact[0]), float(exact[-1]), abs(float(exact[0] / exact[-1]))]
            assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert (result.kind, result.losses.shape) == ("curvature", (3, 2))
    assert all(check.passed for check in result.checks)


def test_curvature_is_nan_where_the_loss_is_not_finite() -> None:
    model, samples = convolutional(), pictures()
    landscape = landscape_of(model, *samples, make=CurvatureLandscape, dimensions=1)
    with torch.no_grad():
        landscape.objective.model[8].bias[0] = torch.nan
    [row] = landscape.rows([(0.0,)])
    assert all(math.isnan(number) for number in row[3:])


def test_repeated_slices_have_the_mean_and_the_band_of_their_seeds() -> None:
    grid = Grid(Axis(-1, 1, 5))
    found = api.slice(perceptron(), *vectors(), repeats=3, grid=grid, precision="float64")
    singles = [api.slice(perceptron(), *vectors(), seed=seed, grid=grid, precision="float64") for seed in range(3)]
    losses = np.stack([result.losses for result in singles])
    np.testing.assert_allclose(found.losses, losses.sum(0) / 3)
    deviations = np.sqrt(((losses - losses.mean(0)) ** 2).sum(0) / 2)
    np.testing.assert_allclose(found.array("seed_deviations"), deviations, atol=1e-15)
    np.testing.assert_array_equal(found.array("lowest_losses"), losses.min(0))
    np.testing.assert_array_equal(found.array("highest_losses"), losses.max(0))
    assert found.array("seed_deviations")[2, 0] == pytest.approx(0, abs=1e-14)  # all pass through the checkpoint
    assert found.provenance["repeated"]["seeds"] == [0, 1, 2]
    assert all(check.passed for check in found.checks)


def test_points_and_networks_without_curvature_are_refused_with_the_reason() -> None:
    objective = Objective.of(nn.BatchNorm1d(5), *vectors())
    with pytest.raises(CurvatureError, match="No parameter has filters"):
        names_over(objective, "filters")
    with pytest.raises(UnknownNameError, match=r"'weights'\. Known: filters, all"):
        names_over(objective, "weights")
    with pytest.raises(CurvatureError, match="not finite"):
        lanczos.lanczos(lambda v: v * math.inf, torch.ones(3).double(), 3)


def test_the_check_of_the_product_fails_for_a_network_whose_second_derivative_is_silently_cut() -> None:
    class OnceOnly(torch.autograd.Function):
        """Autograd silently drops terms that it cannot differentiate twice."""

        @staticmethod
        def forward(context, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def,override]
            return 2 * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context, slope: Tensor) -> Tensor:  # type: ignore[no-untyped-def,override]
            return 2 * slope

    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return OnceOnly.apply(self.linear(x))  # type: ignore[no-untyped-call,no-any-return]

    grid = Grid(Axis(-1, 1, 3))
    cut, sound = (api.curvature(model, *vectors(), grid=grid) for model in (Doubled(), perceptron()))
    assert [check.name for check in cut.checks if not check.passed] == ["Hessian product"]
    assert "Hessian product" in [check.name for check in sound.checks if check.passed]


def test_an_operator_without_a_second_derivative_is_named_in_the_error() -> None:
    class Attentive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(5, 12)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.linear(x).view(-1, 1, 4, 3)
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # insists on the one without
                return F.scaled_dot_product_attention(tokens, tokens, tokens).mean((1, 2))

    objective, at = located(Attentive(), vectors())
    with pytest.raises(CurvatureError, match="no second derivative"):
        Hessian(objective, at).product(torch.ones(60).double())


def test_a_stop_request_ends_a_product_between_batches() -> None:
    objective, at = located(perceptron(), vectors())
    with pytest.raises(Stopped):
        Hessian(objective, at, stop=lambda: True).product(torch.ones(56).double())


def test_weight_decay_enters_spectrum_gradient_and_paired_differences() -> None:
    """Its Hessian is a multiple of the identity, and its gradient one of the parameters."""
    model, samples, decay = perceptron(), vectors(), 0.3
    plain, decayed = (
        ls.spectrum(model, *samples, precision="float64", weight_decay=one, probes=4) for one in (0.0, decay)
    )
    assert decayed.lambda_max - plain.lambda_max == pytest.approx(decay, rel=1e-6)
    assert decayed.trace.value - plain.trace.value == pytest.approx(decay * plain.parameters, rel=1e-6)
    differences = [
        ls.paired(model, *samples, (1.0,), (0.0,), precision="float64", weight_decay=one).difference
        for one in (0.0, decay)
    ]
    line = ls.slice(model, *samples, grid=Grid.line(3), precision="float64", weight_decay=decay, progress=False)
    assert differences[1] == pytest.approx(line.losses[2, 0] - line.losses[1, 0], rel=1e-9)
    assert abs(differences[1] - differences[0]) > 1e-3
    [direction] = ls.plane_along(model, *samples, directions="gradient", dimensions=1, weight_decay=1e6).directions
    center = {name: parameter.detach().double() for name, parameter in model.named_parameters()}
    assert cosine(direction, center) == pytest.approx(1, abs=1e-6)
    planes = [
        ls.plane_along(model, *samples, directions="eigenvectors", dimensions=1, precision="float64", weight_decay=one)
        for one in (0.0, decay)
    ]
    [plain_value], [decayed_value] = (plane.facts["eigenvalues"] for plane in planes)
    assert decayed_value - plain_value == pytest.approx(decay, rel=1e-3)


@pytest.mark.parametrize("over", ["filters", "all"])
def test_in_float32_the_residual_bounds_the_distance_from_the_eigenvalue_in_float64(over: str) -> None:
    """Lanczos' own residual falls to 1e-20, far below the rounding of the products."""
    for model, samples in CASES:
        exact, at = located(model(), samples())
        values = torch.linalg.eigvalsh(dense(exact, at, names_over(exact, over)))
        rough, here = located(model(), samples(), precision="float32")
        hessian = Hessian(rough, here, over=over)
        low, high = hessian.extremes(steps=hessian.size)
        for pair, value in ((low, values[0]), (high, values[-1])):
            assert abs(pair.value - float(value)) <= pair.residual <= 1e-4 * float(values.abs().max())
        [first, _] = Hessian(rough, here, over=over).largest(2, steps=hessian.size)
        assert first.residual > 1e-10 * abs(first.value)


def test_where_the_network_has_no_float64_the_residual_allows_for_the_rounding_of_its_type() -> None:
    class Narrow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x.float(), self.linear.weight, self.linear.bias).square()

    torch.manual_seed(0)
    samples = (torch.randn(9, 5), torch.randint(3, (9,)))
    _, high = Hessian(Objective.of(Narrow(), *samples), {}).extremes(steps=40)
    assert high.residual >= 1e-4 * abs(high.value)


@pytest.mark.parametrize("probes", [4, 8, 30])
def test_the_error_of_the_trace_holds_it_in_95_of_100_cases(probes: int) -> None:
    torch.manual_seed(0)
    root = torch.randn(40, 40, dtype=torch.float64)
    matrix = root @ root.T
    found = [lanczos.trace(lambda vector: matrix @ vector, 40, probes=probes, seed=seed) for seed in range(1500)]
    held = np.mean([abs(one.value - float(matrix.trace())) <= one.error for one in found])
    assert 0.93 <= held <= 0.97
    if probes == 4:  # two standard errors to either side do not
        assert np.mean([abs(one.value - float(matrix.trace())) <= 2 * one.standard_error for one in found]) < 0.9


def test_one_probe_has_no_error() -> None:
    assert math.isnan(lanczos.trace(lambda vector: vector, 3, probes=1).error)


def test_parameters_of_integers_have_no_curvature() -> None:
    class Indexed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Parameter(torch.tensor([[0, 1], [2, 3]]), requires_grad=False)
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x[:, self.rows.flatten()])

    torch.manual_seed(0)
    model, samples = Indexed(), (torch.randn(9, 5), torch.randint(3, (9,)))
    for over, count in (("filters", 12), ("all", 15)):
        assert ls.spectrum(model, *samples, over=over, steps=6, probes=2).parameters == count
    found = ls.curvature(model, *samples, grid=Grid.line(2), steps=6)
    assert found.provenance["curvature"]["parameters"] == 12


def test_the_spectrum_over_filters_takes_scales_where_it_is_asked_to() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.LayerNorm((3, 4)), nn.Flatten(), nn.Linear(12, 3))
    samples = (torch.randn(9, 3, 4), torch.randint(3, (9,)))
    sizes = [ls.spectrum(model, *samples, steps=6, probes=2, filters=one).parameters for one in ("weights", "axes")]
    assert sizes == [36, 36 + 24]
