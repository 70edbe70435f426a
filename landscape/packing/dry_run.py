"""Dry run of a packed graph before it is used: on shapes alone at several batches, then on a blank batch.

Runs in the sandbox process, where malicious arguments of an operator can do no harm. The blank batch is as large as the
batches of a job, so that a network that would hold a worker for long is stopped by the sandbox's limit of CPU time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..engine.graph.graph import Node, Size
from ..engine.graph.interpret import resolve
from ..engine.graph.preconditions import bound, operator, require_countable, require_safe
from ..errors import first_line
from ..objective.objective import BATCH
from ..parsers.source import FileError, printable
from . import CONSTANT
from .cost import work
from .graph_json import PackedGraph
from .linearity import BATCHES, Shape, require_linear

MAX_NUMBERS = 2**27  # of one result, per sample: 512 MiB in float32
MAX_TOTAL = 2**31  # of all results together
MAX_WORK = 10**11  # multiply-adds per sample
BATCH_NUMBERS = 2**26  # that a batch holds at a time: 256 MiB in float32
BATCH_WORK = 2 * 10**10  # multiply-adds of a batch: one to four seconds
_PASSING = ("alias", "clone", "view", "slice", "_to_copy")  # operators whose result holds the same tokens


@dataclass(frozen=True)
class Found:
    """The result of a dry run."""

    output: tuple[int, ...]  # shape of the output for one sample
    work: int  # multiply-adds per sample
    batch: int  # samples that are computed together, at most
    vocabulary: int | None  # rows of the smallest table indexed by the input: tokens must be below


@dataclass
class _Pass:
    """A run of the graph on shapes."""

    shapes: dict[int, Shape]  # of every tensor
    work: int = 0  # multiply-adds
    peak: int = 0  # numbers held at a time, without parameters


def dry_run(packed: PackedGraph, tensors: Mapping[str, Tensor]) -> Found:
    """Output shape and cost of the graph with tensors of these shapes (constants by their prefixed names).

    Raises:
        FileError: an operator refuses its arguments, sizes are not linear in the batch, or the cost is too high.
        UnknownNetworkError: see `PackedModule`.
    """
    values = {name: tensor.to("meta") for name, tensor in tensors.items()}
    passes = [_shapes(packed, values, batch) for batch in BATCHES]
    lines = _lines(packed, passes)
    shape = passes[0].shapes[packed.graph.output]
    if len(shape) < 2 or any(
        one.shapes[packed.graph.output] != (batch, *shape[1:]) for one, batch in zip(passes, BATCHES, strict=True)
    ):
        raise FileError("The packed network does not answer one row a sample. Pack a model whose output is (N, …).")
    one = passes[0]
    batch = max(1, min(BATCH, BATCH_NUMBERS // max(one.peak, 1), BATCH_WORK // max(one.work, 1)))
    _compute(packed, tensors, batch, lines)
    return Found(shape[1:], one.work, batch, _vocabulary(packed, tensors))


def _lines(packed: PackedGraph, passes: list[_Pass]) -> dict[int, tuple[Size, ...]]:
    """The sizes of every tensor, all linear in the batch."""
    graph = packed.graph
    made = {index for node in graph.nodes for index in node.results}
    lines = {
        index: tuple(Size(0, size) for size in shape) for index, shape in passes[0].shapes.items() if index not in made
    }
    lines[graph.input] = (Size(1, 0), *(Size(0, size) for size in packed.sample))
    for node in graph.nodes:
        own = {index: [one.shapes[index] for one in passes] for index in node.results if index is not None}
        require_linear(node, own, lines)
    return lines


def _shapes(packed: PackedGraph, tensors: Mapping[str, Tensor], batch: int) -> _Pass:
    """Shapes and cost for `batch` samples; nothing is computed."""
    graph, device = packed.graph, torch.device("meta")
    values = _inputs(packed, tensors)
    values[graph.input] = torch.zeros((batch, *packed.sample), dtype=getattr(torch, packed.dtype), device=device)
    found = _Pass({index: tuple(tensor.shape) for index, tensor in values.items()})
    total, held = 0, values[graph.input].numel()
    given = {*graph.parameters.values(), *graph.buffers.values(), *packed.constants}
    for node, ended in zip(graph.nodes, graph.ended, strict=True):
        results, cost = _run(node, values, batch, device)
        made = sum(tensor.numel() for tensor in results.values())
        total, held, found.work = total + made, held + made, found.work + cost
        if made > MAX_NUMBERS * batch or total > MAX_TOTAL * batch or found.work > MAX_WORK * batch:
            raise FileError(
                f"The packed network is too large: up to operator {node.operator!r} a sample has {total // batch} "
                f"numbers and takes {found.work // batch} multiply-adds; at most {MAX_TOTAL} and {MAX_WORK} are read. "
                "Pack it for smaller samples."
            )
        found.peak = max(found.peak, held)
        values |= results
        found.shapes |= {index: tuple(tensor.shape) for index, tensor in results.items()}
        held -= sum(values[index].numel() for index in ended if index in values and index not in given)
    return found


def _inputs(packed: PackedGraph, tensors: Mapping[str, Tensor]) -> dict[int, Tensor]:
    graph = packed.graph
    named = {index: tensors[name] for name, index in {**graph.parameters, **graph.buffers}.items()}
    return named | {index: tensors[f"{CONSTANT}{index}"] for index in packed.constants}


def _run(node: Node, values: Mapping[int, Tensor], batch: int, device: torch.device) -> tuple[dict[int, Tensor], int]:
    """Results of one operator on shapes, and its multiply-adds."""
    try:
        arguments = [resolve(argument, values, batch, device) for argument in node.arguments]
        options = {name: resolve(option, values, batch, device) for name, option in node.options.items()}
        require_safe(node.operator, arguments, options)
        results = operator(node.operator)(*arguments, **options)
    except FileError:
        raise
    except Exception as error:  # operators raise any kind of error for arguments that do not fit
        said = printable(first_line(error), 120)
        raise FileError(f"The packed network is damaged: operator {node.operator!r} refuses: {said}.") from None
    every = results if isinstance(results, tuple | list) else (results,)
    if len(every) != len(node.results) or not all(isinstance(result, Tensor) for result in every):
        raise FileError(f"The packed network is damaged: operator {node.operator!r} has other results than it says.")
    require_countable(node.operator, every)
    cost = work(node.operator, bound(node.operator, arguments, options), every)
    return {index: result for index, result in zip(node.results, every, strict=True) if index is not None}, cost


def _compute(
    packed: PackedGraph, tensors: Mapping[str, Tensor], batch: int, lines: Mapping[int, tuple[Size, ...]]
) -> None:
    """Compute a batch of blank samples: detects lookups out of range, other shapes, a cost that shapes do not tell."""
    from .module import PackedModule

    module = PackedModule(packed, tensors)
    try:
        with torch.inference_mode():
            module(torch.zeros((batch, *packed.sample), dtype=getattr(torch, packed.dtype)))
    except FileError:
        raise
    except Exception as error:  # operators raise any kind of error for values that do not fit
        said = printable(first_line(error), 120)
        raise FileError(f"The packed network cannot be computed: {said}.") from None
    for index, shape in module.shapes(batch).items():
        wanted = [size.at(batch) for size in lines[index]]
        if list(shape) != wanted:
            raise FileError(f"The packed network is damaged: a result has shape {list(shape)} instead of {wanted}.")


def _vocabulary(packed: PackedGraph, tensors: Mapping[str, Tensor]) -> int | None:
    graph, own = packed.graph, {packed.graph.input}
    names = {index: name for name, index in {**graph.parameters, **graph.buffers}.items()}
    found = []
    for node in graph.nodes:
        reads = node.reads()
        if node.operator == "aten.embedding.default" and len(reads) == 2 and reads[1] in own and reads[0] in names:
            found.append(int(tensors[names[reads[0]]].shape[0]))
        elif reads and reads[0] in own and node.operator.split(".")[1] in _PASSING:
            own.update(index for index in node.results if index is not None)
    return min(found, default=None)
