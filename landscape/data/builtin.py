"""Built-in data sets: scikit-learn's digits, and a synthetic one of CIFAR's shape for measuring speed."""

import gzip
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..disk_cache import DiskCache
from ..errors import DataError, UnknownNameError
from ..parsers.dataset import Described
from .dataset import Dataset, shuffled
from .files import dataset
from .memory_map import Part, cached

SPLITS = ("train", "test")

_DIGITS_TEST = 297  # of 1797: 1500 remain for training
_DIGITS_MEAN, _DIGITS_STD = 0.3045, 0.3755  # of the training pixels in [0, 1]
_SYNTHETIC = {"train": (10_000, 20_180_101), "test": (2_000, 20_180_102)}  # samples, seed
_SYNTHETIC_MEAN, _SYNTHETIC_STD = 0.5, 0.25


def load(name: str, split: str = "train", *, cache: DiskCache | None = None) -> Dataset:
    """A built-in data set: "digits", scikit-learn's 8×8 images, or "synthetic", synthetic images of CIFAR's shape.

    Args:
        cache: stores large data sets for other processes.

    Raises:
        UnknownNameError: the name or the split is unknown; the message lists the known ones.
        DataError: the package that ships the data is not installed.

    >>> digits = load("digits", "test")
    >>> len(digits), tuple(digits.images.shape), digits.classes
    (297, (297, 1, 8, 8), 10)
    """
    if name not in BUILT_IN:
        raise UnknownNameError("data set", name, tuple(BUILT_IN))
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    return BUILT_IN[name](split, cache)


def _digits(split: str, _: DiskCache | None) -> Dataset:
    """1797 images of handwritten digits; the 297 test samples are the last when sorted by a hash of the index."""
    pixels, labels = _read_digits()
    order = shuffled(len(labels), "digits")
    chosen = sorted(order[:-_DIGITS_TEST] if split == "train" else order[-_DIGITS_TEST:])
    images = ((pixels[chosen] - _DIGITS_MEAN) / _DIGITS_STD).astype(np.float32).reshape(-1, 1, 8, 8)
    mean, std = (_DIGITS_MEAN,), (_DIGITS_STD,)
    return Dataset("digits", split, torch.from_numpy(images), torch.from_numpy(labels[chosen]), 10, mean, std)


def _synthetic(split: str, cache: DiskCache | None) -> Dataset:
    """10 000 training and 2 000 test images (3, 32, 32) in 10 classes: a fixed pattern per class, plus noise."""
    key = "synthetic"
    return dataset(key, split, cached(cache, key, split, lambda: _synthesize(split)), cache, key)


def _synthesize(split: str) -> Part:
    """Drawn from numpy's RandomState, whose stream is frozen: the same bytes on every machine and version."""
    count, seed = _SYNTHETIC[split]
    patterns = np.random.RandomState(20_180_100).randint(0, 256, (10, 3, 8, 8)).repeat(4, 2).repeat(4, 3)
    random = np.random.RandomState(seed)
    labels = random.randint(0, 10, count)
    noise = np.frombuffer(random.bytes(count * 3072), np.uint8).reshape(count, 3, 32, 32)
    pixels = (patterns[labels].astype(np.uint16) + 3 * noise.astype(np.uint16)) // 4
    values = ((np.arange(256, dtype=np.float32) / 255 - _SYNTHETIC_MEAN) / _SYNTHETIC_STD).astype(np.float32)
    mean, std = [_SYNTHETIC_MEAN] * 3, [_SYNTHETIC_STD] * 3
    described = Described(
        "images", "classes", {name: _SYNTHETIC[name][0] for name in SPLITS}, 10, [3, 32, 32], mean, std
    )
    return Part(described, torch.from_numpy(values[pixels]), torch.from_numpy(labels.astype(np.int64)))


BUILT_IN: dict[str, Callable[[str, DiskCache | None], Dataset]] = {"digits": _digits, "synthetic": _synthetic}


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
