"""Layers computed in one call, against torch's in float64; neither other images nor threads change a bit."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from landscape.engine import native
from landscape.engine.fused import conv_chains, winograd
from landscape.engine.fused.buffers import assign_buffers
from landscape.engine.graph.affine import Affine
from landscape.engine.graph.compile import prepare
from landscape.engine.graph.layers import Layer, Network
from landscape.objective.objective import Objective
from tests.landscape.engine.test_winograd import objective as small
from tests.landscape.engine.zoo import directions, gaussian, resnet, stirred

SETS = [name for name in native.INSTRUCTION_SETS if native.width(name)]
BEST = SETS[0] if SETS else ""
pytestmark = pytest.mark.skipif(not SETS, reason="the native module was not built")

# channels, filters, size, stride, padding, height, width
SHAPES = [
    *((3, 16, 3, 1, 1, 32, 32), (1, 32, 5, 1, 2, 9, 7), (4, 48, 3, 1, 0, 6, 11), (3, 64, 7, 2, 3, 20, 18)),
    *((16, 32, 3, 2, 1, 32, 32), (16, 32, 3, 2, 1, 7, 5), (32, 64, 1, 2, 0, 16, 16), (5, 16, 1, 2, 0, 3, 3)),
    *((20, 16, 2, 2, 0, 8, 8), (64, 80, 3, 2, 1, 1, 1)),
]


def network(shape: Sequence[int], *, relu: bool = True, other: bool = False) -> Network:
    """One convolution: value 0 to value 1, plus value 2 if `other`."""
    channels, filters, size, stride, padding, height, width = shape
    settings = {
        **{"stride": [stride] * 2, "padding": [padding] * 2, "dilation": [1, 1], "groups": 1, "transposed": False},
        **{"output_padding": [0, 0]},
    }
    weight = gaussian(filters, channels, size, size, seed=2).double() / (channels * size**2) ** 0.5
    weights = (Affine(weight, ()), Affine(gaussian(filters, seed=3).double(), ()) if relu else None)
    layer = Layer("convolution", (0,), (1,), weights, settings, residual=2 if other else None, relu=relu)
    out = (filters, *((side + 2 * padding - size) // stride + 1 for side in (height, width)))
    return Network(0, (layer,), 1, {0: (channels, height, width), 1: out, 2: out})


def numbers(given: Network, images: int) -> dict[int, Tensor]:
    return {index: gaussian(images, *shape, seed=index) for index, shape in given.shapes.items() if shape}


def computed(
    given: Network, values: dict[int, Tensor], instruction_set: str = SETS[0] if SETS else ""
) -> dict[int, Tensor]:
    """The result of one chain for `values`."""
    chain = conv_chains.Chain(given, range(len(given.layers)), winograd.lanes_of(instruction_set))
    weights = [[None if one is None else one.center.float() for one in layer.weights] for layer in given.layers]
    return chain.run(values, chain.prepare(weights))


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("relu", "other"), [(True, True), (False, False)])
def test_a_convolution_agrees_with_torchs_in_float64(
    shape: tuple[int, ...], relu: bool, other: bool, instruction_set: str
) -> None:
    given = network(shape, relu=relu, other=other)
    layer, values = given.layers[0], numbers(given, 5)
    assert conv_chains.takes(layer)
    weight, bias = (None if one is None else one.center.float().double() for one in layer.weights)
    expected = F.conv2d(values[0].double(), weight, bias, stride=shape[3], padding=shape[4])
    expected = expected + values[2].double() if other else expected
    found = computed(given, values, instruction_set)[1]
    assert torch.allclose(found.double(), expected.relu() if relu else expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_neither_the_vectors_nor_other_images_nor_threads_change_a_bit(shape: tuple[int, ...]) -> None:
    given, threads = network(shape, other=True), torch.get_num_threads()
    values = numbers(given, 7)
    whole = computed(given, values)[1]
    for batch in (1, 3):
        parts = [{index: value[at : at + batch] for index, value in values.items()} for at in range(0, 7, batch)]
        assert torch.equal(torch.cat([computed(given, part)[1] for part in parts]), whole)
    if "avx2" in SETS:
        assert torch.equal(computed(given, values, "avx2")[1], whole)
    try:
        for count in (2, 300):
            torch.set_num_threads(count)
            assert torch.equal(computed(given, values)[1], whole)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_relu_keeps_nan_and_infinity_does_not_become_finite(shape: tuple[int, ...]) -> None:
    for bad, relu in ((math.nan, True), (math.inf, False)):
        given = network(shape, relu=relu)
        values = numbers(given, 3)
        values[0][1, 0, 0, 0] = bad
        found = computed(given, values)[1]
        assert not found[1, :, 0, 0].isfinite().any()
        assert found[0].isfinite().all()
        assert found[2].isfinite().all()


def of_cifars_shape() -> Objective:
    return Objective.of(stirred(resnet("projection", 20, 16)), gaussian(9, 3, 32, 32), torch.arange(9))


GIVEN = {
    "resnet-20 on 32×32": of_cifars_shape,
    "resnet-56": lambda: small("resnet-56 of width 16"),
    "mixed": lambda: small("mixed"),
}


@pytest.mark.parametrize("name", GIVEN)
def test_layers_in_one_chain_give_the_bits_of_each_alone(name: str) -> None:
    given = prepare(GIVEN[name](), ())
    found = conv_chains.chains(given, winograd.lanes_of(SETS[0]))
    assert found
    for chain in found:
        known = {index: gaussian(7, *(given.shapes[index] or ()), seed=index) for index in chain.sources}
        weights = [[None if one is None else one.center.float() for one in layer.weights] for layer in chain.layers]
        together = chain.run(known, chain.prepare(weights))
        for layer in chain.layers:
            known |= computed(Network(given.input, (layer,), layer.result, given.shapes), known)
        assert set(together) == set(chain.results)
        assert all(torch.equal(together[index], known[index]) for index in chain.results)


def test_all_convolutions_of_a_resnet_are_one_chain() -> None:
    given = of_cifars_shape()
    network = prepare(given, directions(given))
    (chain,) = conv_chains.chains(network, winograd.lanes_of(SETS[0]))
    assert [layer.kind for layer in network.layers if layer not in chain.layers] == ["mean", "linear"]


def test_heavy_grouped_and_uneven_layers_are_not_taken() -> None:
    heavy = network((256, 256, 3, 2, 1, 8, 8)).layers[0]
    light = network(SHAPES[4]).layers[0]
    others: list[dict[str, object]] = [{"groups": 2}, {"dilation": [2, 2]}, {"stride": [2, 1]}, {"transposed": True}]
    changed = [Layer("convolution", (0,), (1,), light.weights, {**light.settings, **other}) for other in others]
    assert conv_chains.takes(light)
    assert not any(conv_chains.takes(layer) for layer in (heavy, *changed))


def test_a_buffer_is_reused_for_a_value_of_the_same_layout_and_for_no_other() -> None:
    wanted = [{"a": 1}, {"b": 2}, {"a": 1, "c": 1}, {"d": 1}, {"e": 2}]
    found, layouts = assign_buffers(wanted, {"a": 2, "b": 1, "c": 3})
    assert found == {"a": 0, "b": 1, "c": 2, "d": 0, "e": 1}
    assert layouts == [1, 2, 1]
