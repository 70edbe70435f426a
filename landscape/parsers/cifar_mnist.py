"""CIFAR-10, CIFAR-100 and MNIST from their official archives: readers of the exact formats, without unpickling.

The archives are tar files (gzip), zip files or gzip files; nothing is written to disk. Members are read one at a time,
and those that are kept together have at most `MAX_TOTAL` bytes.
Sources: the descriptions at the home pages of the CIFAR and MNIST data sets.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from . import tar
from .archive import Archive
from .pickles import Machine, Opaque
from .source import FileError, Source

MAX_MEMBER, MAX_MEMBERS, MAX_TOTAL = 200 << 20, 200, 400 << 20  # bytes, members, bytes; the largest has 190 MB
Part = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images (N, C, H, W), labels (N,)

_CIFAR10 = {f"data_batch_{n}": "train" for n in range(1, 6)} | {"test_batch": "test"}
_CIFAR100 = {"train": "train", "test": "test"}
_MNIST = {"train": "train", "t10k": "test"}
_IDX = {"images": 3, "labels": 1}  # axes
_TOO_LARGE = (
    "The archive is larger than any known data set. Download it again, or upload an .npz with images and labels."
)


def is_archive(head: bytes) -> bool:
    """Whether a file begins like a gzip file or a tar archive."""
    return head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar"


def read(file: BinaryIO) -> tuple[str, dict[str, Part]]:
    """("cifar10", "cifar100" or "mnist"; split -> images (N, C, H, W) and labels (N,)) of an official archive.

    Raises:
        FileError: it is damaged, or not an official archive.
    """
    members, total = {}, 0
    for name, content in _members(file):
        total += len(content)
        if total > MAX_TOTAL:
            raise FileError(_TOO_LARGE)
        members[name] = _attempted(_READERS[name], content)  # parsed here, so that only one member is in memory
    for name, find in (("cifar10", _cifar10), ("cifar100", _cifar100), ("mnist", _mnist)):
        if parts := find(members):
            return name, parts
    raise FileError(
        "The archive holds none of the known data sets. Known are the official archives of CIFAR-10, CIFAR-100 (Python "
        "and binary version) and MNIST (its four files in one tar or zip); or upload an .npz with images and labels."
    )


def _attempted(reader: Callable[[bytes], Any], content: bytes) -> Any:
    """The parsed member, or its error, which is raised only if the member is needed."""
    try:
        return reader(content)
    except FileError as error:
        return error


def _needed(members: dict[str, Any], name: str) -> Any:
    if isinstance(members[name], FileError):
        raise members[name]
    return members[name]


def _members(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the members that belong to a known data set."""
    head = file.read(4)
    file.seek(0)
    if head == b"PK\x03\x04":
        archive = Archive(Source(file), compressed=True, most=MAX_TOTAL)
        packed: Iterator[tuple[str, tar.Content]]
        packed = ((name, partial(archive.read, name, MAX_MEMBER)) for name in archive.entries)
    elif head[:2] == b"\x1f\x8b":
        packed = tar.members(gzip.GzipFile(fileobj=file), MAX_MEMBERS, MAX_MEMBER, MAX_TOTAL)
    else:
        packed = tar.members(file, MAX_MEMBERS, MAX_MEMBER, MAX_TOTAL)
    for path, read_content in packed:
        name = PurePosixPath(path).name.removesuffix(".gz")
        if name in _READERS:
            yield name, _unzipped(read_content())


def _unzipped(content: bytes) -> bytes:
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        with gzip.open(io.BytesIO(content)) as unpacked:
            whole = unpacked.read(MAX_MEMBER + 1)
    except (OSError, EOFError, zlib.error):
        raise FileError("A file of the archive is damaged. Download it again.") from None
    if len(whole) > MAX_MEMBER:
        raise FileError(_TOO_LARGE)
    return whole


def _cifar10(members: dict[str, Any]) -> dict[str, Part]:
    return _cifar(members, _CIFAR10)


def _cifar100(members: dict[str, Any]) -> dict[str, Part]:
    return _cifar(members, _CIFAR100)


def _cifar(members: dict[str, Any], files: dict[str, str]) -> dict[str, Part]:
    """The batches of every split in order; those of the Python version if both versions are present."""
    there = {name: [one for one in (name, f"{name}.bin") if one in members] for name in files}
    if not any(there[name] for name, split in files.items() if split == "train"):
        return {}
    parts: dict[str, list[Part]] = {}
    for name, split in files.items():
        if there[name]:
            parts.setdefault(split, []).append(_needed(members, there[name][0]))
    return {split: _joined(found) for split, found in parts.items()}


def _joined(parts: list[Part]) -> Part:
    images, labels = zip(*parts, strict=True)
    return parts[0] if len(parts) == 1 else (np.concatenate(images), np.concatenate(labels))


def _binary(content: bytes, before: int) -> Part:
    """Rows of `before` bytes (the coarse label), the label, and 3072 bytes: red, green and blue planes row by row."""
    width = before + 1 + 3072
    if not content or len(content) % width:
        raise FileError(f"A CIFAR batch has {len(content)} bytes, not a multiple of {width}. Download it again.")
    rows = np.frombuffer(content, np.uint8).reshape(-1, width)
    return np.ascontiguousarray(rows[:, before + 1 :]).reshape(-1, 3, 32, 32), rows[:, before].astype(np.int64)


def _pickled(content: bytes, key: str) -> Part:
    """A batch of the Python version: a pickled dictionary with `data` (N, 3072) and a list of labels."""
    makers: dict[str, Callable[..., Any]] = {
        "numpy.core.multiarray._reconstruct": lambda *_: Opaque("array"),
        "numpy._core.multiarray._reconstruct": lambda *_: Opaque("array"),
        "numpy.dtype": lambda *arguments: Opaque("dtype", arguments),
        "_codecs.encode": _encoded,
    }
    batch = Machine(makers, max_text=MAX_MEMBER, raw=True).load(content)
    named = {_text(name): value for name, value in batch.items()} if type(batch) is dict else {}
    array, labels = named.get("data"), named.get(key)
    state = array.state if type(array) is Opaque else None
    if type(state) is not tuple or len(state) != 5 or type(labels) is not list or not labels:
        raise FileError(f"A CIFAR batch holds no 'data' and {key!r}. Download it again.")
    _, shape, _, fortran, raw = state
    if type(raw) is not bytes or shape != (len(labels), 3072) or len(raw) != 3072 * len(labels) or fortran:
        raise FileError("A CIFAR batch has data of another shape than (N, 3072). Download it again.")
    if not all(type(label) is int and 0 <= label < 100 for label in labels):
        raise FileError("A CIFAR batch has labels that are not from 0 to 99. Download it again.")
    return np.frombuffer(raw, np.uint8).reshape(-1, 3, 32, 32), np.array(labels, np.int64)


def _encoded(text: Any, encoding: Any) -> bytes:
    """Bytes as Python 3 writes them in pickle protocol 2: as text with the same code points."""
    if type(text) is not str or encoding not in ("latin1", b"latin1"):
        raise ValueError
    return text.encode("latin-1")


def _text(name: Any) -> str:
    return name.decode("latin-1") if type(name) is bytes else str(name)


def _mnist(members: dict[str, Any]) -> dict[str, Part]:
    parts = {}
    for prefix, split in _MNIST.items():
        found = [name for kind in _IDX for name in _idx_names(prefix, kind) if name in members]
        if len(found) == 2:
            images, labels = (_needed(members, name) for name in found)
            if len(images) != len(labels):
                raise FileError(f"MNIST has {len(images)} {split} images but {len(labels)} labels. Download it again.")
            parts[split] = images[:, None], labels.astype(np.int64)
    return parts


def _idx_names(prefix: str, kind: str) -> list[str]:
    return [f"{prefix}-{kind}{dot}idx{_IDX[kind]}-ubyte" for dot in ("-", ".")]


def _idx(content: bytes, axes: int) -> NDArray[np.uint8]:
    """An idx file: two zero bytes, the type (8: uint8), the number of axes, their lengths big-endian, the numbers."""
    lengths = np.frombuffer(content[4 : 4 + 4 * axes], ">u4").astype(object)
    if content[:4] != bytes((0, 0, 8, axes)) or len(lengths) != axes:
        raise FileError("A file of MNIST is not in the idx format. Download it again.")
    if int(np.prod(lengths)) != len(content) - 4 - 4 * axes or not len(content[4 + 4 * axes :]):
        raise FileError("A file of MNIST is damaged: it is not as long as it says. Download it again.")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape([int(length) for length in lengths])


_READERS: dict[str, Callable[[bytes], Any]] = {
    **{name: lambda content: _pickled(content, "labels") for name in _CIFAR10},
    **{name: lambda content: _pickled(content, "fine_labels") for name in _CIFAR100},
    **{f"{name}.bin": lambda content: _binary(content, 0) for name in _CIFAR10},
    **{f"{name}.bin": lambda content: _binary(content, 1) for name in _CIFAR100},
    **{name: lambda content: _idx(content, 3) for prefix in _MNIST for name in _idx_names(prefix, "images")},
    **{name: lambda content: _idx(content, 1) for prefix in _MNIST for name in _idx_names(prefix, "labels")},
}
