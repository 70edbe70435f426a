"""Trajectories: principal components against scikit-learn, least squares, residuals, refusals."""

import copy

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn import functional as F

from landscape import api
from landscape.directions.plane import Plane, from_directions
from landscape.directions.random import dot, random_directions
from landscape.directions.trajectory import principal, principal_plane, project
from landscape.errors import GridError, PlaneError, ShapeMismatchError
from landscape.grid import Grid
from tests.support.small_models import convolutional, perceptron, pictures, vectors

State = dict[str, Tensor]


def trained(model: nn.Module, images: Tensor, labels: Tensor, epochs: int = 6) -> list[State]:
    """Epochs of plain gradient descent, the initialization first."""
    model = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.5)
    states = [copy.deepcopy(model.state_dict())]
    for _ in range(epochs):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
        states.append(copy.deepcopy(model.state_dict()))
    return states


@pytest.fixture(scope="module")
def states() -> list[State]:
    return trained(perceptron(), *vectors())


def rows(states: list[State]) -> NDArray[np.float64]:
    flat = [torch.cat([tensor.double().flatten() for tensor in state.values()]) for state in states]
    return torch.stack(flat).numpy() - flat[-1].numpy()


def flat(direction: State) -> NDArray[np.float64]:
    return torch.cat([tensor.flatten() for tensor in direction.values()]).numpy()


def test_components_and_variance_shares_are_those_of_scikit_learn(states: list[State]) -> None:
    found = principal(states, parameters=list(states[0]), count=3)
    expected = PCA(3, svd_solver="full").fit(rows(states))
    np.testing.assert_allclose(found.variance_ratio, expected.explained_variance_ratio_, rtol=1e-9)
    np.testing.assert_allclose(found.singular_values, expected.singular_values_, rtol=1e-9)
    np.testing.assert_allclose(found.variance, expected.explained_variance_, rtol=1e-9)
    for ours, theirs in zip(found.components, expected.components_, strict=True):
        np.testing.assert_allclose(flat(ours) * np.sign(flat(ours) @ theirs), theirs, atol=1e-8)


def test_components_are_orthonormal_and_not_filter_normalized(states: list[State]) -> None:
    first, second = principal(states, parameters=list(states[0])).components
    assert dot(first, first) == pytest.approx(1, rel=1e-10)
    assert dot(second, second) == pytest.approx(1, rel=1e-10)
    assert abs(dot(first, second)) < 1e-10


def test_coordinates_are_numpys_least_squares_also_for_directions_that_are_neither_orthogonal_nor_unit(
    states: list[State],
) -> None:
    delta, eta = random_directions(states[-1], seed=1, orthogonality="none", biases="parameter")
    skewed = {name: 3 * eta[name] + delta[name] for name in eta}
    path = project(states, from_directions((delta, skewed), states[-1]), parameters=list(states[0]))
    expected = np.linalg.lstsq(np.stack([flat(delta), flat(skewed)], axis=1), rows(states).T, rcond=None)[0].T
    np.testing.assert_allclose(path.coordinates, expected, atol=1e-10)
    left = rows(states) - expected @ np.stack([flat(delta), flat(skewed)])
    lengths = np.linalg.norm(rows(states), axis=1)
    shares = np.linalg.norm(left, axis=1)[:-1] / lengths[:-1]
    np.testing.assert_allclose(path.distances[:-1], shares, atol=1e-9)
    assert (path.coordinates[-1], path.distances[-1]) == ((0, 0), 0)


def test_a_run_that_lies_in_a_plane_is_projected_without_loss() -> None:
    last = perceptron().state_dict()
    delta, eta = random_directions(last, seed=2, normalization="dlayer")
    points = [(3.0, 0.5), (2.0, -1.0), (1.0, 0.7), (0.4, -0.2), (0.0, 0.0)]
    states = [{n: last[n].double() + a * delta[n] + b * eta[n] for n in last} for a, b in points]
    found = principal(states, parameters=list(last))
    assert sum(found.variance_ratio) == pytest.approx(1, abs=1e-12)
    path = project(states, principal_plane(found), parameters=list(last))
    assert max(path.distances) < 1e-6
    for (a, b), (x, y) in zip(points, path.coordinates, strict=True):  # an isometry up to the norm of the directions
        assert x**2 + y**2 == pytest.approx(a**2 * dot(delta, delta) + b**2 * dot(eta, eta), abs=1e-9)


def test_a_trajectory_holds_each_epochs_own_loss_and_that_of_the_plane_at_its_projection(
    states: list[State],
) -> None:
    images, labels = vectors()
    result = api.trajectory(perceptron(), states, images, labels, precision="float64", grid=Grid.square(3, 2))
    assert result.path is not None
    for state, loss in zip(states, result.path["losses"], strict=True):
        model = perceptron().double()
        model.load_state_dict(state)
        assert loss == pytest.approx(float(F.cross_entropy(model(images.double()), labels).detach()), rel=1e-12)
    assert result.path["plane_losses"][-1] == pytest.approx(result.path["losses"][-1], rel=1e-12)
    differences = np.subtract(result.path["plane_losses"], result.path["losses"])
    np.testing.assert_allclose(result.path["residuals"], differences)
    assert result.kind == "trajectory"
    assert "% of the trajectory's variance" in result.caption
    assert all(check.passed for check in result.checks)
    assert result.to_json()["trajectory"] == result.path


def test_the_plane_of_the_components_holds_most_of_a_run_and_a_random_plane_almost_nothing() -> None:
    model, samples = convolutional(), pictures()
    states = trained(model, *samples, epochs=8)
    names = [name for name, _ in model.named_parameters()]
    last = {name: states[-1][name] for name in names}
    best = project(states, principal_plane(principal(states, parameters=names)), parameters=names)
    blind = project(states, Plane(random_directions(last, seed=0), "random"), parameters=names)
    assert best.distances[0] < 0.5 < 0.9 < blind.distances[0]


def test_epochs_with_batchnorm_are_evaluated_with_their_own_statistics() -> None:
    model, (images, labels) = convolutional(), pictures()
    states = trained(model, images, labels)
    result = api.trajectory(model, states, images, labels, grid=Grid.square(3), precision="float64")
    assert result.path is not None
    first = copy.deepcopy(model).double().eval()
    first.load_state_dict(states[0])
    with torch.no_grad():
        own = float(F.cross_entropy(first(images.double()), labels))
    assert result.path["losses"][0] == pytest.approx(own, rel=1e-12)
    assert result.provenance["model_unchanged"] is True


def test_the_default_grid_contains_the_path_with_a_margin(states: list[State]) -> None:
    result = api.trajectory(perceptron(), states, *vectors())
    assert result.path is not None
    for axis, coordinates in zip(
        (result.alphas, result.betas), zip(*result.path["coordinates"], strict=True), strict=True
    ):
        assert axis[0] < min(coordinates)
        assert max(coordinates) < axis[-1]
    assert result.losses.shape == (25, 25)


def test_checkpoints_that_make_no_trajectory_are_refused_with_the_reason(states: list[State]) -> None:
    names = list(states[0])
    with pytest.raises(PlaneError, match=r"at least 4 checkpoints; got 3\. Any three lie in one plane"):
        principal(states[:3], parameters=names)
    with pytest.raises(PlaneError, match="differ along fewer than 2 directions"):
        principal([states[0]] * 4 + [states[-1]], parameters=names)
    with pytest.raises(PlaneError, match="differ along fewer than 2 directions"):
        principal([states[0]] * 5, parameters=names)
    with pytest.raises(ShapeMismatchError, match=r"'0\.weight' has shape"):
        principal([*states[:3], perceptron(hidden=9).state_dict()], parameters=names)
    with pytest.raises(PlaneError, match="got none"):
        api.trajectory(perceptron(), [], *vectors())
    prefixed = [{f"module.{name}": tensor for name, tensor in state.items()} for state in states]
    with pytest.raises(ShapeMismatchError, match=r"'0\.weight' has shape \(7, 5\) in the model; .* no such parameter"):
        api.trajectory(perceptron(), prefixed, *vectors())
    with pytest.raises(ShapeMismatchError, match=r"\(9, 5\) in the model; a checkpoint has \(7, 5\)"):
        api.trajectory(perceptron(hidden=9), states, *vectors())
    with pytest.raises(GridError, match="grid with 2 axes; got 1"):
        api.trajectory(perceptron(), states, *vectors(), grid=Grid.line(5))
