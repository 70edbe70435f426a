"""The mathematics as a whole: closed forms, invariances, every architecture, and calls that change nothing."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape import api, pointwise
from landscape.directions.plane import Plane
from landscape.directions.random import draw_as_authors, normalize, random_directions
from landscape.grid import Axis, Grid
from landscape.hessian.products import Hessian
from landscape.models import CifarResNet, build
from landscape.objective.batch_norm import POLICIES
from landscape.objective.digest import state_digest
from tests.landscape.engine.zoo import ZOO, objective
from tests.support.landscapes import landscape_of
from tests.support.small_models import convolutional, gaussian, perceptron, pictures, stirred, vectors

GRID = Grid(Axis(-1, 1, 5), Axis(-0.5, 1, 4))


# Linear regression is an exact paraboloid.


class Regression(nn.Module):
    """y = W x + b with two outputs; under squared error the loss is quadratic in (W, b)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 2)
        stirred(self)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.linear(x)
        return answer


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().sum(1)


def regression_hessian(x: Tensor, direction: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """uᵀ H v in closed form: 2/N Σ (U x + u)·(V x + v)."""
    moved = [x @ d["linear.weight"].T + d["linear.bias"] for d in (direction, other)]
    return float(2 * (moved[0] * moved[1]).sum(1).mean())


@pytest.mark.parametrize("biases", ["fixed", "random"])
def test_the_surface_of_linear_regression_is_the_paraboloid_of_its_hessian_to_eight_digits(biases: str) -> None:
    model, x, targets = Regression(), gaussian(31, 5, seed=1), gaussian(31, 2, seed=2)
    options = {"seed": 4, "biases": biases, "precision": "float64", "loss": squared_error}
    result = api.surface(model, x, targets, grid=GRID, **options)
    delta, eta = landscape_of(
        model, x, targets, seed=4, biases=biases, precision="float64", loss=squared_error
    ).directions
    alphas, betas = np.meshgrid(result.alphas, result.betas, indexing="ij")
    columns = [np.ones_like(alphas), alphas, betas, alphas**2 / 2, betas**2 / 2, alphas * betas]
    design = np.stack([column.ravel() for column in columns], axis=1)
    fitted, leftover, *_ = np.linalg.lstsq(design, result.losses.ravel(), rcond=None)
    x = x.double()
    expected = [regression_hessian(x, *pair) for pair in ((delta, delta), (eta, eta), (delta, eta))]
    np.testing.assert_allclose(fitted[3:], expected, rtol=1e-8, atol=1e-8)
    assert float(leftover[0]) < 1e-20  # no residual: the surface is a paraboloid
    residuals = (model.double()(x) - targets.double()).detach()
    slopes = [2 * (residuals * (x @ d["linear.weight"].T + d["linear.bias"])).sum(1).mean() for d in (delta, eta)]
    np.testing.assert_allclose(fitted[1:3], [float(slope) for slope in slopes], rtol=1e-8)
    assert fitted[0] == pytest.approx(float(residuals.square().sum(1).mean()), rel=1e-10)


def test_the_curvature_map_of_linear_regression_is_constant_and_follows_from_its_inputs() -> None:
    x, targets = gaussian(31, 5, seed=1), gaussian(31, 2, seed=2)
    result = api.curvature(
        Regression(), x, targets, grid=Grid(Axis(-1, 1, 3), Axis(-1, 1, 2)), precision="float64", loss=squared_error
    )
    eigenvalues = torch.linalg.eigvalsh(2 * x.double().T @ x.double() / 31)
    np.testing.assert_allclose(result.array("lambda_max"), float(eigenvalues[-1]), rtol=1e-4)
    np.testing.assert_allclose(result.array("lambda_min"), float(eigenvalues[0]), rtol=1e-3)


# Rescaling that does not change the function.


def relu_pair(seed: int = 1) -> nn.Module:
    """Convolution, ReLU, convolution: without BatchNorm, without biases in the rescaled layer."""
    layers = [
        nn.Conv2d(2, 4, 3, bias=False),
        nn.ReLU(),
        nn.Conv2d(4, 3, 3, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    return stirred(nn.Sequential(*layers), seed)


def rescaled_relu(model: nn.Module, factor: float = 8.0) -> nn.Module:
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].weight *= factor
        other[2].weight /= factor
    return other


def rescaled_batchnorm(model: nn.Module) -> nn.Module:
    """Each filter before a BatchNorm times its own factor, the statistics likewise: no output changes."""
    other, factors = copy.deepcopy(model), torch.tensor([8.0, 0.25, 3.0, 20.0])
    with torch.no_grad():
        other[0].weight *= factors.view(-1, 1, 1, 1)
        other[1].running_mean *= factors
        other[1].running_var *= factors**2
        other[1].eps = 0.0
    return other


def without_epsilon(model: nn.Module) -> nn.Module:
    model[1].eps = 0.0
    return model


RESCALED: dict[str, tuple[nn.Module, nn.Module]] = {
    "ReLU pair": (relu_pair(), rescaled_relu(relu_pair())),
    "conv and BatchNorm": (without_epsilon(convolutional()), rescaled_batchnorm(convolutional())),
}


def surfaces(pair: tuple[nn.Module, nn.Module], normalization: str) -> list[np.ndarray]:
    images, labels = pictures()
    return [api.surface(model, images, labels, grid=GRID, seed=2, normalization=normalization).losses for model in pair]


@pytest.mark.parametrize("case", RESCALED)
def test_rescaling_layers_leaves_a_filter_normalized_surface_unchanged(case: str) -> None:
    one, other = surfaces(RESCALED[case], "filter")
    np.testing.assert_allclose(one, other, rtol=1e-4)
    assert one.max() > 1.2 * one.min()


@pytest.mark.parametrize("normalization", ["none", "dfilter"])
@pytest.mark.parametrize("case", RESCALED)
def test_rescaling_layers_visibly_changes_a_surface_that_is_not_normalized(case: str, normalization: str) -> None:
    one, other = surfaces(RESCALED[case], normalization)
    assert np.abs(one - other).max() > 0.1 * one.max()
    assert one[2, 1] != other[2, 1] or np.isclose(one[2, 1], other[2, 1])


def permuted(model: nn.Module, order: Tensor) -> nn.Module:
    """The hidden neurons of a perceptron in another order: the same function."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].weight.copy_(model[0].weight[order])
        other[0].bias.copy_(model[0].bias[order])
        other[2].weight.copy_(model[2].weight[:, order])
    return other


def test_permuting_neurons_together_with_the_directions_leaves_the_surface_unchanged() -> None:
    model, order = perceptron(), torch.tensor([3, 1, 6, 0, 2, 5, 4])
    directions = random_directions(dict(model.named_parameters()), seed=1, biases="random")
    turned = [
        {
            "0.weight": d["0.weight"][order],
            "0.bias": d["0.bias"][order],
            "2.weight": d["2.weight"][:, order],
            "2.bias": d["2.bias"],
        }
        for d in directions
    ]
    planes = [Plane(tuple(pair), "given") for pair in (directions, turned)]
    one, other = (
        api.surface(network, *vectors(), grid=GRID, directions=plane, precision="float64").losses
        for network, plane in zip((model, permuted(model, order)), planes, strict=True)
    )
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_filter_normalization_commutes_with_permuting_filters() -> None:
    weight, raw, order = gaussian(7, 5, seed=1), gaussian(7, 5, seed=2), torch.tensor([3, 1, 6, 0, 2, 5, 4])
    one = normalize({"w": raw}, {"w": weight})["w"][order]
    other = normalize({"w": raw[order]}, {"w": weight[order]})["w"]
    assert torch.equal(one, other)


# Every architecture; calls that change nothing.

ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "residual": lambda: stirred(build(CifarResNet(8, 2, "projection", 3, 2))),
    "plain": lambda: stirred(build(CifarResNet(8, 2, "none", 3, 2))),
    "padding": lambda: stirred(build(CifarResNet(8, 2, "padding", 3, 2))),
    "grouped": convolutional,
    "relu pair": relu_pair,
    "transposed": lambda: stirred(
        nn.Sequential(nn.ConvTranspose2d(2, 3, 2, stride=2), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    ),
    "depthwise": lambda: stirred(
        nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(48, 3))
    ),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_the_surface_of_a_plain_float64_loop_and_passes_the_self_check(name: str) -> None:
    model, (images, labels) = ARCHITECTURES[name](), pictures()
    result = api.surface(model, images, labels, grid=GRID, seed=6)
    delta, eta = random_directions(dict(model.named_parameters()), seed=6)
    for i, alpha in enumerate(GRID.alphas):
        for j, beta in enumerate(GRID.betas):
            moved = copy.deepcopy(model).double().eval()
            with torch.no_grad():
                for key, parameter in moved.named_parameters():
                    parameter += alpha * delta[key] + beta * eta[key]
                expected = float(F.cross_entropy(moved(images.double()), labels))
            assert result.losses[i, j] == pytest.approx(expected, rel=1e-5), (alpha, beta)
    assert [check.name for check in result.checks if not check.passed] == []


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", ZOO)
def test_every_network_of_the_zoo_passes_the_self_check_under_every_batchnorm_policy(name: str, policy: str) -> None:
    given = objective(name, samples=21)
    result = api.slice(given.model, given.images, given.labels, grid=Grid(Axis(-0.5, 1, 4)), batch_norm=policy)
    assert [(check.name, check.text) for check in result.checks if not check.passed] == []
    assert ("no BatchNorm" in result.caption) == (not any("running" in key for key in given.model.state_dict()))


@pytest.mark.parametrize("name", ZOO)
def test_hessian_products_of_every_network_of_the_zoo_match_differences_of_its_gradient(name: str) -> None:
    given = objective(name, "float64", samples=11)
    at = given.parameters()
    vector = gaussian(Hessian(given, at, over="all").size, seed=2).double()
    along, step = Hessian(given, at, over="all").split(vector / vector.norm()), 1e-6
    ahead, behind = (
        Hessian(given, {**at, **{key: at[key] + sign * step * along[key] for key in along}}, over="all").gradient()
        for sign in (1, -1)
    )
    expected = (ahead - behind) / (2 * step)
    product = Hessian(given, at, over="all").product(vector / vector.norm())
    assert float((product - expected).norm()) <= 1e-5 * float(expected.norm()) + 1e-8


OTHERS = [convolutional(seed) for seed in (7, 8, 9)]  # made here, since making a module draws random numbers
JOBS: dict[str, Callable[[nn.Module, Tensor, Tensor], object]] = {
    **{
        f"surface, {policy}": lambda model, x, y, policy=policy: api.surface(model, x, y, grid=GRID, batch_norm=policy)
        for policy in POLICIES
    },
    "slice": lambda model, x, y: api.slice(model, x, y, grid=Grid.line(5)),
    "interpolation": lambda model, x, y: api.interpolation(model, OTHERS[0], x, y, grid=Grid.line(5)),
    "through": lambda model, x, y: api.plane(model, OTHERS[0], OTHERS[1], x, y, grid=GRID),
    "curvature": lambda model, x, y: api.curvature(model, x, y, grid=Grid.line(2), steps=8),
    "spectrum": lambda model, x, y: pointwise.spectrum(model, x, y, steps=8, probes=2),
    "trajectory": lambda model, x, y: api.trajectory(model, [*OTHERS, model], x, y, grid=GRID),
    "repeats": lambda model, x, y: api.slice(model, x, y, repeats=2, grid=Grid.line(3)),
}


@pytest.mark.parametrize("job", JOBS)
def test_no_job_changes_the_model_its_mode_its_gradients_or_the_random_state(job: str) -> None:
    model, (images, labels) = convolutional(), pictures()
    F.cross_entropy(model(images), labels).backward()
    model[5].eval()  # a mixed mode, which must stay mixed
    digest, modes = state_digest(model), [layer.training for layer in model.modules()]
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    random_state, data = torch.get_rng_state(), (images.clone(), labels.clone())
    JOBS[job](model, images, labels)
    assert state_digest(model) == digest
    assert [layer.training for layer in model.modules()] == modes
    assert all(
        torch.equal(old, p.grad) for old, p in zip(gradients, model.parameters(), strict=True) if p.grad is not None
    )
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(random_state, torch.get_rng_state())
    assert torch.equal(images, data[0])
    assert torch.equal(labels, data[1])


def test_forward_hooks_are_applied_and_stay_on_the_model() -> None:
    model, (images, labels) = perceptron(), vectors()
    model[1].register_forward_hook(lambda layer, inputs, output: 2 * output)
    result = api.slice(model, images, labels, grid=Grid.line(3), precision="float64")
    expected = F.cross_entropy(copy.deepcopy(model).double()(images.double()), labels)
    assert result.losses[1, 0] == pytest.approx(float(expected.detach()), rel=1e-12)
    assert len(model[1]._forward_hooks) == 1


def test_in_a_random_plane_the_curvature_is_a_weighted_mean_of_the_principal_curvatures() -> None:
    model, (images, labels) = perceptron(), vectors()
    spectrum = pointwise.spectrum(model, images, labels, over="all", precision="float64")
    step = 1e-3
    [direction] = draw_as_authors(dict(model.named_parameters()), seed=1, count=1)
    size = sum(float(t.square().sum()) for t in direction.values()) ** 0.5
    unit = Plane(({name: t / size for name, t in direction.items()},), "given")
    line = api.slice(
        model, images, labels, grid=Grid(Axis(-step, step, 3)), directions=unit, precision="float64"
    ).losses
    curvature = float(line[0, 0] - 2 * line[1, 0] + line[2, 0]) / step**2
    assert spectrum.lambda_min - 1e-3 < curvature < spectrum.lambda_max + 1e-3
