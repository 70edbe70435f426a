"""User-supplied data sets, read from a file into checked arrays: samples and targets of every split.

Images given as uint8 stay uint8; landscape.data normalizes them.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from . import cifar_mnist, hdf5, npy, safetensors
from .npy import StoredArray
from .source import FileError, Source

Parts = dict[str, tuple[NDArray[Any], NDArray[Any]]]

MAX_BYTES = npy.MAX_BYTES
MAX_CLASSES, MAX_SIDE = 100_000, 4096
_INPUTS, _TARGETS = ("images", "inputs", "tokens", "x", "data"), ("labels", "targets", "y")
SPLITS = {"train": ("{}", "train_{}", "{}_train"), "test": ("test_{}", "{}_test")}
# (mean, std) per channel of pixels in [0, 1], from the literature; CIFAR-10's are those of the paper's authors.
_KNOWN: dict[str, tuple[list[float], list[float], int]] = {
    "cifar10": ([125.3 / 255, 123.0 / 255, 113.9 / 255], [63.0 / 255, 62.1 / 255, 66.7 / 255], 10),
    "cifar100": ([129.3 / 255, 124.1 / 255, 112.4 / 255], [68.2 / 255, 65.4 / 255, 70.4 / 255], 100),
    "mnist": ([0.1307], [0.3081], 10),
}


@dataclass(frozen=True)
class Described:
    """The description of a data set, known without loading it; the page shows all of it."""

    kind: str  # "images" | "vectors" | "tokens"
    targets: str  # "classes" | "values" (regression) | "tokens" (the next token, or one given for each)
    splits: dict[str, int]  # samples in each
    classes: int  # largest label + 1; for token targets the vocabulary; for values the numbers per sample
    shape: list[int]  # of one sample
    mean: list[float] = field(default_factory=list)  # per channel, of pixels in [0, 1]; empty if not normalized
    std: list[float] = field(default_factory=list)
    normalization: str = "taken as already normalized"
    vocabulary: int = 0  # largest token + 1


@dataclass(frozen=True)
class Samples:
    """A clean data set."""

    described: Described
    parts: Parts  # split -> (samples, targets)

    def save(self, path: Path) -> None:
        """Write the data set as safetensors, with its description in the metadata."""
        arrays = {f"{split}/{name}": np.ascontiguousarray(array) for split, part in self.parts.items()
                  for name, array in zip(("inputs", "targets"), part, strict=True)}  # fmt: skip
        shapes = {name: (safetensors.type_of(array), array.shape) for name, array in arrays.items()}
        safetensors.write(path, shapes, arrays.values(), {"described": json.dumps(asdict(self.described))})


def read(file: BinaryIO) -> Samples:
    """The data set in an open file: .npz, .h5, .safetensors, or an official archive of CIFAR or MNIST.

    Raises:
        FileError: it cannot be read, or samples and targets are not as described in the README.
    """
    source = Source(file)
    head = source.read(0, min(source.size, 512))
    if not head:
        raise FileError("The file is empty.")
    if cifar_mnist.is_archive(head):
        return _known(*cifar_mnist.read(file))
    if hdf5.is_hdf5(head):
        return assemble(hdf5.read(file))
    if safetensors.is_safetensors(source):
        tensors, _ = safetensors.read(source)
        return assemble({n: StoredArray(t.shape, t.array().dtype, t.array) for n, t in tensors.items()})
    if head[:4] == b"PK\x03\x04":
        arrays = npy.read(source)
        return assemble(arrays) if arrays else _known(*cifar_mnist.read(file))
    raise FileError("This is not a usable .npz, .h5 or .safetensors file, nor an archive of CIFAR or MNIST.")


def _known(name: str, parts: dict[str, cifar_mnist.Part]) -> Samples:
    mean, std, classes = _KNOWN[name]
    splits = {split: len(labels) for split, (_, labels) in parts.items()}
    shape = list(parts["train" if "train" in parts else "test"][0].shape[1:])
    if any(int(labels.max()) >= classes for _, labels in parts.values()):
        raise FileError(f"The archive has labels of more than the {classes} classes of {name}. Download it again.")
    described = Described("images", "classes", splits, classes, shape, mean, std, _words(mean, std, "published"))
    return Samples(described, dict(parts))


def assemble(arrays: Mapping[str, StoredArray]) -> Samples:
    """Samples and targets of every split, from arrays by name.

    Raises:
        FileError: a name is missing, or shapes, types, numbers or lengths are not what they must be.
    """
    total = sum(math.prod(array.shape) * array.dtype.itemsize for array in arrays.values())
    if total > MAX_BYTES:
        raise FileError(f"The arrays have {total} bytes; the limit is {MAX_BYTES}.")
    found = {split: _pair(arrays, split) for split in SPLITS}
    given = {split: pair for split, pair in found.items() if pair is not None}
    if "train" not in given:
        raise FileError(
            "The file has no array 'images' with an array 'labels' (or 'inputs' or 'tokens', and 'targets'). "
            "Save them with numpy.savez(…, images=, labels=)."
        )
    own = {name: arrays[name].load().ravel().tolist() for name in ("mean", "std") if name in arrays}
    return _samples(given, own)


def _pair(arrays: Mapping[str, StoredArray], split: str) -> tuple[str, NDArray[Any], NDArray[Any]] | None:
    """(name of the samples, samples, targets) of a split; None if the file lacks the split."""
    names = {name: form.format(name) for form in SPLITS[split] for name in (*_INPUTS, *_TARGETS)
             if form.format(name) in arrays}  # fmt: skip
    inputs = next((name for name in _INPUTS if name in names), None)
    targets = next((name for name in _TARGETS if name in names), None)
    if inputs is None and targets is None:
        return None
    if inputs is None or (targets is None and inputs != "tokens"):
        missing = "images" if inputs is None else "labels"
        raise FileError(f"The file has no array {missing!r}. Save it with numpy.savez(…, images=, labels=).")
    samples = _native(arrays[names[inputs]].load())
    if targets is None:
        _require_tokens(samples)
        return inputs, samples[:, :-1], samples[:, 1:]
    return inputs, samples, _targets(_native(arrays[names[targets]].load()), targets)


def _samples(given: dict[str, tuple[str, NDArray[Any], NDArray[Any]]], own: Mapping[str, list[float]]) -> Samples:
    parts, kinds = {}, set()
    for split, (name, samples, targets) in given.items():
        if len(samples) != len(targets):
            raise FileError(
                f"There are {len(samples)} images but {len(targets)} labels. Store one label for every image."
            )
        kind, checked = _inputs(name, samples)
        if kind != "tokens" and targets.ndim == 2 and targets.dtype == np.int64:
            raise FileError(f"'labels' has shape {targets.shape}; expected integers of shape (N,).")
        parts[split] = checked, targets
        kinds.add((kind, checked.shape[1:], checked.dtype, targets.ndim, targets.dtype))
    if len(kinds) > 1:
        raise FileError("The test split has samples or targets of another shape or type than the training split.")
    return Samples(_describe(kind, parts, own), parts)


def _describe(
    kind: str, parts: dict[str, tuple[NDArray[Any], NDArray[Any]]], own: Mapping[str, list[float]]
) -> Described:
    samples, targets = parts["train"]
    every = [part[1] for part in parts.values()]
    values = targets.dtype == np.float32
    sort = "values" if values else "tokens" if targets.ndim == 2 else "classes"
    classes = math.prod(targets.shape[1:]) if values else 1 + max(int(one.max()) for one in every)
    mean, std, normalization = _normalization(samples, own)
    vocabulary = 1 + max(int(part[0].max()) for part in parts.values()) if kind == "tokens" else 0
    classes = max(classes, vocabulary) if sort == "tokens" else classes
    splits = {split: len(part[1]) for split, part in parts.items()}
    shape = list(samples.shape[1:])
    return Described(kind, sort, splits, classes, shape, mean, std, normalization, vocabulary)


def _normalization(samples: NDArray[Any], own: Mapping[str, list[float]]) -> tuple[list[float], list[float], str]:
    """(mean, std, description) for uint8 images: from the file, or from the training pixels (our choice)."""
    if samples.dtype != np.uint8:
        words = "tokens" if samples.dtype == np.int64 else "taken as already normalized"
        return [], [], words
    channels = samples.shape[1]
    if own.keys() >= {"mean", "std"}:
        mean, std = ([float(value) for value in own[name]] for name in ("mean", "std"))
        sound = len(mean) == len(std) == channels and all(map(math.isfinite, mean + std)) and min(std) > 0
        if not sound:
            raise FileError(f"'mean' and 'std' must be {channels} finite numbers each for pixels in [0, 1].")
        return mean, std, _words(mean, std, "from the file")
    counts = np.zeros((channels, 256), np.int64)
    for block in _blocks(samples):
        counts += [np.bincount(channel.ravel(), minlength=256) for channel in block.swapaxes(0, 1)]
    values = np.arange(256) / 255
    means = counts @ values / counts.sum(axis=1)
    deviations = np.sqrt((counts * (values - means[:, None]) ** 2).sum(axis=1) / counts.sum(axis=1))
    deviations[deviations == 0] = 1.0
    mean, std = means.tolist(), deviations.tolist()
    return mean, std, _words(mean, std, "of the training pixels")


def _blocks(samples: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The samples in blocks, since intermediate results are larger than the samples."""
    return (samples[start : start + 1024] for start in range(0, len(samples), 1024))


def _words(mean: list[float], std: list[float], source: str) -> str:
    numbers = [", ".join(f"{value:.4f}" for value in values[:4]) for values in (mean, std)]
    return f"(pixel / 255 − mean) / std, mean ({numbers[0]}), std ({numbers[1]}), {source}"


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _inputs(name: str, samples: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """(kind, samples as stored): images (N, C, H, W), vectors (N, F), tokens (N, T)."""
    if 0 in samples.shape or samples.ndim < 2:
        raise FileError(f"{name!r} has shape {samples.shape}; expected (N, C, H, W) or (N, H, W, C), none of them 0.")
    if samples.dtype.kind in "iu" and samples.ndim == 2 and (name == "tokens" or samples.dtype != np.uint8):
        _require_tokens(samples)
        return "tokens", samples.astype(np.int64)
    if samples.dtype == np.uint8:
        return "images", _uint8_images(name, samples)
    if samples.dtype.kind != "f" or samples.dtype.itemsize not in (2, 4, 8):
        raise FileError(f"{name!r} has type {samples.dtype}; expected uint8, or float32 that is already normalized.")
    with np.errstate(over="ignore"):
        samples = np.ascontiguousarray(samples, dtype=np.float32)
    if not all(np.isfinite(block).all() for block in _blocks(samples)):
        raise FileError(f"{name!r} holds NaN or infinity. Remove those samples or repair them.")
    if samples.ndim == 2:
        return "vectors", samples
    if samples.ndim != 4 or max(samples.shape[1:]) > MAX_SIDE:
        raise FileError(f"{name!r} has shape {samples.shape}; expected (N, C, H, W) or (N, H, W, C), or (N, F).")
    last = samples.shape[3] in (1, 3) and samples.shape[1] not in (1, 3) and samples.shape[1] == samples.shape[2]
    return "images", np.ascontiguousarray(samples.transpose(0, 3, 1, 2)) if last else samples


def _uint8_images(name: str, images: NDArray[Any]) -> NDArray[np.uint8]:
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or max(images.shape[1:]) > MAX_SIDE:
        raise FileError(f"{name!r} has shape {images.shape}; expected (N, C, H, W) or (N, H, W, C).")
    first, last = images.shape[1] in (1, 3), images.shape[3] in (1, 3)
    if first and last:
        raise FileError(
            f"{name!r} has shape {images.shape}: axis 1 and axis 3 could both be the channels. "
            "Store float32 of shape (N, C, H, W), already normalized."
        )
    if not first and not last:
        raise FileError(
            f"{name!r} has shape {images.shape}: no axis for the channels. Expected 1 or 3 along axis 1 or axis 3."
        )
    return np.ascontiguousarray(images if first else images.transpose(0, 3, 1, 2))


def _require_tokens(tokens: NDArray[Any]) -> None:
    if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or 0 in tokens.shape or tokens.shape[1] < 2:
        raise FileError(
            f"'tokens' has shape {tokens.shape} and type {tokens.dtype}; expected integers of shape (N, T)."
        )
    if int(tokens.min()) < 0 or int(tokens.max()) >= 1 << 24:
        raise FileError(f"'tokens' run from {tokens.min()} to {tokens.max()}; expected 0 to {(1 << 24) - 1} at most.")


def _targets(targets: NDArray[Any], name: str) -> NDArray[Any]:
    if targets.dtype.kind == "f" and name == "targets" and targets.ndim in (1, 2) and targets.size:
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(targets, dtype=np.float32)
        if not np.isfinite(values).all():
            raise FileError("'targets' holds NaN or infinity. Remove those samples or repair them.")
        return values
    if targets.ndim not in (1, 2) or targets.dtype.kind not in "iu":
        raise FileError(
            f"{name!r} has shape {targets.shape} and type {targets.dtype}; expected integers of shape (N,). "
            "Numbers to predict go into 'targets'."
        )
    if not targets.size:
        raise FileError(f"{name!r} is empty. Store at least one sample.")
    if int(targets.min()) < 0 or int(targets.max()) >= MAX_CLASSES:
        raise FileError(
            f"{name!r} run from {targets.min()} to {targets.max()}; expected 0 to {MAX_CLASSES - 1} at most."
        )
    return targets.astype(np.int64)
