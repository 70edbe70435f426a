"""Read a checkpoint file: names and tensors, and which networks they fit.

Meant to run in the sandbox process (sandbox.py): nothing in the file is executed, and every size that it declares is
checked.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError, LandscapeError
from ..models.recognize import Architecture, recognize
from ..packing.reader import architecture_of, clean_part, is_packed
from ..parsers import safetensors, torchfile
from ..parsers.source import FileError, Source, printable
from ..parsers.tensors import StoredTensor
from .state_dict import AVERAGE, copies_in, facts_in

MAX_SENTENCE = 500
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Candidate:
    """A network that fits the file, with one of the copies of the weights in it."""

    architecture: Architecture
    copy: str  # "" for the weights as trained, state_dict.AVERAGE for their running average
    asked: bool = False  # whether the file holds both copies, so that the label must distinguish them

    @property
    def label(self) -> str:
        """The label of the architecture, and which copy of the weights it is if the file holds both."""
        which = {"": " (as trained)", AVERAGE: " (averaged copy, EMA)"}[self.copy] if self.asked else ""
        return self.architecture.label + which

    def to_json(self) -> dict[str, Any]:
        """The architecture as JSON, with the derived fields that users and jobs need."""
        return {**self.architecture.described(), "label": self.label, "copy": self.copy}


@dataclass(frozen=True)
class Reading:
    """The description of a file; its numbers are read on demand."""

    copies: dict[str, dict[str, StoredTensor]]  # parameters and buffers by bare name; batch counters left out
    candidates: list[Candidate]  # every known network that fits, never empty
    facts: dict[str, str]  # recorded in the file: epoch, accuracy, …
    metadata: dict[str, str] = field(default_factory=dict)  # metadata for the sanitized file: a packed graph

    @property
    def packed(self) -> bool:
        """Whether the file holds its own network graph; then not all of its tensors need be weights."""
        return bool(self.metadata)

    def table(self) -> list[dict[str, Any]]:
        """Name, type and shape of every tensor of the first copy, in the order of the file."""
        state = self.copies[self.candidates[0].copy]
        return [{"name": name, "dtype": tensor.dtype, "shape": list(tensor.shape)} for name, tensor in state.items()]

    def save(self, target: Path | int) -> None:
        """Write every copy as float32 safetensors, one block in memory at a time; the averaged one is prefixed.

        Raises:
            CheckpointError: a number that `finite` refuses.
            TooLongError: the file would be longer than this process may write.
            FileError: a number of a packed network that is not finite or not possible, or a damaged file.
        """
        named = {copy + name: (name, tensor) for copy, state in self.copies.items() for name, tensor in state.items()}
        shapes = {full: (_written(tensor), tensor.shape) for full, (_, tensor) in named.items()}
        blocks = (block for name, tensor in named.values() for block in self._checked(name, tensor))
        safetensors.write_blocks(target, shapes, blocks, self.metadata)

    def _checked(self, name: str, tensor: StoredTensor) -> Iterator[NDArray[Any]]:
        if self.packed:
            return iter([clean_part(name, tensor)])
        return (finite(name, block) for block in tensor.blocks())


def _written(tensor: StoredTensor) -> str:
    """The type of the tensor in a sanitized file."""
    return "F32" if tensor.floating else tensor.dtype if tensor.dtype in ("BOOL", "C64") else "I64"


def describe(source: Source) -> Reading:
    """Describe an open file without reading its numbers.

    Raises:
        CheckpointError: it cannot be read, or is not a checkpoint; the message is one or two sentences.
        UnknownNetworkError: no known network fits.
    """
    try:
        content, metadata = _content(source)
        if is_packed(metadata):
            return _packed(content, metadata)
        copies = copies_in(content)
        facts = facts_in(content, metadata)
    except FileError as error:
        raise CheckpointError(str(error)[:MAX_SENTENCE]) from None
    copies = {copy: _dense(state) for copy, state in copies.items()}
    _require_little_repetition(copies)
    candidates = [
        Candidate(architecture, copy, asked=len(copies) > 1)
        for copy, state in copies.items()
        for architecture in recognize({name: tensor.shape for name, tensor in state.items()})
    ]
    return Reading(copies, _named_by_file(candidates, facts.pop("architecture", "")), facts)


def _packed(state: dict[str, StoredTensor], metadata: dict[str, str]) -> Reading:
    candidate = Candidate(architecture_of(state, metadata), "")
    carried = {key: metadata[key] for key in ("format", "graph")}
    return Reading({"": state}, [candidate], facts_in({}, metadata), carried)


def _content(source: Source) -> tuple[dict[Any, Any], dict[str, str]]:
    """The outermost dictionary of a file, and the metadata of safetensors."""
    if source.size == 0:
        raise CheckpointError("The file is empty.")
    head = source.read(0, min(source.size, 8))
    if head[:4] == b"PK\x03\x04":
        return _dictionary(torchfile.read_zip(source)), {}
    # Safetensors begin with the length of their header, whose first byte may equal a pickle's.
    if head[:1] == b"\x80" and int.from_bytes(head, "little") > source.size:
        return _dictionary(torchfile.read_legacy(source)), {}
    if safetensors.is_safetensors(source):
        tensors, metadata = safetensors.read(source)
        return dict(tensors), metadata
    raise CheckpointError(
        "This is not a checkpoint: it is neither a file of torch.save nor a safetensors file. "
        "Save one with torch.save(model.state_dict(), 'checkpoint.pt')."
    )


def _dictionary(content: Any) -> dict[Any, Any]:
    if type(content) is not dict:
        kind = "tensor" if isinstance(content, StoredTensor) else type(content).__name__
        raise CheckpointError(f"The file holds a {kind}, not a dictionary of tensors. Save model.state_dict().")
    return content


def _dense(state: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """`state` without batch counters; every other entry must be a floating tensor."""
    kept = {name: tensor for name, tensor in state.items() if not name.endswith(_COUNTER)}
    for name, tensor in kept.items():
        if not tensor.floating:
            raise CheckpointError(
                f"Parameter {printable(name)!r} has type {tensor.dtype}; only dense real floating-point numbers are "
                "read. Convert it with .float()."
            )
    return kept


def _require_little_repetition(copies: Mapping[str, Mapping[str, StoredTensor]]) -> None:
    """Tensors may share storage (tied weights), but not so often that the file expands to many times its size."""
    spread = sum(tensor.elements for _, tensor in _every(copies))
    stored = sum({tensor.start: tensor.count for _, tensor in _every(copies)}.values())
    if spread > 4 * stored:
        raise CheckpointError(
            f"The tensors of the file repeat the same numbers: {stored} are stored, {spread} named. "
            "Save each with .clone()."
        )


def _every(copies: Mapping[str, Mapping[str, StoredTensor]]) -> Iterator[tuple[str, StoredTensor]]:
    return ((name, tensor) for state in copies.values() for name, tensor in state.items())


def finite(name: str, block: NDArray[Any]) -> NDArray[np.float32]:
    """Numbers (n,) of the tensor `name` as float32, each finite.

    Raises:
        CheckpointError: NaN, infinity, a number too large for float32, or a negative variance.
    """
    if not np.isfinite(block).all():
        raise CheckpointError(
            f"Parameter {printable(name)!r} holds NaN or infinity: there is no landscape around it. "
            "Use a checkpoint from before the training diverged."
        )
    if name.endswith("running_var") and (block < 0).any():
        raise CheckpointError(f"Buffer {printable(name)!r} holds a negative variance: the file is damaged.")
    if block.dtype == np.float64 and (np.abs(block) > np.finfo(np.float32).max).any():
        raise CheckpointError(f"Parameter {printable(name)!r} holds numbers too large for float32.")
    return block.astype(np.float32, copy=False)


def _named_by_file(candidates: list[Candidate], description: str) -> list[Candidate]:
    """The candidates of the network that the file names, if it names one of them; otherwise all."""
    try:
        named = json.loads(description)
    except (ValueError, RecursionError):
        return candidates
    return [candidate for candidate in candidates if candidate.architecture.to_json() == named] or candidates


def sentence(error: LandscapeError) -> str:
    """The message of an error as a reason for rejection: one line, at most 500 characters."""
    return printable(" ".join(str(error).split()), MAX_SENTENCE)
