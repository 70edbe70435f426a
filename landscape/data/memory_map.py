"""Large data sets, without a copy per process: normalized once into a file that all processes of a machine map.

Mapped memory is shared, and the system reclaims it when memory is short; a process that writes to it gets its own page.

Measured on 50 000 images of CIFAR's shape: 614 MB in total instead of per process; 0.5 s of CPU to verify the cached
file (its digest) instead of 1.3 s to read and normalize; evaluation is as fast (docs/performance.md). Keeping uint8 and
converting batch by batch takes a quarter of the bytes, and 0.4 s more for every pass.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from errno import EFBIG
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import sanitized
from ..disk_cache import DiskCache
from ..errors import UnknownNameError
from ..parsers import safetensors
from ..parsers.dataset import Described

LARGE = 16 << 20  # bytes of samples; smaller data sets are faster to rebuild than to look up
_FORM = 1  # to be changed whenever the same source gives different samples


class Part(NamedTuple):
    """One split."""

    described: Described
    inputs: Tensor  # (N, …): uint8 to be normalized, or ready for the model
    targets: Tensor  # (N,) or (N, …), as `Dataset.labels`
    file: Path | None = None  # that these tensors are mapped from, in the form of `mapped`


def cached(cache: DiskCache | None, key: str, split: str, make: Callable[[], Part]) -> Part:
    """The result of `make`, normalized and mapped from `cache` if it is large; in memory if it cannot be cached.

    Args:
        key: identifies the source, such as its digest.

    Raises:
        FileError: the cached file is not what `mapped` takes.
    """
    if cache is None:
        return make()
    key = f"{key}-{split}-{_FORM}"
    found = _mapped(cache.find(key), split)
    if found is not None:
        return found
    made = make()
    size = made.inputs.numel() * (4 if made.inputs.dtype == torch.uint8 else made.inputs.element_size())
    if size < LARGE:
        return made
    return _mapped(cache.get_or_write(key, size, lambda path: _write(path, split, made)), split) or made


def mapped(path: Path, split: str) -> Part:
    """A split of a clean file written by `parsers.dataset` or this module; its bytes are read on first use.

    Raises:
        UnknownNameError: it has no such split; the message lists its splits.
        FileError: the file is not what the reading process writes.
    """
    with path.open("rb") as file:
        tensors, metadata = sanitized.tensors(file, writable=True)
    described = Described(**json.loads(metadata["described"]))
    require_split(split, described)
    return Part(described, tensors[f"{split}/inputs"], tensors[f"{split}/targets"], path)


def require_split(split: str, described: Described) -> None:
    """Refuse the name of a split that the data set does not have.

    Raises:
        UnknownNameError: it has no such split; the message lists its splits.
    """
    if split not in described.splits:
        raise UnknownNameError("split", split, tuple(described.splits))


def normalized(pixels: Tensor, described: Described) -> Tensor:
    """uint8 (N, C, H, W) -> (pixel / 255 − mean) / std, float32."""
    images, start = torch.empty(pixels.shape, dtype=torch.float32), 0
    for block in _normalized(pixels, described):
        images[start : start + len(block)] = block
        start += len(block)
    return images


def _mapped(path: Path | None, split: str) -> Part | None:
    with contextlib.suppress(FileNotFoundError):  # another process has just evicted it
        return None if path is None else mapped(path, split)
    return None


def _normalized(pixels: Tensor, described: Described) -> Iterator[Tensor]:
    """The normalized images block by block, by a lookup table."""
    values = np.arange(256) / 255
    tables = [
        torch.from_numpy(((values - mean) / std).astype(np.float32))
        for mean, std in zip(described.mean, described.std, strict=True)
    ]
    for block in torch.split(pixels, 1024):
        yield torch.stack([table[block[:, channel].int()] for channel, table in enumerate(tables)], 1)


def _write(path: Path, split: str, made: Part) -> None:
    described, inputs, targets, _ = made
    pixels = inputs.dtype == torch.uint8
    images = _normalized(inputs, described) if pixels else torch.split(inputs, 1024)
    shapes = {
        f"{split}/inputs": ("F32" if pixels else safetensors.type_of(inputs.numpy()), tuple(inputs.shape)),
        f"{split}/targets": (safetensors.type_of(targets.numpy()), tuple(targets.shape)),
    }
    metadata = {"described": json.dumps(asdict(described))}
    try:
        safetensors.write_blocks(path, shapes, _arrays(images, targets), metadata)
    except safetensors.TooLongError as error:  # as if the disk were full
        raise OSError(EFBIG, str(error)) from None


def _arrays(images: "Iterator[Tensor] | tuple[Tensor, ...]", targets: Tensor) -> Iterator[NDArray[Any]]:
    yield from (block.numpy() for block in images)
    yield targets.numpy()
