"""A data set in memory: samples and labels in a fixed order, with a digest."""

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import torch
from torch import Tensor

from ..disk_cache import DiskCache
from ..errors import DataError
from ..parsers.dataset import Described
from .memory_map import Part, cached


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labeled samples in a fixed order. The tensors are shared, not copied: do not write to them."""

    name: str
    split: str  # "train" or "test"; "all" for a file
    images: Tensor  # (N, C, H, W) or (N, F), float32, normalized: (pixel in [0, 1] − mean) / std; tokens (N, T), int64
    labels: Tensor  # (N,), int64, in [0, classes); (N, T) for tokens, float32 for values
    classes: int
    mean: tuple[float, ...]  # per channel, of pixels in [0, 1]; () if images were given normalized
    std: tuple[float, ...]
    targets: str = "classes"  # "values" for regression, "tokens" for language models; see parsers.dataset
    cache: DiskCache | None = None  # shares the samples with other processes
    key: str = ""  # key of the samples in the cache
    file: Path | None = None  # that the samples are mapped from, if they are

    def __len__(self) -> int:
        """Number of samples N."""
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over shapes, types and bytes of `images` and `labels`: equal if and only if the samples are."""
        return data_digest(self.images, self.labels)

    def subset(self, count: int, seed: int = 0) -> "Dataset":
        """`count` samples chosen by `seed`, in their original order; the same on every machine and version.

        For one seed the subsets are nested: 100 samples are among the 500. (Our choice: samples with the smallest
        SHA-256 of seed and index, independent of any library's generator.)

        Raises:
            DataError: `count` is below 1 or above the number of samples.
            FileError: a cached file is not what this module writes.
        """
        if not 1 <= count <= len(self):
            raise DataError(
                f"A subset of {count} samples is not possible: the {self.split} split of {self.name} has {len(self)}. "
                f"Use a count from 1 to {len(self)}."
            )
        key = f"{self.key}-{count}-{seed}"
        part = cached(self.cache, key, self.split, lambda: self._subset(count, seed))
        return replace(self, images=part.inputs, labels=part.targets, key=key, file=part.file)

    def open(self) -> BinaryIO:
        """A file with `images` and `labels` as "<split>/inputs" and "<split>/targets", opened for another process.

        That is the file they are mapped from, which is then shared; for others a copy in memory.
        """
        if self.file is not None:
            with contextlib.suppress(FileNotFoundError):  # it was evicted from the cache
                return self.file.open("rb")
        from safetensors.torch import save

        parts = {f"{self.split}/inputs": self.images, f"{self.split}/targets": self.labels}
        file = _memory_file()
        file.write(save({name: tensor.contiguous() for name, tensor in parts.items()}))
        file.flush()
        return file

    def _subset(self, count: int, seed: int) -> Part:
        chosen = torch.tensor(sorted(shuffled(len(self), f"subset {seed}")[:count]))
        described = Described("chosen", self.targets, {self.split: count}, self.classes, list(self.images.shape[1:]))
        return Part(described, self.images[chosen], self.labels[chosen])


def _memory_file() -> BinaryIO:
    """An unnamed file, in memory where the system has that."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("samples"), "w+b")
    return TemporaryFile()


def data_digest(*tensors: Tensor) -> str:
    """SHA-256 (hex) over shapes, types and bytes."""
    described = [[list(tensor.shape), str(tensor.dtype)] for tensor in tensors]
    digest = hashlib.sha256(json.dumps(described).encode())
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def shuffled(count: int, key: str) -> list[int]:
    """0 … count − 1 in an order that depends on `key` alone."""
    return sorted(range(count), key=lambda index: hashlib.sha256(f"{key}:{index}".encode()).digest())
