"""Reads a packed file in the sandbox: checks graph and tensors, runs them once, and rewrites the file clean.

The only kind of untrusted file that needs torch, since its operators are run on shapes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..models.base import Architecture, Shape, Shapes
from ..parsers.source import FileError, printable
from ..parsers.tensors import StoredTensor
from . import CONSTANT, EARLIER, FORMAT, ORIGINAL

if TYPE_CHECKING:
    from .graph_json import PackedGraph

MAX_ELEMENTS = 2**31
_FORMATS = FORMAT.rstrip("0123456789")


@dataclass(frozen=True)
class Packed(Architecture):
    """The description of a custom network from a packed file; the graph itself is in the sanitized file."""

    family = "packed"

    name: str
    operators: int
    sample: Shape
    tokens: bool
    output: Shape
    vocabulary: int | None
    count: int
    batch: int  # samples that are computed together, at most

    @property
    def label(self) -> str:
        """For example "UNet (packed, 48 operators)"."""
        return f"{self.name} (packed, {self.operators} operators)"

    @property
    def takes(self) -> str:
        if self.tokens:
            return "tokens"
        return "images" if len(self.sample) == 3 else "vectors"

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        return self.sample

    @property
    def outputs(self) -> int:
        """Number of classes: the last axis for tokens, the first otherwise."""
        return self.output[-1] if self.tokens else self.output[0]

    def parameter_shapes(self) -> dict[str, Shape]:
        raise NotImplementedError  # they are in the file

    def buffer_shapes(self) -> dict[str, Shape]:
        raise NotImplementedError

    @property
    def parameter_count(self) -> int:
        return self.count

    @classmethod
    def candidates(cls, shapes: Shapes) -> list["Packed"]:
        return []


def is_packed(metadata: Mapping[str, str]) -> bool:
    """Whether a safetensors file carries a packed network."""
    return metadata.get("format", "").startswith(_FORMATS)


def architecture_of(state: Mapping[str, StoredTensor], metadata: Mapping[str, str]) -> Packed:
    """The architecture in a packed file, after checking and running its graph.

    Raises:
        FileError: the graph or a tensor is invalid.
        UnknownNetworkError: a parameter has a name that torch does not allow.
    """
    import torch

    from .claims import require_possible
    from .dry_run import dry_run
    from .graph_json import from_text
    from .original import names_of

    torch.set_num_threads(1)
    packed = from_text(metadata.get("graph", ""))
    graph = packed.graph
    _require_format(metadata, packed)
    wanted = {*graph.parameters, *graph.buffers, *(f"{CONSTANT}{index}" for index in packed.constants)}
    wanted |= set(names_of(packed.tried))
    if wanted != set(state):
        name = printable(sorted(wanted ^ set(state))[0])
        raise FileError(f"The packed network and its tensors differ: {name!r} is only in one of them. Pack it again.")
    if sum(tensor.elements for tensor in state.values()) > MAX_ELEMENTS:
        raise FileError(f"The packed network holds more than {MAX_ELEMENTS} numbers.")
    arrays = {name: clean(name, tensor, weight=name in graph.parameters) for name, tensor in state.items()}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    found = dry_run(packed, {name: tensor for name, tensor in tensors.items() if not name.startswith(ORIGINAL)})
    if packed.tried is not None:
        require_possible(packed.tried, tensors, found, packed.dtype)
    count = sum(state[name].elements for name in graph.parameters)
    name = printable(metadata.get("name", "") or "network", 40)
    tokens = packed.dtype == "int64"
    return Packed(name, len(graph.nodes), packed.sample, tokens, found.output, found.vocabulary, count, found.batch)


def _require_format(metadata: Mapping[str, str], packed: "PackedGraph") -> None:
    """Refuse a format of later versions, and one that does not say what it must of the original module."""
    written = metadata.get("format")
    if written != FORMAT and written not in EARLIER:
        raise FileError(
            f"The network was packed in the format {printable(str(written), 60)!r}; at most {FORMAT!r} is read. "
            "Update the package, or pack it with this version."
        )
    if (packed.tried is None) == (written == FORMAT):
        raise FileError(
            "The packed network is damaged: what it says of its original does not belong to its format. "
            "Write it again with landscape.pack(model, example_input)."
        )


def clean_part(name: str, tensor: StoredTensor) -> NDArray[Any]:
    """The numbers of a tensor, in its shape, in a file whose weights have already been checked.

    Raises:
        FileError: NaN, or a negative variance.
    """
    return clean(name, tensor, weight=False)


def clean(name: str, tensor: StoredTensor, *, weight: bool) -> NDArray[Any]:
    """The numbers of a tensor in its shape: float32, complex64, or int64 and bool if not weights.

    Masks may hold infinities.

    Raises:
        FileError: NaN, an infinite weight, a weight of integers, a negative variance.
    """
    array = tensor.array()
    if tensor.floating or tensor.dtype == "C64":
        with np.errstate(over="ignore"):
            array = array.astype(np.float32 if tensor.floating else np.complex64)
        if np.isnan(array).any() or (weight and np.isinf(array).any()):
            raise FileError(f"Tensor {printable(name)!r} holds NaN or infinity: there is no landscape around it.")
        if name.endswith("running_var") and tensor.floating and (array < 0).any():
            raise FileError(f"Buffer {printable(name)!r} holds a negative variance: the file is damaged.")
        return array
    if weight:
        raise FileError(f"Parameter {printable(name)!r} has type {tensor.dtype}; only floating point is read.")
    return array.astype(bool) if tensor.dtype == "BOOL" else array.astype(np.int64)
