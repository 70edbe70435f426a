"""The plan for GPUs, on a CPU: the same work on the same buffers; and batches that shrink when memory runs out."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from landscape import engine
from landscape.engine.choose import build as build_plan
from landscape.engine.choose import gpu_batch
from landscape.engine.fused.cuda_graph import CudaGraphPlan, Replay
from landscape.engine.graph.compile import prepare
from landscape.engine.graph.layers import Network
from landscape.engine.plain import PlainPlan
from landscape.models import CifarResNet, build
from landscape.objective.batch_norm import Calibration
from landscape.objective.losses import loss_of
from landscape.objective.objective import Objective
from tests.landscape.engine.test_equality import POINTS, RECORDED, reference, require_close
from tests.landscape.engine.zoo import directions, objective

NAME = "resnet-20 with shortcuts"
CAPTURED = {"engine": "captured", "batch": 20, "precision": "float32"}


def captured(given: Objective, network: Network) -> CudaGraphPlan:
    plan = build_plan(given, network, 2, CAPTURED)
    assert isinstance(plan, CudaGraphPlan)
    return plan


@pytest.mark.parametrize("everything", [False, True], ids=["weights move", "everything moves"])
@pytest.mark.parametrize("name", RECORDED)
def test_the_captured_plan_agrees_with_float64_to_1e_6(name: str, everything: bool) -> None:
    given = objective(name)
    plan = engine.plan(given, directions(given, everything=everything), CAPTURED)
    assert plan.name == "captured"
    require_close(plan.values(POINTS), reference(name, everything=everything), 1e-6)


@pytest.mark.parametrize("name", RECORDED)
def test_the_captured_plan_in_float64_agrees_to_1e_12(name: str) -> None:
    plan = engine.plan(objective(name, "float64"), directions(objective(name), everything=True), CAPTURED)
    assert plan.name == "captured"
    require_close(plan.values(POINTS), reference(name, everything=True), 1e-12)


@pytest.mark.parametrize("loss", ["mse", lambda outputs, labels: outputs.square().sum(1)], ids=["mse", "a callable"])
def test_recalibrated_statistics_and_other_losses_run_on_the_captured_plan(loss: Any) -> None:
    given, exact = (replace(objective(NAME, one), loss=loss_of(loss)) for one in ("float32", "float64"))
    calibrations = [Calibration(one, one.images[:30]) for one in (given, exact)]
    plan = engine.plan(given, directions(given), CAPTURED, calibration=calibrations[0])
    assert plan.name == "captured"
    require_close(plan.values(POINTS), PlainPlan(exact, directions(given), calibrations[1]).values(POINTS), 1e-6)


def test_bfloat16_on_the_captured_plan_gives_the_numbers_of_the_fused_plan() -> None:
    given = objective(NAME)
    half = engine.plan(given, directions(given), {**CAPTURED, "precision": "bfloat16"})
    fused = engine.plan(given, directions(given), {**CAPTURED, "engine": "fused", "precision": "bfloat16"})
    for one, other in zip(half.values(POINTS), fused.values(POINTS), strict=True):
        assert one.loss == pytest.approx(other.loss, rel=0.02)


def test_a_point_depends_on_nothing_but_the_buffer_of_coefficients() -> None:
    """Required for replaying a graph: capturing it must not fix anything that depends on the point."""
    given = objective(NAME)
    plan = captured(given, prepare(given, directions(given)))
    expected = plan.values(POINTS)
    with torch.inference_mode():
        for point, wanted in zip(POINTS, expected, strict=True):
            plan.coefficients.copy_(torch.tensor(point))
            assert plan.replay is not None
            assert plan.replay().tolist() == list(wanted)


def test_nothing_of_a_point_is_read_back_from_the_device() -> None:
    """The meta device has shapes and no numbers: reading one fails there."""
    given = objective(NAME)
    network = prepare(given, directions(given))
    without_numbers = replace(
        given, model=given.model.to("meta"), images=given.images.to("meta"), labels=given.labels.to("meta")
    )
    plan = captured(without_numbers, network)
    with torch.inference_mode():
        row = Replay(lambda: plan._point(20), torch.device("meta"))()
    assert (row.device.type, tuple(row.shape), row.dtype) == ("meta", (3,), torch.float64)
    with pytest.raises((NotImplementedError, RuntimeError)):
        plan.values(POINTS)  # its one synchronization, for the rows


def test_a_gpu_gets_batches_that_fill_it() -> None:
    images, labels = torch.randn(2, 3, 32, 32), torch.zeros(2, dtype=torch.long)
    given = Objective.of(build(CifarResNet(56, 16, "projection")), images, labels)
    assert gpu_batch(prepare(given, ())) == 4096


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", RECORDED)
def test_on_a_gpu_points_are_captured_and_agree_with_float64_to_1e_6(name: str) -> None:
    given = objective(name)
    there = replace(given, model=given.model.cuda(), images=given.images.cuda(), labels=given.labels.cuda())
    plan = engine.plan(there, directions(objective(name)))
    assert plan.name == "captured"
    require_close(plan.values(POINTS), reference(name), 1e-6)
    assert isinstance(plan, CudaGraphPlan)
    assert plan.replay is not None
    assert plan.replay.graph is not None


# Runs in a separate process; its address space is limited after everything is planned.
PRELUDE = """
import json, resource, sys
import torch
from landscape import engine
from landscape.directions.random import random_directions
from landscape.errors import MemoryExhaustedError
from landscape.models import CifarResNet, build
from landscape.objective.objective import Objective

torch.set_num_threads(1)

def limit(megabytes):
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (megabytes << 20), resource.RLIM_INFINITY))

def given(samples, side, batch):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(samples, 3, side, side, generator=generator)
    labels = torch.randint(0, 10, (samples,), generator=generator)
    return Objective.of(build(CifarResNet(8, 8, "projection")), images, labels, batch=batch)

def planned(of, name):
    along = random_directions(of.parameters(), seed=0)
    plan = engine.plan(of, along, {"engine": name, "batch": of.batch, "precision": "float32"})
    plan.scores((0.1, 0.2), of.images[:1])
    return plan
"""

HALVES = """
name = sys.argv[1]
plan, small = planned(given(1024, 32, 1024), name), planned(given(1024, 32, 64), name)
expected = small.values([(0.1, 0.2)])[0]
limit(60)
found = plan.values([(0.1, 0.2)])[0]
print(json.dumps({"batch": plan.batch, "choice": plan.choice, "found": found, "expected": expected}))
"""

FAILS = """
name = sys.argv[1]
plan, before = planned(given(2, 1024, 2), name), planned(given(2, 1024, 1), name)
limit(30)
try:
    print(plan.values([(0.1, 0.2)]))
except MemoryExhaustedError as error:
    print(json.dumps({"code": error.code, "message": str(error)}))
"""


def output_of_a_child(program: str, name: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", PRELUDE + program, name], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
@pytest.mark.parametrize("name", ["plain", "fused", "captured"])
def test_a_batch_that_memory_refuses_is_halved_until_it_fits(name: str) -> None:
    printed = output_of_a_child(HALVES, name)
    assert 1 <= printed["batch"] < 1024
    assert printed["found"] == pytest.approx(printed["expected"], rel=1e-6)
    assert printed["choice"].get("batch", 1024) == 1024  # as requested: every tile of a job has the same plan


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
@pytest.mark.parametrize("name", ["plain", "captured"])
def test_where_a_single_sample_does_not_fit_the_error_says_so(name: str) -> None:
    printed = output_of_a_child(FAILS, name)
    assert printed["code"] == "out_of_memory"
    assert "single sample" in printed["message"]


def test_a_batch_with_statistics_of_its_own_is_never_halved() -> None:
    from landscape.engine.out_of_memory import with_smaller_batches
    from landscape.errors import MemoryExhaustedError

    def refused(batch: int) -> Tensor:
        return torch.empty(1 << 60)  # more than any machine has: allocation fails

    with pytest.raises(MemoryExhaustedError, match="cannot be divided"):
        with_smaller_batches(refused, 256, divisible=False)
    tried: list[int] = []

    def refused_above_three(batch: int) -> int:
        tried.append(batch)
        return torch.empty(1 << 60).numel() if batch > 3 else batch

    assert with_smaller_batches(refused_above_three, 16) == (2, 2)
    assert tried == [16, 8, 4, 2]
    with pytest.raises(ZeroDivisionError):  # other errors are not caught
        with_smaller_batches(lambda batch: 1 // 0, 16)
