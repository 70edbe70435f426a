"""A packed graph as an nn.Module: parameters, buffers and constants by name, run by the engine's interpreter.

The engine records it like any other module and finds the same graph.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..engine.graph.interpret import Approved, interpret
from ..errors import UnknownNetworkError
from ..objective.objective import BATCH, type_like
from ..parsers.source import FileError, printable
from . import CONSTANT
from .graph_json import PackedGraph
from .original import EXAMPLE, Facts, Original, unverified

_CONSTANTS = "packed_constants."


class PackedModule(nn.Module):
    """Samples (N, …) -> the output of the graph."""

    def __init__(self, packed: PackedGraph, tensors: Mapping[str, Tensor], *, batch: int = BATCH):
        """
        Args:
            tensors: every parameter and buffer by name, every constant as "@constant/<index>", and what the file keeps
                of the original module.
            batch: samples that are computed together, at most, so that memory and time of a batch are bounded.

        Raises:
            UnknownNetworkError: a name that torch does not allow, or a missing tensor.
        """
        super().__init__()
        self.largest_batch = batch
        self._approved, self._sample = Approved(), packed.sample
        constants = {f"{_CONSTANTS}{index}": index for index in packed.constants}
        self._graph = replace(packed.graph, buffers={**packed.graph.buffers, **constants})
        try:
            for name in packed.graph.parameters:
                _put(self, name, nn.Parameter(tensors[name].clone()))
            for name in packed.graph.buffers:
                _put(self, name, tensors[name].clone())
            for name, index in constants.items():
                _put(self, name, tensors[f"{CONSTANT}{index}"].clone())
        except (KeyError, AttributeError, TypeError) as error:
            raise UnknownNetworkError(f"The packed network lacks {printable(str(error))}, or cannot name it.") from None
        self._original = None
        if packed.tried is not None and EXAMPLE in tensors:
            self._original = Original.of(self, packed.graph, packed.sample, packed.tried, tensors)

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) -> the output of the graph for these samples.

        Raises:
            FileError: the precondition of an operator does not hold for so many samples, or a table lacks a row.
        """
        tensors = dict([*self.named_parameters(), *self.named_buffers()])
        try:
            return interpret(self._graph, tensors, x, self._approved)
        except IndexError as error:  # a lookup: torch checks the numbers
            raise FileError(f"The packed network cannot be computed: {printable(str(error), 120)}.") from None

    def compared(self) -> Facts:
        """How much this network and the module that it was made from differ; see `Original.compared`."""
        if self._original is None:
            return unverified("the file holds no outputs of it; write it again with landscape.pack")
        return self._original.compared(self)

    def shapes(self, samples: int) -> Mapping[int, torch.Size]:
        """Index -> shape of every result for a batch of `samples` samples, one of the first two computed."""
        return self._approved.shapes[torch.Size(self._sample)][samples]


def _put(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Register a parameter or buffer under a dotted name, creating the modules in between."""
    *path, last = name.split(".")
    for part in path:
        if part not in module._modules:
            module.add_module(part, nn.Module())
        module = module.get_submodule(part)
    if isinstance(tensor, nn.Parameter):
        module.register_parameter(last, tensor)
    else:
        module.register_buffer(last, tensor)


def as_saved(tensor: Tensor) -> Tensor:
    """A tensor as stored in a packed file, in its shape: float32, complex64 or integers, on the CPU, contiguous."""
    tensor = tensor.detach().cpu()
    return tensor.to(type_like(tensor, torch.float32)).clone(memory_format=torch.contiguous_format).resolve_conj()
