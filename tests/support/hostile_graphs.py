"""Random packed networks: every allowed operator with hostile arguments, and good networks with a few parts changed.

As a program, it reads and computes those from START on, one line of JSON for each on standard output:

    python -m tests.support.hostile_graphs SEED START STOP MARK
    python -m tests.support.hostile_graphs MARK                      one that reads outside, its check left out

MARK (0 to 255) fills the memory between its tensors: a kernel that reads outside of them gives other numbers with
another mark (the caller also sets MALLOC_PERTURB_).
"""

import json
import logging
import random
import resource
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from landscape.directions.random import random_directions
from landscape.engine import native, plan
from landscape.engine.graph import interpret
from landscape.engine.graph.preconditions import schema
from landscape.engine.graph.record import record
from landscape.errors import LandscapeError
from landscape.objective.objective import Objective
from landscape.packing import CONSTANT, dry_run
from landscape.packing.allowlist import ALLOWED
from landscape.packing.arguments import DTYPES
from landscape.packing.graph_json import from_text, to_text
from landscape.packing.module import PackedModule, as_saved
from tests.support.small_networks import templates

Described = dict[str, Any]
Tensors = dict[str, Tensor]

NUMBERS = (
    -(2**63),
    -(2**31),
    -9,
    -2,
    -1,
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    16,
    31,
    64,
    999,
    2**31 - 1,
    2**32,
    2**62,
    2**63 - 1,
)
REALS = (0.0, -1.0, 0.5, 1e-300, 1e300, 1e9, -1e9, 7.0, {"f": "inf"}, {"f": "nan"})
SHAPES = ((3, 8, 8), (16, 5, 6), (4, 4, 4, 4), (6, 8), (12,), (2, 1, 1))
X = {"t": 0}
OPERATORS = tuple(sorted(ALLOWED))
ATTEMPTS = 20  # at a network that is not refused
MEMORY = 4 << 30  # bytes of address space


def packed(model: nn.Module, sample: tuple[int, ...]) -> tuple[Described, Tensors]:
    """A module as the graph and the tensors of its packed file."""
    torch.backends.mha.set_fastpath_enabled(False)
    graph = record(model.eval(), sample, torch.float32)
    used = graph.uses()
    graph.buffers.update({name: index for name, index in graph.buffers.items() if used[index]})
    for name in [name for name, index in graph.buffers.items() if not used[index]]:
        del graph.buffers[name]
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    tensors = {name: as_saved(state[name]) for name in (*graph.parameters, *graph.buffers)}
    tensors |= {f"{CONSTANT}{index}": as_saved(tensor) for index, tensor in graph.constants.items()}
    return json.loads(to_text(graph, sample=sample, dtype="float32")), tensors


class Maker:
    """Makes the graph with a number: the same for the same seed."""

    def __init__(self, seed: int):
        self.seed = seed
        self.good = [packed(*given) for given in templates()]

    def graph(self, number: int, attempt: int) -> tuple[str, Described, Tensors]:
        """A word for it, its graph, and its tensors."""
        chance = random.Random(f"{self.seed} {number} {attempt}")
        if number % 2:
            return _operator_alone(chance, OPERATORS[number // 2 % len(OPERATORS)])
        described, tensors = chance.choice(self.good)
        described, tensors = json.loads(json.dumps(described)), dict(tensors)
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
            chance.choice(CHANGES)(chance, described, tensors)
        return "changed", described, tensors


def _operator_alone(chance: random.Random, name: str) -> tuple[str, Described, Tensors]:
    """The operator `name` with hostile arguments; its result changes every score."""
    sample = chance.choice(SHAPES)
    inner = torch.Size(sample).numel()
    tensors = {"w": torch.full((10, inner), 0.01), "v": torch.linspace(-1, 1, chance.choice((1, 3, 16, 48)))}
    nodes: list[list[Any]] = []
    known = [0, 2]
    for _ in range(chance.choice((0, 1, 2))):
        nodes.append(_prelude(chance, chance.choice(known), 10 + len(nodes)))
        known.append(9 + len(nodes))
    types = [(one.name, str(one.real_type)) for one in schema(name).arguments]
    given = {at: _argument(chance, kind, known, sample) for at, kind in types}
    by_place = chance.choice((len(types), len(types), len(types) - 1))
    arguments = [given[at] for at, _ in types[:by_place]] if not _keyword_only(name) else None
    options = dict(list(given.items())[by_place if arguments is not None else 0 :])
    if chance.random() < 0.5:  # leave optional ones to their defaults
        needed = {one.name for one in schema(name).arguments if not one.has_default_value()}
        arguments, options = [], {at: value for at, value in given.items() if at in needed}
    results = [50] + [51 + k for k in range(len(schema(name).returns) - 1)]
    if "[]" in str(schema(name).returns[0].type) or "List" in str(schema(name).returns[0].type):
        results = [50 + k for k in range(chance.choice((1, 2, 3)))]
    nodes.append([name, arguments or [], options, results])
    return name, _with_head(nodes, sample), tensors


def _keyword_only(name: str) -> bool:
    return any(one.kwarg_only for one in schema(name).arguments)


def _with_head(nodes: list[list[Any]], sample: tuple[int, ...]) -> Described:
    """Scores (N, 10) that depend on every number of tensor 50 that is one."""
    inner = torch.Size(sample).numel()
    head = [
        ["aten._to_copy.default", [{"t": 50}], {"dtype": {"s": "float32"}}, [60]],
        ["aten.ne.Tensor", [{"t": 60}, {"t": 60}], {}, [61]],
        ["aten.masked_fill.Scalar", [{"t": 60}, {"t": 61}, 0.5], {}, [62]],
        ["aten.clamp.default", [{"t": 62}, -100.0, 100.0], {}, [63]],
        ["aten.sum.default", [{"t": 63}], {}, [64]],
        ["aten.view.default", [{"t": 0}, [{"n": [1, 0]}, inner]], {}, [65]],
        ["aten.t.default", [{"t": 1}], {}, [66]],
        ["aten.mm.default", [{"t": 65}, {"t": 66}], {}, [67]],
        ["aten.arange.start", [1, 11], {"dtype": {"s": "float32"}, "device": {"s": "device"}}, [68]],
        ["aten.mul.Tensor", [{"t": 68}, {"t": 64}], {}, [69]],
        ["aten.add.Tensor", [{"t": 67}, {"t": 69}], {}, [70]],
    ]
    return {
        "input": {"index": 0, "shape": list(sample), "dtype": "float32"},
        "parameters": {"w": 1, "v": 2},
        "buffers": {},
        "constants": [],
        "nodes": [*nodes, *head],
        "output": 70,
    }


def _prelude(chance: random.Random, source: int, result: int) -> list[Any]:
    """An operator that gives a tensor of another type, shape or layout."""
    x, batch = {"t": source}, {"n": [1, 0]}
    return chance.choice(
        (
            ["aten._to_copy.default", [x], {"dtype": {"s": chance.choice(DTYPES)}}, [result]],
            ["aten.slice.Tensor", [x, chance.choice((0, -1)), 0, chance.choice((1, 2, 5, batch))], {}, [result]],
            ["aten.slice.Tensor", [x, -1, 0, 2**63 - 1, 2], {}, [result]],
            ["aten.repeat.default", [x, chance.choice(([2], [1, 2], [2, 1, 1, 1]))], {}, [result]],
            ["aten.unsqueeze.default", [x, chance.choice((0, 1, -1))], {}, [result]],
            ["aten.transpose.int", [x, 0, -1], {}, [result]],
            ["aten.expand.default", [{"t": 2}, [chance.choice((batch, 3, 16)), -1]], {}, [result]],
            ["aten.mul.Tensor", [x, chance.choice(REALS)], {}, [result]],
            ["aten.full.default", [[chance.choice((batch, 0, 4)), 4], chance.choice((0, -1, 1.5))], {}, [result]],
        )
    )


def _argument(chance: random.Random, kind: str, known: list[int], sample: tuple[int, ...]) -> Any:
    """A value for an argument of a type of torch's schema: often a likely one."""
    if kind.startswith("Optional["):
        return None if chance.random() < 0.4 else _argument(chance, kind[9:-1], known, sample)
    if kind.startswith("List["):
        length = chance.choice((0, 1, 1, 2, 2, 2, 3, 3, 4, 5))
        return [_argument(chance, kind[5:-1], known, sample) for _ in range(length)]
    if kind == "Tensor":
        return {"t": chance.choice(known)}
    if kind == "int":
        return _number(chance, sample)
    if kind == "float":
        return chance.choice(REALS)
    if kind == "number":
        return chance.choice((_number(chance, sample), chance.choice(REALS), True))
    words = {
        "bool": (True, False),
        "str": ("none", "tanh", "x"),
        "ScalarType": tuple({"s": name} for name in DTYPES),
        "Layout": ({"s": "strided"},),
        "Device": ({"s": "device"}, {"s": "device"}, {"s": "device"}, "meta", 0),
        "MemoryFormat": tuple({"s": name} for name in ("contiguous_format", "channels_last", "preserve_format")),
    }
    return chance.choice(words[kind])


def _number(chance: random.Random, sample: tuple[int, ...] = ()) -> Any:
    if chance.random() < 0.1:
        return {"n": [chance.choice((1, 1, 2, 100, 2**40)), chance.choice((0, 0, -1, -3, -300))]}
    return chance.choice((1, 2, 3, *sample)) if chance.random() < 0.6 else chance.choice(NUMBERS)


Change = Callable[[random.Random, Described, Tensors], None]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything inside a list or dictionary."""
    for key in range(len(value)) if isinstance(value, list) else list(value):
        yield value, key
        if isinstance(value[key], list | dict):
            yield from _places(value[key])


def _change_number(chance: random.Random, described: Described, tensors: Tensors) -> None:
    node = chance.choice(described["nodes"])
    places = [(held, key) for held, key in _places([node[1], node[2]]) if type(held[key]) is int and key not in ("t",)]
    if places:
        held, key = chance.choice(places)
        near = (held[key] + chance.choice((-2, -1, 1, 2)), held[key] * 2)
        held[key] = chance.choice((*near, _number(chance))) if isinstance(held, list) else chance.choice(near)


def _change_list(chance: random.Random, described: Described, tensors: Tensors) -> None:
    node = chance.choice(described["nodes"])
    places = [(held, key) for held, key in _places([node[1], node[2]]) if isinstance(held[key], list)]
    if places := [place for place in places if place[0] is not None]:
        held, key = chance.choice(places)
        given = held[key]
        held[key] = chance.choice((given[:-1], given[:1], [*given, *given[-1:]], [], given[::-1]))


def _change_reference(chance: random.Random, described: Described, tensors: Tensors) -> None:
    at = chance.randrange(len(described["nodes"]))
    earlier = [0, *described["parameters"].values(), *[node[3][0] for node in described["nodes"][:at]]]
    places = [(held, key) for held, key in _places(described["nodes"][at][1]) if key == "t"]
    if places:
        held, key = chance.choice(places)
        held[key] = chance.choice(earlier)


def _change_operator(chance: random.Random, described: Described, tensors: Tensors) -> None:
    node = chance.choice(described["nodes"])
    alike = [name for name in OPERATORS if len(schema(name).arguments) == len(node[1])]
    node[0] = chance.choice(alike or OPERATORS)


def _insert(chance: random.Random, described: Described, tensors: Tensors) -> None:
    """An operator in between that rearranges, pads, casts or cuts off what the next one reads."""
    at = chance.randrange(len(described["nodes"]))
    places = [(held, key) for held, key in _places(described["nodes"][at][1]) if key == "t"]
    if not places:
        return
    held, key = chance.choice(places)
    x, result = {"t": held[key]}, 10_000 + chance.randrange(10**6)
    node = chance.choice(
        (
            _prelude(chance, held[key], result),
            ["aten.constant_pad_nd.default", [x, [0, 1], chance.choice((0.0, 1.0, 1e9, -5.0))], {}, [result]],
            ["aten.constant_pad_nd.default", [x, [1, -1], chance.choice((0.0, 3.0))], {}, [result]],
            ["aten.flip.default", [x, [chance.choice((0, 1, -1))]], {}, [result]],
            ["aten.gt.Scalar", [x, 0.0], {}, [result]],
            ["aten.cat.default", [[x, x], chance.choice((0, 1, -1))], {}, [result]],
            ["aten.slice.Tensor", [x, 1, {"n": [1, -300]}, 2**63 - 1], {}, [result]],
            ["aten.slice.Tensor", [x, 1, 0, {"n": [100, -400]}], {}, [result]],
        )
    )
    described["nodes"].insert(at, node)
    held[key] = result


def _change_tensor(chance: random.Random, described: Described, tensors: Tensors) -> None:
    name = chance.choice(list(tensors))
    tensor = tensors[name]
    changed = (tensor[:1], tensor[..., :1], tensor[:-1], tensor.flatten(), tensor.unsqueeze(0), torch.cat([tensor] * 2))
    tensors[name] = chance.choice(changed).clone(memory_format=torch.contiguous_format)


def _change_sample(chance: random.Random, described: Described, tensors: Tensors) -> None:
    shape = described["input"]["shape"]
    shape[chance.randrange(len(shape))] = chance.choice((1, 2, 3, 7, 9, 16))


CHANGES: tuple[Change, ...] = (
    *(_change_number, _change_number, _change_list, _change_reference, _change_operator),
    *(_insert, _insert, _change_tensor, _change_sample),
)


def choices() -> list[dict[str, Any] | None]:
    """Every back end that this machine has; None for the rule's own choice."""
    found: list[dict[str, Any] | None] = [None, {"engine": "fused", "batch": 4, "precision": "float32"}]
    found.append({"engine": "fused", "batch": 4, "precision": "bfloat16"})
    if vectors := native.best_instruction_set():
        found.append({"engine": "lanes", "instruction_set": vectors, "block": 24})
        found.append({"engine": "fused", "batch": 4, "precision": "float32", "winograd": vectors})
    if native.has_amx():
        found.append({"engine": "fused", "batch": 4, "precision": "bfloat16", "amx": True})
    return found


def computed(text: str, tensors: Tensors, samples: int) -> dict[str, Any]:
    """What becomes of a graph: refused in words, or name of the plan -> values as hexadecimal numbers."""
    try:
        read = from_text(text)
        found = dry_run.dry_run(read, tensors)
    except LandscapeError as error:
        return {"refused": str(error)}
    module = PackedModule(read, tensors, batch=found.batch).eval()
    images = torch.randn(samples, *read.sample, generator=torch.Generator().manual_seed(1))
    objective = Objective.of(module, images, torch.zeros(samples, dtype=torch.int64), batch=4)
    directions = [random_directions(objective.parameters(), seed=0)[0]]
    values: dict[str, Any] = {}
    for at, choice in enumerate([{"engine": "plain"}, *choices()]):
        print(json.dumps(["computing", choice]), flush=True)
        try:
            planned = plan(objective, directions, choice)
            found_values = planned.values([(0.0,), (0.3,)])
            values[f"{at} {planned.name}"] = [part.hex() for value in found_values for part in value[:2]]
        except Exception as error:  # an operator raises any kind of error
            values[f"{at}"] = f"{type(error).__name__}: {str(error)[:200]}"
    return {"values": values}


def _spray(mark: int) -> list[bytearray]:
    """Blocks of memory full of `mark`, with holes of all small sizes between them."""
    sizes = [64 << k for k in range(12)] * 60
    blocks = [bytearray([mark]) * size for size in sizes]
    return blocks[::2]


def read_outside(mark: int) -> None:
    """Print what a norm with an expanded weight computes without its check: torch reads past the one number it has."""
    nodes: list[list[Any]] = [
        ["aten.sum.dim_IntList", [{"t": 2}, [0], True], {}, [46]],
        ["aten.expand.default", [{"t": 46}, [3]], {}, [47]],
        [
            "aten.native_group_norm.default",
            [{"t": 0}, {"t": 47}, None, {"n": [1, 0]}, 3, 64, 1, 1e-5],
            {},
            [50, None, None],
        ],
    ]
    read = from_text(json.dumps(_with_head(nodes, (3, 8, 8))))
    kept = _spray(mark)
    module = PackedModule(read, {"w": torch.full((10, 192), 0.01), "v": torch.linspace(-1, 1, 3)})
    with mock.patch.object(interpret, "require_safe"):
        print(module(torch.linspace(-1, 1, 192).view(1, 3, 8, 8)).sum().item().hex())
    del kept


def main(seed: int, start: int, stop: int, mark: int) -> None:
    """Read and compute the graphs from `start` to `stop`, one line for each stage and result."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    torch.set_num_threads(1)
    logging.disable()  # the engine tells why it runs a network plainly
    dry_run.MAX_WORK, dry_run.MAX_NUMBERS, dry_run.BATCH_WORK = 10**9, 2**22, 10**8  # milliseconds for each
    maker = Maker(seed)
    kept = _spray(mark)
    for number in range(start, stop):
        for attempt in range(ATTEMPTS):  # most arguments are refused
            name, described, tensors = maker.graph(number, attempt)
            print(json.dumps(["reading", number, attempt, name]), flush=True)
            result = computed(json.dumps(described), tensors, (1, 5, 9)[number % 3])
            print(json.dumps(["done", number, attempt, name, result]), flush=True)
            if "values" in result:
                break
    del kept


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    if len(numbers) == 1:
        read_outside(*numbers)
    else:
        main(*numbers)
