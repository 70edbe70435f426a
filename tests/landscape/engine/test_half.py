"""bfloat16, with its error measured against float32."""

import pytest
import torch

from landscape import engine
from landscape.engine.audit import Audit, audit, spread
from landscape.errors import UnknownNameError
from landscape.objective.objective import Value
from tests.landscape.engine.zoo import directions, objective

POINTS = [(0.1 * k, 0.3 - 0.05 * k) for k in range(-6, 7)]


@pytest.mark.parametrize(
    "name", ["resnet-20 with shortcuts", "resnet-20 option A", "vgg", "dense", "without BatchNorm"]
)
def test_bfloat16_stays_within_a_tenth_of_float32_and_reports_its_error(name: str) -> None:
    given = objective(name)
    fast = engine.plan(given, directions(given), precision="bfloat16")
    exact = engine.plan(given, directions(given), {"engine": "plain"})
    found = audit(fast, exact, POINTS)
    assert fast.choice["precision"] == "bfloat16"
    assert found.points == len(POINTS)
    assert 0 < found.median < 0.02
    assert found.worst < 0.1


def test_bfloat16_is_refused_for_operators_without_a_16_bit_form() -> None:
    given = objective("attention")
    with pytest.raises(UnknownNameError, match="float32, float64"):
        engine.plan(given, directions(given), precision="bfloat16")


def test_an_audit_reports_the_median_and_the_worst_relative_error() -> None:
    class Listed:
        def __init__(self, *losses: float):
            self.losses = losses

        def values(self, points: object, stop: object = None) -> list[Value]:
            return [Value(loss, 0.0, 0.0) for loss in self.losses]

    inf = float("inf")
    found = audit(Listed(1.0, 2.2, 2.9, inf, 1.0), Listed(1.0, 2.0, 3.0, 1.0, inf), [(0.0,)] * 5)
    assert found == Audit(3, pytest.approx(0.1 / 3), pytest.approx(0.1))


def test_audited_points_are_spread_over_the_whole_list() -> None:
    points = [(float(k),) for k in range(100)]
    chosen = spread(points, 25)
    assert (chosen[0], chosen[-1], len(set(chosen))) == ((0.0,), (99.0,), 25)
    assert spread(points[:7], 25) == points[:7]


def test_planning_leaves_the_global_random_state_alone() -> None:
    given = objective("dense")
    before = torch.random.get_rng_state()
    engine.plan(given, directions(given))
    assert torch.equal(before, torch.random.get_rng_state())
