"""Reading checkpoints people have: names and arrays out of a file, and which networks they fit.

Imports numpy, safetensors and models.architecture; torch only for files of torch.save. Meant to run in a throw-away
process: never unpickles anything but tensors, and never believes a file's own word about its size.
"""

import json
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CheckpointError
from .models.architecture import Architecture, recognize

Weights = dict[str, NDArray[np.float32]]

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights")  # keys under which people store the state
PREFIXES = ("module.", "_orig_mod.", "model.")  # what DataParallel, torch.compile and Lightning put before names
_FACTS = ("architecture", "dataset", "epoch", "seed", "train_loss", "train_error", "test_error", "acc", "best_acc")
_MAX_HEADER, _MAX_TENSORS = 25_000_000, 10_000


@dataclass(frozen=True)
class Reading:
    """What a file turned out to hold."""

    weights: Weights  # parameters and buffers by bare name, float32; batch counters left out
    candidates: list[Architecture]  # every known network that fits, never empty
    facts: dict[str, str]  # what the file says of itself


def read(path: Path) -> Reading:
    """Read the checkpoint at `path`.

    Raises:
        CheckpointError: it cannot be read, or holds something else; the message is one sentence or two.
        UnknownNetworkError: no known network fits.
    """
    state, facts = _read_any(path)
    weights = _bare_names({name: array for name, array in state.items() if not name.endswith("num_batches_tracked")})
    candidates = recognize({name: array.shape for name, array in weights.items()})
    _require_sound(weights)
    return Reading(weights, _those_named(candidates, facts.pop("architecture", "")), facts)


def _read_any(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
    if size == 0:
        raise CheckpointError("The file is empty.")
    if head[:4] == b"PK\x03\x04":
        return _read_zip(path)
    if head[:2] == b"\x80\x02":
        return _read_torch(path)
    if len(head) > 8 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= min(size, _MAX_HEADER):
        return _read_safetensors(path)
    raise CheckpointError(
        "This is not a checkpoint: it is neither a file of torch.save nor a safetensors file. "
        "Save one with torch.save(model.state_dict(), 'checkpoint.pt')."
    )


def _read_safetensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            names = list(file.keys())
            if len(names) > _MAX_TENSORS:
                raise CheckpointError(f"The file holds {len(names)} tensors; at most {_MAX_TENSORS} are read.")
            types = {name: file.get_slice(name).get_dtype() for name in names}
            facts = _facts_of(file.metadata() or {})
            if "BF16" not in types.values():
                return {name: _floating(name, file.get_tensor(name)) for name in names}, facts
        with safe_open(path, framework="pt") as file:  # numpy has no bfloat16
            return {name: _floating(name, file.get_tensor(name).float().numpy()) for name in names}, facts
    except (SafetensorError, OverflowError, UnicodeDecodeError) as error:
        raise CheckpointError(f"The safetensors file is damaged: {_one_line(error)}.") from None


def _read_zip(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if sum(1 for name in names if name.endswith("/data.pkl")) != 1:
                raise CheckpointError("This zip archive is not a checkpoint of torch.save: it has no data.pkl.")
            if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
                raise CheckpointError(
                    "This is a TorchScript program, which holds code. Save the weights instead: "
                    "torch.save(model.state_dict(), 'checkpoint.pt')."
                )
            broken = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"The file is damaged: {_one_line(error)}.") from None
    if broken is not None:
        raise CheckpointError("The file is damaged: a stored tensor does not match its checksum.")
    return _read_torch(path)


def _read_torch(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    import pickle

    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            "The file holds Python objects besides tensors, which are not read because they can run code. "
            "Save the weights alone: torch.save(model.state_dict(), 'checkpoint.pt')."
        ) from None
    except MemoryError:
        raise CheckpointError("The file needs more memory than reading a checkpoint may take.") from None
    except Exception as error:  # the parser raises whatever a broken file makes it raise
        raise CheckpointError(f"The file is damaged: {_one_line(error)}.") from None
    state, around = _unwrap(content)
    return {name: _array(name, value) for name, value in state.items()}, _facts_of(around)


def _unwrap(content: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The state dict in `content`, and what stands around it."""
    if not isinstance(content, dict):
        raise CheckpointError(f"The file holds a {type(content).__name__}, not a dictionary of tensors.")
    for key in WRAPPERS:
        inner = content.get(key)
        if isinstance(inner, dict) and inner:
            return inner, {name: value for name, value in content.items() if name not in WRAPPERS}
    return content, {}


def _array(name: Any, value: Any) -> NDArray[Any]:
    import torch

    if not isinstance(name, str) or not isinstance(value, torch.Tensor):
        raise CheckpointError(
            f"Entry {str(name)[:60]!r} is a {type(value).__name__}, not a tensor. Save what model.state_dict() returns."
        )
    if value.layout != torch.strided or value.is_quantized or value.is_complex():
        raise CheckpointError(
            f"Parameter {name[:60]!r} is sparse, quantized or complex; only dense real tensors are read."
        )
    if not value.is_floating_point():
        return value.numpy()
    return _floating(name, value.detach().float().contiguous().numpy())


def _floating(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if not np.issubdtype(array.dtype, np.floating) and not name.endswith("num_batches_tracked"):
        raise CheckpointError(f"Parameter {name[:60]!r} has type {array.dtype}; only floating point is read.")
    return array.astype(np.float32) if np.issubdtype(array.dtype, np.floating) else array


def _bare_names(state: Mapping[str, NDArray[Any]]) -> Weights:
    """Names without the prefixes that wrappers put before all of them."""
    names = list(state)
    while prefix := next((p for p in PREFIXES if names and all(name.startswith(p) for name in names)), None):
        names = [name.removeprefix(prefix) for name in names]
    return dict(zip(names, state.values(), strict=True))


def _require_sound(weights: Weights) -> None:
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"Parameter {name!r} holds NaN or infinity: there is no landscape around it.")
        if name.endswith("running_var") and (array < 0).any():
            raise CheckpointError(f"Buffer {name!r} holds a negative variance: the file is damaged.")


def _those_named(candidates: list[Architecture], description: str) -> list[Architecture]:
    """The candidate the file itself names, where it names one of them; otherwise all."""
    try:
        named = json.loads(description)
    except ValueError:
        return candidates
    return [candidate for candidate in candidates if candidate.to_json() == named] or candidates


def _facts_of(around: Mapping[str, Any]) -> dict[str, str]:
    known = {key: around[key] for key in _FACTS if isinstance(around.get(key), str | int | float | bool)}
    return {key: str(value)[:300] for key, value in known.items()}


def _one_line(error: BaseException) -> str:
    """The first line of a library's message, without paths and control characters."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    words = [word for word in line.split() if "/" not in word and "weights_only" not in word]
    return "".join(character for character in " ".join(words) if character.isprintable())[:160].rstrip(". ")
