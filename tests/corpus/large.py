"""Small files that would become large in the memory of their reader: name -> (task, words of the verdict, maker).

A maker gives the content or, of a sparse file, writes it at a path: gigabytes of which the disk holds a few bytes.
"""

import gzip
import inspect
import io
import math
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from tests.corpus.parts import legacy, safetensors, text, torch_zip

Maker = Callable[[Path], object] | Callable[[], bytes]
GIGA = 1 << 30


def sparse(path: Path, size: int, *parts: tuple[int, bytes]) -> None:
    """A file of `size` bytes, zero but for (position, content)."""
    with path.open("wb") as file:
        file.truncate(size)
        for at, content in parts:
            file.seek(at)
            file.write(content)


def long_directory(path: Path) -> None:
    """A zip archive whose directory has 1.4 GB: an entry with a name, then zeros."""
    length = 1_400_000_000
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, length, 4)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 4 + length, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, length, 4, 0)
    sparse(path, 4 + length + 98, (0, b"PK\x03\x04PK\x01\x02"), (4 + length, end64 + locator + end))


def clones(head: bytes = b"\x80\x02") -> bytes:
    """A pickle of a list with 100 000 ordered dictionaries of 60 000 entries each, all made from one list of pairs."""
    pairs = b"](" + text("a") + b"q\x01K\x01\x86q\x02" + b"".join(text(f"{n:x}") + b"K\x01\x86" for n in range(60_000))
    return (
        head
        + b"](ccollections\nOrderedDict\nq\x03"
        + pairs
        + b"e\x85q\x04R"
        + b"h\x03h\x04R" * 100_000
        + b"e."
    )  # fmt: skip


def shared_dictionaries() -> bytes:
    """A dictionary that names another, of 100 000 entries, 9 000 times."""
    inner = b"}q\x05(" + b"".join(text(f"{n:x}") + b"K\x01" for n in range(100_000)) + b"u"
    return b"\x80\x02}(" + text("a") + inner + b"".join(text(f"b{n:x}") + b"h\x05" for n in range(9_000)) + b"u."


def legacy_of(table: bytes) -> bytes:
    """A legacy file of torch.save with this pickle for its content, and no storages."""
    empty = legacy({})
    return empty[: empty.rindex(b"\x80\x02}")] + table + b"\x80\x02]."


def tar_header(name: str, size: int, kind: bytes) -> bytes:
    head = bytearray(512)
    for at, content in (
        (0, name.encode()),
        (124, b"%011o\0" % size),
        (148, b" " * 8),
        (156, kind),
        (257, b"ustar\x0000"),
    ):
        head[at : at + len(content)] = content
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def tar_of(name: str, content: bytes) -> bytes:
    return tar_header(name, len(content), b"0") + content + bytes(-len(content) % 512 + 1024)


def long_header(kind: bytes) -> Maker:
    return lambda path: sparse(path, 3 * GIGA, (0, tar_header("x", 3 * GIGA - 4096, kind)))


def batch(content: bytes) -> bytes:
    """A packed archive of CIFAR-10 with this pickle for a batch."""
    return gzip.compress(tar_of("data_batch_1", b"\x80\x02" + content), 1)


def wide_text() -> bytes:
    """A text of 180 MB that takes four times as much in memory, for its last character."""
    length = 180 << 20
    return b"X" + struct.pack("<I", length) + b"a" * (length - 4) + "🙂".encode() + b"."


def encodings() -> bytes:
    """A megabyte of text, encoded 3 000 times; every copy is kept."""
    words = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
    head = b"](c_codecs\nencode\nq\x01" + words + b"X" + struct.pack("<I", 6) + b"latin1\x86q\x02R"
    return head + b"h\x01h\x02R" * 3000 + b"e."


def hdf5(write: Callable[[h5py.File], object]) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with h5py.File(path, "w") as file:
            write(file)
            file.create_dataset("labels", shape=(1000,), dtype="u1")

    return make


def fill(file: h5py.File) -> None:
    """4 GB of images that are nowhere stored: each has the fill value."""
    file.create_dataset("images", shape=(1000, 1, 2000, 2000), dtype="u1", chunks=(1, 1, 2000, 2000))


def one_chunk(file: h5py.File) -> None:
    file.create_dataset("images", shape=(1000, 1, 1000, 1000), dtype="u1", chunks=(1000, 1, 1000, 1000))


def large_mean(file: h5py.File) -> None:
    file.create_dataset("images", shape=(1000, 1, 2, 2), dtype="u1")
    file.create_dataset("mean", shape=(400_000_000,), dtype="f4", chunks=(1000,))
    file.create_dataset("std", shape=(1,), dtype="f4")


def fortran(path: Path) -> None:
    """An .npz of 300 MB, stored column by column."""
    shape = 300 << 10, 1, 32, 32
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": True, "shape": shape})
    content = header.getvalue()
    size, name = len(content) + math.prod(shape), b"images.npy"
    sizes = struct.pack("<3L2H", 0, size, size, len(name), 0)
    local = b"PK\x03\x04" + struct.pack("<5H", 20, 0, 0, 0, 0) + sizes + name
    entry = b"PK\x01\x02" + struct.pack("<6H", 20, 20, 0, 0, 0, 0) + sizes + struct.pack("<3H2L", 0, 0, 0, 0, 0) + name
    small = io.BytesIO()
    np.savez(small, labels=np.zeros(shape[0], np.uint8))
    labels = small.getvalue()
    directory, at = labels.index(b"PK\x01\x02"), len(local) + size
    second = bytearray(labels[directory:-22])
    second[42:46] = struct.pack("<L", at)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(entry + second), at + directory, 0)
    sparse(
        path,
        at + directory + len(entry + second + end),
        (0, local + content),
        (at, labels[:directory] + entry + second + end),
    )


LARGE: dict[str, tuple[str, str, Maker]] = {
    "a directory of 1.4 GB": ("checkpoint", "1400000000", long_directory),
    "a hundred thousand clones of a dictionary": ("checkpoint", "repeats", lambda: torch_zip(clones())),
    "the same, legacy": ("checkpoint", "repeats", lambda: legacy_of(clones())),
    "a dictionary that is there nine thousand times, legacy": (
        "checkpoint", "not a tensor", lambda: legacy_of(shared_dictionaries()),
    ),
    "four million sets": ("checkpoint", "2000000", lambda: torch_zip(b"\x80\x02" + b"\x8f" * 4_194_000)),
    "a header of millions of dictionaries": (
        "checkpoint", "described", lambda: safetensors(b'{"a":[' + b'{"":1},' * 3_500_000 + b"1]}"),
    ),
    "a pax header of 3 GB": ("dataset", "larger", long_header(b"x")),
    "a name of 3 GB": ("dataset", "larger", long_header(b"L")),
    "a batch of lists": ("dataset", "2000000", lambda: batch(b"]" * (150 << 20))),
    "a batch of one long text": ("dataset", "no 'data'", lambda: batch(wide_text())),
    "a batch of encodings": ("dataset", "repeats", lambda: batch(encodings())),
    "4 GB of fill values": ("dataset", "at most 1073741824 are possible", hdf5(fill)),
    "one chunk of 1 GB": ("dataset", "chunks", hdf5(one_chunk)),
    "a mean of 1.6 GB": ("dataset", "one number per channel", hdf5(large_mean)),
    "300 MB column by column": ("dataset", "Fortran", fortran),
}  # fmt: skip


def write(name: str, path: Path) -> None:
    """Write one of these files at `path`."""
    maker = LARGE[name][2]
    if inspect.signature(maker).parameters:
        maker(path)  # type: ignore[call-arg]
    else:
        path.write_bytes(maker())  # type: ignore[call-arg, arg-type]
