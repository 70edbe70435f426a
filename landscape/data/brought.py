"""Data sets that people bring: read clean, normalised as their description says.

Imports torch, files. A file of a stranger is read at the boundary (`ask("dataset", …)`), one's own in this process.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError, UnknownNameError
from ..files.samples import Described, read
from ..files.source import FileError
from .samples import Dataset


def load_file(path: str | Path, split: str = "train") -> Dataset:
    """The data set in a file: `.npz`, `.h5` or `.safetensors` with arrays, or an official archive of CIFAR or MNIST.

    Arrays are `images` and `labels` (or `inputs`, `tokens`, and `targets`), and `test_images`, … for a test split.
    Images are uint8, NHWC or NCHW (the axis with 1 or 3 entries holds the channels), scaled to [0, 1] and normalised by
    the arrays `mean` and `std` of the file, else by their own per channel (our choice); or floating, taken as already
    normalised. `labels` are integers from 0; `classes` is the largest label + 1. `tokens` are integers (N, T); without
    labels each token is to predict the next. `targets` may be floating: numbers to predict.
    Nothing in the file is executed: no pickle is run, and declared sizes are checked before any memory is taken.

    Raises:
        DataError: the file cannot be read, is too large, or samples and labels are not as described.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            samples = read(file)
    except FileError as error:
        raise DataError(f"{path.name}: {error}") from None
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    chosen = split if len(samples.parts) > 1 else "all"
    inputs, targets = _part(samples.parts, split, samples.described)
    return dataset(path.stem, chosen, samples.described, _tensor(inputs), _tensor(targets))


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def load_clean(path: Path, name: str, split: str) -> Dataset:
    """The data set in a file that the boundary has written.

    Raises:
        UnknownNameError: it has no such split; the message lists those it has.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        described = Described(**json.loads(file.metadata()["described"]))
        _require_split(split, described)
        inputs, targets = (file.get_tensor(f"{split}/{part}") for part in ("inputs", "targets"))
    return dataset(name, split, described, inputs, targets)


def _part(
    parts: dict[str, tuple[NDArray[Any], NDArray[Any]]], split: str, described: Described
) -> tuple[NDArray[Any], NDArray[Any]]:
    _require_split(split, described)
    return parts[split]


def _require_split(split: str, described: Described) -> None:
    if split not in described.splits:
        raise UnknownNameError("split", split, tuple(described.splits))


def dataset(name: str, split: str, described: Described, inputs: Tensor, targets: Tensor) -> Dataset:
    """A data set as `described`, its images normalised."""
    images = _normalized(inputs, described) if inputs.dtype == torch.uint8 else inputs
    mean, std = tuple(described.mean), tuple(described.std)
    return Dataset(name, split, images, targets, described.classes, mean, std, described.targets)


def _normalized(pixels: Tensor, described: Described) -> Tensor:
    """uint8 (N, C, H, W) -> (pixel / 255 − mean) / std, float32; every pixel is looked up."""
    values = np.arange(256) / 255
    images = torch.empty(pixels.shape, dtype=torch.float32)
    for channel, (mean, std) in enumerate(zip(described.mean, described.std, strict=True)):
        table = torch.from_numpy(((values - mean) / std).astype(np.float32))
        for start in range(0, len(pixels), 1024):  # the index takes eight bytes a pixel
            part = slice(start, start + 1024)
            images[part, channel] = table[pixels[part, channel].long()]
    return images
