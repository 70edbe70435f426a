"""Direction files, to share instead of seeds: the authors' HDF5 (paper_files.py) and safetensors.

A safetensors file holds "delta.<name>" and, for a plane, "eta.<name>", float64 or float32, of complex parameters both
parts on a last axis; parameters that are missing do not move. Its metadata hold "format": "landscape directions".
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ..disk import digest_of
from ..errors import FormatError, UnknownNameError
from ..objective.objective import movable
from . import paper_files
from .plane import Plane, State, from_directions
from .random import like, real

ENDINGS = (".safetensors", ".h5")
PREFIXES = ("delta.", "eta.")


def write(path: str | Path, plane: Plane, model: nn.Module) -> None:
    """Write the directions of `plane`; the ending of `path` chooses the format.

    HDF5 holds float32 in parameter order (the whole state dict if the statistics move too); safetensors loses no
    precision.

    Raises:
        UnknownNameError: the ending is not known.
        FormatError: HDF5 for a network with complex parameters.

    >>> from tempfile import TemporaryDirectory
    >>> model = nn.Linear(2, 1)
    >>> line = from_directions([{"weight": torch.tensor([[3.0, 4.0]])}], movable(model))
    >>> with TemporaryDirectory() as folder:
    ...     write(Path(folder) / "line.safetensors", line, model)
    ...     found = read(Path(folder) / "line.safetensors", model)
    >>> found.directions[0]["weight"].tolist(), found.directions[0]["bias"].tolist()
    ([[3.0, 4.0]], [0.0])
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise UnknownNameError("ending of a direction file", path.suffix, ENDINGS)
    if path.suffix == ".h5":
        moves = plane.moves(movable(model).keys() - dict(model.named_parameters()).keys())
        paper_files.write_directions(
            path, plane, dict(model.named_parameters()), buffers=model.state_dict() if moves else None
        )
        return
    tensors = {
        f"{prefix}{name}": real(tensor).contiguous()
        for prefix, direction in zip(PREFIXES, plane.directions, strict=False)
        for name, tensor in direction.items()
    }
    words = {"format": "landscape directions", "source": plane.source, "facts": json.dumps(plane.facts)}
    save_file(tensors, path, metadata=words)


def read(path: str | Path, model: nn.Module) -> Plane:
    """The plane in a direction file, for `model`; its facts include the file's name and SHA-256.

    Raises:
        FormatError: the file cannot be read or holds no direction.
        ShapeMismatchError: it was made for another network; the message names the parameter.
        NotFiniteError, PlaneError: see `plane.from_directions`.
        UnknownNameError: the ending is not known.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise UnknownNameError("ending of a direction file", path.suffix, ENDINGS)
    try:
        digest = digest_of(path)
    except OSError as error:
        raise FormatError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    if path.suffix == ".h5":
        found = paper_files.read_directions(path, dict(model.named_parameters()), state=model.state_dict())
    else:
        found = _read_safetensors(path, movable(model))
    return replace(found, facts={**found.facts, "sha256": digest})


def _read_safetensors(path: Path, center: State) -> Plane:
    try:
        with safe_open(path, framework="pt") as file:
            words, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{path.name} cannot be read as safetensors: {str(error)[:120]}.") from error
    directions = [_named(tensors, prefix) for prefix in PREFIXES]
    if not directions[0] or words.get("format") != "landscape directions":
        raise FormatError(
            f"{path.name} holds no direction: it has no tensor named 'delta.…', as files written here have."
        )
    facts: dict[str, Any] = {"file": path.name, "label": f"directions of {path.name}", "made_as": words.get("source")}
    found = [_complex_where(direction, center) for direction in directions if direction]
    return from_directions(found, center, source="file", **facts)


def _named(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _complex_where(direction: Mapping[str, torch.Tensor], center: State) -> dict[str, torch.Tensor]:
    """The direction, with the tensors complex whose parameters are, if both parts are there."""
    return {
        name: like(tensor, center[name])
        if name in center and center[name].is_complex() and tensor.shape == real(center[name]).shape
        else tensor
        for name, tensor in direction.items()
    }
