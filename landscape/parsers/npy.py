"""Arrays of .npz files: shape and type first, the numbers on demand; headers are checked before memory is allocated."""

import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .archive import Archive
from .arrays import LARGEST, StoredArray, regrouped, require_possible
from .source import FileError, Source, printable

MAX_BYTES = 4 << 30  # of all arrays of a file, unpacked
MAX_ARRAYS = 1000
_HEADER = 70_000


def read(source: Source) -> dict[str, StoredArray]:
    """The arrays of a file by name, without the ending `.npy`.

    Raises:
        FileError: it is damaged, holds anything but arrays of numbers, or is too large.
    """
    archive = Archive(source, compressed=True, most=MAX_BYTES)
    names = [name for name in archive.entries if name.endswith(".npy")]
    if len(names) > MAX_ARRAYS:
        raise FileError(f"The file holds {len(names)} arrays; at most {MAX_ARRAYS} are read.")
    return {name.removesuffix(".npy"): _array(archive, name) for name in names}


def _array(archive: Archive, name: str) -> StoredArray:
    size, head, shown = archive.entries[name].size, io.BytesIO(_beginning(archive, name)), printable(name)
    try:
        version = np.lib.format.read_magic(head)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read_header(head)
    except Exception:  # numpy's parser raises any kind of error for a broken header
        raise FileError(f"{shown} is damaged: its header makes no sense. Save it with numpy.savez.") from None
    if dtype.hasobject or dtype.kind not in "biuf":
        raise FileError(f"{shown} holds Python objects or text, not numbers. Save images as uint8 or float32.")
    require_possible(shape, shown)
    start = head.tell()
    if start + math.prod(shape) * dtype.itemsize != size:
        raise FileError(f"{shown} says {dtype} of shape {shape} but holds another number of bytes.")

    def blocks() -> Iterator[NDArray[Any]]:
        if fortran:
            return _turned(archive.blocks(name), start, shape, dtype, shown)
        return regrouped(archive.blocks(name), start, shape, dtype)

    return StoredArray(tuple(shape), dtype, blocks)


def _turned(
    pieces: Iterator[bytes], start: int, shape: tuple[int, ...], dtype: np.dtype[Any], shown: str
) -> Iterator[NDArray[Any]]:
    """The array as one block, from bytes in Fortran's order: there its first row is spread over all of them."""
    if math.prod(shape) * dtype.itemsize > LARGEST:
        raise FileError(
            f"{shown} is stored column by column (Fortran's order), in which at most {LARGEST} bytes are read. "
            "Save numpy.ascontiguousarray of it."
        )
    yield np.frombuffer(b"".join(pieces), dtype, offset=start).reshape(shape, order="F")


def _beginning(archive: Archive, name: str) -> bytes:
    """The first block of a member, its checksum not verified yet (`blocks` does)."""
    return next(archive.blocks(name), b"")[:_HEADER]
