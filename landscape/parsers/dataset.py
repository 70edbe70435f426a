"""User-supplied data sets, read from a file into checked arrays: samples and targets of every split.

Images given as uint8 stay uint8; landscape.data normalizes them.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from . import cifar_mnist, forms, hdf5, npy, safetensors
from .arrays import StoredArray, in_memory
from .source import FileError, Source

Parts = dict[str, tuple[StoredArray, StoredArray]]

MAX_BYTES = npy.MAX_BYTES
MAX_CLASSES, MAX_TOKEN, MAX_CHANNELS = 100_000, 1 << 24, 4096
MIN_STD = 1e-4  # of pixels in [0, 1], whose steps are 1/255: a smaller one is not a standard deviation of pixels
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
    """A clean data set; its numbers are read from the file on demand, in blocks, never all at once."""

    described: Described
    parts: Parts  # split -> (samples, targets)

    def save(self, target: Path | int) -> None:
        """Write the data set as safetensors, with its description in the metadata.

        Raises:
            TooLongError: the file would be longer than this process may write.
            FileError: the source is damaged.
        """
        arrays = {f"{split}/{name}": array for split, part in self.parts.items()
                  for name, array in zip(("inputs", "targets"), part, strict=True)}  # fmt: skip
        shapes = {name: (safetensors.type_of(array), array.shape) for name, array in arrays.items()}
        blocks = (block for array in arrays.values() for block in array.blocks())
        safetensors.write_blocks(target, shapes, blocks, {"described": json.dumps(asdict(self.described))})


def read(file: BinaryIO, *, keeps: bool = False) -> Samples:
    """The data set in an open file, which must stay open: .npz, .h5, .safetensors, or an archive of CIFAR or MNIST.

    Args:
        keeps: whether the samples will be written to a file: one longer than this process may write is refused early.

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
        return assemble(hdf5.read(file), keeps=keeps)
    if safetensors.is_safetensors(source):
        tensors, _ = safetensors.read(source)
        return assemble({name: tensor.rows() for name, tensor in tensors.items()}, keeps=keeps)
    if head[:4] == b"PK\x03\x04":
        arrays = npy.read(source)
        return assemble(arrays, keeps=keeps) if arrays else _known(*cifar_mnist.read(file))
    raise FileError("This is not a usable .npz, .h5 or .safetensors file, nor an archive of CIFAR or MNIST.")


def _known(name: str, parts: dict[str, cifar_mnist.Part]) -> Samples:
    mean, std, classes = _KNOWN[name]
    splits = {split: len(labels) for split, (_, labels) in parts.items()}
    shape = list(parts["train" if "train" in parts else "test"][0].shape[1:])
    if any(int(labels.max()) >= classes for _, labels in parts.values()):
        raise FileError(f"The archive has labels of more than the {classes} classes of {name}. Download it again.")
    described = Described("images", "classes", splits, classes, shape, mean, std, _words(mean, std, "published"))
    return Samples(
        described, {split: (in_memory(images), in_memory(labels)) for split, (images, labels) in parts.items()}
    )


class _Split(NamedTuple):
    """Samples and targets of a split: as they are in the file, and as they are kept."""

    name: str  # of the samples in the file
    given: StoredArray
    kind: str  # "images" | "vectors" | "tokens"
    samples: StoredArray
    target_name: str
    given_targets: StoredArray
    targets: StoredArray

    @property
    def form(self) -> tuple[Any, ...]:
        """What all splits of a data set have in common."""
        return self.kind, self.samples.shape[1:], self.samples.dtype, self.targets.shape[1:], self.targets.dtype


def assemble(arrays: Mapping[str, StoredArray], *, keeps: bool = False) -> Samples:
    """Samples and targets of every split, from arrays by name.

    Raises:
        TooLongError: more bytes than this process may write; none of them were read.
        FileError: a name is missing, or shapes, types, numbers or lengths are not what they must be.
    """
    total = sum(array.size for array in arrays.values())
    if total > MAX_BYTES:
        raise FileError(f"The arrays have {total} bytes; the limit is {MAX_BYTES}.")
    found = {split: _split(arrays, split) for split in SPLITS}
    given = {name: split for name, split in found.items() if split is not None}
    if "train" not in given:
        raise FileError(
            "The file has no array 'images' with an array 'labels' (or 'inputs' or 'tokens', and 'targets'). "
            "Save them with numpy.savez(…, images=, labels=)."
        )
    if len({split.form for split in given.values()}) > 1:
        raise FileError("The test split has samples or targets of another shape or type than the training split.")
    if keeps:
        safetensors.require_room(sum(split.samples.size + split.targets.size for split in given.values()))
    described = _describe(given, {name: _statistic(name, arrays[name]) for name in ("mean", "std") if name in arrays})
    return Samples(described, {name: (split.samples, split.targets) for name, split in given.items()})


def _split(arrays: Mapping[str, StoredArray], split: str) -> _Split | None:
    """A split, from shapes and types alone; None if the file lacks it."""
    there = {name: form.format(name) for form in SPLITS[split] for name in (*_INPUTS, *_TARGETS)
             if form.format(name) in arrays}  # fmt: skip
    name = next((name for name in _INPUTS if name in there), None)
    target_name = next((name for name in _TARGETS if name in there), None)
    if name is None and target_name is None:
        return None
    if name is None or (target_name is None and name != "tokens"):
        missing = "images" if name is None else "labels"
        raise FileError(f"The file has no array {missing!r}. Save it with numpy.savez(…, images=, labels=).")
    given = arrays[there[name]]
    if target_name is None:
        samples, following = forms.sequences(given)
        return _Split(name, given, "tokens", samples, name, given, following)
    wanted = arrays[there[target_name]]
    if given.shape and wanted.shape and given.shape[0] != wanted.shape[0]:
        raise FileError(
            f"There are {given.shape[0]} images but {wanted.shape[0]} labels. Store one label for every image."
        )
    kept = forms.targets(wanted, target_name)
    kind, samples = forms.inputs(name, given)
    if kind != "tokens" and len(kept.shape) == 2 and kept.dtype == np.int64:
        raise FileError(f"'labels' has shape {kept.shape}; expected integers of shape (N,).")
    return _Split(name, given, kind, samples, target_name, wanted, kept)


def _describe(given: Mapping[str, _Split], own: Mapping[str, list[float]]) -> Described:
    """What is known about the data set, after every number of it was looked at once."""
    train = given["train"]
    highest, vocabulary = 0, 0
    for split in given.values():
        if split.kind == "tokens":
            vocabulary = max(vocabulary, 1 + forms.largest(split.given, "tokens", MAX_TOKEN))
        elif split.samples.dtype == np.float32:
            forms.require_finite(split.samples, split.name)
        if split.targets.dtype == np.float32:
            forms.require_finite(split.targets, "targets")
        elif split.given_targets is not split.given:
            highest = max(highest, forms.largest(split.given_targets, split.target_name, MAX_CLASSES))
    mean, std, normalization = _normalization(train.samples, own)
    values = train.targets.dtype == np.float32
    sort = "values" if values else "tokens" if len(train.targets.shape) == 2 else "classes"
    classes = math.prod(train.targets.shape[1:]) if values else 1 + highest
    classes = max(classes, vocabulary) if sort == "tokens" else classes
    splits = {name: split.samples.shape[0] for name, split in given.items()}
    shape = list(train.samples.shape[1:])
    return Described(train.kind, sort, splits, classes, shape, mean, std, normalization, vocabulary)


def _statistic(name: str, array: StoredArray) -> list[float]:
    """The numbers of `mean` or `std`, one per channel."""
    if math.prod(array.shape) > MAX_CHANNELS:
        raise FileError(f"{name!r} has shape {array.shape}; expected one number per channel.")
    return [float(value) for value in array.load().ravel().tolist()]


def _normalization(samples: StoredArray, own: Mapping[str, list[float]]) -> tuple[list[float], list[float], str]:
    """(mean, std, description) for uint8 images: from the file, or from the training pixels (our choice)."""
    if samples.dtype != np.uint8:
        words = "tokens" if samples.dtype == np.int64 else "taken as already normalized"
        return [], [], words
    channels = samples.shape[1]
    if own.keys() >= {"mean", "std"}:
        mean, std = own["mean"], own["std"]
        _require_sound(mean, std, channels)
        return mean, std, _words(mean, std, "from the file")
    counts = np.zeros((channels, 256), np.int64)
    for block in samples.blocks():
        counts += [np.bincount(channel.ravel(), minlength=256) for channel in block.swapaxes(0, 1)]
    values = np.arange(256) / 255
    means = counts @ values / counts.sum(axis=1)
    deviations = np.sqrt((counts * (values - means[:, None]) ** 2).sum(axis=1) / counts.sum(axis=1))
    deviations[deviations == 0] = 1.0
    mean, std = means.tolist(), deviations.tolist()
    return mean, std, _words(mean, std, "of the training pixels")


def _require_sound(mean: list[float], std: list[float], channels: int) -> None:
    """Check statistics of pixels in [0, 1] that a file gives.

    Raises:
        FileError: not one per channel, not finite, or none that pixels can have.
    """
    if not len(mean) == len(std) == channels or not all(map(math.isfinite, mean + std)):
        raise FileError(f"'mean' and 'std' must be {channels} finite numbers each for pixels in [0, 1].")
    if min(std) < MIN_STD or max(std) > 1 or min(mean) < 0 or max(mean) > 1:
        raise FileError(
            f"'mean' and 'std' of pixels in [0, 1] are from 0 to 1, and 'std' is at least {MIN_STD:g}; the file gives "
            f"mean {_listed(mean)} and std {_listed(std)}. Divide both by 255 if they are of pixels from 0 to 255."
        )


def _words(mean: list[float], std: list[float], source: str) -> str:
    return f"(pixel / 255 − mean) / std, mean ({_listed(mean)}), std ({_listed(std)}), {source}"


def _listed(values: list[float]) -> str:
    return ", ".join(
        f"{value:.4f}" if value == 0 or 1e-4 <= abs(value) < 1e4 else f"{value:.3g}" for value in values[:4]
    )
