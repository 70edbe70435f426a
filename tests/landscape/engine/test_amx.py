"""Convolutions by AMX's tiles, against torch's in float64; neither other images, threads nor layers change a bit."""

import math
import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape import engine
from landscape.engine import choose, native
from landscape.engine.audit import audit
from landscape.engine.fused import amx, amx_layout, onednn
from landscape.engine.fused.plan import FusedPlan
from landscape.engine.graph.affine import Affine
from landscape.engine.graph.compile import prepare
from landscape.engine.graph.layers import Layer, Network
from landscape.engine.plain import PlainPlan
from landscape.errors import UnknownNameError
from landscape.objective.objective import Objective
from tests.landscape.engine.zoo import directions, gaussian, head, resnet, stirred

needs_amx = pytest.mark.skipif(not native.has_amx(), reason="this processor, system or build lacks AMX")

# channels, filters, size, stride, height, width
SHAPES = [
    *((16, 16, 3, 1, 32, 32), (16, 16, 3, 1, 3, 4), (16, 16, 3, 1, 5, 8), (16, 32, 3, 2, 32, 32), (16, 64, 3, 2, 6, 4)),
    *((16, 32, 1, 2, 32, 32), (16, 32, 1, 2, 2, 8), (32, 32, 3, 1, 16, 16), (64, 96, 3, 1, 8, 8), (32, 64, 3, 1, 1, 1)),
    *((32, 64, 3, 2, 16, 16), (64, 32, 3, 2, 8, 8), (96, 32, 3, 2, 2, 4), (64, 32, 1, 1, 7, 7), (32, 64, 1, 2, 16, 16)),
    *((64, 128, 3, 1, 4, 12), (3, 16, 3, 1, 32, 32), (3, 16, 3, 1, 6, 6), (1, 16, 3, 1, 4, 8), (3, 64, 3, 1, 9, 5)),
    *((2, 32, 3, 1, 28, 28), (256, 256, 3, 1, 4, 4)),
]


def rounded(*shape: int, seed: int) -> Tensor:
    return gaussian(*shape, seed=seed).bfloat16()


def network(shapes: Sequence[tuple[int, ...]], *, relu: bool = True, bias: bool = True, other: bool = False) -> Network:
    """One convolution: value 0 to value 1, plus value 2 if `other`."""
    ((channels, filters, size, stride, height, width),) = shapes
    settings = {
        **{"stride": [stride] * 2, "padding": [size // 2] * 2, "dilation": [1, 1], "groups": 1, "transposed": False},
        **{"output_padding": [0, 0]},
    }
    weight = gaussian(filters, channels, size, size, seed=2) / (channels * size**2) ** 0.5
    added = Affine(gaussian(filters, seed=3).double(), ()) if bias else None
    layer = Layer(
        *("convolution", (0,), (1,), (Affine(weight.double(), ()), added), settings),
        **{"residual": 2 if other else None, "relu": relu},
    )
    out = (filters, (height - 1) // stride + 1, (width - 1) // stride + 1)
    return Network(0, (layer,), 1, {0: (channels, height, width), 1: out, 2: out})


def computed(given: Network, values: dict[int, Tensor], stretch: range | None = None) -> dict[int, Tensor]:
    """The result of one segment for `values`."""
    stretch = stretch or range(len(given.layers))
    shape = given.shapes[given.layers[stretch.start].result]
    found = amx_layout.read_pattern(given, given.layers[stretch.start])
    assert found is not None
    assert shape is not None
    segment = amx.Segment(given, stretch, amx_layout.group_size(found, shape[2]))
    weights = [
        [None if weight is None else weight.center.float() for weight in layer.weights]
        for layer in given.layers[stretch.start : stretch.stop]
    ]
    return segment.run(values, segment.prepare(weights))


def exact(given: Network, values: dict[int, Tensor]) -> tuple[Tensor, Tensor]:
    """The convolution in float64 of the rounded numbers, and the sum of the sizes of its terms."""
    layer = given.layers[0]
    weight, bias = (None if one is None else one.center for one in layer.weights)
    assert weight is not None
    kernel, x = weight.float().bfloat16().double(), values[0].double()
    window = {"stride": layer.settings["stride"], "padding": layer.settings["padding"]}
    result = F.conv2d(x, kernel, None if bias is None else bias.float().double(), **window)
    sizes = F.conv2d(x.abs(), kernel.abs(), **window)
    if layer.residual is not None:
        result, sizes = result + values[2].double(), sizes + values[2].double().abs()
    return result.relu() if layer.relu else result, sizes


@needs_amx
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("relu", "bias", "other", "images"), [(True, True, True, 5), (False, False, False, 1), (True, False, False, 17)]
)
def test_a_convolution_is_torchs_in_float64_rounded_once(
    shape: tuple[int, ...], relu: bool, bias: bool, other: bool, images: int
) -> None:
    given = network([shape], relu=relu, bias=bias, other=other)
    values = {index: rounded(images, *size, seed=index) for index, size in given.shapes.items() if size is not None}
    found = computed(given, values)[1].double()
    expected, sizes = exact(given, values)
    error = (found - expected).abs() - 2.0**-8 * expected.abs()  # half a unit of the last of 8 bits
    assert bool((error <= 1e-6 * sizes).all())


def blocks(shortcuts: str = "projection", depth: int = 20, width: int = 16) -> Objective:
    model = stirred(resnet(shortcuts, depth, width))
    return Objective.of(model, gaussian(21, 3, 32, 32, seed=4), torch.arange(21) % 10, batch=21)


class Wide(nn.Module):
    """Gray images, 32 and 64 filters, a residual from before the first layer, a value that is read much later."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)
        self.second, self.third = nn.Conv2d(32, 32, 1), nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.fourth, self.grouped = nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1, groups=4)
        self.last = nn.Sequential(*head(64))

    def forward(self, x: Tensor) -> Tensor:
        stem = torch.relu(self.stem(x))
        x = torch.relu(self.first(stem))
        x = torch.relu(self.second(x) + stem)
        x = self.third(x + stem)
        return self.last(torch.relu(self.grouped(self.fourth(x)) + x))


def wide() -> Objective:
    return Objective.of(stirred(Wide()), gaussian(13, 1, 8, 8, seed=4), torch.arange(13) % 10, batch=13)


GIVEN = {
    "resnet-20": blocks,
    "resnet-8 of width 64": lambda: blocks(depth=8, width=64),
    "resnet-20 option A": lambda: blocks("padding"),
    "wide": wide,
}


@needs_amx
@pytest.mark.parametrize("name", GIVEN)
def test_layers_in_one_segment_give_the_bits_of_each_alone(name: str) -> None:
    given = GIVEN[name]()
    network = prepare(given, ())
    segments = [segment for segment in amx.segments(network) if len(segment.layers) > 1]
    assert segments
    for segment in segments:
        known = {index: rounded(7, *(network.shapes[index] or ()), seed=index) for index, _ in segment.sources}
        together = computed(network, known, segment.stretch)
        for at in segment.stretch:
            known |= _alone(network, at, known)
        assert set(together) == set(segment.results)
        assert all(torch.equal(together[index], known[index]) for index in segment.results)


def _alone(network: Network, at: int, values: dict[int, Tensor]) -> dict[int, Tensor]:
    layer = network.layers[at]
    apart = Network(network.input, (layer,), layer.result, network.shapes)
    return computed(apart, values)


@needs_amx
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_neither_other_images_nor_threads_change_a_bit(shape: tuple[int, ...]) -> None:
    given, threads = network([shape], other=True), torch.get_num_threads()
    values = {index: rounded(19, *size, seed=index) for index, size in given.shapes.items() if size is not None}
    whole = computed(given, values)[1]
    for batch in (1, 8):
        parts = [{index: value[at : at + batch] for index, value in values.items()} for at in range(0, 19, batch)]
        assert torch.equal(torch.cat([computed(given, part)[1] for part in parts]), whole)
    try:
        for count in (2, 3, 300):
            torch.set_num_threads(count)
            assert torch.equal(computed(given, values)[1], whole)
    finally:
        torch.set_num_threads(threads)


@needs_amx
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_relu_keeps_nan_and_infinity_does_not_become_finite(shape: tuple[int, ...]) -> None:
    for bad, relu in ((math.nan, True), (math.inf, False)):
        given = network([shape], relu=relu)
        x = rounded(3, *(given.shapes[0] or ()), seed=1)
        x[1, 0, 0, 0] = bad
        found = computed(given, {0: x})[1]
        assert not found[1, :, 0, 0].isfinite().any()
        assert found[0].isfinite().all()
        assert found[2].isfinite().all()


@needs_amx
def test_an_overflow_is_never_a_finite_loss() -> None:
    given = blocks(depth=56)
    drawn = directions(given)
    plan = engine.plan(given, drawn, precision="bfloat16")
    points = [(0.5, 0.25), (100.0, 100.0), (1e5, 1e5)]
    assert plan.choice["amx"]
    expected = [value.loss for value in PlainPlan(given, drawn).values(points)]
    found = [value.loss for value in plan.values(points)]
    assert [math.isfinite(loss) for loss in found] == [math.isfinite(loss) for loss in expected] == [True, False, False]


@needs_amx
@pytest.mark.parametrize("name", GIVEN)
def test_amx_is_no_further_from_float64_than_torchs_bfloat16(name: str) -> None:
    given = GIVEN[name]()
    drawn = directions(given)
    points = [(0.1 * k, 0.3 - 0.05 * k) for k in range(-6, 7)]
    ours = engine.plan(given, drawn, precision="bfloat16")
    torchs = engine.plan(given, drawn, {"engine": "fused", "batch": 21, "precision": "bfloat16"})
    plain = PlainPlan(given, drawn)
    assert ours.choice["amx"]
    assert "amx" not in torchs.choice
    assert audit(ours, plain, points).median < 2 * audit(torchs, plain, points).median + 1e-4


@needs_amx
def test_the_same_choice_gives_the_same_bits_in_another_process() -> None:
    given = blocks()
    choice = {"engine": "fused", "batch": 16, "precision": "bfloat16", "amx": True}
    plan = engine.plan(given, directions(given), choice)
    assert plan.choice == choice
    program = (
        "from landscape import engine; from tests.landscape.engine.test_amx import *; o = blocks(); "
        f"print(engine.plan(o, directions(o), {choice}).values([(0.3, -0.2)])[0].loss.hex())"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert plan.values([(0.3, -0.2)])[0].loss.hex() == printed.strip()


@needs_amx
def test_the_convolutions_of_a_resnet_are_two_segments() -> None:
    network = prepare(blocks(), ())
    found = amx.segments(network)
    convolutions = [layer for layer in network.layers if layer.kind == "convolution"]
    assert sum(len(segment.layers) for segment in found) == len(convolutions)
    assert len(found) == 2  # a stride of two over 32 channels needs its input in the layout "halves"


def test_only_convolutions_with_a_read_pattern_are_taken() -> None:
    layers = prepare(wide(), ()).layers
    network = prepare(wide(), ())
    taken = [amx_layout.read_pattern(network, layer) is not None for layer in layers if layer.kind == "convolution"]
    assert taken == [True, True, True, True, True, False]


def test_amx_is_refused_on_a_machine_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "has_amx", lambda: False)
    given = blocks()
    choice = {"engine": "fused", "batch": 16, "precision": "bfloat16", "amx": True}
    with pytest.raises(UnknownNameError, match="instruction set"):
        engine.plan(given, directions(given), choice)
    plan = engine.plan(given, directions(given), precision="bfloat16")
    assert isinstance(plan, FusedPlan)
    assert "amx" not in plan.choice


@needs_amx
def test_a_batch_holds_at_least_one_group_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "BATCH_NUMBERS", 1)
    given = blocks()
    network = prepare(given, ())
    assert choose.fused_batch(network, few=256) == 1
    assert choose.default_choice(given, network, "bfloat16")["batch"] == 2


@needs_amx
def test_a_processor_with_amx_is_not_taken_for_one_that_emulates_bfloat16() -> None:
    assert onednn.available(torch.bfloat16)
