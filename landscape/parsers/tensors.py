"""A tensor in a file: its type, shape and strides, checked against the bytes in the file; its numbers on demand."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .source import FileError, Source

# safetensors' names of types -> how numpy reads them. BF16 is the upper half of a float32.
NUMPY_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "<u1",
    "BOOL": "<u1",
}
# Types that are not read, with bytes per number; a file may hold them beside the weights.
OTHER_TYPES = {"C64": 8, "C128": 16, "QINT8": 1, "QUINT8": 1, "QINT32": 4, "F8_E4M3": 1, "F8_E5M2": 1}
FLOATING = ("F64", "F32", "F16", "BF16")
MAX_AXES = 8


def item_size(dtype: str) -> int:
    """Bytes per number.

    >>> item_size("BF16"), item_size("F64")
    (2, 8)
    """
    return OTHER_TYPES[dtype] if dtype in OTHER_TYPES else np.dtype(NUMPY_TYPES[dtype]).itemsize


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A strided view of `count` numbers at `start` in a file. Made by `stored`, which checks it."""

    source: Source
    start: int  # bytes
    count: int  # numbers in the storage
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # numbers
    offset: int  # numbers

    @property
    def floating(self) -> bool:
        """Whether the numbers are of one of the types `FLOATING`."""
        return self.dtype in FLOATING

    @property
    def elements(self) -> int:
        """Count of numbers in the tensor, which may be fewer than in its storage."""
        return math.prod(self.shape)

    def array(self) -> NDArray[Any]:
        """The numbers, in `shape`, contiguous: float32 for floating types (float64 for F64), else the file's type.

        Raises:
            FileError: the type is not supported, or the file became shorter.
        """
        if self.dtype in OTHER_TYPES:
            raise FileError(f"The file holds numbers of type {self.dtype}, which is not read. Save them as float32.")
        size, span = item_size(self.dtype), _span(self.shape, self.strides)
        raw = np.frombuffer(self.source.read(self.start + self.offset * size, span * size), NUMPY_TYPES[self.dtype])
        view = np.lib.stride_tricks.as_strided(raw, self.shape, [stride * size for stride in self.strides])
        dense = np.ascontiguousarray(view).reshape(self.shape)
        if self.dtype == "BF16":
            return (dense.astype(np.uint32) << 16).view(np.float32)
        return dense.astype(np.float32) if self.dtype == "F16" else dense


def stored(
    source: Source, start: int, count: int, dtype: str, *, shape: Any, strides: Any = None, offset: Any = 0
) -> StoredTensor:
    """A tensor whose numbers are all inside its storage, none used twice.

    Raises:
        FileError: sizes or strides are not integers ≥ 0, reach outside the storage, or repeat numbers.
    """
    shape = _numbers(shape)
    strides = contiguous(shape) if strides is None else _numbers(strides)
    if len(shape) != len(strides) or type(offset) is not int or offset < 0:
        raise FileError("The file is damaged: a tensor has sizes that make no sense. Save it again.")
    elements = math.prod(shape)
    if offset + _span(shape, strides) > count:
        raise FileError(
            f"The file is damaged: a tensor of shape {shape} reaches outside of the {count} numbers stored for it."
        )
    if elements > count:
        raise FileError(
            f"A tensor of shape {shape} repeats the {count} numbers stored for it. Save it with .contiguous()."
        )
    return StoredTensor(source, start, count, dtype, shape, strides, offset)


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in numbers, of a tensor stored row by row.

    >>> contiguous((2, 3, 4))
    (12, 4, 1)
    """
    strides, size = [], 1
    for length in reversed(shape):
        strides.append(size)
        size *= max(1, length)
    return tuple(reversed(strides))


def _span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Count of numbers from the first to the last element of the tensor, both included."""
    if 0 in shape:
        return 0
    return 1 + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))


def _numbers(values: Any) -> tuple[int, ...]:
    if type(values) not in (tuple, list) or len(values) > MAX_AXES:
        raise FileError(f"The file is damaged: a tensor has no shape of at most {MAX_AXES} axes.")
    if not all(type(value) is int and 0 <= value < 2**48 for value in values):
        raise FileError("The file is damaged: a tensor has sizes that make no sense. Save it again.")
    return tuple(values)
