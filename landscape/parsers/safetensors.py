"""safetensors: a header in JSON, then the numbers. Every declared size is checked; writing takes one array at a time.

Source of the layout: the README of the safetensors project.
"""

import json
import math
import resource
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import StoredArray
from .source import FileError, Source, printable
from .tensors import NUMPY_TYPES, OTHER_TYPES, StoredTensor, item_size, stored

MAX_HEADER, MAX_TENSORS, MAX_NAME = 25_000_000, 10_000, 1000
_WRITTEN = {"<f4": "F32", "<f8": "F64", "<i8": "I64", "<i4": "I32", "|u1": "U8", "|b1": "BOOL"}


def is_safetensors(source: Source) -> bool:
    """Whether the file starts with the length of a header, then an open brace.

    Raises:
        FileError: the file became shorter while it was read.
    """
    return source.size > 9 and source.read(8, 1) == b"{" and int.from_bytes(source.read(0, 8), "little") > 1


def read(source: Source) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """The tensors of a file by name, and its metadata.

    Raises:
        FileError: the header is too long, is not JSON, or does not describe exactly the bytes that follow.
    """
    length = int.from_bytes(source.read(0, 8), "little")
    if length > MAX_HEADER:
        raise FileError(f"The header of the safetensors file has {length} bytes; at most {MAX_HEADER} are read.")
    header = _header(source.read(8, length))
    metadata = header.pop("__metadata__", {})
    if type(metadata) is not dict or not all(type(value) is str for value in metadata.values()):
        raise _damaged("its metadata are not texts")
    if len(header) > MAX_TENSORS:
        raise FileError(f"The file holds {len(header)} tensors; at most {MAX_TENSORS} are read.")
    tensors = {name: _tensor(source, 8 + length, name, entry) for name, entry in header.items()}
    _require_complete(source, 8 + length, tensors.values())
    return tensors, metadata


def _header(raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw, object_pairs_hook=_without_twins, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _damaged("its header is not JSON") from None
    if type(header) is not dict:
        raise _damaged("its header is not JSON")
    return header


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _damaged("a name stands in it twice")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(text)


def _tensor(source: Source, base: int, name: str, entry: Any) -> StoredTensor:
    shown = printable(name)
    if len(name) > MAX_NAME:
        raise _damaged(f"the name {shown!r} is longer than {MAX_NAME} characters")
    if type(entry) is not dict or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _damaged(f"tensor {shown!r} is not described by type, shape and place")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(dtype) is not str or dtype not in {**NUMPY_TYPES, **OTHER_TYPES}:
        raise FileError(
            f"Tensor {shown!r} has type {printable(str(dtype), 20)}, which is not read. Save it as float32."
        )
    if type(place) is not list or len(place) != 2 or not all(type(end) is int for end in place):
        raise _damaged(f"tensor {shown!r} has no place")
    start, end = place
    if not 0 <= start <= end <= source.size - base or (end - start) % item_size(dtype):
        raise _damaged(f"tensor {shown!r} lies outside of it, or it was cut off")
    tensor = stored(source, base + start, (end - start) // item_size(dtype), dtype, shape=shape)
    if tensor.elements != tensor.count:
        raise _damaged(f"tensor {shown!r} has shape {tensor.shape} but {tensor.count} numbers")
    return tensor


def _require_complete(source: Source, base: int, tensors: Iterable[StoredTensor]) -> None:
    position = base
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.count)):
        if tensor.start != position:
            raise _damaged("its tensors overlap or leave gaps")
        position += tensor.count * item_size(tensor.dtype)
    if position != source.size:
        raise _damaged("it does not end where its tensors do")


def _damaged(how: str) -> FileError:
    return FileError(f"The safetensors file is damaged: {how}. Copy or save it again.")


class TooLongError(FileError):
    """A file would be longer than this process may write; it was not begun."""

    def __init__(self, size: int, most: int):
        super().__init__(f"The contents of the file take {size} bytes when they are kept; at most {most} are possible.")
        self.size, self.most = size, most  # bytes


def require_room(size: int) -> None:
    """Check that this process may write a file of `size` bytes, before anything of it is made.

    Raises:
        TooLongError: its limit on the size of files (RLIMIT_FSIZE) is lower.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if most != resource.RLIM_INFINITY and size > most:
        raise TooLongError(size, most)


def write_blocks(
    target: Path | int, shapes: Mapping[str, tuple[str, tuple[int, ...]]], blocks: Iterable[NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Write the bytes of all arrays, one after the other, in blocks of any length: no whole array is in memory.

    Args:
        target: a new file, or the descriptor of an empty one, which is closed.
        shapes: name -> (type, shape) of every array, in the order in which `blocks` yields their numbers.

    Raises:
        TooLongError: see `require_room`.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "numbers.safetensors"
    ...     write_blocks(path, {"counts": ("I64", (3,))}, [np.array([2, 3]), np.array([5])])
    ...     with path.open("rb") as file:
    ...         read(Source(file))[0]["counts"].array().tolist()
    [2, 3, 5]
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, (dtype, shape) in shapes.items():
        size = math.prod(shape) * item_size(dtype)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % 64)  # so that a mapped first array starts at a cache line
    require_room(8 + len(text) + at)
    with open(target, "xb") as file:  # noqa: PTH123 - a descriptor is not a path
        file.write(len(text).to_bytes(8, "little") + text)
        written = sum(file.write(np.ascontiguousarray(block).data) for block in blocks)
    assert written == at


def type_of(array: NDArray[Any] | StoredArray) -> str:
    """The type of a little-endian array, by the names of safetensors."""
    return _WRITTEN[array.dtype.str]
