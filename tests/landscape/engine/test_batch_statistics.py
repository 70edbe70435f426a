"""BatchNorm with the statistics of its batch, natively: against torch's in float64, and whole networks to 1e-6."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape import engine
from landscape.directions.random import random_directions
from landscape.engine import native
from landscape.engine.choose import Choice, default_choice
from landscape.engine.fused import arena, batch_statistics, conv_chains, winograd
from landscape.engine.fused.plan import FusedPlan
from landscape.engine.graph.affine import Affine
from landscape.engine.graph.compile import prepare
from landscape.engine.graph.layers import Layer, Network
from landscape.engine.plain import PlainPlan
from landscape.objective.batch_norm import Calibration, with_batch_statistics
from landscape.objective.objective import Objective
from tests.landscape.engine.test_equality import require_close
from tests.landscape.engine.test_winograd import NETWORKS, POINTS, SETS, objective
from tests.landscape.engine.zoo import directions, gaussian, generator, head, stirred
from tests.landscape.engine.zoo import objective as small

pytestmark = pytest.mark.skipif(not SETS, reason="the native module was not built")
every_set = pytest.mark.parametrize("instruction_set", SETS)
EPSILON = 1e-5


def choice_of(instruction_set: str, batch: int = 20) -> Choice:
    kernels = {"winograd": instruction_set, "normed": instruction_set}
    return {"engine": "fused", "batch": batch, "precision": "float32", **kernels}


def one_norm(channels: int, *, relu: bool, residual: bool) -> Network:
    """A network of a single BatchNorm of value 0, plus value 1 if `residual`."""
    weight = Affine(torch.ones(channels, dtype=torch.float64), ())
    settings = {"epsilon": EPSILON, "buffers": ("mean", "variance")}
    other = 1 if residual else None
    layer = Layer("normalize", (0,), (2,), (weight, weight), settings, residual=other, relu=relu)
    return Network(0, (layer,), 2, {0: None, 1: None, 2: None})


def normalized(
    x: Tensor, gamma: Tensor, beta: Tensor, other: Tensor | None, instruction_set: str | None, *, relu: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """The result of the kernels on `x`, the mean and the unbiased variance."""
    network = one_norm(x.shape[1], relu=relu, residual=other is not None)
    kernel = batch_statistics.BatchStatistics(network, instruction_set, 0)
    values = {0: x, 1: other}
    kernel.compute(0, values, [gamma, beta], keep_nan=True)
    kept = kernel.statistics(0, [gamma, beta])
    return values[2], kept["mean"], kept["variance"]


def channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


@every_set
@pytest.mark.parametrize("residual", [False, True], ids=["alone", "with a residual"])
@pytest.mark.parametrize(
    "shape", [(3, 16, 7, 5), (2, 40, 1, 1), (101, 12), (70, 8, 9, 9), (5, 5, 4, 4), (2, 160, 3, 2)]
)
def test_a_layer_of_any_shape_agrees_with_float64(shape: tuple[int, ...], residual: bool, instruction_set: str) -> None:
    x = channels_last(3 * gaussian(*shape, seed=1) + gaussian(*shape[1:], seed=2))
    gamma, beta = gaussian(shape[1], seed=3), gaussian(shape[1], seed=4)
    other = channels_last(gaussian(*shape, seed=5)) if residual else None
    expected = F.batch_norm(x.double(), None, None, gamma.double(), beta.double(), training=True, eps=EPSILON)
    expected = (expected if other is None else expected + other).relu()
    variance, mean = torch.var_mean(x.double().transpose(0, 1).flatten(1), 1)
    before = x.clone()
    found, found_mean, found_variance = normalized(x, gamma, beta, other, instruction_set, relu=True)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=2e-6)
    torch.testing.assert_close(found_mean.double(), mean, rtol=2e-7, atol=1e-6)
    torch.testing.assert_close(found_variance.double(), variance, rtol=1e-6, atol=0.0)
    assert torch.equal(x, before)


@every_set
@pytest.mark.parametrize("offset", [1e4, -3e6])
@pytest.mark.parametrize("outlier", [False, True], ids=["even", "the first is far away"])
def test_an_offset_of_a_channel_costs_no_digits_of_its_variance(
    offset: float, outlier: bool, instruction_set: str
) -> None:
    x = channels_last(gaussian(60, 16, 12, 9, seed=1) + offset)
    if outlier:
        x[0, :, 0, 0] = 0.0
    gamma, beta = gaussian(16, seed=3), gaussian(16, seed=4)
    variance, mean = torch.var_mean(x.double().transpose(0, 1).flatten(1), 1)
    expected = F.batch_norm(x.double(), None, None, gamma.double(), beta.double(), training=True, eps=EPSILON)
    found, found_mean, found_variance = normalized(x, gamma, beta, None, instruction_set)
    torch.testing.assert_close(found_mean.double(), mean, rtol=1e-7, atol=0.0)
    torch.testing.assert_close(found_variance.double(), variance, rtol=1e-6, atol=0.0)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-5)


@every_set
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_statistics_gathered_in_the_convolution_are_those_of_its_result(offset: float, instruction_set: str) -> None:
    lanes, bias = winograd.lanes_of(instruction_set), gaussian(32, seed=3) + offset
    shapes = [(53, 16, 7, 5, 3, 1, 1), (1, 16, 32, 31, 3, 0, 1), (9, 16, 2, 2, 3, 1, 1), (31, 3, 9, 8, 3, 1, 1)]
    for images, channels, height, width, size, padding, stride in [
        *shapes,
        (50, 16, 8, 9, 3, 1, 2),
        (5, 16, 8, 8, 1, 0, 2),
    ]:
        x, kernel = (
            channels_last(gaussian(images, channels, height, width, seed=1)),
            channels_last(gaussian(32, channels, size, size, seed=2)),
        )
        found, sums = convolved(x, kernel, bias, padding, stride, lanes)
        expected = torch.conv2d(x.double(), kernel.double(), bias.double(), stride, padding)
        torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-4)
        variance, mean = torch.var_mean(found.double().transpose(0, 1).flatten(1), 1, correction=0)
        torch.testing.assert_close(sums[0], mean, rtol=1e-7, atol=1e-6)
        torch.testing.assert_close(sums[1] * 32 / found.numel(), variance, rtol=1e-6, atol=0.0)


def convolved(x: Tensor, kernel: Tensor, bias: Tensor, padding: int, stride: int, lanes: int) -> tuple[Tensor, Tensor]:
    """The convolution by the kernels, and the mean and summed squares that they compute."""
    pairs = {"stride": (stride, stride), "padding": (padding, padding), "dilation": (1, 1)}
    settings = {**pairs, "groups": 1, "transposed": False}
    layer = Layer("convolution", (0,), (1,), (Affine(kernel.double(), ()), None), settings)
    weight = (winograd.prepare if winograd.takes(layer) else conv_chains.direct_weights)(kernel, lanes)
    height, width = ((size + 2 * padding - kernel.shape[-1]) // stride + 1 for size in x.shape[2:])
    result = channels_last(torch.empty(len(x), len(kernel), height, width))
    sums = torch.empty(2, len(kernel), dtype=torch.float64)
    batch_statistics.convolve(layer, x, weight, bias, None, result, lanes, norm=native.BatchNorm(), sums=sums)
    return result, sums


def kernel_of(plan: FusedPlan) -> batch_statistics.BatchStatistics:
    """The kernel of `plan` that computes BatchNorm."""
    [found] = [kernel for kernel in plan.kernels if isinstance(kernel, batch_statistics.BatchStatistics)]
    return found


def batched(name: str, precision: str = "float32") -> Objective:
    return with_batch_statistics(replace(objective(name, precision), batch=20))


@every_set
@pytest.mark.parametrize("everything", [False, True], ids=["weights move", "everything moves"])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_networks_with_statistics_of_each_batch_agree_with_float64_to_1e_6(
    name: str, everything: bool, instruction_set: str
) -> None:
    given, exact = batched(name), batched(name, "float64")
    along = directions(given, everything=everything)
    plan = engine.plan(given, along, choice_of(instruction_set))
    assert isinstance(plan, FusedPlan)
    assert kernel_of(plan).deferred
    assert kernel_of(plan).gathered
    require_close(plan.values(POINTS), PlainPlan(exact, along).values(POINTS), 1e-6)


@every_set
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_recalibrated_networks_agree_with_float64_to_1e_6(name: str, instruction_set: str) -> None:
    given, exact = objective(name), objective(name, "float64")
    along = directions(given, everything=True)
    calibrations = [Calibration(one, one.images[:30]) for one in (given, exact)]
    plan = engine.plan(given, along, choice_of(instruction_set), calibration=calibrations[0])
    assert plan.name == "fused"
    require_close(plan.values(POINTS), PlainPlan(exact, along, calibrations[1]).values(POINTS), 1e-6)


class Shared(nn.Module):
    """BatchNorm with an input or result that is used elsewhere: of the images, of a view, of a sum, read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 16, 3, padding=1))
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels) for channels in (16, 16, 16)])
        self.convolutions = nn.ModuleList([nn.Conv2d(16, 16, 3, padding=1) for _ in range(4)])
        self.flat, self.last = nn.BatchNorm1d(16), nn.Sequential(*head(16))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norms[0](self.first(x))
        made = self.convolutions[0](x)
        both = self.norms[1](made) + made
        read = torch.relu(self.norms[2](self.convolutions[1](both)))
        x = self.convolutions[2](read) + self.convolutions[3](read) + read
        pooled = x.mean((2, 3))
        return self.last(x) + self.flat(pooled.view(-1, 16))[:, :10] + pooled[:, 6:]


@every_set
def test_a_value_that_others_read_is_never_overwritten(instruction_set: str) -> None:
    images, labels = gaussian(53, 3, 6, 7, seed=3), torch.randint(0, 10, (53,), generator=generator(4))
    given, exact = (
        with_batch_statistics(Objective.of(stirred(Shared()), images, labels, precision=one, batch=20))
        for one in ("float32", "float64")
    )
    along = directions(given, everything=True)
    plan = engine.plan(given, along, choice_of(instruction_set))
    assert plan.name == "fused"
    require_close(plan.values(POINTS), PlainPlan(exact, along).values(POINTS), 1e-6)
    assert torch.equal(given.images, images)


@every_set
def test_nan_and_infinity_affect_only_their_own_channel(instruction_set: str) -> None:
    for bad in (math.nan, math.inf):
        x = channels_last(gaussian(5, 16, 6, 7, seed=1))
        x[3, 4, 2, 2] = bad
        found, mean, variance = normalized(x, torch.ones(16), torch.zeros(16), None, instruction_set, relu=True)
        assert found[:, 4].isnan().all()
        assert not mean[4].isfinite()
        assert variance[4].isnan()
        assert found[:, [0, 1, 2, 3, *range(5, 16)]].isfinite().all()


@every_set
def test_an_overflow_is_never_a_finite_loss(instruction_set: str) -> None:
    given = batched("resnet-20 of width 16")
    drawn = random_directions(given.parameters(), seed=0)
    points = [(0.5, 0.25), (1e20, 1e20), (1e38, 1e38)]
    expected = [value.loss for value in PlainPlan(given, drawn).values(points)]
    found = [value.loss for value in engine.plan(given, drawn, choice_of(instruction_set)).values(points)]
    assert [math.isfinite(loss) for loss in found] == [math.isfinite(loss) for loss in expected]
    assert not math.isfinite(found[-1])


def lane_choice(instruction_set: str) -> Choice:
    return {"engine": "lanes", "instruction_set": instruction_set, "block": 12}


@every_set
@pytest.mark.parametrize("name", ["resnet-20 with shortcuts", "dense", "depthwise"])
def test_in_the_lanes_every_instruction_set_agrees_with_float64_with_a_short_last_batch(
    name: str, instruction_set: str
) -> None:
    given, exact = (with_batch_statistics(replace(small(name, one), batch=25)) for one in ("float32", "float64"))
    along = directions(given, everything=True)
    plan = engine.plan(given, along, lane_choice(instruction_set))
    assert plan.name == "lanes"
    require_close(plan.values(POINTS), PlainPlan(exact, along).values(POINTS), 1e-6)


@every_set
def test_in_the_lanes_an_offset_of_a_channel_costs_no_digits(instruction_set: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 4 * 3, 10))
    stirred(model).train(False)
    images, labels = gaussian(50, 3, 4, 3, seed=1), torch.randint(0, 10, (50,), generator=generator())
    with torch.no_grad():
        model[0].bias += 1e4  # type: ignore[operator, arg-type]
    given, exact = (
        with_batch_statistics(Objective.of(model, images, labels, precision=one)) for one in ("float32", "float64")
    )
    along = random_directions(given.parameters(), seed=0)
    plan = engine.plan(given, along, lane_choice(instruction_set))
    assert plan.name == "lanes"
    size = 1e4 * 2**-24  # rounding error of a float32 with that offset, before the BatchNorm
    found, expected = plan.scores((0.3, 0.2), images), PlainPlan(exact, along).scores((0.3, 0.2), images.double())
    torch.testing.assert_close(found, expected, rtol=0.0, atol=20 * size)
    assert float((found - expected).square().mean().sqrt()) < 2 * size


@every_set
def test_in_the_lanes_nan_in_a_batch_reaches_neither_the_next_batch_nor_another_point(instruction_set: str) -> None:
    given = with_batch_statistics(replace(small("vgg"), batch=20))
    along = directions(given)
    images = given.images.clone()
    images[5, 0, 0, 0] = math.nan
    with_nan = replace(given, images=images, batch=20)
    plan = engine.plan(with_nan, along, lane_choice(instruction_set))
    assert plan.name == "lanes"
    assert math.isnan(plan.values(POINTS)[0].loss)
    clean = engine.plan(given, along, lane_choice(instruction_set))
    assert clean.name == "lanes"
    found = clean.values([*POINTS, (1e38, 1e38)])
    assert found[:3] == clean.values(POINTS)
    assert not math.isfinite(found[3].loss)


def test_in_the_lanes_the_number_of_threads_does_not_change_a_bit() -> None:
    given, threads, found = with_batch_statistics(replace(small("vgg"), batch=10)), torch.get_num_threads(), []
    plan = engine.plan(given, directions(given), lane_choice(SETS[0]))
    assert plan.name == "lanes"
    try:
        for count in (1, 2, 3, 8):
            torch.set_num_threads(count)
            found.append(plan.values(POINTS))
    finally:
        torch.set_num_threads(threads)
    assert all(other == found[0] for other in found)


def test_the_rule_chooses_the_lanes_for_a_narrow_network_unless_its_batch_is_too_large_for_memory() -> None:
    given = with_batch_statistics(small("vgg"))
    network = prepare(given, directions(given))
    assert default_choice(given, network) == {"engine": "lanes", "instruction_set": SETS[0], "block": 24}
    large = with_batch_statistics(replace(small("vgg", samples=6000), batch=6000))
    assert default_choice(large, network)["engine"] == "fused"
    assert default_choice(replace(large, batch=100), network)["engine"] == "lanes"


def test_a_network_that_normalizes_one_value_twice_runs_fused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norms = nn.Conv2d(3, 6, 3), nn.ModuleList([nn.BatchNorm2d(6), nn.BatchNorm2d(6)])
            self.last = nn.Sequential(*head(6))

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return self.last(torch.relu(self.norms[0](x)) + torch.relu(self.norms[1](x)))

    images, labels = gaussian(53, 3, 8, 6), torch.randint(0, 10, (53,), generator=generator())
    given, exact = (
        with_batch_statistics(Objective.of(stirred(Twice()), images, labels, precision=one))
        for one in ("float32", "float64")
    )
    along = directions(given, everything=True)
    plan = engine.plan(given, along)
    assert plan.name == "fused"
    require_close(plan.values(POINTS), PlainPlan(exact, along).values(POINTS), 1e-6)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3, 300):
            torch.set_num_threads(count)
            x, kernel = channels_last(gaussian(200, 16, 7, 9, seed=1)), channels_last(gaussian(16, 16, 3, 3, seed=2))
            gamma, beta = gaussian(16, seed=3), gaussian(16, seed=4)
            parts = [*normalized(x, gamma, beta, None, SETS[0])]
            for stride in (1, 2):
                parts += convolved(x, kernel, beta, 1, stride, winograd.lanes_of(SETS[0]))
            found.append(torch.cat([part.double().flatten() for part in parts]))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_the_fixed_rule_chooses_the_kernels_and_its_choice_gives_the_same_bits() -> None:
    given = batched("resnet-20 of width 16")
    along = directions(given)
    chosen = default_choice(given, prepare(given, along))
    assert chosen["normed"] == SETS[0]
    plans = [engine.plan(given, along, choice) for choice in (None, chosen)]
    assert plans[0].choice == plans[1].choice == chosen
    assert plans[0].values(POINTS) == plans[1].values(POINTS)


def test_a_recalibrated_plan_states_its_kernels_and_its_choice_gives_the_same_bits() -> None:
    given = objective("resnet-20 of width 16")
    along, calibration = directions(given), Calibration(given, given.images[:30])
    plan = engine.plan(given, along, calibration=calibration)
    assert plan.choice["normed"] == SETS[0]
    again = engine.plan(given, along, plan.choice, calibration=calibration)
    assert plan.values(POINTS) == again.values(POINTS)


def test_a_choice_without_the_kernels_turns_them_off() -> None:
    given = batched("mixed")
    along = directions(given)
    off = {name: value for name, value in choice_of(SETS[0]).items() if name != "normed"}
    plan = engine.plan(given, along, off)
    assert isinstance(plan, FusedPlan)
    assert plan.choice == off
    assert not kernel_of(plan).deferred
    require_close(plan.values(POINTS), PlainPlan(batched("mixed", "float64"), along).values(POINTS), 1e-6)


def test_memory_is_reused_when_no_view_refers_to_it() -> None:
    memory = arena.Arena()
    shape = (5, 64, 30, 40)
    first = memory.empty(shape)
    assert first.is_contiguous(memory_format=torch.channels_last)
    assert first.data_ptr() % 64 == 0
    where, view = first.data_ptr(), first[:, :3]
    del first
    second = memory.empty(shape)
    assert second.data_ptr() != where
    del view
    assert memory.empty((4, 64, 30, 40)).data_ptr() == where
    second.fill_(1.0)
    memory.clear()
    assert not memory.blocks
    assert float(second.sum()) == second.numel()
