"""Arrays of .h5 files: those at the top level, stored in the file itself.

Links, virtual and external data are refused: HDF5 follows links to other files by default. Runs in the sandbox only.
"""

import math
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .npy import MAX_BYTES, StoredArray
from .source import FileError, printable

MAX_ARRAYS = 1000


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
        names = list(opened.keys())
        if len(names) > MAX_ARRAYS:
            raise FileError(f"The file holds {len(names)} entries; at most {MAX_ARRAYS} are read.")
        return {name: _array(h5py, opened, name) for name in names}
    except FileError:
        raise
    except Exception:  # on damaged files h5py raises almost anything
        raise FileError("The HDF5 file is damaged. Save it again with h5py.") from None


def _array(h5py: Any, opened: Any, name: str) -> StoredArray:
    shown = printable(name)
    if not isinstance(opened.get(name, getlink=True), h5py.HardLink):
        raise FileError(f"Entry {shown!r} of the HDF5 file is a link, which is not followed. Store the array itself.")
    entry = opened[name]
    if not isinstance(entry, h5py.Dataset):
        raise FileError(f"Entry {shown!r} of the HDF5 file is a group. Store the arrays at the top of the file.")
    if entry.is_virtual or entry.external:
        raise FileError(f"Entry {shown!r} of the HDF5 file lies in another file. Store the array itself.")
    dtype = entry.dtype
    if dtype.hasobject or dtype.kind not in "biuf" or entry.shape is None:
        raise FileError(f"Entry {shown!r} of the HDF5 file is no array of numbers.")
    size = math.prod(entry.shape) * dtype.itemsize
    if size > MAX_BYTES:
        raise FileError(f"Entry {shown!r} of the HDF5 file has {size} bytes; at most {MAX_BYTES} are read.")

    def load() -> NDArray[Any]:
        try:
            return np.asarray(entry[()])
        except Exception:
            raise FileError(f"Entry {shown!r} of the HDF5 file is damaged. Save it again with h5py.") from None

    return StoredArray(tuple(entry.shape), dtype, load)
