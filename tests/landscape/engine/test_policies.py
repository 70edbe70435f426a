"""BatchNorm policies, losses and kinds of samples in the fast engine, against the plain loop in float64."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from landscape import engine
from landscape.directions.random import Params, random_directions
from landscape.engine.choose import Choice
from landscape.engine.plain import PlainPlan
from landscape.objective.batch_norm import Calibration, with_batch_statistics
from landscape.objective.losses import PerSample, loss_of
from landscape.objective.objective import Objective
from landscape.stop import Stopped
from tests.landscape.engine.test_equality import POINTS, SETS, require_close
from tests.landscape.engine.zoo import directions, gaussian, generator, objective, stirred

WITH_BATCH_NORM = [
    "resnet-20 with shortcuts",
    "resnet-20 option A",
    "vgg",
    "grouped",
    "depthwise",
    "transposed",
    "dense",
]
FUSED: Choice = {"engine": "fused", "batch": 20, "precision": "float32"}
CHOICES: list[Choice] = [FUSED]
if SETS:
    CHOICES.append({"engine": "lanes", "instruction_set": SETS[0], "block": 12})
every_choice = pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice["engine"])


def between_checkpoints(given: Objective) -> Params:
    """A direction as in an interpolation: parameters and statistics change, variances become 0 at 2.5."""
    center = given.parameters()
    return {
        name: -0.4 * tensor.double() if name.endswith("var") else 0.2 * tensor.double().sin()
        for name, tensor in center.items()
    }


@every_choice
@pytest.mark.parametrize("name", WITH_BATCH_NORM)
def test_statistics_that_change_along_a_direction_agree_with_float64_to_1e_6(name: str, choice: Choice) -> None:
    if name == "transposed" and choice["engine"] == "lanes":
        pytest.skip("lanes have no transposed convolution")
    given, exact = objective(name), objective(name, "float64")
    along, points = (between_checkpoints(exact),), [(0.0,), (0.4,), (1.0,), (-0.7,)]
    plan = engine.plan(given, along, choice)
    assert plan.name == choice["engine"]
    require_close(plan.values(points), PlainPlan(exact, along).values(points), 1e-6)


@pytest.mark.parametrize("name", WITH_BATCH_NORM)
def test_statistics_that_change_along_a_direction_agree_in_float64_to_1e_12(name: str) -> None:
    exact = objective(name, "float64")
    along, points = (between_checkpoints(exact),), [(0.4,), (1.0,)]
    plan = engine.plan(exact, along, FUSED)
    assert plan.name == "fused"
    require_close(plan.values(points), PlainPlan(exact, along).values(points), 1e-12)


@every_choice
@pytest.mark.parametrize("name", ["resnet-20 with shortcuts", "vgg", "dense"])
def test_a_variance_below_zero_makes_nan_at_its_own_point_only(name: str, choice: Choice) -> None:
    given, exact = objective(name), objective(name, "float64")
    along, points = (between_checkpoints(exact),), [(1.0,), (3.0,), (0.5,)]
    found = [value.loss for value in engine.plan(given, along, choice).values(points)]
    expected = [value.loss for value in PlainPlan(exact, along).values(points)]
    assert [math.isnan(loss) for loss in expected] == [False, True, False]
    assert [math.isnan(loss) for loss in found] == [False, True, False]


def calibrated(given: Objective) -> Calibration:
    return Calibration(given, given.images[:30])


@every_choice
@pytest.mark.parametrize("everything", [False, True], ids=["weights move", "everything moves"])
@pytest.mark.parametrize("name", WITH_BATCH_NORM)
def test_recalibrated_statistics_agree_with_float64_to_1e_6(name: str, everything: bool, choice: Choice) -> None:
    if name == "transposed" and choice["engine"] == "lanes":
        pytest.skip("lanes have no transposed convolution")
    given, exact = objective(name), objective(name, "float64")
    along = directions(given, everything=everything)
    plan = engine.plan(given, along, choice, calibration=calibrated(given))
    assert plan.name == choice["engine"]
    expected = PlainPlan(exact, along, calibrated(exact)).values(POINTS)
    require_close(plan.values(POINTS), expected, 1e-6)
    assert expected[1].loss != PlainPlan(exact, along).values(POINTS[1:2])[0].loss


@pytest.mark.parametrize("name", WITH_BATCH_NORM)
def test_recalibrated_statistics_agree_in_float64_to_1e_12(name: str) -> None:
    exact = objective(name, "float64")
    along = directions(exact)
    plan = engine.plan(exact, along, FUSED, calibration=calibrated(exact))
    assert plan.name == "fused"
    require_close(plan.values(POINTS), PlainPlan(exact, along, calibrated(exact)).values(POINTS), 1e-12)


def test_a_batch_norm_run_twice_keeps_the_statistics_of_its_last_run() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
            self.last = nn.Linear(3, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.norm(self.convolution(x)))
            return self.last(torch.relu(self.norm(self.convolution(x))).mean((2, 3)))

    images, labels = gaussian(37, 3, 8, 6), torch.randint(0, 10, (37,), generator=generator())
    given, exact = (Objective.of(stirred(Twice()), images, labels, precision=one) for one in ("float32", "float64"))
    along = random_directions(exact.parameters(), seed=0)
    plan = engine.plan(given, along, calibration=calibrated(given))
    assert plan.name != "plain"
    require_close(plan.values(POINTS), PlainPlan(exact, along, calibrated(exact)).values(POINTS), 1e-6)


def perceptron_with_batch_norm() -> nn.Module:
    hidden = [nn.Linear(3 * 8 * 6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 12, bias=False)]
    return stirred(nn.Sequential(nn.Flatten(), *hidden, nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 10)))


def test_a_perceptron_with_batch_norm_agrees_with_changing_and_with_recalibrated_statistics() -> None:
    images, labels = gaussian(53, 3, 8, 6), torch.randint(0, 10, (53,), generator=generator())
    given, exact = (
        Objective.of(perceptron_with_batch_norm(), images, labels, precision=one) for one in ("float32", "float64")
    )
    moving, line = (between_checkpoints(exact),), [(0.0,), (0.4,), (1.0,)]
    along = random_directions(exact.parameters(), seed=0)
    fresh = engine.plan(given, along, calibration=calibrated(given))
    moved = engine.plan(given, moving)
    assert "plain" not in (fresh.name, moved.name)
    require_close(fresh.values(POINTS), PlainPlan(exact, along, calibrated(exact)).values(POINTS), 1e-6)
    require_close(moved.values(line), PlainPlan(exact, moving).values(line), 1e-6)


@every_choice
def test_a_recalibrated_value_does_not_depend_on_the_points_asked_for_with_it(choice: Choice) -> None:
    given = objective(WITH_BATCH_NORM[0])
    plan = engine.plan(given, directions(given), choice, calibration=calibrated(given))
    points = [(0.05 * k, 0.4 - 0.03 * k) for k in range(19)]
    assert [plan.values([point])[0] for point in points[::6]] == plan.values(points)[::6]


@every_choice
def test_stopping_ends_an_evaluation_before_its_next_calibration(choice: Choice) -> None:
    given = objective(WITH_BATCH_NORM[0])
    plan = engine.plan(given, directions(given), choice, calibration=calibrated(given))
    asked = []
    with pytest.raises(Stopped):
        plan.values(POINTS, stop=lambda: bool(asked) or asked.append(1) is not None)
    assert asked == [1]


@every_choice
@pytest.mark.parametrize("name", WITH_BATCH_NORM)
def test_batch_statistics_agree_with_float64_to_1e_6_batch_by_batch(name: str, choice: Choice) -> None:
    if name == "transposed" and choice["engine"] == "lanes":
        pytest.skip("lanes have no transposed convolution")
    given, exact = (with_batch_statistics(replace(objective(name, one), batch=20)) for one in ("float32", "float64"))
    along = directions(given, everything=True)
    plan = engine.plan(given, along, choice)
    assert plan.name == choice["engine"]
    require_close(plan.values(POINTS), PlainPlan(exact, along).values(POINTS), 1e-6)


@pytest.mark.parametrize("name", WITH_BATCH_NORM)
def test_batch_statistics_agree_in_float64_to_1e_12_batch_by_batch(name: str) -> None:
    exact = with_batch_statistics(replace(objective(name, "float64"), batch=20))
    along = directions(exact, everything=True)
    plan = engine.plan(exact, along, FUSED)
    assert plan.name == "fused"
    require_close(plan.values(POINTS), PlainPlan(exact, along).values(POINTS), 1e-12)


@pytest.mark.parametrize("samples", [53, 512 + 9])
def test_a_network_with_statistics_of_each_batch_is_computed_in_the_batches_of_the_objective(samples: int) -> None:
    given, exact = (with_batch_statistics(objective("vgg", one, samples)) for one in ("float32", "float64"))
    along = directions(given)
    expected = PlainPlan(exact, along).values(POINTS)
    assert given.batch == 256
    for plan in (engine.plan(given, along), engine.plan(exact, along)):
        assert plan.name != "plain"
        assert plan.choice.get("batch", 256) == 256
        require_close(plan.values(POINTS), expected, 1e-6)


def test_a_last_batch_of_one_sample_joins_the_one_before() -> None:
    images, labels = gaussian(257, 3, 8, 6), torch.randint(0, 10, (257,), generator=generator())
    given = with_batch_statistics(Objective.of(perceptron_with_batch_norm(), images, labels))
    whole = replace(given, batch=257)  # one batch of all
    plans = [engine.plan(one, random_directions(one.parameters(), seed=0)) for one in (given, whole)]
    require_close(plans[0].values(POINTS), plans[1].values(POINTS), 1e-6)


class Embedded(nn.Module):
    """Words of a small vocabulary, in the order of bags: integer samples."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.hidden, self.last = nn.Embedding(20, 12), nn.Linear(60, 16), nn.Linear(16, 10)

    def forward(self, words: Tensor) -> Tensor:
        return self.last(torch.relu(self.hidden(self.words(words).flatten(1))))


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
def test_integer_samples_are_computed_in_the_precision_of_the_parameters(precision: str, tolerance: float) -> None:
    words, labels = (torch.randint(0, top, shape, generator=generator()) for top, shape in ((20, (53, 5)), (10, (53,))))
    given, exact = (Objective.of(stirred(Embedded()), words, labels, precision=one) for one in (precision, "float64"))
    along = directions(given, everything=True)
    plan = engine.plan(given, along)
    assert plan.name == "fused"
    require_close(plan.values(POINTS), PlainPlan(exact, along).values(POINTS), tolerance)


def hinge(outputs: Tensor, labels: Tensor) -> Tensor:
    """A custom loss: the hinge loss with a margin of one."""
    right = outputs.gather(1, labels[:, None])
    return (outputs - right + 1).relu().sum(1) - 1


@every_choice
@pytest.mark.parametrize(("loss", "smoothing"), [("mse", 0.0), ("cross_entropy", 0.1), (hinge, 0.0)])
def test_every_loss_has_its_mean_and_standard_error(loss: str | PerSample, smoothing: float, choice: Choice) -> None:
    meant = loss_of(loss, label_smoothing=smoothing)
    given, exact = (replace(objective("vgg", one), loss=meant) for one in ("float32", "float64"))
    along = directions(given)
    plan = engine.plan(given, along, choice)
    assert plan.name == choice["engine"]
    require_close(plan.values(POINTS), PlainPlan(exact, along).values(POINTS), 1e-6)
