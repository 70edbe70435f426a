"""Data sets from files: local ones, read in this process, and uploads, already sanitized by the sandbox."""

from pathlib import Path
from typing import BinaryIO

import torch

from ..disk import digest_of
from ..disk_cache import DiskCache
from ..errors import DataError
from ..parsers.dataset import read
from ..parsers.source import FileError
from .dataset import Dataset
from .memory_map import Part, cached, mapped, normalized, require_split


def load_file(path: str | Path, split: str = "train", *, cache: DiskCache | None = None) -> Dataset:
    """The data set in a file: `.npz`, `.h5` or `.safetensors` with arrays, or an official archive of CIFAR or MNIST.

    Arrays are `images` and `labels` (or `inputs`, `tokens`, and `targets`), and `test_images`, … for a test split.
    Images are uint8, NHWC or NCHW (the axis with 1 or 3 entries holds the channels), scaled to [0, 1] and normalized by
    the file's arrays `mean` and `std`, else by their own per channel (our choice); or floating, taken as already
    normalized. `labels` are integers from 0; `classes` is the largest label + 1. `tokens` are integers (N, T); without
    labels the target of each token is the next. `targets` may be floating, for regression.
    Nothing in the file is executed: no pickle is run, and declared sizes are checked before any memory is taken.

    Args:
        cache: stores large data sets for other processes, which then map them instead of reading the file.

    Raises:
        DataError: the file cannot be read, is too large, or samples and labels are not as described.
        UnknownNameError: it has no such split; the message lists its splits.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            key = digest_of(file) if cache else ""
            part = cached(cache, key, split, lambda: _read(file, split))
    except FileError as error:
        raise DataError(f"{path.name}: {error}") from None
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    return dataset(path.stem, split if len(part.described.splits) > 1 else "all", part, cache, key)


def load_clean(path: Path, name: str, split: str, *, cache: DiskCache | None = None, key: str = "") -> Dataset:
    """The data set in a file that the sandbox has written.

    Args:
        cache, key: a cache for its normalized images, shared with other processes, and the key of the file in it.

    Raises:
        UnknownNameError: it has no such split; the message lists its splits.
        FileError: the file is not what the sandbox writes.
    """
    part = mapped(path, split)
    if part.inputs.dtype == torch.uint8:  # other samples are mapped unchanged
        part = cached(cache, key, split, lambda: mapped(path, split))
    return dataset(name, split, part, cache, key)


def dataset(name: str, split: str, part: Part, cache: DiskCache | None, key: str) -> Dataset:
    """The `Dataset` of a split, its images normalized."""
    described, inputs, targets, file = part
    pixels = inputs.dtype == torch.uint8
    images = normalized(inputs, described) if pixels else inputs
    mean, std = tuple(described.mean), tuple(described.std)
    rest = (described.targets, cache, key, None if pixels else file)
    return Dataset(name, split, images, targets, described.classes, mean, std, *rest)


def _read(file: BinaryIO, split: str) -> Part:
    file.seek(0)
    samples = read(file)
    require_split(split, samples.described)
    inputs, targets = (torch.from_numpy(array.load()) for array in samples.parts[split])
    return Part(samples.described, inputs, targets)
