"""Every back end against the plain loop in float64, over a zoo of networks; the last batch is always short."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from landscape import engine
from landscape.engine import native
from landscape.engine.choose import build
from landscape.engine.graph.compile import prepare
from landscape.engine.graph.interpret import interpret
from landscape.engine.graph.record import Unrecordable, record
from landscape.engine.lanes.plan import LanesPlan
from landscape.engine.plain import PlainPlan
from landscape.objective.losses import PerSample, loss_of
from landscape.objective.objective import Value
from tests.landscape.engine.zoo import LANED, ZOO, directions, objective

POINTS = [(0.0, 0.0), (0.3, -0.2), (-0.7, 0.45)]
FUSED = {"engine": "fused", "batch": 20}
SETS = [name for name in native.INSTRUCTION_SETS if native.width(name)]
RECORDED = sorted(set(ZOO) - {"on values"})


def reference(name: str, *, everything: bool = False) -> list[Value]:
    exact = objective(name, "float64")
    return PlainPlan(exact, directions(objective(name), everything=everything)).values(POINTS)


def require_close(values: list[Value], expected: list[Value], tolerance: float) -> None:
    for value, wanted in zip(values, expected, strict=True):
        assert value.loss == pytest.approx(wanted.loss, rel=tolerance)
        assert value.standard_error == pytest.approx(wanted.standard_error, rel=10 * tolerance)
        assert value.accuracy == wanted.accuracy


@pytest.mark.parametrize("name", RECORDED)
def test_the_interpreter_gives_the_same_bits_as_the_module(name: str) -> None:
    given = objective(name)
    graph = record(given.model, tuple(given.images.shape[1:]), torch.float32)
    for samples in (1, 2, 53):
        with torch.inference_mode():
            expected = given.model(given.images[:samples])
            found = interpret(graph, given.model.state_dict(), given.images[:samples])
        if name == "attention":  # the module takes torch's fused path, the graph the written-out one
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(found, expected)


@pytest.mark.parametrize("everything", [False, True], ids=["weights move", "everything moves"])
@pytest.mark.parametrize("name", RECORDED)
def test_the_fused_plan_agrees_with_float64_to_1e_6(name: str, everything: bool) -> None:
    given = objective(name)
    along = directions(given, everything=everything)
    plan = build(given, prepare(given, along), 2, FUSED)
    require_close(plan.values(POINTS), reference(name, everything=everything), 1e-6)


@pytest.mark.parametrize("name", RECORDED)
def test_the_fused_plan_in_float64_agrees_to_1e_12(name: str) -> None:
    given = objective(name, "float64")
    along = directions(objective(name), everything=True)
    plan = build(given, prepare(given, along), 2, FUSED)
    require_close(plan.values(POINTS), reference(name, everything=True), 1e-12)


@pytest.mark.parametrize("everything", [False, True], ids=["weights move", "everything moves"])
@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("name", sorted(LANED))
def test_lanes_agree_with_float64_to_1e_6(name: str, instruction_set: str, everything: bool) -> None:
    given = objective(name)
    along = directions(given, everything=everything)
    plan = LanesPlan(given, prepare(given, along), 2, instruction_set=instruction_set, block=12)
    require_close(plan.values(POINTS), reference(name, everything=everything), 1e-6)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_the_plan_of_the_fixed_rule_agrees_with_float64_to_1e_6(name: str) -> None:
    given = objective(name)
    plan = engine.plan(given, directions(given))
    require_close(plan.values(POINTS), reference(name), 1e-6)
    rows = name == "mlp" and bool({"avx512", "avx2"}.intersection(SETS))
    assert (plan.name == "perceptron") == rows
    assert (plan.name == "lanes") == (name in LANED and bool(SETS) and not rows)
    assert (plan.name == "plain") == (name == "on values")


@pytest.mark.parametrize("switches", [{"folding": False}, {"fusing": False}, {"folding": False, "fusing": False}])
def test_folding_and_fusing_switched_off_give_the_same_values(switches: dict[str, bool]) -> None:
    given = objective("resnet-20 with shortcuts")
    along = directions(given)
    plan = build(given, prepare(given, along, **switches), 2, FUSED)
    require_close(plan.values(POINTS), reference("resnet-20 with shortcuts"), 1e-6)


def everywhere(outputs: Tensor, labels: Tensor) -> Tensor:
    """A custom loss, without a name."""
    return (outputs - labels[:, None]).square().sum(1)


@pytest.mark.parametrize("loss", ["mse", everywhere], ids=["mse", "a callable"])
@pytest.mark.parametrize("name", ["resnet-20 with shortcuts", "attention"])
def test_any_loss_runs_at_full_speed_with_its_standard_error(name: str, loss: str | PerSample) -> None:
    given, exact = (replace(objective(name, precision), loss=loss_of(loss)) for precision in ("float32", "float64"))
    plan = engine.plan(given, directions(given))
    assert plan.name == ("lanes" if name in LANED and SETS else "fused")
    require_close(plan.values(POINTS), PlainPlan(exact, directions(given)).values(POINTS), 1e-6)


@pytest.mark.parametrize("name", ["resnet-20 with shortcuts", "dense", "vgg"])
def test_running_statistics_that_change_along_a_direction_agree_with_float64(name: str) -> None:
    given, exact = objective(name), objective(name, "float64")
    center = exact.parameters()
    along = {key: 0.3 * tensor if "running" in key else 0.2 * tensor.sin() for key, tensor in center.items()}
    points = [(0.0,), (0.4,), (1.0,)]
    plan = engine.plan(given, (along,))
    assert plan.name != "plain"
    require_close(plan.values(points), PlainPlan(exact, (along,)).values(points), 1e-6)


def test_a_network_that_branches_on_values_is_not_recorded() -> None:
    given = objective("on values")
    with pytest.raises(Unrecordable, match="depends on values"):
        record(given.model, (3, 8, 6), torch.float32)


def test_no_batch_norm_and_no_addition_is_left_after_folding_and_fusing() -> None:
    given = objective("resnet-56 with shortcuts")
    kinds = [layer.kind for layer in prepare(given, directions(given)).layers]
    assert kinds == ["convolution"] * 57 + ["mean", "linear"]
