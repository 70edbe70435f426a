"""The reference interpreter of a graph: one ATen call per node, nothing fused, nothing folded.

It defines what the faster back ends compute.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...parsers.source import FileError
from .graph import Argument, Graph, Node, Ref, Size, Symbol
from .preconditions import require_countable, require_safe

MOST_APPROVED = 64  # batch sizes and the like


def interpret(graph: Graph, tensors: Mapping[str, Tensor], x: Tensor, approved: set[Hashable] | None = None) -> Tensor:
    """The output of `graph`, (N, …), on the batch `x`, (N, …), with its parameters and buffers by name in `tensors`.

    Args:
        approved: layouts of samples and tensors for which every precondition was found to hold; receives this one.
            Shapes and types do not depend on numbers, so the same layouts are not checked again.

    Raises:
        FileError: the precondition of an operator does not hold for this batch.
    """
    approved = set() if approved is None else approved
    layout = (*map(_layout, tensors.values()), _layout(x))
    checked = layout not in approved
    names = {**graph.parameters, **graph.buffers}
    values = {index: tensors[name] for name, index in names.items()}
    values |= {index: tensor.to(x.device) for index, tensor in graph.constants.items()}
    values[graph.input] = x
    for node, ended in zip(graph.nodes, graph.ended, strict=True):
        values |= run(node, values, len(x), x.device, checked=checked)
        for index in ended:
            values.pop(index, None)
    if checked and len(approved) < MOST_APPROVED:
        approved.add(layout)
    return values[graph.output]


def _layout(tensor: Tensor) -> Hashable:
    return tensor.shape, tensor.stride(), tensor.dtype


def run(
    node: Node, values: Mapping[int, Tensor], samples: int, device: torch.device, *, checked: bool = True
) -> dict[int, Tensor]:
    """Index -> result of one node for a batch of `samples` samples, each in the shape that the operator gives it.

    Args:
        checked: False if the node has run with tensors of the same shapes, types and strides before.

    Raises:
        FileError: the precondition of the operator does not hold for this batch.
    """
    arguments = [resolve(argument, values, samples, device) for argument in node.arguments]
    options = {name: resolve(option, values, samples, device) for name, option in node.options.items()}
    if checked:
        require_safe(node.operator, arguments, options)
    results = operator(node.operator)(*arguments, **options)
    every = results if isinstance(results, tuple | list) else (results,)
    if checked:
        require_countable(node.operator, every)
    if len(every) != len(node.results):
        raise FileError(f"The network is damaged: operator {node.operator!r} has {len(every)} results for this batch.")
    return {index: result for index, result in zip(node.results, every, strict=True) if index is not None}


def operator(name: str) -> Any:
    """The operator called "aten.convolution.default"."""
    namespace, base, overload = name.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), base), overload)


def resolve(argument: Argument, values: Mapping[int, Tensor], samples: int, device: torch.device) -> Any:
    """The value of an argument: a tensor for a reference, a number for a size, torch's object for a symbol."""
    if isinstance(argument, Ref):
        return values[argument.index]
    if isinstance(argument, Size):
        return argument.at(samples)
    if isinstance(argument, Symbol):
        return device if argument.name == "device" else getattr(torch, argument.name)
    if isinstance(argument, tuple):
        return [resolve(item, values, samples, device) for item in argument]
    return argument
