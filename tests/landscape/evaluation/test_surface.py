"""Slices and surfaces against a plain, slow loop; data sets in one pass; BatchNorm policies; weight decay."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape import api, pointwise
from landscape.data import load
from landscape.directions.plane import from_directions
from landscape.directions.random import random_directions
from landscape.errors import DataError, GridError, PlaneError, ShapeMismatchError, UnknownNameError
from landscape.grid import Axis, Grid
from landscape.objective.batch_norm import Calibration, calibration_subset
from landscape.objective.objective import Objective
from tests.support.landscapes import landscape_of
from tests.support.small_models import convolutional, perceptron, pictures, shipped, vectors

GRID = Grid(Axis(-1, 1, 3), Axis(-0.5, 1, 4))


def obvious_surface(
    model: nn.Module, images: Tensor, labels: Tensor, grid: Grid, seed: int, *, batches: int | None = None
) -> list[list[float]]:
    """State dict, add, forward, in float64; `batches`: train-mode BatchNorm on batches of that size."""
    directions = random_directions(dict(model.named_parameters()), seed=seed, count=2 if grid.beta else 1)
    surface = []
    for alpha in grid.alphas:
        row = []
        for beta in grid.betas:
            other = copy.deepcopy(model).double().eval()
            state = other.state_dict()
            for name in directions[0]:
                for coefficient, direction in zip((alpha, beta), directions, strict=False):
                    state[name] += coefficient * direction[name]
            other.load_state_dict(state)
            for layer in other.modules():
                if batches and isinstance(layer, nn.BatchNorm2d):
                    layer.train()
            with torch.no_grad():
                parts = torch.split(images.double(), batches or len(images))
                scores = torch.cat([other(part) for part in parts])
            row.append(float(F.cross_entropy(scores, labels)))
        surface.append(row)
    return surface


@pytest.mark.parametrize("name", ["resnet20-w8-skip", "resnet20-w8-plain"])
def test_a_shipped_checkpoints_surface_is_that_of_a_plain_loop(name: str) -> None:
    model, samples = shipped(name), load("digits").subset(70)
    result = api.surface(model, samples.images, samples.labels, grid=GRID, seed=3)
    expected = obvious_surface(model, samples.images, samples.labels, GRID, seed=3)
    np.testing.assert_allclose(result.losses, expected, rtol=1e-5, atol=1e-8)
    assert all(check.passed for check in result.checks)


@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-5), ("float64", 1e-12)])
def test_the_surface_of_any_module_is_that_of_a_plain_loop(precision: str, bound: float) -> None:
    model, (images, labels) = convolutional(), pictures()
    result = api.surface(model, images, labels, grid=GRID, seed=1, precision=precision)
    np.testing.assert_allclose(result.losses, obvious_surface(model, images, labels, GRID, seed=1), rtol=bound)


def test_a_slice_is_the_line_beta_zero_of_the_surface_of_the_same_seed() -> None:
    model, (images, labels) = convolutional(), pictures()
    line = api.slice(model, images, labels, grid=Grid(Axis(-1, 1, 5)), seed=2, precision="float64")
    plane = api.surface(model, images, labels, grid=Grid(Axis(-1, 1, 5), Axis(-1, 1, 3)), seed=2, precision="float64")
    assert line.losses.shape == (5, 1)
    np.testing.assert_allclose(line.losses[:, 0], plane.losses[:, 1], rtol=1e-13)


def test_equal_requests_give_equal_bits_and_points_do_not_depend_on_the_rest_of_the_grid() -> None:
    model, (images, labels) = convolutional(), pictures()
    landscape = landscape_of(model, images, labels, seed=4)
    again = landscape_of(model, images, labels, seed=4, choice=landscape.plan.choice)
    points = [(0.5, -0.25), (0.0, 0.0), (-1.0, 1.0)]
    assert landscape.values(points) == again.values(points)
    assert landscape.values(points)[1] == landscape.values(points[1:2])[0]


def test_the_model_its_mode_and_gradients_and_the_global_generator_stay_the_same_bit_for_bit() -> None:
    model, (images, labels) = convolutional(), pictures()
    F.cross_entropy(model(images), labels).backward()
    before, random_state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    for policy in ("frozen", "recalibrated", "batch"):
        api.surface(model, images, labels, grid=GRID, batch_norm=policy)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(torch.equal(old, p.grad) for old, p in zip(gradients, model.parameters(), strict=True))
    assert all(layer.training for layer in model.modules())
    assert torch.equal(random_state, torch.get_rng_state())


def test_train_and_test_data_in_one_pass_give_the_values_of_separate_passes() -> None:
    model, train, test = perceptron(), vectors(29), vectors(11, seed=8)
    both = api.surface(model, *train, grid=GRID, seed=5, precision="float64", also={"test": test})
    alone = api.surface(model, *test, grid=GRID, seed=5, precision="float64")
    np.testing.assert_allclose(both.array("test_losses"), alone.losses, rtol=1e-14)
    np.testing.assert_allclose(both.array("test_accuracies"), alone.accuracies)
    np.testing.assert_allclose(both.array("test_standard_errors"), alone.standard_errors, rtol=1e-12)
    assert both.provenance["also"]["test"]["samples"] == 11


def test_weight_decay_adds_half_its_value_times_the_squared_norm_of_all_parameters_at_each_point() -> None:
    model, samples = perceptron(), vectors()
    decayed = api.surface(model, *samples, grid=GRID, seed=5, precision="float64", weight_decay=0.01)
    bare = api.surface(model, *samples, grid=GRID, seed=5, precision="float64")
    delta, eta = random_directions(dict(model.named_parameters()), seed=5)
    for i, alpha in enumerate(GRID.alphas):
        for j, beta in enumerate(GRID.betas):
            moved = [p.detach() + alpha * delta[name] + beta * eta[name] for name, p in model.named_parameters()]
            penalty = 0.005 * sum(float(tensor.square().sum()) for tensor in moved)
            assert decayed.losses[i, j] - bare.losses[i, j] == pytest.approx(penalty, rel=1e-12)
    assert all(check.passed for check in decayed.checks)
    assert "weight decay 0.01" in decayed.caption


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_a_loss_chosen_by_name_is_computed_and_named_in_the_caption(loss: str) -> None:
    smoothing = {"label_smoothing": 0.1} if loss == "cross_entropy" else {}
    result = api.slice(perceptron(), *vectors(), grid=Grid.line(5), loss=loss, **smoothing)
    assert all(check.passed for check in result.checks)
    assert ("mse" in result.caption) == (loss == "mse")
    assert ("label smoothing 0.1" in result.caption) == (loss == "cross_entropy")


def test_the_standard_error_is_the_spread_over_repeated_samples_of_the_same_size() -> None:
    model, (images, _) = perceptron(), vectors(4000)
    labels = torch.randint(3, (4000,), generator=torch.Generator().manual_seed(1))
    landscape = landscape_of(model, images, labels, dimensions=1, precision="float64")
    everything = landscape.sample_losses((0.7,))
    means = [float(part.mean()) for part in torch.split(everything, 40)]
    [value] = landscape_of(model, images[:40], labels[:40], dimensions=1, precision="float64").values([(0.7,)])
    assert np.std(means) == pytest.approx(float(everything.std()) / 40**0.5, rel=0.25)
    assert value.standard_error == pytest.approx(float(everything[:40].std()) / 40**0.5, rel=1e-12)


def test_two_points_are_compared_sample_by_sample() -> None:
    landscape = landscape_of(convolutional(), *pictures(), precision="float64")
    found = pointwise.paired(convolutional(), *pictures(), (0.1, 0.0), (0.0, 0.2), precision="float64")
    losses = [landscape.sample_losses(point) for point in ((0.1, 0.0), (0.0, 0.2))]
    differences = (losses[0] - losses[1]).numpy()
    assert found.difference == pytest.approx(differences.mean(), rel=1e-12)
    assert found.standard_error == pytest.approx(differences.std(ddof=1) / 23**0.5, rel=1e-12)
    one, other = landscape.values([(0.1, 0.0), (0.0, 0.2)])
    assert found.difference == pytest.approx(one.loss - other.loss, rel=1e-10)
    assert found.standard_error < math.hypot(one.standard_error, other.standard_error)


def test_batch_statistics_are_those_of_train_mode_batchnorm_on_the_same_batches() -> None:
    model, (images, labels) = convolutional(), pictures()
    result = api.surface(model, images, labels, grid=GRID, seed=1, precision="float64", batch_norm="batch")
    expected = obvious_surface(model, images, labels, GRID, seed=1, batches=256)
    np.testing.assert_allclose(result.losses, expected, rtol=1e-12)
    assert "BatchNorm of batches of 256" in result.caption
    assert all(check.passed for check in result.checks)


def test_recalibrated_statistics_are_the_means_and_variances_of_the_calibration_samples() -> None:
    model, (images, _) = convolutional().double().eval(), pictures()
    images = images.double()
    weight = model[0].weight.detach() * 1.5
    found = Calibration(Objective(model, images, images), images).statistics({"0.weight": weight})
    before = F.conv2d(images, weight, padding=1).transpose(0, 1).flatten(1)
    torch.testing.assert_close(found["1.running_mean"], before.mean(1), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found["1.running_var"], before.var(1), rtol=1e-12, atol=0)


def test_a_recalibrated_surface_is_that_of_a_loop_that_resets_the_statistics_at_every_point() -> None:
    model, (images, labels) = convolutional(), pictures()
    result = api.surface(
        model, images, labels, grid=GRID, seed=1, precision="float64", batch_norm="recalibrated", calibration=10
    )
    directions = random_directions(dict(model.named_parameters()), seed=1)
    chosen = calibration_subset(images, 10).double()
    for i, alpha in enumerate(GRID.alphas):
        for j, beta in enumerate(GRID.betas):
            other = copy.deepcopy(model).double().train()
            for name, parameter in other.named_parameters():
                parameter.data += alpha * directions[0][name] + beta * directions[1][name]
            other[1].reset_running_stats()
            other[1].momentum = None
            with torch.no_grad():
                other(chosen)
                expected = F.cross_entropy(other.eval()(images.double()), labels)
            assert result.losses[i, j] == pytest.approx(float(expected), rel=1e-12)
    assert "BatchNorm recalibrated on 10 samples" in result.caption
    assert all(check.passed for check in result.checks)


def test_a_result_can_hold_two_batchnorm_policies_for_comparison() -> None:
    model, samples = convolutional(), pictures()
    both = api.surface(model, *samples, grid=GRID, seed=1, compare_batch_norm=("recalibrated", "batch"))
    for policy in ("recalibrated", "batch"):
        alone = api.surface(model, *samples, grid=GRID, seed=1, batch_norm=policy)
        np.testing.assert_array_equal(both.array(f"{policy}_losses"), alone.losses)
        assert not np.allclose(both.losses, alone.losses, rtol=1e-3)


def test_a_network_without_batchnorm_has_the_same_surface_under_every_policy_and_the_caption_says_so() -> None:
    results = [
        api.slice(perceptron(), *vectors(), grid=Grid.line(5), batch_norm=policy, precision="float64")
        for policy in ("frozen", "recalibrated", "batch")
    ]
    for result in results:
        np.testing.assert_allclose(result.losses, results[0].losses, rtol=1e-13)
        assert "no BatchNorm" in result.caption


def test_the_audit_of_bfloat16_finds_the_largest_error_which_is_where_the_loss_is_lowest() -> None:
    model, samples = shipped("resnet20-w8-skip"), load("digits", "train").subset(60, seed=0)
    grid = Grid.square(9)
    exact, fast = (
        api.surface(model, samples.images, samples.labels, grid=grid, precision=precision, progress=False)  # type: ignore[arg-type]
        for precision in ("float32", "bfloat16")
    )
    errors = np.abs(fast.losses - exact.losses) / exact.losses
    assert fast.provenance["audit"]["worst"] == pytest.approx(float(errors.max()), rel=1e-3)


def test_the_self_check_of_bfloat16_contains_an_audit_against_float32() -> None:
    model, samples = convolutional(), pictures()
    fast = api.surface(model, *samples, grid=GRID, precision="bfloat16")
    exact = api.surface(model, *samples, grid=GRID)
    found = fast.provenance["audit"]
    errors = np.abs(fast.losses / exact.losses - 1)
    assert found["points"] == 12
    assert found["worst"] == pytest.approx(errors.max(), rel=1e-3)
    assert [check.name for check in fast.checks if not check.passed] == []
    assert "bfloat16 error" in [check.name for check in fast.checks]
    assert fast.caption.endswith("bfloat16")


OTHER_LOSSES = {
    "mse": lambda scores, labels: (scores.softmax(1) - F.one_hot(labels, 3)).square().mean(),
    "cross_entropy": lambda scores, labels: F.cross_entropy(scores, labels, label_smoothing=0.3),
}


@pytest.mark.parametrize("loss", OTHER_LOSSES)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_surface_of_another_loss_is_that_of_a_plain_loop_with_every_engine(loss: str, precision: str) -> None:
    model, (images, labels) = convolutional(), pictures()
    smoothing = 0.3 if loss == "cross_entropy" else 0.0
    options = {"seed": 1, "precision": precision, "loss": loss, "label_smoothing": smoothing}
    result = api.surface(model, images, labels, grid=GRID, **options)
    delta, eta = random_directions(dict(model.named_parameters()), seed=1)
    for i, alpha in enumerate(GRID.alphas):
        for j, beta in enumerate(GRID.betas):
            other = copy.deepcopy(model).double().eval()
            with torch.no_grad():
                for name, parameter in other.named_parameters():
                    parameter += alpha * delta[name] + beta * eta[name]
                expected = float(OTHER_LOSSES[loss](other(images.double()), labels))
            assert result.losses[i, j] == pytest.approx(expected, rel=1e-5 if precision == "float32" else 1e-12)


def test_zero_filters_are_counted_and_named_in_the_self_check() -> None:
    model = convolutional()
    with torch.no_grad():
        model[3].weight[2:4] = 0
    result = api.surface(model, *pictures(), grid=GRID)
    [line] = [check for check in result.checks if check.name == "filter norms"]
    assert line.passed
    assert line.text.endswith("2 filters are zero and stay, the first in '3.weight'")


def test_a_network_that_random_directions_cannot_move_is_refused_with_advice() -> None:
    still = nn.Sequential(nn.BatchNorm1d(5))
    with pytest.raises(PlaneError, match="Use biases='random'"):
        api.slice(still, *vectors(), grid=Grid.line(3))
    result = api.slice(still, *vectors(), grid=Grid.line(3), biases="random")
    assert np.isfinite(result.losses).all()


def test_progress_is_reported_until_every_point_is_computed() -> None:
    told: list[tuple[int, int]] = []
    api.surface(perceptron(), *vectors(), grid=GRID, progress=lambda *numbers: told.append(numbers))
    assert told[-1] == (12, 12)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_an_interrupted_surface_keeps_its_computed_points_and_says_so() -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    result = api.surface(perceptron(), *vectors(), grid=Grid.square(21), progress=interrupt)
    assert 0 < result.computed.sum() < 441
    assert result.provenance["interrupted"] is True


def test_samples_labels_and_choices_that_do_not_match_are_refused_with_the_reason() -> None:
    images, labels = vectors()
    with pytest.raises(DataError, match=r"cannot take samples of shape \(4,\)"):
        api.slice(perceptron(), images[:, :4], labels)
    with pytest.raises(DataError, match=r"labels from 0 to 3; the network has 3 classes \(0 to 2\)"):
        api.slice(perceptron(), images, torch.arange(29) % 4)
    with pytest.raises(DataError, match=r"labels have shape \(29, 1\)"):
        api.slice(perceptron(), images, labels[:, None])
    with pytest.raises(DataError, match=r"returns shape \(2, 5, 3\)"):
        api.slice(nn.Sequential(nn.Unflatten(1, (5, 1)), nn.Linear(1, 3)), images, labels)
    with pytest.raises(GridError, match=r"needs a grid with 2 axes; got 1. Use Grid.square\(51\), or slice\(\)"):
        api.surface(perceptron(), images, labels, grid=Grid.line(5))
    with pytest.raises(GridError, match="needs a grid with 1 axis; got 2"):
        api.slice(perceptron(), images, labels, grid=GRID)
    with pytest.raises(UnknownNameError, match=r"BatchNorm policy 'train'\. Known: frozen, recalibrated, batch"):
        api.slice(perceptron(), images, labels, batch_norm="train")
    with pytest.raises(DataError, match="'weight_decay' must be a finite number, 0 or more; got -1"):
        api.slice(perceptron(), images, labels, weight_decay=-1)
    with pytest.raises(DataError, match="cannot be recalibrated on 1 sample"):
        api.slice(perceptron(), images[:1], labels[:1], batch_norm="recalibrated")


def test_the_callers_directions_are_refused_if_they_span_no_line_or_plane() -> None:
    center = dict(perceptron().named_parameters())
    with pytest.raises(PlaneError, match="second direction is zero everywhere"):
        from_directions([{"0.bias": torch.ones(7)}, {"0.bias": torch.zeros(7)}], center)
    with pytest.raises(PlaneError, match="Got 3 directions"):
        from_directions([center] * 3, center)
    with pytest.raises(ShapeMismatchError, match=r"'0.bias' has shape \(6,\)"):
        from_directions([{"0.bias": torch.ones(6)}], center)
    line = from_directions([{"0.bias": torch.ones(7)}], center)
    with pytest.raises(GridError, match="2 axes but there are 1 directions"):
        api.surface(perceptron(), *vectors(), grid=GRID, directions=line)
