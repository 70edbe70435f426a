"""Tensors and arrays in files are read in blocks, each number in its place, and never too much at once."""

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from landscape.parsers import hdf5
from landscape.parsers.arrays import LARGEST, StoredArray, in_memory
from landscape.parsers.source import BLOCK, FileError, Source
from landscape.parsers.tensors import stored

VIEWS: dict[str, tuple[tuple[int, ...], tuple[int, ...], int]] = {  # shape, strides, offset
    "row by row": ((3, 4, 5), (20, 5, 1), 7),
    "a number": ((), (), 3),
    "none": ((0, 4), (4, 1), 0),
    "transposed": ((4, 3), (1, 4), 0),
    "channels last": ((2, 3, 4, 5), (60, 1, 15, 3), 0),
    "every second row": ((5, 3), (8, 1), 2),
    "one row, odd stride": ((1, 6), (999, 1), 0),
    "larger than a block, row by row": ((700, 1000), (1000, 1), 1),
    "larger than a block, rows apart": ((300, 1000), (2048, 2), 0),
    "larger than a block, transposed": ((1000, 700), (1, 1000), 0),
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize(
    ("dtype", "torch_dtype"), [("F32", torch.float32), ("BF16", torch.bfloat16), ("I64", torch.int64)]
)
def test_every_view_of_a_storage_is_that_of_torch(name: str, dtype: str, torch_dtype: Any, tmp_path: Path) -> None:
    shape, strides, offset = VIEWS[name]
    whole = torch.arange(701_000, dtype=torch.int32).to(torch_dtype)
    path = tmp_path / "numbers"
    path.write_bytes(b"head" + whole.view(torch.uint8).numpy().tobytes())
    expected = whole.as_strided(shape, strides, offset)
    with path.open("rb") as file:
        tensor = stored(Source(file), 4, len(whole), dtype, shape=shape, strides=strides, offset=offset)
        found = tensor.array()
        assert np.array_equal(found, (expected.float() if expected.is_floating_point() else expected).numpy())
        assert np.array_equal(tensor.rows().load(), found)
        for block in tensor.blocks():
            assert block.nbytes <= 2 * BLOCK or "transposed" in name


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_a_tensor_that_is_not_stored_row_by_row_is_read_at_once_only_if_it_is_small(tmp_path: Path) -> None:
    side = math.isqrt(LARGEST // 4) + 1
    with sparse(tmp_path / "numbers", 4 * side * side).open("rb") as file:
        tensor = stored(Source(file), 0, side * side, "F32", shape=(side, side), strides=(1, side))
        with pytest.raises(FileError, match=r"Save it with \.contiguous\(\)"):
            next(tensor.blocks())
        straight = stored(Source(file), 0, side * side, "F32", shape=(side, side))
        assert next(straight.blocks()).nbytes == BLOCK


@pytest.mark.parametrize("chunks", [None, (1, 3, 4), (7, 1, 4), (1000, 3, 2)])
def test_rows_of_an_hdf5_array_come_in_whole_chunks(chunks: Any, tmp_path: Path) -> None:
    numbers = np.arange(1000 * 12).reshape(1000, 3, 4)
    with h5py.File(tmp_path / "file.h5", "w") as opened:
        opened.create_dataset("numbers", data=numbers, chunks=chunks, compression="gzip" if chunks else None)
    with (tmp_path / "file.h5").open("rb") as file:
        found = hdf5.read(file)["numbers"]
        assert np.array_equal(found.load(), numbers)


def test_arrays_in_memory_come_in_blocks_too() -> None:
    numbers = np.arange(1 << 19)
    blocks = list(in_memory(numbers).blocks())
    assert [block.nbytes for block in blocks] == [BLOCK] * 4
    doubled: StoredArray = in_memory(numbers).converted(lambda block: 2 * block, numbers.shape, numbers.dtype)
    assert np.array_equal(doubled.load(), 2 * numbers)
