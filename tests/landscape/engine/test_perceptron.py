"""Multilayer perceptrons natively, against the plain loop in float64."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from landscape import engine
from landscape.engine import native
from landscape.engine.graph.compile import prepare
from landscape.engine.lanes.perceptron import NotAPerceptron, PerceptronPlan, pack
from landscape.engine.plain import PlainPlan
from landscape.errors import UnknownNameError
from landscape.objective.losses import loss_of
from landscape.objective.objective import Objective
from landscape.stop import Stopped
from tests.landscape.engine.zoo import directions, gaussian, generator, stirred

SETS = [name for name in native.INSTRUCTION_SETS if native.width(name)]
POINTS = [(0.0, 0.0), (0.3, -0.2), (-0.7, 0.45)]
MANY = [(0.05 * k, 0.4 - 0.03 * k) for k in range(37)]
pytestmark = pytest.mark.skipif(not SETS, reason="the native module was not built")


def layers(*sizes: int, norm: bool = False, bias: bool = True) -> list[nn.Module]:
    made: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        made += [nn.Linear(inputs, outputs, bias=bias), *([nn.BatchNorm1d(outputs)] if norm else []), nn.ReLU()]
    return made[:-1] if not norm else made[:-2]


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "two hidden layers": lambda: nn.Sequential(nn.Flatten(), *layers(48, 33, 40, 10)),
    "one layer": lambda: nn.Sequential(nn.Flatten(), *layers(48, 10)),
    "BatchNorm": lambda: nn.Sequential(nn.Flatten(), *layers(48, 32, 64, 10, norm=True)),
    "no biases, dropout": lambda: nn.Sequential(
        nn.Flatten(), *layers(48, 100, bias=False), nn.Dropout(), nn.Linear(100, 3)
    ),
    "wide": lambda: nn.Sequential(nn.Flatten(), *layers(48, 700, 513, 10)),
}


def objective(name: str, precision: str = "float32", samples: int = 53) -> Objective:
    model = stirred(NETWORKS[name]())
    classes = 3 if "dropout" in name else 10
    images, labels = gaussian(samples, 3, 4, 4, seed=3), torch.randint(0, classes, (samples,), generator=generator(4))
    return Objective.of(model, images, labels, precision=precision)


def planned(given: Objective, instruction_set: str, *, everything: bool = False) -> PerceptronPlan:
    along = directions(given, everything=everything)
    return PerceptronPlan(given, prepare(given, along), 2, instruction_set=instruction_set)


@pytest.mark.parametrize("everything", [False, True], ids=["weights move", "everything moves"])
@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_values_agree_with_float64_to_1e_6(name: str, instruction_set: str, everything: bool) -> None:
    given = objective(name)
    found = planned(given, instruction_set, everything=everything).values(POINTS)
    along = directions(given, everything=everything)
    for value, wanted in zip(found, PlainPlan(objective(name, "float64"), along).values(POINTS), strict=True):
        assert value.loss == pytest.approx(wanted.loss, rel=1e-6)
        assert value.standard_error == pytest.approx(wanted.standard_error, rel=1e-5)
        assert value.accuracy == wanted.accuracy


@pytest.mark.parametrize("name", ["two hidden layers", "BatchNorm"])
def test_running_statistics_that_change_along_a_direction_agree_with_float64(name: str) -> None:
    given, exact = objective(name), objective(name, "float64")
    along = {
        key: 0.3 * tensor if "running" in key else 0.2 * tensor.sin() for key, tensor in exact.parameters().items()
    }
    plan = PerceptronPlan(given, prepare(given, (along,)), 1, instruction_set=SETS[0])
    points = [(0.0,), (0.4,), (1.0,)]
    for value, wanted in zip(plan.values(points), PlainPlan(exact, (along,)).values(points), strict=True):
        assert value.loss == pytest.approx(wanted.loss, rel=1e-6)


def test_a_value_does_not_depend_on_the_points_asked_for_with_it_nor_on_threads() -> None:
    given = objective("two hidden layers", samples=301)
    plan, threads = planned(given, SETS[0]), torch.get_num_threads()
    together = plan.values(MANY)
    try:
        torch.set_num_threads(3)
        assert plan.values(MANY) == together
    finally:
        torch.set_num_threads(threads)
    assert [plan.values([point])[0] for point in MANY] == together
    assert plan.values(MANY[::-1]) == together[::-1]


@pytest.mark.skipif(not native.width("avx512"), reason="this processor has no AVX-512")
def test_the_width_of_the_vectors_does_not_change_a_bit() -> None:
    given = objective("wide")
    assert planned(given, "avx512").values(MANY) == planned(given, "avx2").values(MANY)


def test_more_samples_than_a_chunk_and_another_loss_agree_with_the_plain_loop() -> None:
    given = objective("two hidden layers", samples=3500)
    mse = Objective(given.model, given.images, given.labels, loss=loss_of("mse"))
    for one in (given, mse):
        found = planned(one, SETS[0]).values(POINTS[1:2])[0]
        wanted = PlainPlan(one, directions(given)).values(POINTS[1:2])[0]
        assert found.loss == pytest.approx(wanted.loss, rel=2e-6)
        assert found.accuracy == wanted.accuracy


def test_equal_scores_name_the_first_class_as_the_plain_loop_does() -> None:
    given = objective("one layer")
    with torch.no_grad():
        for parameter in given.model.parameters():
            parameter.zero_()
    found = planned(given, SETS[0]).values([(0.0, 0.0)])[0]
    assert found.accuracy == float((given.labels == 0).double().mean())
    assert found.loss == pytest.approx(2.302585092994046, rel=1e-7)  # ln 10


def test_stopping_ends_an_evaluation() -> None:
    with pytest.raises(Stopped):
        planned(objective("one layer"), SETS[0]).values(POINTS, stop=lambda: True)


@pytest.mark.skipif(SETS[:1] == ["portable"], reason="narrow vectors do not pay off")
def test_the_fixed_rule_chooses_it_and_the_choice_makes_the_same_plan_again() -> None:
    given = objective("two hidden layers")
    plan = engine.plan(given, directions(given))
    assert plan.choice == {"engine": "perceptron", "instruction_set": SETS[0]}
    assert engine.plan(given, directions(given), plan.choice).values(POINTS) == plan.values(POINTS)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(48, 48), nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.last(x + torch.relu(self.first(x)))


@pytest.mark.parametrize("made", [Residual, lambda: nn.Sequential(nn.Flatten(), nn.Linear(48, 10), nn.Tanh())])
def test_other_networks_are_computed_by_other_engines(made: Callable[[], nn.Module]) -> None:
    given = Objective.of(stirred(made()), gaussian(20, 3, 4, 4), torch.zeros(20, dtype=torch.long))
    with pytest.raises(NotAPerceptron):
        pack(prepare(given, ()), 16)
    assert engine.plan(given, directions(given)).name not in ("perceptron", "plain")


def test_an_instruction_set_of_another_machine_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="instruction set"):
        planned(objective("one layer"), "avx1024")
