"""Lines and planes between checkpoints: exact ends and corners, interpolated statistics, refusals."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from landscape import api, pointwise
from landscape.directions.measures import measure_directions
from landscape.directions.plane import Plane, from_directions, line_between, plane_through
from landscape.directions.random import norm
from landscape.errors import NotFiniteError, PlaneError, ShapeMismatchError, UnknownNameError
from landscape.evaluation.landscape import SOURCES
from landscape.evaluation.run import Prepared, compute
from landscape.evaluation.setup import grid_around
from landscape.grid import Axis, Grid
from landscape.hessian.products import eigenvector_plane, gradient_plane
from landscape.objective.objective import Objective
from tests.support.landscapes import landscape_of
from tests.support.small_models import (
    ALONG_X_AND_Y,
    TwoNumbers,
    convolutional,
    gaussian,
    perceptron,
    pictures,
    the_answer,
    vectors,
)

HALVES = Grid(Axis(-0.5, 1.5, 9))


def own_loss(model: nn.Module) -> float:
    images, labels = pictures()
    with torch.no_grad():
        return float(F.cross_entropy(copy.deepcopy(model).double().eval()(images.double()), labels))


def test_both_ends_of_an_interpolation_have_the_losses_of_the_checkpoints_with_their_own_statistics() -> None:
    start, end = convolutional(1), convolutional(2)
    result = api.interpolation(start, end, *pictures(), grid=HALVES, precision="float64")
    assert result.kind == "interpolation"
    assert result.losses[2, 0] == pytest.approx(own_loss(start), rel=1e-12)
    assert result.losses[6, 0] == pytest.approx(own_loss(end), rel=1e-12)
    assert [(check.name, check.passed) for check in result.checks if "checkpoint" in check.name] == [
        ("checkpoint 'end'", True)
    ]


def test_every_point_of_an_interpolation_is_the_weighted_mean_of_all_parameters_and_statistics() -> None:
    start, end = convolutional(1), convolutional(2)
    result = api.interpolation(start, end, *pictures(), grid=HALVES)
    for index, alpha in enumerate(HALVES.alphas):
        mixed = copy.deepcopy(start).double()
        state = {name: (1 - alpha) * t + alpha * end.state_dict()[name] for name, t in mixed.state_dict().items()}
        mixed.load_state_dict({**state, "1.num_batches_tracked": torch.tensor(0)})
        assert result.losses[index, 0] == pytest.approx(own_loss(mixed), rel=1e-5), alpha


def test_without_moving_the_statistics_the_far_end_is_wrong_and_its_check_fails() -> None:
    start, end = convolutional(1), convolutional(2)
    line = line_between(start.state_dict(), end.state_dict())
    names = dict(start.named_parameters())
    frozen = Plane(({name: line.directions[0][name] for name in names},), line.source, line.facts, line.landmarks)
    landscape = landscape_of(start, *pictures(), directions=frozen, precision="float64")
    result = compute(Prepared(landscape, HALVES, checkpoints={"end": end.state_dict()}))
    assert result.losses[6, 0] != pytest.approx(own_loss(end), rel=1e-2)
    assert [check.name for check in result.checks if not check.passed] == ["checkpoint 'end'"]


def test_a_variance_that_becomes_negative_beyond_the_ends_is_a_hole_and_the_check_says_why() -> None:
    start, end = convolutional(1), convolutional(2)
    end.state_dict()["1.running_var"][:] = 0.01
    result = api.interpolation(start, end, *pictures(), grid=HALVES)
    assert np.isnan(result.losses[8, 0])
    [red] = [check for check in result.checks if not check.passed]
    assert "running variances turn negative beyond the checkpoints: recalibrate" in red.text
    whole = api.interpolation(start, end, *pictures(), grid=HALVES, batch_norm="recalibrated")
    assert np.isfinite(whole.losses).all()


@pytest.mark.parametrize("batch_norm", ["recalibrated", "batch"])
def test_the_far_end_is_compared_with_the_checkpoint_alone_under_the_same_policy(batch_norm: str) -> None:
    result = api.interpolation(convolutional(1), convolutional(2), *pictures(), grid=HALVES, batch_norm=batch_norm)
    assert all(check.passed for check in result.checks)


def test_a_plane_through_three_checkpoints_shows_the_loss_of_each_at_its_coordinates() -> None:
    models = [convolutional(seed) for seed in (1, 2, 3)]
    result = api.plane(*models, *pictures(), precision="float64", grid=Grid(Axis(-1, 2, 3), Axis(-1, 2, 4)))
    assert [check.name for check in result.checks if check.name.startswith("checkpoint")] == [
        "checkpoint 'second'",
        "checkpoint 'third'",
    ]
    assert all(check.passed for check in result.checks)
    marks = {mark["name"]: mark["coordinates"] for mark in result.provenance["landmarks"]}
    assert marks["first"] == [0, 0]
    names = [name for name, _ in models[0].named_parameters()]
    states = [model.state_dict() for model in models]
    for one, other in ((0, 1), (0, 2), (1, 2)):  # coordinates are distances in the space of the parameters
        apart = sum(float((states[one][n].double() - states[other][n].double()).square().sum()) for n in names) ** 0.5
        at = [marks[("first", "second", "third")[k]] for k in (one, other)]
        assert np.hypot(at[0][0] - at[1][0], at[0][1] - at[1][1]) == pytest.approx(apart, rel=1e-12)


def test_the_default_grid_of_a_plane_contains_the_three_checkpoints_with_a_margin() -> None:
    grid = grid_around([(0, 0), (5, 0), (2, 3)], count=7)
    assert (grid.alphas[0], grid.alphas[-1], grid.betas[0], grid.betas[-1]) == pytest.approx((-1, 6, -0.6, 3.6))


def test_a_point_of_a_plane_is_the_center_plus_the_weighted_directions_rounded_once() -> None:
    model = TwoNumbers()
    plane = from_directions(ALONG_X_AND_Y, dict(model.named_parameters()))
    center = {"x": torch.full((1, 1), 0.1), "y": torch.full((1, 1), 0.2)}
    at = plane.at(center, (1e-9, 3.0))
    assert at["x"].item() == np.float32(float(np.float32(0.1)) + 1e-9)
    assert at["y"].item() == np.float32(float(np.float32(0.2)) + 3)
    assert center["y"].item() == np.float32(0.2)


def test_tied_weights_move_together() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(6, 4), nn.Linear(4, 6, bias=False)
            self.out.weight = self.embed.weight

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.out(self.embed(tokens))
            return scores

    model, tokens, labels = Tied(), torch.arange(11) % 6, torch.arange(11) % 5
    result = api.slice(model, tokens, labels, grid=Grid.line(3), seed=3, precision="float64")
    [direction] = landscape_of(model, tokens, labels, dimensions=1, seed=3).directions
    for index, alpha in enumerate((-1, 0, 1)):
        weight = model.embed.weight.detach().double() + alpha * direction["embed.weight"]
        expected = F.cross_entropy(weight[tokens] @ weight.T, labels)
        assert result.losses[index, 0] == pytest.approx(float(expected), rel=1e-12)
    assert all(check.passed for check in result.checks)


def test_along_the_gradient_the_slope_of_the_slice_is_the_norm_of_the_gradient() -> None:
    model, (images, labels) = perceptron(), vectors()
    line = gradient_plane(Objective.of(model, images, labels, precision="float64"))
    result = api.slice(model, images, labels, grid=Grid(Axis(-1e-4, 1e-4, 3)), directions=line, precision="float64")
    slope = (result.losses[2, 0] - result.losses[0, 0]) / 2e-4
    F.cross_entropy(model(images), labels).backward()
    size = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm().item()
    assert slope == pytest.approx(size, rel=1e-5)
    assert line.facts["gradient_norm"] == pytest.approx(size, rel=1e-5)


def test_along_the_top_eigenvectors_the_curvature_of_the_plot_is_the_eigenvalue() -> None:
    model, (images, labels) = perceptron(), vectors()
    plane = eigenvector_plane(Objective.of(model, images, labels, precision="float64"), over="all")
    step = 1e-3
    grid = Grid(Axis(-step, step, 3), Axis(-step, step, 3))
    losses = api.surface(model, images, labels, grid=grid, directions=plane, precision="float64").losses
    curvatures = [
        (losses[0, 1] - 2 * losses[1, 1] + losses[2, 1]) / step**2,
        (losses[1, 0] - 2 * losses[1, 1] + losses[1, 2]) / step**2,
    ]
    assert curvatures == pytest.approx(plane.facts["eigenvalues"], rel=1e-4)
    mixed = (losses[0, 0] + losses[2, 2] - losses[0, 2] - losses[2, 0]) / (4 * step**2)
    assert abs(mixed) < 1e-5 * curvatures[0]


@pytest.mark.parametrize("source", SOURCES)
def test_planes_along_gradient_and_eigenvectors_are_orthonormal_and_pass_the_self_check(
    source: str,
) -> None:
    model, samples = convolutional(), pictures()
    plane = pointwise.plane_along(model, *samples, directions=source, precision="float64")
    facts = measure_directions(plane.directions, dict(model.named_parameters()))
    assert abs(facts.cosine or 0) < 1e-10
    assert [norm(direction) for direction in plane.directions] == pytest.approx([1, 1], rel=1e-10)
    result = api.surface(model, *samples, grid=Grid(Axis(-1, 1, 3), Axis(-1, 1, 2)), directions=plane)
    assert all(check.passed for check in result.checks)
    assert str(plane.facts["label"]) in result.caption


def test_an_unknown_source_of_directions_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"'noise'\. Known: gradient, eigenvectors"):
        pointwise.plane_along(perceptron(), *vectors(), directions="noise")


def test_checkpoints_that_span_no_line_or_plane_are_refused_with_the_reason() -> None:
    one, two = perceptron(1).state_dict(), perceptron(2).state_dict()
    halfway = {name: (one[name] + two[name]) / 2 for name in one}
    with pytest.raises(PlaneError, match="two checkpoints are equal"):
        line_between(one, one)
    with pytest.raises(PlaneError, match="Two of the three checkpoints are equal"):
        plane_through(one, two, one, parameters=list(one))
    with pytest.raises(PlaneError, match="lie on one line"):
        plane_through(one, two, halfway, parameters=list(one))


def test_checkpoints_of_different_networks_are_refused_with_the_parameter() -> None:
    small, large = perceptron(hidden=7).state_dict(), perceptron(hidden=8).state_dict()
    with pytest.raises(ShapeMismatchError, match=r"'0\.weight' has shape \(7, 5\) in one .* \(8, 5\) in another"):
        line_between(small, large)
    with pytest.raises(ShapeMismatchError, match=r"'1\.running_mean' is in one checkpoint only \(\d+ such\)"):
        line_between(perceptron().state_dict(), {**perceptron().state_dict(), "1.running_mean": gaussian(3)})
    broken = {**small, "2.bias": torch.full((3,), float("nan"))}
    with pytest.raises(NotFiniteError, match=r"'2\.bias' of a checkpoint holds NaN"):
        line_between(small, broken)


def test_the_callers_directions_may_move_running_statistics() -> None:
    model, (images, labels) = convolutional(), pictures()
    shift = {"1.running_mean": gaussian(4, seed=2)}
    center = {**dict(model.named_parameters()), "1.running_mean": model[1].running_mean}
    result = api.slice(
        model, images, labels, grid=Grid.line(3), directions=from_directions([shift], center), precision="float64"
    )
    moved = copy.deepcopy(model)
    moved[1].running_mean += shift["1.running_mean"]
    assert result.losses[2, 0] == pytest.approx(own_loss(moved), rel=1e-6)


def test_a_linear_loss_gives_a_linear_slice() -> None:
    model = TwoNumbers()
    plane = from_directions(ALONG_X_AND_Y, dict(model.named_parameters()))
    result = api.slice(
        model,
        torch.zeros(5, 1),
        torch.zeros(5),
        grid=Grid.line(3),
        directions=Plane(plane.directions[:1], "given"),
        loss=the_answer,
    )
    assert result.losses[:, 0].tolist() == [-10, 0, 10]
