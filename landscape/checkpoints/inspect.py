"""Inspect a local checkpoint, read in the sandbox as the service reads an upload."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from ..keywords import checks_keywords
from ..results.content import ComparedByContent
from .sandbox import read_in_sandbox

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Inspected(ComparedByContent):
    """The contents of a checkpoint file."""

    candidates: list[dict[str, Any]]  # networks that fit, as JSON, each with its label
    facts: dict[str, str]  # recorded in the file
    tensors: list[dict[str, Any]]  # name, dtype and shape of every tensor, in the order of the file
    state: "dict[str, Tensor]"  # the sanitized tensors by name, each in its shape in the file
    graph: str | None  # the graph of a packed network

    def model(self, chosen: int | None = None) -> "nn.Module":
        """The network, in evaluation mode; `chosen` is its number if several fit.

        Raises:
            CheckpointError: several fit and none is chosen, or the number is out of range.
            UnknownNetworkError: no module is known for it, or the file lacks one of its parameters.
            FileError: the graph of a packed network is damaged.
        """
        from .load import load

        return load(self.candidate(chosen), self.state, self.graph)

    def candidate(self, chosen: int | None = None) -> dict[str, Any]:
        """The chosen network as JSON.

        Raises:
            CheckpointError: several fit and none is chosen, or the number is out of range.
        """
        if chosen is None and len(self.candidates) > 1:
            names = "; ".join(f"{n}: {candidate['label']}" for n, candidate in enumerate(self.candidates))
            raise CheckpointError(f"Several networks fit this checkpoint. Choose one with --architecture: {names}.")
        if not 0 <= (chosen or 0) < len(self.candidates):
            raise CheckpointError(f"--architecture must be from 0 to {len(self.candidates) - 1}; got {chosen}.")
        return self.candidates[chosen or 0]


@checks_keywords
def inspect(path: str | Path) -> Inspected:
    """Read a checkpoint in a process of its own.

    Args:
        path: of a checkpoint file of PyTorch or safetensors, or one that `ls.pack` wrote.

    Raises:
        CheckpointError, FileError: it is not usable; the message says why.
        KilledError: the process that read it was killed from outside, or too slow just now.
        OSError: the file cannot be opened.

    >>> from landscape.gallery import FOLDER
    >>> found = inspect(FOLDER / "resnet56-w8-skip.safetensors")
    >>> found.candidates[0]["label"], found.facts["epoch"], found.tensors[0]
    ('ResNet-56, width 8, with shortcuts', '80', {'name': 'bn1.bias', 'dtype': 'F32', 'shape': [8]})
    """
    from .load import clean_file

    with TemporaryDirectory(prefix="landscape-") as folder:
        clean = Path(folder) / "clean.safetensors"
        answer = read_in_sandbox("checkpoint", Path(path), clean)
        if "rejected" in answer:
            raise CheckpointError(answer["rejected"])
        return Inspected(answer["candidates"], answer["facts"], answer["tensors"], *clean_file(clean))
