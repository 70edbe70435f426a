"""CIFAR and MNIST archives in their exact official formats, made small."""

import gzip
import io
import pickle
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from landscape.checkpoints.sandbox import read_in_sandbox
from landscape.data import load_clean, load_file
from landscape.errors import DataError, UnknownNameError
from landscape.parsers.dataset import read

RNG = np.random.default_rng(0)


def tarred(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def batch(count: int, classes: int) -> tuple[Any, Any]:
    """Pixels (count, 3072) and labels."""
    return RNG.integers(0, 256, (count, 3072), dtype=np.uint8), RNG.integers(0, classes, count)


def python2(value: Any) -> bytes:
    """A pickle as Python 2 wrote it at protocol 2: its strings are bytes with opcodes U and T."""

    def text(content: bytes) -> bytes:
        if len(content) < 256:
            return b"U" + bytes([len(content)]) + content
        return b"T" + len(content).to_bytes(4, "little") + content

    def one(part: Any) -> bytes:
        if isinstance(part, bytes):
            return text(part)
        if isinstance(part, list):
            return b"](" + b"".join(map(one, part)) + b"e"
        if isinstance(part, int):
            return b"K" + bytes([part])
        raw = part.tobytes()
        shape = b"".join(b"M" + size.to_bytes(2, "little") for size in part.shape)
        head = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + text(b"b") + b"tR"
        dtype = (
            b"cnumpy\ndtype\n("
            + text(b"u1")
            + b"K\x00K\x01tR(K\x03"
            + text(b"|")
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        return head + b"(K\x01" + shape[:3] + shape[3:] + b"\x86" + dtype + b"I00\n" + text(raw) + b"tb"

    items = b"".join(text(key) + one(content) for key, content in value.items())
    return b"\x80\x02}(" + items + b"u."


def cifar10_python(write: Callable[[Any], bytes], count: int = 4) -> tuple[bytes, list[Any]]:
    files, batches = {}, []
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        pixels, labels = batch(count, 10)
        batches.append((pixels, labels))
        names = [b"a.png"] * count
        content = {b"batch_label": b"batch", b"labels": labels.tolist(), b"data": pixels, b"filenames": names}
        files[f"cifar-10-batches-py/{name}"] = write(content)
    return tarred({**files, "cifar-10-batches-py/batches.meta": b"\x80\x02}."}), batches


def cifar10_binary() -> tuple[bytes, list[Any]]:
    files, batches = {}, []
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        pixels, labels = batch(4, 10)
        batches.append((pixels, labels))
        rows = np.column_stack([labels.astype(np.uint8), pixels])
        files[f"cifar-10-batches-bin/{name}.bin"] = rows.tobytes()
    return tarred({**files, "cifar-10-batches-bin/readme.html": b"<html>"}), batches


CIFAR10: dict[str, Callable[[], tuple[bytes, list[Any]]]] = {
    "as Python 2 pickled it": lambda: cifar10_python(python2),
    "pickled by Python 3, protocol 2": lambda: cifar10_python(lambda value: pickle.dumps(value, protocol=2)),
    "pickled by Python 3, protocol 4": lambda: cifar10_python(lambda value: pickle.dumps(value, protocol=4)),
    "binary": cifar10_binary,
}


@pytest.mark.parametrize("kind", CIFAR10)
def test_cifar10_is_read_in_every_version_with_the_authors_normalization(kind: str, tmp_path: Path) -> None:
    content, batches = CIFAR10[kind]()
    (tmp_path / "cifar.tar.gz").write_bytes(content)
    train, test = load_file(tmp_path / "cifar.tar.gz"), load_file(tmp_path / "cifar.tar.gz", "test")
    assert (len(train), len(test), train.classes, tuple(train.images.shape[1:])) == (20, 4, 10, (3, 32, 32))
    mean, std = np.array([125.3, 123.0, 113.9]) / 255, np.array([63.0, 62.1, 66.7]) / 255
    pixels = np.concatenate([pixels for pixels, _ in batches[:5]]).reshape(-1, 3, 32, 32) / 255
    expected = (pixels - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(train.images.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert test.labels.tolist() == batches[5][1].tolist()


def test_reading_needs_few_blocks_or_little_more_than_twice_an_archive(tmp_path: Path) -> None:
    content, _ = cifar10_python(lambda value: pickle.dumps(value, protocol=2), 1000)
    (tmp_path / "cifar.tar.gz").write_bytes(content)
    pixels = RNG.integers(0, 256, (6000, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "uint8.npz", images=pixels, labels=np.arange(6000) % 10)
    floating = pixels[:1500].transpose(0, 3, 1, 2).astype(np.float32)
    np.savez_compressed(tmp_path / "float32.npz", images=floating, labels=np.arange(1500))
    assert _most(tmp_path / "cifar.tar.gz") < 2.2 * pixels.nbytes
    assert _most(tmp_path / "uint8.npz") < 0.5 * pixels.nbytes
    assert _most(tmp_path / "float32.npz") < 0.5 * floating.nbytes


def _most(path: Path) -> int:
    """Peak bytes allocated by Python and numpy while a file is read."""
    with path.open("rb") as file:
        tracemalloc.start()
        try:
            read(file)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_a_damaged_file_that_is_not_needed_does_no_harm(tmp_path: Path) -> None:
    content, _ = cifar10_binary()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    (tmp_path / "more.tar.gz").write_bytes(tarred({"about/test": b"no batch at all", **files}))
    assert len(load_file(tmp_path / "more.tar.gz")) == 20


def test_cifar100_takes_the_fine_labels(tmp_path: Path) -> None:
    pixels, fine = batch(6, 100)
    coarse = fine // 5
    rows = np.column_stack([coarse.astype(np.uint8), fine.astype(np.uint8), pixels]).tobytes()
    content = {"filenames": [], "fine_labels": fine.tolist(), "coarse_labels": coarse.tolist(), "data": pixels}
    pickled = pickle.dumps(content, protocol=2)
    for name, files in {
        "python": {"cifar-100-python/train": pickled, "cifar-100-python/test": pickled},
        "binary": {"cifar-100-binary/train.bin": rows, "cifar-100-binary/test.bin": rows},
    }.items():
        (tmp_path / name).write_bytes(tarred(files))
        found = load_file(tmp_path / name, "test")
        assert found.classes == 100
        assert found.labels.tolist() == fine.tolist()


def idx(array: Any) -> bytes:
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes((0, 0, 8, array.ndim)) + lengths + array.astype(np.uint8).tobytes()


def mnist(zipped: bool) -> tuple[dict[str, bytes], Any, Any]:
    images, labels = RNG.integers(0, 256, (5, 28, 28)), RNG.integers(0, 10, 5)
    files = {f"{part}-{kind}": idx(array) for part in ("train", "t10k")
             for kind, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels))}  # fmt: skip
    return (
        ({f"{name}.gz": gzip.compress(content) for name, content in files.items()} if zipped else files),
        images,
        labels,
    )


@pytest.mark.parametrize("zipped", [True, False])
def test_mnist_is_read_from_its_four_files_in_a_tar(zipped: bool, tmp_path: Path) -> None:
    files, images, labels = mnist(zipped)
    (tmp_path / "mnist.tar").write_bytes(tarred(files, "w"))
    found = load_file(tmp_path / "mnist.tar")
    np.testing.assert_allclose(found.images[:, 0].numpy(), (images / 255 - 0.1307) / 0.3081, rtol=1e-5, atol=1e-6)
    assert found.labels.tolist() == labels.tolist()


def test_an_archive_read_in_the_sandbox_is_the_same_data_set(tmp_path: Path) -> None:
    content, _ = cifar10_binary()
    (tmp_path / "cifar.tar.gz").write_bytes(content)
    described = read_in_sandbox("dataset", tmp_path / "cifar.tar.gz", tmp_path / "clean")
    assert described["splits"] == {"train": 20, "test": 4}
    assert described["normalization"].endswith("published")
    for split in ("train", "test"):
        clean = load_clean(tmp_path / "clean", "cifar", split)
        assert clean.digest == load_file(tmp_path / "cifar.tar.gz", split).digest
    with pytest.raises(UnknownNameError, match="Known: train, test"):
        load_clean(tmp_path / "clean", "cifar", "all")


class Call:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit(77)",)


GOOD_BATCH = {"labels": [1, 2], "data": np.zeros((2, 3072), np.uint8)}
BAD: dict[str, Callable[[], bytes]] = {
    "can run code": lambda: pickle.dumps({**GOOD_BATCH, "extra": Call()}, protocol=2),
    "holds no 'data'": lambda: pickle.dumps({"labels": [1]}, protocol=2),
    "another shape": lambda: pickle.dumps({**GOOD_BATCH, "labels": [1, 2, 3]}, protocol=2),
    "not from 0 to 99": lambda: pickle.dumps({**GOOD_BATCH, "labels": [1, -2]}, protocol=2),
    "more than the 10 classes": lambda: pickle.dumps({**GOOD_BATCH, "labels": [1, 22]}, protocol=2),
    "not a pickle": lambda: b"hello",
}


@pytest.mark.parametrize("said", BAD)
def test_a_batch_that_is_something_else_is_refused_in_words(said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.tar.gz").write_bytes(tarred({"data_batch_1": BAD[said]()}))
    with pytest.raises(DataError, match=said):
        load_file(tmp_path / "bad.tar.gz")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (tarred({"letter": b"hello"}), "none of the known"),
        (tarred({"data_batch_1.bin": bytes(3000)}), "multiple of 3073"),
        (tarred({"train-images-idx3-ubyte": b"\0\0\x08\x03", "train-labels-idx1-ubyte": idx(np.zeros(3))}), "idx"),
        (cifar10_binary()[0][:-900], "damaged"),
    ],
    ids=["letter", "short", "idx", "cut off"],
)
def test_a_broken_archive_is_refused_in_words(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=said):
        load_file(tmp_path / "bad.tar.gz")


def test_the_synthetic_set_is_the_same_everywhere() -> None:
    from landscape.data import load

    train, test = load("synthetic"), load("synthetic", "test")
    assert tuple(train.images.shape) == (10_000, 3, 32, 32)
    assert tuple(test.images.shape) == (2_000, 3, 32, 32)
    assert train.labels.bincount().min() > 900
    assert torch.equal(test.images, load("synthetic", "test").images)
    assert test.digest == SYNTHETIC_TEST


SYNTHETIC_TEST = "f454a902f52cce091fd9c3ee5c5980534939f890d47778b35702effe010e3618"
