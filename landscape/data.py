"""Data sets: fixed samples in a fixed order, already normalised, with a digest.

Imports torch, numpy and errors. Never augments, shuffles or downloads anything.
"""

import gzip
import hashlib
import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import DataError, UnknownNameError

MAX_BYTES = 2 << 30  # of one array in a file, unpacked
MAX_CLASSES = 100_000
SPLITS = ("train", "test")

_DIGITS_TEST = 297  # of 1797: 1500 remain for training
_DIGITS_MEAN, _DIGITS_STD = 0.3045, 0.3755  # of the training pixels in [0, 1]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in a fixed order. The tensors are shared, not copied: do not write to them."""

    name: str
    split: str  # "train" or "test"; "all" for a file
    images: Tensor  # (N, C, H, W), float32, normalised: (pixel in [0, 1] − mean) / std
    labels: Tensor  # (N,), int64, in [0, classes)
    classes: int
    mean: tuple[float, ...]  # per channel, of pixels in [0, 1]; () where images came normalised
    std: tuple[float, ...]

    def __len__(self) -> int:
        """Number of samples N."""
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over shapes, types and bytes of `images` and `labels`: equal exactly where the samples are."""
        described = [[list(tensor.shape), str(tensor.dtype)] for tensor in (self.images, self.labels)]
        digest = hashlib.sha256(json.dumps(described).encode())
        for tensor in (self.images, self.labels):
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()

    def subset(self, count: int, seed: int = 0) -> "Dataset":
        """`count` samples chosen by `seed`, in their old order; the same on every machine and version.

        For one seed the subsets are nested: 100 samples are among the 500. (Our choice: samples with the smallest
        SHA-256 of seed and index, so that no library's generator decides.)

        Raises:
            DataError: `count` is below 1 or more than there are.
        """
        if not 1 <= count <= len(self):
            raise DataError(
                f"A subset of {count} samples is not possible: the {self.split} split of {self.name} has {len(self)}. "
                f"Use a count from 1 to {len(self)}."
            )
        chosen = torch.tensor(sorted(_shuffled(len(self), f"subset {seed}")[:count]))
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])


def load(name: str, split: str = "train") -> Dataset:
    """A built-in data set: "digits", scikit-learn's 8×8 images, 1500 to train and 297 to test.

    Raises:
        UnknownNameError: the name or the split is unknown; the message lists the known.
        DataError: the package that ships the data is not installed.
    """
    if name not in BUILT_IN:
        raise UnknownNameError("data set", name, tuple(BUILT_IN))
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    return BUILT_IN[name](split)


def load_file(path: str | Path) -> Dataset:
    """The data set in an `.npz` file with `images` and `labels`.

    `images` are uint8, NHWC or NCHW (the axis with 1 or 3 entries holds the channels), scaled to [0, 1] and normalised
    by their own mean and standard deviation per channel (our choice: the file does not say which it was trained with);
    or float32 NCHW, taken as already normalised. `labels` are integers from 0; `classes` is the largest label + 1.
    Nothing in the file is executed: no pickle is read, and declared sizes are checked before any memory is taken.

    Raises:
        DataError: the file cannot be read, is too large, or images and labels are not as described.
    """
    path = Path(path)
    arrays = _read_npz(path)
    labels = _checked_labels(arrays["labels"])
    images, mean, std = _checked_images(arrays["images"])
    if len(images) != len(labels):
        raise DataError(f"There are {len(images)} images but {len(labels)} labels. Store one label for every image.")
    classes = int(labels.max()) + 1
    return Dataset(path.stem, "all", torch.from_numpy(images), torch.from_numpy(labels), classes, mean, std)


def _digits(split: str) -> Dataset:
    """1797 images of handwritten digits; the 297 test samples are the last in the order of a hash of the index."""
    pixels, labels = _read_digits()
    order = _shuffled(len(labels), "digits")
    chosen = sorted(order[:-_DIGITS_TEST] if split == "train" else order[-_DIGITS_TEST:])
    images = ((pixels[chosen] - _DIGITS_MEAN) / _DIGITS_STD).astype(np.float32).reshape(-1, 1, 8, 8)
    mean, std = (_DIGITS_MEAN,), (_DIGITS_STD,)
    return Dataset("digits", split, torch.from_numpy(images), torch.from_numpy(labels[chosen]), 10, mean, std)


BUILT_IN: dict[str, Callable[[str], Dataset]] = {"digits": _digits}


@cache
def _read_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Pixels in [0, 1], (1797, 64), and labels, (1797,), from the table inside scikit-learn.

    Read without importing scikit-learn, which takes 1.3 s; this takes 0.01 s.
    """
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("The digits ship with scikit-learn, which is not installed. Run: pip install scikit-learn")
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", "rb") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    return table[:, :-1] / 16, table[:, -1]


def _shuffled(count: int, key: str) -> list[int]:
    """0 … count − 1 in an order that depends on `key` alone."""
    return sorted(range(count), key=lambda index: hashlib.sha256(f"{key}:{index}".encode()).digest())


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays `images` and `labels` of a file."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            for name in ("images", "labels"):
                if f"{name}.npy" not in members:
                    raise DataError(
                        f"{path.name} has no array '{name}'. Save it with numpy.savez(…, images=, labels=)."
                    )
            return {name: _read_array(archive, members[f"{name}.npy"]) for name in ("images", "labels")}
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # on damaged files zipfile, its decompressors and numpy raise almost anything
        reason = f"{type(error).__name__}: {error}"[:100]
        raise DataError(f"{path.name} is not a usable .npz file ({reason}). Save it with numpy.savez.") from error


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One array, once its header and its declared size agree and are within the limit."""
    if member.file_size > MAX_BYTES:
        raise DataError(f"{member.filename} is {member.file_size} bytes unpacked; the limit is {MAX_BYTES}.")
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if dtype.hasobject:
        raise DataError(
            f"{member.filename} holds Python objects. Save numbers: images as uint8 or float32, labels as int64."
        )
    if min(shape, default=0) < 0 or math.prod(shape) * max(1, dtype.itemsize) > member.file_size:
        raise DataError(f"{member.filename} says {dtype} of shape {shape} but holds fewer bytes. The file is damaged.")
    with archive.open(member) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _checked_labels(labels: NDArray[Any]) -> NDArray[np.int64]:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"'labels' has shape {labels.shape} and type {labels.dtype}; expected integers of shape (N,).")
    if not len(labels):
        raise DataError("'labels' is empty. Store at least one sample.")
    if int(labels.min()) < 0 or int(labels.max()) >= MAX_CLASSES:
        raise DataError(f"'labels' run from {labels.min()} to {labels.max()}; expected 0 to {MAX_CLASSES - 1} at most.")
    return labels.astype(np.int64)


def _checked_images(images: NDArray[Any]) -> tuple[NDArray[np.float32], tuple[float, ...], tuple[float, ...]]:
    """(images (N, C, H, W), mean, std), or the reason why not."""
    if images.ndim != 4 or 0 in images.shape:
        raise DataError(f"'images' has shape {images.shape}; expected (N, C, H, W) or (N, H, W, C), none of them 0.")
    if images.dtype == np.uint8:
        return _normalized(images if _channels_first(images.shape) else images.transpose(0, 3, 1, 2))
    if images.dtype.newbyteorder("=") != np.float32:
        raise DataError(f"'images' has type {images.dtype}; expected uint8, or float32 that is already normalised.")
    if not np.isfinite(images).all():
        raise DataError("'images' holds NaN or infinity. Remove those samples or repair them.")
    return np.ascontiguousarray(images, dtype=np.float32), (), ()


def _channels_first(shape: tuple[int, ...]) -> bool:
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first and last:
        raise DataError(
            f"'images' has shape {shape}: axis 1 and axis 3 could both be the channels. "
            "Store float32 of shape (N, C, H, W), already normalised."
        )
    if not first and not last:
        raise DataError(
            f"'images' has shape {shape}: no axis for the channels. Expected 1 or 3 along axis 1 or axis 3."
        )
    return first


def _normalized(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], tuple[float, ...], tuple[float, ...]]:
    """uint8 (N, C, H, W) -> ((pixel / 255 − mean) / std, mean, std) per channel; a constant channel has std 1."""
    counts = np.stack([np.bincount(channel.ravel(), minlength=256) for channel in pixels.swapaxes(0, 1)])
    values = np.arange(256) / 255
    mean = counts @ values / counts.sum(axis=1)
    std = np.sqrt((counts * (values - mean[:, None]) ** 2).sum(axis=1) / counts.sum(axis=1))
    std[std == 0] = 1.0
    table = ((values - mean[:, None]) / std[:, None]).astype(np.float32)  # (C, 256): every pixel is looked up
    images = np.stack([table[channel][pixels[:, channel]] for channel in range(len(table))], axis=1)
    return images, tuple(mean.tolist()), tuple(std.tolist())
