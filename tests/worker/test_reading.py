"""Reading an upload stores no more than its kind, its owner's quota and the disk allow, and what it stores counts."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from service.database.sessions import Database
from service.database.tables import Dataset
from service.errors import NoSpaceError
from service.jobs.quotas import held_bytes
from service.library import uploads
from service.queue import leases
from service.settings import Settings
from service.storage.folder_store import FolderStore
from worker.tiles import TileRunner


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite'}")
    yield database
    database.engine.dispose()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store", max_bytes=1 << 30)


def npz(count: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (count, 1, 32, 32), dtype=np.uint8)
    np.savez_compressed(file, images=pixels, labels=np.arange(count) % 10)
    return file.getvalue()


def fill_values() -> bytes:
    """4.1 GB of images in 1 672 bytes of HDF5."""
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened.create_dataset("images", shape=(1_000_000, 1, 64, 64), dtype="u1", chunks=(1000, 1, 64, 64))
        opened.create_dataset("labels", shape=(1_000_000,), dtype="u1")
    return file.getvalue()


def add(database: Database, store: FolderStore, content: bytes) -> str:
    with store.receive() as incoming:
        incoming.write(content)
        sha256 = incoming.commit()
    with database.writing() as session:
        return uploads.add_dataset(session, name="a", sha256=sha256, size=len(content), owner="ann").id


def read_next(database: Database, store: FolderStore, **limits: Any) -> Dataset:
    """The data set that was read in the next tile."""
    runner = TileRunner(Settings(**{"min_free_bytes": 0, **limits}), database, store)
    try:
        with database.writing() as session:
            held = leases.lease(session, 60.0, worker="w", device=runner.kind, sizes={})
        assert held is not None
        outcome = runner.run(held, lambda: False)
        with database.writing() as session:
            outcome(session)
        with database.reading() as session:
            return session.get_one(Dataset, held.subject)
    finally:
        runner.close()


def stored(store: FolderStore) -> int:
    return sum(one.size for one in store.stored())


def test_a_file_that_would_become_two_million_times_as_long_is_refused(database: Database, store: FolderStore) -> None:
    content = fill_values()
    add(database, store, content)
    row = read_next(database, store)
    assert (row.state, row.sanitized_size) == ("rejected", 0)
    assert f"has {len(content)} bytes and would take more than 16777216" in str(row.reason)
    assert stored(store) == len(content)


def test_the_sanitized_file_counts_for_the_quota_before_it_is_written(database: Database, store: FolderStore) -> None:
    content = npz(1000)
    for _ in range(2):
        add(database, store, content)
    quota = 4 * len(content)  # the sanitized file has a quarter more than half of what is left beside two uploads
    first, second = (read_next(database, store, max_user_bytes=quota) for _ in range(2))
    kept = store.find(first.data_sha256 or "")
    assert kept is not None
    assert first.sanitized_size == kept.size
    left = quota - 2 * len(content) - kept.size
    assert 0 < left < kept.size
    assert (second.state, second.sanitized_size) == ("rejected", 0)
    assert f"{left} are left for it" in str(second.reason)
    with database.reading() as session:
        assert held_bytes(session, "ann") == 2 * len(content) + kept.size
    assert stored(store) == len(content) + kept.size


def test_on_a_full_disk_an_upload_waits_to_be_read(database: Database, store: FolderStore) -> None:
    content = npz(100)
    add(database, store, content)
    with pytest.raises(NoSpaceError, match="to read this file"):
        read_next(database, store, min_free_bytes=1 << 60)
    assert stored(store) == len(content)
