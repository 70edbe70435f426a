"""Every family of networks that checkpoints are recognized as, and the networks of the paper in full size.

The plan of the fixed rule agrees with the plain loop in float64: to 1e-6 in float32, to 1e-12 in float64; the last
batch is short.
"""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from benchmarks.cases import CASES
from landscape import engine
from landscape.engine.plain import PlainPlan
from landscape.models import CifarResNet, build
from landscape.objective.objective import Objective
from tests.landscape.engine.test_equality import require_close
from tests.landscape.engine.zoo import directions, gaussian, generator, stirred
from tests.support.architectures import SMALL

POINTS = [(0.0, 0.0), (0.3, -0.2)]
FULL = {case.name: (case.network, (3, 32, 32)) for case in CASES if case.data == "cifar" and "4" not in case.name}
FULL |= {
    "ResNet-110": (lambda: build(CifarResNet(110, 16, "projection")), (3, 32, 32)),
    "plain ResNet-56": (lambda: build(CifarResNet(56, 16, "none")), (3, 32, 32)),
}


def objectives(model: nn.Module, shape: tuple[int, ...], samples: int) -> tuple[Objective, Objective]:
    images = gaussian(samples, *shape, seed=3)
    with torch.no_grad():
        classes = model.eval()(images[:1]).shape[1]
    labels = torch.randint(0, classes, (samples,), generator=generator(4))
    one, other = (Objective.of(model, images, labels, precision=name, batch=4) for name in ("float32", "float64"))
    return one, other


def require_agreement(model: nn.Module, shape: tuple[int, ...], samples: int) -> None:
    given, exact = objectives(model, shape, samples)
    along = directions(given)
    expected = PlainPlan(exact, along).values(POINTS)
    plan = engine.plan(given, along)
    assert plan.name != "plain"
    require_close(plan.values(POINTS), expected, 1e-6)
    double = engine.plan(exact, along)
    assert double.name == "fused"
    require_close(double.values(POINTS), expected, 1e-12)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_small_network_of_every_family_agrees_with_float64(name: str) -> None:
    architecture, shape = SMALL[name]
    require_agreement(stirred(build(architecture)), shape[1:], 7)


@pytest.mark.parametrize("name", sorted(FULL))
def test_a_network_of_the_paper_in_full_size_agrees_with_float64(name: str) -> None:
    made: Callable[[], nn.Module]
    made, shape = FULL[name]
    require_agreement(stirred(made()), shape, 5)
