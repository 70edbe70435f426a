"""Packed networks made as attacks: refused in words when they are read, and again where their operators run."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from landscape.checkpoints.checkpoint import describe
from landscape.engine import plan
from landscape.engine.graph.interpret import Approved, interpret
from landscape.engine.graph.layers import Network
from landscape.engine.graph.preconditions import ANYTHING, CHECKS, operator, require_safe
from landscape.errors import CheckpointError
from landscape.objective.objective import Objective
from landscape.packing.allowlist import ALLOWED
from landscape.packing.dry_run import BATCH_NUMBERS, BATCH_WORK, Found, dry_run
from landscape.packing.graph_json import from_text
from landscape.packing.module import PackedModule
from landscape.parsers.source import FileError, Source

ATTACKS = Path(__file__).parent / "graphs"
Argument = Any


def attack(name: str) -> tuple[str, dict[str, Tensor]]:
    """The graph of an attack as text, and its tensors."""
    with safe_open(ATTACKS / f"{name}.safetensors", "pt") as file:
        return file.metadata()["graph"], {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize(
    ("name", "said"), [("crash18499", "2 numbers as stride"), ("lk", "belong together"), ("hog", "linear in the batch")]
)
def test_an_attack_is_refused_with_a_sentence_when_it_is_read(name: str, said: str) -> None:
    with (ATTACKS / f"{name}.safetensors").open("rb") as file, pytest.raises(CheckpointError, match=said):
        describe(Source(file))


@pytest.mark.parametrize("samples", [1, 3, 4, 64])
def test_a_lying_size_is_refused_where_the_operator_runs(samples: int) -> None:
    """Up to three samples the slice is empty; with four it is as long as 4 million numbers behind a bias of 4."""
    text, tensors = attack("lk")
    module = PackedModule(from_text(text), tensors)
    x = torch.zeros(samples, 1, 8, 8)
    if samples < 4:
        assert module(x).shape == (samples, 10)
        return
    with pytest.raises(FileError, match="do not belong together"):
        module(x)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_engine_runs_no_operator_of_a_network_whose_lists_are_too_short(precision: str) -> None:
    text, tensors = attack("crash18499")
    module = PackedModule(from_text(text), tensors).eval()
    objective = Objective.of(module, torch.zeros(6, 4, 1, 1), torch.zeros(6, dtype=torch.int64))
    planned = plan(objective, [], precision=None if precision == "float32" else precision)
    assert planned.name == "plain"
    with pytest.raises(FileError, match="as stride"):
        planned.values([()])


def test_every_operator_of_a_packed_network_has_a_check_or_is_safe_with_any_arguments() -> None:
    """A new operator joins one of the tables in engine/graph/preconditions.py."""
    assert not CHECKS.keys() & ANYTHING
    assert CHECKS.keys() | ANYTHING == ALLOWED
    for name in ALLOWED:
        operator(name)


def network(*nodes: list[Any], shape: tuple[int, ...] = (3, 4), parameters: tuple[str, ...] = ("w",)) -> str:
    """A graph as text: tensor 0 is the input, 1… the parameters, the result of the last node the output."""
    described = {
        "input": {"index": 0, "shape": list(shape), "dtype": "float32"},
        "parameters": {name: 1 + at for at, name in enumerate(parameters)},
        "buffers": {},
        "constants": [],
        "nodes": nodes,
        "output": nodes[-1][3][0],
    }
    return json.dumps(described)


def tried(*nodes: list[Any], shape: tuple[int, ...] = (3, 4), weight: tuple[int, ...] = (4,)) -> Found:
    return dry_run(from_text(network(*nodes, shape=shape)), {"w": torch.ones(weight)})


X, W = {"t": 0}, {"t": 1}
ZEROS = ["aten.zeros.default", [[{"n": [1, 0]}, 2]], {}, [9]]

NOT_LINEAR: dict[str, list[list[Any]]] = {
    "an end that is negative in small batches": [["aten.slice.Tensor", [W, 0, 0, {"n": [1, -300]}], {}, [8]]],
    "an end past the tensor in large batches": [["aten.slice.Tensor", [W, 0, 0, {"n": [1, 0]}], {}, [8]]],
    "a slice that is there in medium batches only": [
        ["aten.slice.Tensor", [W, 0, {"n": [1, -400]}, {"n": [1, -300]}], {}, [8]]
    ],
    "the first samples": [["aten.slice.Tensor", [X, 0, 0, 5], {}, [8]]],
    "every second sample": [["aten.slice.Tensor", [X, 0, 0, 2**62, 2], {}, [8]]],
    "a limit by name": [["aten.slice.Tensor", [], {"self": W, "end": {"n": [1, 0]}}, [8]]],
    "two axes of the batch": [["aten.zeros.default", [[{"n": [1, 0]}, {"n": [1, 0]}]], {}, [8]]],
    "steps along the batch": [["aten.arange.start_step", [0, {"n": [1, 0]}, 3], {}, [8]]],
    "almost steps of one": [["aten.arange.start_step", [0, {"n": [1, 0]}, 1.0001], {}, [8]]],
    "windows along the batch": [
        ["aten.permute.default", [X, [1, 2, 0]], {}, [7]],
        ["aten.avg_pool2d.default", [{"t": 7}, [1, 1], [1, 1]], {}, [8]],
    ],
    "a transform along the batch": [["aten._fft_r2c.default", [X, [0], 0, True], {}, [8]]],
    "a transform of complex numbers along the batch": [
        ["aten._to_copy.default", [X], {"dtype": {"s": "complex64"}}, [7]],
        ["aten._fft_c2c.default", [{"t": 7}, [2, -3], 0, True], {}, [8]],
    ],
    "an axis that is gone for one sample": [["aten.squeeze.default", [X], {}, [8]]],
    "a square of the batch": [
        ["aten.expand.default", [W, [{"n": [1, 0]}, 4]], {}, [7]],
        ["aten.repeat.default", [{"t": 7}, [{"n": [1, 0]}, 1]], {}, [8]],
    ],
}


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_sizes_that_are_not_linear_in_the_batch_are_refused(name: str) -> None:
    with pytest.raises(FileError, match=r"linear in the batch|refuses"):
        tried(*NOT_LINEAR[name], ZEROS)


LINEAR: dict[str, list[list[Any]]] = {
    "all samples": [["aten.slice.Tensor", [X, 0, 0, 2**63 - 1], {}, [8]]],
    "all samples by their count": [["aten.slice.Tensor", [X, 0, 0, {"n": [1, 0]}], {}, [8]]],
    "all but the last sample": [["aten.slice.Tensor", [X, 0, 0, -1], {}, [8]]],
    "samples side by side": [["aten.view.default", [X, [{"n": [3, 0]}, 4]], {}, [8]]],
    "a part of each": [["aten.slice.Tensor", [X, 2, -2, 2**63 - 1], {}, [8]]],
    "a transform of each, and back": [
        ["aten._fft_r2c.default", [X, [1, 2], 0, True], {}, [6]],
        ["aten._fft_c2c.default", [{"t": 6}, [1], 2, False], {}, [7]],
        ["aten._fft_c2r.default", [{"t": 7}, [2], 2, 4], {}, [8]],
    ],
    "positions": [["aten.arange.start", [0, {"n": [1, 2]}], {}, [8]]],
}


@pytest.mark.parametrize("name", LINEAR)
def test_sizes_that_are_linear_in_the_batch_are_taken(name: str) -> None:
    assert tried(*LINEAR[name], ZEROS).output == (2,)


COMPLEX = ["aten._to_copy.default", [X], {"dtype": {"s": "complex64"}}, [7]]
HOSTILE: dict[str, list[list[Any]]] = {
    "a transform of another size": [COMPLEX, ["aten._fft_c2r.default", [{"t": 7}, [2], 2, 9], {}, [8]]],
    "a transform of no size": [COMPLEX, ["aten._fft_c2r.default", [{"t": 7}, [2], 2, 0], {}, [8]]],
    "a transform along one axis twice": [["aten._fft_r2c.default", [X, [2, -1], 0, True], {}, [8]]],
    "a transform along an axis that is not there": [["aten._fft_r2c.default", [X, [3], 0, True], {}, [8]]],
    "a transform along no axis": [["aten._fft_r2c.default", [X, [], 0, True], {}, [8]]],
    "a transform divided in an unknown way": [["aten._fft_r2c.default", [X, [2], 3, True], {}, [8]]],
    "a transform of real numbers as complex ones": [["aten._fft_c2c.default", [X, [2], 0, True], {}, [8]]],
    "a transform of complex numbers as real ones": [
        COMPLEX,
        ["aten._fft_r2c.default", [{"t": 7}, [2], 0, True], {}, [8]],
    ],
    "a transform of no numbers": [
        ["aten.slice.Tensor", [X, 2, 0, 0], {}, [7]],
        ["aten._fft_r2c.default", [{"t": 7}, [1], 0, True], {}, [8]],
    ],
    "complex numbers in a window": [
        COMPLEX,
        ["aten.max_pool2d_with_indices.default", [{"t": 7}, [2, 2]], {}, [8, None]],
    ],
    "complex numbers in a norm": [
        COMPLEX,
        ["aten.native_layer_norm.default", [{"t": 7}, [4], None, None, 1e-5], {}, [8, None, None]],
    ],
    "complex numbers in a sum of powers": [COMPLEX, ["aten.cumsum.default", [{"t": 7}, 1], {}, [8]]],
    "complex numbers as weights": [
        ["aten._to_copy.default", [W], {"dtype": {"s": "complex64"}}, [7]],
        ["aten.native_layer_norm.default", [X, [4], {"t": 7}, None, 1e-5], {}, [8, None, None]],
    ],
    "pairs of three": [
        ["aten.slice.Tensor", [X, 2, 0, 3], {}, [7]],
        ["aten.view_as_complex.default", [{"t": 7}], {}, [8]],
    ],
    "a type of complex halves": [["aten._to_copy.default", [X], {"dtype": {"s": "complex32"}}, [8]]],
    "a device": [["aten.zeros.default", [[4]], {"device": "meta"}, [8]]],
    "a device by number": [["aten.zeros.default", [[4]], {"device": 0}, [8]]],
    "a type by number": [["aten.zeros.default", [[4]], {"dtype": 12}, [8]]],
    "a layout by number": [["aten.zeros.default", [[4]], {"layout": 1}, [8]]],
    "a layout as a type": [["aten.zeros.default", [[4]], {"dtype": {"s": "strided"}}, [8]]],
    "an argument twice": [["aten.relu.default", [X], {"self": X}, [8]]],
    "no argument": [["aten.relu.default", [], {}, [8]]],
    "a size of no numbers": [["aten._adaptive_avg_pool2d.default", [X, []], {}, [8]]],
    "no window": [["aten.avg_pool2d.default", [X, [0, 0]], {}, [8]]],
    "a window of one number": [["aten.avg_pool2d.default", [X, [2]], {}, [8]]],
    "a padding of one number": [["aten.reflection_pad2d.default", [X, [1]], {}, [8]]],
    "a reflection of more than there is": [["aten.reflection_pad2d.default", [X, [0, 0, 9, 9]], {}, [8]]],
    "a part of no size": [["aten.split.Tensor", [X, 0, 1], {}, [8]]],
    "a factor of 2^32": [["aten.pixel_shuffle.default", [X, 2**32], {}, [8]]],
    "numbers beyond count": [["aten.expand.default", [W, [2**62, 4]], {}, [8]]],
    "whole numbers divided by -1": [
        ["aten._to_copy.default", [X], {"dtype": {"s": "int64"}}, [7]],
        ["aten.remainder.Scalar", [{"t": 7}, -1], {}, [8]],
    ],
    "an expanded weight of a norm": [
        ["aten.slice.Tensor", [W, 0, 0, 1], {}, [6]],
        ["aten.expand.default", [{"t": 6}, [3]], {}, [7]],
        ["aten.native_group_norm.default", [X, {"t": 7}, None, {"n": [1, 0]}, 3, 4, 1, 1e-5], {}, [8, None, None]],
    ],
    "a scale that leads nowhere": [
        ["aten.unsqueeze.default", [X, 1], {}, [7]],
        ["aten.upsample_bilinear2d.default", [{"t": 7}, [6, 8], False, 1e-300, 1e-300], {}, [8]],
    ],
    "weights of a larger shape than the samples": [
        ["aten.slice.Tensor", [X, 1, 0, 1], {}, [7]],
        ["aten._prelu_kernel.default", [{"t": 7}, X], {}, [8]],
    ],
    "a result for gradients": [
        ["aten.native_layer_norm.default", [X, [4], W, None, 1e-5], {}, [6, 7, None]],
        ["aten.relu.default", [{"t": 7}], {}, [8]],
    ],
    "a diagonal at the end of the numbers": [["aten.triu.default", [X, 2**63 - 1], {}, [8]]],
    "a shift at the end of the numbers": [["aten.roll.default", [X, [-(2**63)], [1]], {}, [8]]],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_arguments_are_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(FileError) as caught:
        tried(*HOSTILE[name], ZEROS)
    assert str(caught.value).endswith(".")
    assert "damaged" in str(caught.value)


COSTLY: dict[str, list[list[Any]]] = {
    "windows over everything": [
        ["aten.constant_pad_nd.default", [X, [0, 2000, 0, 2000]], {}, [7]],
        ["aten.unsqueeze.default", [{"t": 7}, 1], {}, [6]],
        ["aten.max_pool2d_with_indices.default", [{"t": 6}, [999, 999], [1, 1]], {}, [8, None]],
    ],
    "sums of what takes no memory": [
        ["aten.expand.default", [W, [{"n": [1, 0]}, 2**25, 4]], {}, [7]],
        *[["aten.sum.dim_IntList", [{"t": 7}, [1]], {}, [8 + k]] for k in range(60)],
    ],
}


@pytest.mark.parametrize("name", COSTLY)
def test_work_that_makes_few_numbers_is_counted(name: str) -> None:
    nodes = [node if node[3][0] < 8 else [*node[:3], [node[3][0] + 100, *node[3][1:]]] for node in COSTLY[name]]
    with pytest.raises(FileError, match="too large"):
        tried(*nodes, ZEROS)


def test_memory_and_work_of_a_batch_are_bounded() -> None:
    wide = [["aten.expand.default", [W, [{"n": [1, 0]}, 2**20, 4]], {}, [7]], ["aten.exp.default", [{"t": 7}], {}, [8]]]
    found = tried(*wide, ["aten.amax.default", [{"t": 8}, [1]], {}, [9]])
    assert 1 <= found.batch <= BATCH_NUMBERS // 2**22
    assert found.batch * found.work <= BATCH_WORK
    module = PackedModule(from_text(network(*wide)), {"w": torch.ones(4)}, batch=found.batch)
    assert Objective.of(module, torch.zeros(9, 3, 4), torch.zeros(9)).batch == found.batch


def test_a_size_that_leaves_its_line_is_refused_where_the_operator_runs() -> None:
    cut = ["aten.slice.Tensor", [W, 0, 0, {"n": [1, -8]}], {}, [8]]
    module = PackedModule(from_text(network(cut, ["aten.relu.default", [X], {}, [9]])), {"w": torch.ones(4)})
    for samples in (1, 3, 4, 1):  # the end is past the last of 4 numbers before the first: always empty
        assert len(module(torch.zeros(samples, 3, 4))) == samples
    with pytest.raises(FileError, match="linear in the batch"):
        module(torch.zeros(10, 3, 4))
    assert len(module(torch.zeros(10, 5, 5))) == 10  # other samples have other sizes


def test_values_are_freed_when_nothing_reads_them() -> None:
    graph = from_text(
        network(*[["aten.relu.default", [{"t": 8 + k if k else 0}], {}, [9 + k]] for k in range(3)])
    ).graph
    assert graph.ended == ((0,), (9,), (10,))
    x = torch.randn(2, 3, 4)
    assert torch.equal(interpret(graph, {"w": torch.ones(1)}, x), x.relu())


def test_native_kernels_get_no_values_of_another_shape_than_was_recorded() -> None:
    shapes: dict[int, tuple[int, ...] | None] = {5: (3, 4)}
    network = Network(0, (), 5, shapes)
    network.require_shapes({5: torch.zeros(7, 3, 4), 6: torch.zeros(1)}, 7)
    with pytest.raises(FileError, match="linear in the batch"):
        network.require_shapes({5: torch.zeros(7, 3, 3)}, 7)
    with pytest.raises(FileError, match="linear in the batch"):
        replace(network, shapes={5: (3,)}).require_shapes({5: torch.zeros(7, 3, 4)}, 7)


CHECKED: list[tuple[str, Callable[[], list[Argument]]]] = [
    (
        "aten.convolution.default",
        lambda: [torch.zeros(1, 2, 5), torch.zeros(3, 2, 3), None, [1], [0], [1], False, [0], 1],
    ),
    ("aten.avg_pool2d.default", lambda: [torch.zeros(1, 2, 4, 4), [2, 2]]),
    ("aten.cat.default", lambda: [[torch.zeros(1, 2), torch.zeros(3, 2)]]),
]


@pytest.mark.parametrize(("name", "arguments"), CHECKED, ids=[name for name, _ in CHECKED])
def test_good_arguments_pass_whether_given_by_place_or_by_name(name: str, arguments: Callable[[], list[Any]]) -> None:
    require_safe(name, arguments(), {})
    names = [argument.name for argument in operator(name)._schema.arguments]
    require_safe(name, [], dict(zip(names, arguments(), strict=False)))


def test_a_layout_that_was_approved_is_not_checked_again_and_any_other_is() -> None:
    text, tensors = attack("lk")
    graph = from_text(text).graph
    approved = Approved()
    for samples in (1, 3, 1):
        interpret(graph, tensors, torch.zeros(samples, 1, 8, 8), approved)
    assert len(approved.layouts) == 2
    with pytest.raises(FileError, match="linear in the batch"):
        interpret(graph, tensors, torch.zeros(4, 1, 8, 8), approved)
    assert len(approved.layouts) == 2
