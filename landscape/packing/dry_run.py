"""Dry run of a packed graph before it is used: on shapes alone, then on one blank sample.

Runs in the sandbox process, where malicious arguments of an operator can do no harm.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..engine.graph.graph import Node
from ..engine.graph.interpret import operator, resolve
from ..parsers.source import FileError, printable
from .allowlist import require_safe
from .graph_json import PackedGraph

MAX_NUMBERS = 2**27  # of one result, per sample: 512 MiB in float32
MAX_TOTAL = 2**31  # of all results together
MAX_WORK = 10**11  # multiply-adds per sample
TRIED = 2 * 10**10  # multiply-adds up to which a blank sample is computed
BATCHES = (2, 3)
_PASSING = ("alias", "clone", "view", "slice", "_to_copy")  # operators whose result holds the same tokens


@dataclass(frozen=True)
class Found:
    """The result of a dry run."""

    output: tuple[int, ...]  # shape of the output for one sample
    work: int  # multiply-adds per sample
    vocabulary: int | None  # rows of the smallest table indexed by the input: tokens must be below


def dry_run(packed: PackedGraph, tensors: Mapping[str, Tensor]) -> Found:
    """Output shape and cost of the graph with tensors of these shapes (constants by their prefixed names).

    Raises:
        FileError: an operator refuses its arguments, sizes do not scale with the batch, or the cost is too high.
        UnknownNetworkError: see `PackedModule`.
    """
    values = {name: tensor.to("meta") for name, tensor in tensors.items()}
    shapes, works = zip(*(_shape(packed, values, batch) for batch in BATCHES), strict=True)
    output = shapes[0][1:]
    if any(shape != (batch, *output) for shape, batch in zip(shapes, BATCHES, strict=True)) or not output:
        raise FileError("The packed network does not answer one row a sample. Pack a model whose output is (N, …).")
    work = works[0] // BATCHES[0]
    if work <= TRIED:
        _compute(packed, tensors)
    return Found(output, work, _vocabulary(packed, tensors))


def _shape(packed: PackedGraph, tensors: Mapping[str, Tensor], batch: int) -> tuple[tuple[int, ...], int]:
    """Shape of the output for `batch` samples, and multiply-adds; nothing is computed."""
    graph, device = packed.graph, torch.device("meta")
    values = _inputs(packed, tensors)
    values[graph.input] = torch.zeros((batch, *packed.sample), dtype=getattr(torch, packed.dtype), device=device)
    total = work = 0
    for node in graph.nodes:
        results, cost = _step(node, values, batch, device)
        for index, tensor in results.items():
            total, work = total + tensor.numel(), work + cost
            if tensor.numel() > MAX_NUMBERS * batch or total > MAX_TOTAL * batch or work > MAX_WORK * batch:
                raise FileError(f"The packed network is too large: operator {node.operator!r} makes {tensor.numel()}.")
            values[index] = tensor
    return tuple(values[graph.output].shape), work


def _inputs(packed: PackedGraph, tensors: Mapping[str, Tensor]) -> dict[int, Tensor]:
    graph = packed.graph
    named = {index: tensors[name] for name, index in {**graph.parameters, **graph.buffers}.items()}
    return named | {index: tensors[f"@constant/{index}"] for index in packed.constants}


def _step(node: Node, values: Mapping[int, Tensor], batch: int, device: torch.device) -> tuple[dict[int, Tensor], int]:
    """Results of one operator on shapes, and its multiply-adds."""
    try:
        arguments = [resolve(argument, values, batch, device) for argument in node.arguments]
        options = {name: resolve(option, values, batch, device) for name, option in node.options.items()}
        require_safe(node.operator, arguments)
        results = operator(node.operator)(*arguments, **options)
    except FileError:
        raise
    except Exception as error:  # operators raise any kind of error for arguments that do not fit
        said = printable((str(error).splitlines() or [""])[0], 120)
        raise FileError(f"The packed network is damaged: operator {node.operator!r} refuses: {said}.") from None
    every = results if isinstance(results, tuple | list) else (results,)
    if len(every) != len(node.results) or not all(isinstance(result, Tensor) for result in every):
        raise FileError(f"The packed network is damaged: operator {node.operator!r} has other results than it says.")
    found = {index: result for index, result in zip(node.results, every, strict=True) if index is not None}
    return found, _work(node.operator, arguments, every[0])


def _work(name: str, arguments: list[Any], result: Tensor) -> int:
    """Multiply-adds of an operator: those of its matrix product, else one per number of the result."""
    if name == "aten.convolution.default":
        return result.numel() * int(math.prod(arguments[1].shape[1:]))
    if name in ("aten.mm.default", "aten.bmm.default"):
        return result.numel() * int(arguments[0].shape[-1])
    if name in ("aten.addmm.default", "aten.baddbmm.default"):
        return result.numel() * int(arguments[1].shape[-1])
    return result.numel()


def _compute(packed: PackedGraph, tensors: Mapping[str, Tensor]) -> None:
    """Compute one blank sample: detects lookups out of range and the like."""
    from .module import PackedModule

    x = torch.zeros((1, *packed.sample), dtype=getattr(torch, packed.dtype))
    module = PackedModule(packed, tensors)
    try:
        with torch.inference_mode():
            module(x)
    except Exception as error:  # operators raise any kind of error for values that do not fit
        said = printable((str(error).splitlines() or [""])[0], 120)
        raise FileError(f"The packed network cannot be computed: {said}.") from None


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
