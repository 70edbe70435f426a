"""A tensor in a file: its type, shape and strides, checked against the bytes in the file; its numbers on demand."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import LARGEST, MAX_AXES, StoredArray, regrouped, require_possible
from .source import BLOCK, FileError, Source

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
    "C64": "<c8",
}
# Types that are not read, with bytes per number; a file may hold them beside the weights.
OTHER_TYPES = {"C128": 16, "QINT8": 1, "QUINT8": 1, "QINT32": 4, "F8_E4M3": 1, "F8_E5M2": 1}
FLOATING = ("F64", "F32", "F16", "BF16")


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

    @property
    def read_type(self) -> np.dtype[Any]:
        """The type of the numbers that `blocks` gives: float32 for F16 and BF16, else the file's.

        Raises:
            FileError: the file's type is not supported.
        """
        if self.dtype in OTHER_TYPES:
            raise FileError(f"The file holds numbers of type {self.dtype}, which is not read. Save them as float32.")
        return np.dtype("<f4" if self.dtype in ("F16", "BF16") else NUMPY_TYPES[self.dtype])

    def blocks(self) -> Iterator[NDArray[Any]]:
        """The numbers in the order of `shape`, in one-dimensional blocks: no whole tensor is in memory.

        Raises:
            FileError: the type is not supported, the file became shorter, or the strides need too much at a time.
        """
        size, read_type = item_size(self.dtype), self.read_type
        shape, strides = self.shape, self.strides
        if _in_order(shape, strides):
            shape, strides = (self.elements,), (1,)
        rows = self._rows_at_once(shape, strides)
        for at in range(0, shape[0], rows):
            part = min(rows, shape[0] - at), *shape[1:]
            start = self.start + (self.offset + at * strides[0]) * size
            raw = np.frombuffer(self.source.read(start, _span(part, strides) * size), NUMPY_TYPES[self.dtype])
            view = np.lib.stride_tricks.as_strided(raw, part, [stride * size for stride in strides])
            dense = np.ascontiguousarray(view).reshape(-1)
            if self.dtype == "BF16":
                dense = (dense.astype(np.uint32) << 16).view(np.float32)
            yield dense.astype(read_type, copy=False)

    def _rows_at_once(self, shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
        """The number of rows in a block: all if they interleave, since every row then spans most of the tensor."""
        size = item_size(self.dtype)
        row = max(1, _span(shape[1:], strides[1:]))
        count = max(1, BLOCK // (row * size)) if strides[0] >= row else shape[0]
        if _span((min(count, shape[0]), *shape[1:]), strides) * size > LARGEST:
            raise FileError(
                f"A tensor of shape {self.shape} is not stored row by row, and has more than the {LARGEST} bytes that "
                "are read at a time. Save it with .contiguous()."
            )
        return count

    def array(self) -> NDArray[Any]:
        """All numbers, in `shape`, contiguous; raises as `blocks`."""
        return StoredArray(self.shape, self.read_type, self.blocks).load()

    def rows(self) -> StoredArray:
        """This tensor as an array that is read in whole rows; raises as `read_type`."""
        shape, read_type = self.shape, self.read_type
        return StoredArray(
            shape, read_type, lambda: regrouped((block.tobytes() for block in self.blocks()), 0, shape, read_type)
        )


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
    require_possible(shape, "A tensor of the file")
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


def _in_order(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the numbers are stored row by row, without gaps."""
    needed = contiguous(shape)
    return 0 in shape or all(
        stride == other for length, stride, other in zip(shape, strides, needed, strict=True) if length > 1
    )  # fmt: skip


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
