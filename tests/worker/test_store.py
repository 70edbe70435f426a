"""Bytes under their digest: durable, counted, verified."""

import hashlib
import os
from pathlib import Path

import pytest

from worker.errors import DamagedError, NoSpaceError, NotFoundError, TooLargeError
from worker.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", max_bytes=1000)


def keep(store: Store, content: bytes) -> str:
    with store.receive() as receipt:
        receipt.write(content[:3])
        receipt.write(content[3:])
        return receipt.keep()


def test_bytes_come_back_under_their_sha256(store: Store) -> None:
    sha256 = keep(store, b"weights")
    assert sha256 == hashlib.sha256(b"weights").hexdigest()
    assert store.path(sha256).read_bytes() == b"weights"


def test_the_same_bytes_are_stored_once(store: Store) -> None:
    assert keep(store, b"weights") == keep(store, b"weights")
    assert len([path for path in store.folder.rglob("*") if path.is_file()]) == 1


def test_an_upload_that_is_not_kept_leaves_nothing(store: Store) -> None:
    with store.receive() as receipt:
        receipt.write(b"half")
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


def test_a_flipped_bit_is_found_when_reading(store: Store) -> None:
    sha256 = keep(store, b"weights")
    store.path(sha256).write_bytes(b"weighty")
    with pytest.raises(DamagedError, match="Upload it again"):
        store.path(sha256)


def test_an_upload_over_the_limit_is_refused_whether_announced_or_not(store: Store) -> None:
    with pytest.raises(TooLargeError, match="1000 bytes"):
        store.require_space(1001)
    with store.receive() as receipt, pytest.raises(TooLargeError):
        receipt.write(bytes(1001))


def test_a_nearly_full_disk_takes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "full", max_bytes=1000, min_free_bytes=1 << 60)
    with pytest.raises(NoSpaceError, match="disk space"), store.receive():
        pass
    assert not list(store.unfinished.iterdir())


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "0" * 63, "G" * 64])
def test_only_a_digest_names_a_file(store: Store, name: str) -> None:
    with pytest.raises(NotFoundError):
        store.path(name)


def test_files_that_nobody_finishes_are_swept_away(store: Store) -> None:
    old, new = store.unfinished / "old", store.unfinished / "new"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (0, 0))
    store.sweep(60)
    assert [path.name for path in store.unfinished.iterdir()] == ["new"]
