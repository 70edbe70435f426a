"""3×3 convolutions by Winograd, against torch's in float64; neither batch, threads nor vectors change a bit."""

import math
import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from landscape import engine
from landscape.directions.random import Params, random_directions
from landscape.engine import native
from landscape.engine.choose import build, default_choice
from landscape.engine.fused import winograd
from landscape.engine.fused.conv_chains import ConvChains
from landscape.engine.fused.plan import FusedPlan
from landscape.engine.graph.compile import prepare
from landscape.engine.graph.layers import Layer
from landscape.engine.plain import PlainPlan
from landscape.errors import UnknownNameError
from landscape.objective.objective import Objective, Value
from tests.landscape.engine.zoo import directions, gaussian, generator, head, resnet, stirred

SETS = [name for name in native.INSTRUCTION_SETS if native.width(name)]
POINTS = [(0.0, 0.0), (0.3, -0.2), (-0.7, 0.45)]
# images, channels, filters, height, width, padding
SHAPES = [
    *((3, 16, 48, 7, 5, 1), (2, 32, 16, 8, 6, 0), (1, 64, 32, 1, 1, 1), (5, 16, 16, 2, 3, 2), (40, 16, 32, 4, 4, 1)),
    (2, 192, 160, 5, 6, 1),
]
pytestmark = pytest.mark.skipif(not SETS, reason="the native module was not built")


class Mixed(nn.Module):
    """Layers that Winograd supports between layers that it does not: stride, groups, dilation, one side padded."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(16), nn.BatchNorm2d(32), nn.BatchNorm2d(32)])
        self.first, self.second = nn.Conv2d(16, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.others = nn.ModuleList(
            [
                nn.Conv2d(32, 32, 3, padding=1, stride=2),
                nn.Conv2d(32, 32, 3, padding=1, groups=2),
                nn.Conv2d(32, 32, 3, padding=2, dilation=2),
                nn.Conv2d(32, 32, 3, padding=(1, 0)),
            ]
        )
        self.last = nn.Sequential(*head(32))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norms[0](self.stem(x)))
        x = self.norms[1](self.first(x))
        x = torch.relu(x + self.norms[2](self.second(torch.relu(x))))
        for other in self.others:
            x = torch.relu(other(x))
        return self.last(x)


NETWORKS = {
    "resnet-20 of width 16": lambda: resnet("projection", 20, 16),
    "resnet-56 of width 16": lambda: resnet("padding", 56, 16),
    "mixed": Mixed,
}


def objective(name: str, precision: str = "float32", samples: int = 53) -> Objective:
    images, labels = gaussian(samples, 3, 10, 7, seed=3), torch.randint(0, 10, (samples,), generator=generator(4))
    return Objective.of(stirred(NETWORKS[name]()), images, labels, precision=precision)


def fused(given: Objective, along: Sequence[Params], instruction_set: str, batch: int = 20) -> FusedPlan:
    choice = {"engine": "fused", "batch": batch, "winograd": instruction_set}
    plan = build(given, prepare(given, along), len(along), choice)
    assert isinstance(plan, FusedPlan)
    return plan


def planned(given: Objective, instruction_set: str) -> FusedPlan:
    return fused(given, directions(given), instruction_set)


def by_winograd(plan: FusedPlan) -> list[Layer]:
    """The layers that the plan computes by Winograd, alone or in a chain."""
    steps = [step for step in plan.steps if isinstance(step.kernel, winograd.Winograd | ConvChains)]
    layers = [plan.network.layers[at] for step in steps for at in step.layers]
    return [layer for layer in layers if winograd.takes(layer)]


def require_close(values: list[Value], expected: list[Value]) -> None:
    for value, wanted in zip(values, expected, strict=True):
        assert value.loss == pytest.approx(wanted.loss, rel=1e-6)
        assert value.standard_error == pytest.approx(wanted.standard_error, rel=1e-5)
        assert value.accuracy == wanted.accuracy


def channels_last_gaussian(*shape: int, seed: int) -> Tensor:
    return gaussian(*shape, seed=seed).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("residual", [False, True], ids=["alone", "with a residual"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_layer_of_any_shape_agrees_with_float64(shape: tuple[int, ...], residual: bool, instruction_set: str) -> None:
    images, channels, filters, height, width, padding = shape
    x, weight = (
        channels_last_gaussian(images, channels, height, width, seed=1),
        channels_last_gaussian(filters, channels, 3, 3, seed=2),
    )
    bias, lanes = gaussian(filters, seed=3), winograd.lanes_of(instruction_set)
    expected = torch.conv2d(x.double(), weight.double(), bias.double(), padding=padding)
    other = channels_last_gaussian(*expected.shape, seed=4) if residual else None
    expected = (expected if other is None else expected + other).relu()
    prepared = winograd.prepare(weight, lanes)
    found = winograd.convolution(x, prepared, bias, other, padding, lanes, relu=True)
    assert found.shape == expected.shape
    size = (9 * channels) ** 0.5  # of a sum of that many products of standard normal numbers
    torch.testing.assert_close(found.double(), expected, rtol=0.0, atol=1e-5 * size)
    assert float((found - expected).square().mean().sqrt()) < 4e-7 * size


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_networks_agree_with_float64_to_1e_6_with_a_short_last_batch(name: str, instruction_set: str) -> None:
    given = objective(name)
    plan = planned(given, instruction_set)
    assert by_winograd(plan) == [layer for layer in plan.network.layers if winograd.takes(layer)] != []
    expected = PlainPlan(objective(name, "float64"), directions(given)).values(POINTS)
    require_close(plan.values(POINTS), expected)


@pytest.mark.skipif(not native.width("avx512"), reason="this processor has no AVX-512")
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_width_of_the_vectors_and_the_batch_do_not_change_a_bit(name: str) -> None:
    given = objective(name)
    images = given.images.contiguous(memory_format=torch.channels_last)
    layers = [layer for layer in prepare(given, directions(given)).layers if winograd.takes(layer)]
    assert layers
    weight = layers[0].weights[0]
    assert weight is not None
    filters, channels = weight.center.shape[:2]
    kernel, bias = weight.center.float(), gaussian(filters, seed=5)
    x = channels_last_gaussian(len(images), channels, 7, 6, seed=6)
    found = [
        torch.cat([winograd.convolution(part, winograd.prepare(kernel, lanes), bias, None, 1, lanes, relu=False)
                   for part in torch.split(x, batch)])
        for lanes, batch in ((16, 53), (8, 53), (16, 7), (8, 1))
    ]  # fmt: skip
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_the_number_of_threads_does_not_change_a_bit_of_a_layer() -> None:
    x, weight, bias = (
        channels_last_gaussian(9, 16, 7, 6, seed=1),
        channels_last_gaussian(32, 16, 3, 3, seed=2),
        gaussian(32, seed=3),
    )
    lanes, threads, found = winograd.lanes_of(SETS[0]), torch.get_num_threads(), []
    prepared = winograd.prepare(weight, lanes)
    try:
        for count in (1, 2, 3, 300):
            torch.set_num_threads(count)
            found.append(winograd.convolution(x, prepared, bias, None, 1, lanes, relu=True))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("instruction_set", SETS)
def test_the_relu_keeps_nan_and_infinity_does_not_become_finite(instruction_set: str) -> None:
    lanes = winograd.lanes_of(instruction_set)
    for bad, relu in ((math.nan, True), (math.inf, False)):
        x, weight = channels_last_gaussian(2, 16, 6, 6, seed=1), channels_last_gaussian(16, 16, 3, 3, seed=2)
        x[0, 3, 2, 2] = bad
        found = winograd.convolution(x, winograd.prepare(weight, lanes), None, None, 1, lanes, relu=relu)
        assert not found[0, :, 1:4, 1:4].isfinite().any()
        assert found[1].isfinite().all()


@pytest.mark.parametrize("instruction_set", SETS)
def test_an_overflow_is_never_a_finite_loss(instruction_set: str) -> None:
    given = objective("resnet-56 of width 16")
    drawn = random_directions(given.parameters(), seed=0)
    plan = fused(given, drawn, instruction_set)
    points = [(0.5, 0.25), (100.0, 100.0), (1e5, 1e5)]
    expected = [value.loss for value in PlainPlan(given, drawn).values(points)]
    found = [value.loss for value in plan.values(points)]
    assert [math.isfinite(loss) for loss in found] == [math.isfinite(loss) for loss in expected] == [True, False, False]


@pytest.mark.skipif(SETS[:1] == ["portable"], reason="narrow vectors do not pay off")
def test_the_fixed_rule_chooses_winograd_for_a_resnet_on_images_of_cifars_shape() -> None:
    labels = torch.zeros(4, dtype=torch.long)
    given = Objective.of(resnet("projection", 20, 16).eval(), gaussian(4, 3, 32, 32), labels)
    chosen = default_choice(given, prepare(given, directions(given)))
    assert chosen == {"engine": "fused", "batch": 64, "precision": "float32", "winograd": SETS[0]}


def test_the_same_choice_gives_the_same_bits_in_another_process() -> None:
    given = objective("resnet-20 of width 16")
    choice = {"engine": "fused", "batch": 16, "precision": "float32", "winograd": SETS[0]}
    plan = engine.plan(given, directions(given), choice)
    assert plan.choice == choice
    program = (
        "from landscape import engine; from tests.landscape.engine.test_winograd import *; "
        "o = objective('resnet-20 of width 16'); "
        f"print(engine.plan(o, directions(o), {choice}).values([(0.3, -0.2)])[0].loss.hex())"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert plan.values([(0.3, -0.2)])[0].loss.hex() == printed.strip()


def test_a_choice_without_winograd_turns_it_off() -> None:
    given = objective("mixed")
    plan = engine.plan(given, directions(given), {"engine": "fused", "batch": 20, "precision": "float32"})
    assert isinstance(plan, FusedPlan)
    assert not by_winograd(plan)
    assert "winograd" not in plan.choice


def test_only_square_convolutions_of_stride_one_are_taken() -> None:
    given = objective("mixed")
    layers: list[Layer] = [layer for layer in prepare(given, ()).layers if layer.kind == "convolution"]
    assert [winograd.takes(layer) for layer in layers] == [False, True, True, False, False, False, False]


def test_an_instruction_set_of_another_machine_is_refused() -> None:
    given = objective("mixed")
    with pytest.raises(UnknownNameError, match="instruction set"):
        planned(given, "avx1024")
