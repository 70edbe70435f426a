"""Sanitized files, which the reading process has written: their tensors, mapped into memory instead of read.

All processes of a machine that map a file share its bytes, and the system reclaims them when memory is short.
"""

import mmap
import warnings
from typing import BinaryIO

import torch
from torch import Tensor

from .parsers.safetensors import read
from .parsers.source import Source
from .parsers.tensors import StoredTensor

TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}


def tensors(file: BinaryIO, *, writable: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file by name, in its shapes and types, and its metadata.

    The file may be closed afterwards. Bytes are loaded when they are first used.

    Args:
        writable: whether writing to a tensor is possible; it changes the memory of this process, never the file. If
            not, writing ends the process.

    Raises:
        FileError: the file is not what the reading process writes.
    """
    found, metadata = read(Source(file))
    access = mmap.ACCESS_COPY if writable else mmap.ACCESS_READ
    mapped = mmap.mmap(file.fileno(), 0, access=access)
    return {name: _tensor(mapped, tensor) for name, tensor in found.items()}, metadata


def _tensor(mapped: mmap.mmap, stored: StoredTensor) -> Tensor:
    dtype = TYPES[stored.dtype]
    if stored.count == 0:
        return torch.empty(stored.shape, dtype=dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given buffer is not writable")
        flat = torch.frombuffer(mapped, dtype=dtype, count=stored.count, offset=stored.start)
    if flat.data_ptr() % dtype.itemsize:  # torch's kernels expect aligned numbers
        flat = flat.clone()
    return flat.reshape(stored.shape)
