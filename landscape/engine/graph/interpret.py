"""The reference interpreter of a graph: one ATen call per node, nothing fused, nothing folded.

It defines what the faster back ends compute.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...parsers.source import FileError
from .graph import Argument, Graph, Node, Ref, Size, Symbol
from .preconditions import operator, require_countable, require_safe

MOST_APPROVED = 64  # batch sizes and the like


class Approved:
    """What was found to hold for a graph, so that it is checked once for each batch size.

    Shapes and types of results do not depend on numbers: the same layouts of samples and tensors need no second check.
    """

    def __init__(self) -> None:
        self.layouts: set[Hashable] = set()
        # shape of a sample -> batch -> index -> shape, for the first two batches
        self.shapes: dict[torch.Size, dict[int, dict[int, torch.Size]]] = {}

    def require_linear(self, node: Node, made: Mapping[int, Tensor], x: torch.Size) -> None:
        """Refuse sizes that are not on one line with those at the first two batches.

        Raises:
            FileError: a size is not linear in the batch.
        """
        samples, known = x[0], self.shapes.setdefault(x[1:], {})
        if samples in known or len(known) < 2:
            known.setdefault(samples, {}).update({index: tensor.shape for index, tensor in made.items()})
            return
        (few, one), (more, other) = known.items()
        for index, tensor in made.items():
            if index not in one or index not in other:  # a batch that ended in an error
                continue
            rises = [(right - left) * (samples - few) for left, right in zip(one[index], other[index], strict=False)]
            wanted = [left * (more - few) + rise for left, rise in zip(one[index], rises, strict=False)]
            if wanted != [size * (more - few) for size in tensor.shape]:
                raise FileError(
                    f"A result of operator {node.operator!r} has shape {list(tensor.shape)} for {samples} samples, "
                    f"{list(one[index])} for {few} and {list(other[index])} for {more}: sizes in the network must be "
                    "linear in the batch."
                )


def interpret(graph: Graph, tensors: Mapping[str, Tensor], x: Tensor, approved: Approved | None = None) -> Tensor:
    """The output of `graph`, (N, …), on the batch `x`, (N, …), with its parameters and buffers by name in `tensors`.

    Args:
        approved: of earlier batches; receives this one.

    Raises:
        FileError: the precondition of an operator does not hold for this batch, or a size is not linear in the batch.
    """
    approved = approved or Approved()
    layout = (*map(_layout, tensors.values()), _layout(x))
    checked = layout not in approved.layouts
    names = {**graph.parameters, **graph.buffers}
    values = {index: tensors[name] for name, index in names.items()}
    values |= {index: tensor.to(x.device) for index, tensor in graph.constants.items()}
    values[graph.input] = x
    for node, ended in zip(graph.nodes, graph.ended, strict=True):
        made = run(node, values, len(x), x.device, checked=checked)
        if checked:
            approved.require_linear(node, made, x.shape)
        values |= made
        for index in ended:
            values.pop(index, None)
    if checked and len(approved.layouts) < MOST_APPROVED:
        approved.layouts.add(layout)
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
