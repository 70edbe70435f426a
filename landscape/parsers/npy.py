"""Arrays of .npz files: shape and type first, the numbers on demand; headers are checked before memory is allocated."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .archive import Archive
from .source import FileError, Source, printable

MAX_BYTES = 4 << 30  # of all arrays of a file, unpacked
_HEADER = 70_000


@dataclass(frozen=True)
class StoredArray:
    """An array in a file: its shape and type; `load` reads its numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[], NDArray[Any]]


def read(source: Source) -> dict[str, StoredArray]:
    """The arrays of a file by name, without the ending `.npy`.

    Raises:
        FileError: it is damaged, holds anything but arrays of numbers, or is too large.
    """
    archive = Archive(source, compressed=True, most=MAX_BYTES)
    return {
        name.removesuffix(".npy"): _array(archive, name) for name in archive.entries if name.endswith(".npy")
    }  # fmt: skip


def _array(archive: Archive, name: str) -> StoredArray:
    size, head = archive.entries[name].size, io.BytesIO(_beginning(archive, name))
    try:
        version = np.lib.format.read_magic(head)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read_header(head)
    except Exception:  # numpy's parser raises any kind of error for a broken header
        raise FileError(f"{printable(name)} is damaged: its header makes no sense. Save it with numpy.savez.") from None
    if dtype.hasobject or dtype.kind not in "biuf":
        raise FileError(
            f"{printable(name)} holds Python objects or text, not numbers. Save images as uint8 or float32."
        )
    if len(shape) > 8 or min(shape, default=0) < 0 or head.tell() + math.prod(shape) * dtype.itemsize != size:
        raise FileError(f"{printable(name)} says {dtype} of shape {shape} but holds another number of bytes.")
    start = head.tell()

    def load() -> NDArray[Any]:
        content = np.empty(size, np.uint8)  # filled block by block: never two copies in memory
        at = 0
        for block in archive.blocks(name):
            content[at : at + len(block)] = np.frombuffer(block, np.uint8)
            at += len(block)
        return np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if fortran else "C")

    return StoredArray(tuple(shape), dtype, load)


def _beginning(archive: Archive, name: str) -> bytes:
    """The first block of a member, its checksum not verified yet (`load` does)."""
    return next(archive.blocks(name), b"")[:_HEADER]
