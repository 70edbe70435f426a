"""An array in a file: its shape and type first, its numbers on demand and in blocks, so that no whole one is in memory.

What the file holds decides how much is read, not what it says: a block has at most `LARGEST` bytes.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .source import BLOCK, FileError

LARGEST = 256 << 20  # bytes of a block of rows that can only be read together
MAX_AXES, MAX_LENGTH = 8, 2**48

Blocks = Callable[[], Iterator[NDArray[Any]]]


@dataclass(frozen=True)
class StoredArray:
    """An array in a file. Its rows are its entries along the first axis; a number is one row."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    blocks: Blocks  # makes an iterator of all rows in order: arrays (n, …) that must not be changed

    @property
    def size(self) -> int:
        """Bytes of all numbers."""
        return math.prod(self.shape) * self.dtype.itemsize

    def load(self) -> NDArray[Any]:
        """All numbers; memory is taken for as many as the shape says, so check `size` first."""
        whole = np.empty(self.shape, self.dtype)
        flat, at = whole.reshape(-1), 0
        for block in self.blocks():
            flat[at : at + block.size] = block.reshape(-1)
            at += block.size
        assert at == flat.size
        return whole

    def converted(
        self, convert: Callable[[NDArray[Any]], NDArray[Any]], shape: tuple[int, ...], dtype: Any
    ) -> "StoredArray":
        """This array with `convert` applied to every block of rows, which gives rows of another shape and type."""
        return StoredArray(shape, np.dtype(dtype), lambda: map(convert, self.blocks()))


def in_memory(array: NDArray[Any]) -> StoredArray:
    """An array that is in memory already.

    Raises:
        FileError: see `rows_at_once`.

    >>> in_memory(np.arange(3)).load()
    array([0, 1, 2])
    """
    count = rows_at_once(array.shape, array.dtype)
    return StoredArray(
        array.shape, array.dtype, lambda: (array[at : at + count] for at in range(0, len(array), count))
    )  # fmt: skip


def require_possible(shape: tuple[Any, ...], what: str) -> None:
    """Check the shape that a file gives to an array.

    Raises:
        FileError: no memory of any machine could hold such an array, empty axes left out.
    """
    possible = len(shape) <= MAX_AXES and all(0 <= length < MAX_LENGTH for length in shape)
    if not possible or math.prod(length for length in shape if length) >= MAX_LENGTH:
        raise FileError(
            f"{what} says that its shape is {shape}, which no array can have: expected at most {MAX_AXES} axes of "
            "possible lengths. Save it again."
        )


def rows_at_once(shape: tuple[int, ...], dtype: np.dtype[Any], multiple: int = 1) -> int:
    """The number of rows in a block: a multiple of `multiple`.

    Raises:
        FileError: these rows are too large to be read together.

    >>> rows_at_once((1000, 1 << 18), np.dtype("u1")), rows_at_once((1000, 1 << 18), np.dtype("u1"), 3)
    (4, 6)
    """
    row = max(1, math.prod(shape[1:]) * dtype.itemsize)
    count = multiple * max(1, -(-(BLOCK // row) // multiple))
    if row * min(count, shape[0] if shape else 1) > LARGEST:
        raise FileError(
            f"An array of shape {shape} can only be read {count} rows at a time, and these have {row * count} bytes; "
            f"at most {LARGEST} are read. Store smaller samples, or fewer of them in a chunk."
        )
    return count


def regrouped(pieces: Iterable[bytes], start: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[Any]:
    """Blocks of rows, from bytes in pieces of any length of which the first `start` are left out.

    Raises:
        FileError: see `rows_at_once`.
    """
    most = rows_at_once(shape, dtype) * max(1, math.prod(shape[1:]) * dtype.itemsize)
    held, skip = bytearray(), start
    for piece in pieces:
        held += piece[skip:]
        skip = max(0, skip - len(piece))
        while len(held) >= most:
            yield np.frombuffer(bytes(memoryview(held)[:most]), dtype).reshape(-1, *shape[1:])
            del held[:most]
    if held:
        yield np.frombuffer(bytes(held), dtype).reshape(-1, *shape[1:])
