"""Arrays of .h5 files: those at the top level, stored in the file itself.

Links, virtual and external data are refused: HDF5 follows links to other files by default. Runs in the sandbox only.
"""

import math
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .arrays import LARGEST, StoredArray, require_possible, rows_at_once
from .npy import MAX_ARRAYS
from .source import FileError, printable


def is_hdf5(head: bytes) -> bool:
    """Whether a file has the signature of HDF5."""
    return head[:8] == b"\x89HDF\r\n\x1a\n"


def read(file: BinaryIO) -> dict[str, StoredArray]:
    """The arrays at the top of an open file by name.

    Raises:
        FileError: it is damaged, refers to other files, or holds anything but arrays of numbers.
    """
    import h5py

    try:
        opened = h5py.File(file, "r")
        if len(opened) > MAX_ARRAYS:  # before their names are read
            raise FileError(f"The file holds {len(opened)} entries; at most {MAX_ARRAYS} are read.")
        return {name: _array(h5py, opened, name) for name in opened}
    except FileError:
        raise
    except Exception:  # on damaged files h5py raises almost anything
        raise FileError("The HDF5 file is damaged. Save it again with h5py.") from None


def _array(h5py: Any, opened: Any, name: str) -> StoredArray:
    shown = f"Entry {printable(name)!r} of the HDF5 file"
    if not isinstance(opened.get(name, getlink=True), h5py.HardLink):
        raise FileError(f"{shown} is a link, which is not followed. Store the array itself.")
    entry = opened[name]
    if not isinstance(entry, h5py.Dataset):
        raise FileError(f"{shown} is a group. Store the arrays at the top of the file.")
    if entry.is_virtual or entry.external:
        raise FileError(f"{shown} lies in another file. Store the array itself.")
    shape, dtype, chunks = entry.shape, entry.dtype, entry.chunks
    if dtype.hasobject or dtype.kind not in "biuf" or shape is None:
        raise FileError(f"{shown} is no array of numbers.")
    require_possible(shape, shown)
    if chunks and math.prod(chunks) * dtype.itemsize > LARGEST:
        raise FileError(f"{shown} is stored in chunks of {chunks}; at most {LARGEST} bytes are read. Use smaller ones.")

    def blocks() -> Iterator[NDArray[Any]]:
        count = rows_at_once(shape, dtype, chunks[0] if chunks else 1)  # so that no chunk is unpacked twice
        for at in range(0, shape[0] if shape else 1, count):
            try:
                yield np.asarray(entry[at : at + count] if shape else entry[()])
            except Exception:
                raise FileError(f"{shown} is damaged. Save it again with h5py.") from None

    return StoredArray(tuple(shape), dtype, blocks)
