"""A network as plain data: functional ATen operators with parameters, buffers and constants as named inputs.

record.py makes a graph from a module, interpret.py runs it. The batch size is symbolic: a size that depends on it is a
`Size`.
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Union

from torch import Tensor


@dataclass(frozen=True)
class Ref:
    """A tensor of the graph: an input, a parameter, a buffer, a constant or the result of a node."""

    index: int


@dataclass(frozen=True)
class Size:
    """`per_sample` · N + `fixed` for a batch of N samples."""

    per_sample: int
    fixed: int

    def at(self, samples: int) -> int:
        """The size for a batch of `samples` samples."""
        return self.per_sample * samples + self.fixed


@dataclass(frozen=True)
class Symbol:
    """A torch dtype, layout or memory format by name ("float32"); "device" is the device that the graph runs on."""

    name: str


Argument = Union[Ref, Size, Symbol, bool, int, float, str, None, tuple["Argument", ...]]  # noqa: UP007 - recursive


@dataclass(frozen=True)
class Node:
    """One operator: `results[k]` is its k-th tensor, None if it must not be used."""

    operator: str  # "aten.convolution.default"
    arguments: tuple[Argument, ...]
    options: dict[str, Argument]
    results: tuple[int | None, ...]

    def reads(self) -> list[int]:
        """Indices of the tensors among the arguments, in order, repeated where an argument repeats."""
        return [ref.index for ref in _refs((self.arguments, tuple(self.options.values())))]


@dataclass(frozen=True)
class Graph:
    """Nodes in execution order; every tensor has one index and is written once."""

    input: int
    parameters: dict[str, int]  # name -> index
    buffers: dict[str, int]
    constants: dict[int, Tensor]  # index -> tensor, in its shape in `shapes`
    nodes: tuple[Node, ...]
    output: int
    shapes: dict[int, tuple[int | Size, ...]]

    def uses(self) -> Counter[int]:
        """How often every tensor is read; the output of the graph counts as a reader."""
        return Counter([index for node in self.nodes for index in node.reads()] + [self.output])

    @cached_property
    def ended(self) -> tuple[tuple[int, ...], ...]:
        """For every node, the tensors that no later node reads: their memory can be freed after it."""
        last = {index: at for at, node in enumerate(self.nodes) for index in (*node.results, *node.reads())}
        last.pop(self.output, None)
        found: list[list[int]] = [[] for _ in self.nodes]
        for index, at in last.items():
            if index is not None:
                found[at].append(index)
        return tuple(map(tuple, found))

    def pruned(self) -> "Graph":
        """Without nodes whose results are not read (functional operators have no other effect)."""
        needed, kept = {self.output}, []
        for node in reversed(self.nodes):
            if needed.intersection(node.results):
                kept.append(node)
                needed.update(node.reads())
        return replace(self, nodes=tuple(reversed(kept)))


def _refs(argument: Any) -> list[Ref]:
    if isinstance(argument, Ref):
        return [argument]
    return [ref for item in argument for ref in _refs(item)] if isinstance(argument, tuple) else []
