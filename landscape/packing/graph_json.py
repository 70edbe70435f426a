"""Converts the engine's graph to JSON and back, with every part checked.

A reference is {"t": index}, a size that depends on the batch {"n": [per sample, fixed]}, a dtype or layout {"s": name},
a number that JSON lacks {"f": "-inf"}; everything else is itself.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..engine.graph.graph import Argument, Graph, Node, Ref, Size, Symbol
from ..engine.graph.preconditions import schema
from ..parsers.source import FileError
from .allowlist import require_allowed
from .arguments import SYMBOLS, require_types
from .trials import LIMITS, MOST_SAMPLES, POINTS, SAMPLES, TRIALS, Trial, Tried

MAX_TEXT, MAX_NODES, MAX_NESTING, MAX_ARGUMENTS = 8_000_000, 20_000, 4, 64
_SYMBOLS = frozenset(name for names in SYMBOLS.values() for name in names)
INPUT_TYPES = ("float32", "int64")


@dataclass(frozen=True)
class PackedGraph:
    """A graph, and the shape and type of its samples."""

    graph: Graph  # constants by index only; their tensors are in the file
    constants: tuple[int, ...]
    sample: tuple[int, ...]  # shape of one sample
    dtype: str  # of the samples, one of INPUT_TYPES
    tried: Tried | None = None  # trials of the original module; None in a file of the first format


def to_text(graph: Graph, *, sample: Iterable[int], dtype: str, tried: Tried | None = None) -> str:
    """The graph as JSON."""
    described: dict[str, Any] = {
        "input": {"index": graph.input, "shape": list(sample), "dtype": dtype},
        "parameters": graph.parameters,
        "buffers": graph.buffers,
        "constants": sorted(graph.constants),
        "nodes": [
            [node.operator, _out(node.arguments), {key: _out(value) for key, value in node.options.items()},
             list(node.results)]
            for node in graph.nodes
        ],
        "output": graph.output,
    }  # fmt: skip
    if tried is not None:
        trials = [[trial.samples, trial.count, trial.point] for trial in tried.trials]
        described["original"] = {"precision": tried.precision, "trials": trials}
    return json.dumps(described, separators=(",", ":"), allow_nan=False)


def _out(argument: Argument) -> Any:
    if isinstance(argument, Ref):
        return {"t": argument.index}
    if isinstance(argument, Size):
        return {"n": [argument.per_sample, argument.fixed]}
    if isinstance(argument, Symbol):
        return {"s": argument.name}
    if isinstance(argument, tuple):
        return [_out(item) for item in argument]
    if isinstance(argument, float) and not math.isfinite(argument):
        return {"f": str(argument)}
    return argument


def from_text(text: str) -> PackedGraph:
    """The graph of a text written by `to_text`.

    Raises:
        FileError: an operator that is not allowed, a tensor used before it is made or made twice, anything unknown.
    """
    if len(text) > MAX_TEXT:
        raise FileError(f"The network's description has {len(text)} characters; at most {MAX_TEXT} are read.")
    try:
        described = json.loads(text, parse_constant=_no_constant)
        return _graph(described)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _damaged("it is not what landscape.pack writes") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _graph(described: Mapping[str, Any]) -> PackedGraph:
    given = described["input"]
    made = {_index(given["index"])}
    parameters, buffers = (_named(described[kind], made) for kind in ("parameters", "buffers"))
    constants = tuple(_new(index, made) for index in described["constants"])
    if len(described["nodes"]) > MAX_NODES:
        raise FileError(f"The network has {len(described['nodes'])} operators; at most {MAX_NODES} are read.")
    nodes = tuple(_node(entry, made) for entry in described["nodes"])
    output = _index(described["output"])
    if output not in made or given["dtype"] not in INPUT_TYPES or not parameters:
        raise _damaged("it has no output, no parameters, or an unknown input")
    sample = tuple(_index(length) for length in given["shape"])
    if not 1 <= math.prod(sample) <= 2**28 or len(sample) > 5:
        raise _damaged("its samples have an impossible shape")
    graph = Graph(given["index"], parameters, buffers, {}, nodes, output, {})
    return PackedGraph(graph, constants, sample, given["dtype"], _tried(described.get("original")))


def _tried(entry: Any) -> Tried | None:
    if entry is None:
        return None
    if (
        entry["precision"] not in tuple(LIMITS)
        or type(entry["trials"]) is not list
        or len(entry["trials"]) > len(TRIALS)
    ):
        raise _damaged("it says nothing known about its original")
    return Tried(entry["precision"], tuple(_trial(*one) for one in entry["trials"]))


def _trial(samples: Any, count: Any, point: Any) -> Trial:
    if samples not in SAMPLES or not 1 <= _index(count) <= MOST_SAMPLES or _index(point) >= POINTS:
        raise _damaged("its original was tried in an unknown way")
    return Trial(samples, count, point)


def _named(entries: Mapping[str, Any], made: set[int]) -> dict[str, int]:
    if type(entries) is not dict or any(name.startswith("@") for name in entries):
        raise ValueError
    return {name: _new(index, made) for name, index in entries.items()}


def _node(entry: Any, made: set[int]) -> Node:
    operator, arguments, options, results = entry
    if len(arguments) > MAX_ARGUMENTS or len(options) > MAX_ARGUMENTS or len(results) > 4096:
        raise ValueError
    alone = len(schema(require_allowed(operator)).returns) > 1  # further results are only for gradients
    node = Node(
        operator,
        tuple(_in(argument, made) for argument in arguments),
        {str(name): _in(option, made) for name, option in options.items()},
        tuple(None if result is None or (alone and at) else _new(result, made) for at, result in enumerate(results)),
    )
    require_types(node)
    return node


def _in(argument: Any, made: set[int], depth: int = 0) -> Argument:
    if argument is None or type(argument) in (bool, float, str):
        return argument  # type: ignore[no-any-return]
    if type(argument) is int:
        return _bounded(argument)
    if type(argument) is list and depth < MAX_NESTING and len(argument) <= 4096:
        return tuple(_in(item, made, depth + 1) for item in argument)
    [(kind, value)] = argument.items()
    if kind == "t" and _index(value) in made:
        return Ref(value)
    if kind == "n":
        per_sample, fixed = value
        return Size(_bounded(per_sample), _bounded(fixed))
    if kind == "s" and value in _SYMBOLS:
        return Symbol(value)
    if kind == "f" and value in ("inf", "-inf", "nan"):
        return float(value)
    raise ValueError


def _bounded(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError
    return value


def _index(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise ValueError
    return value


def _new(value: Any, made: set[int]) -> int:
    if _index(value) in made:
        raise _damaged("a tensor in it is made twice")
    made.add(value)
    return int(value)


def _damaged(how: str) -> FileError:
    return FileError(f"The packed network is damaged: {how}. Write it again with landscape.pack(model, example_input).")
