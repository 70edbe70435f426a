"""Unreferenced bytes are removed, and nothing else, also while other processes store files."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from service.database.sessions import Database
from service.database.tables import Checkpoint, Dataset, Job, Upload
from service.errors import GoneError, NotFoundError
from service.library import uploads
from service.maintenance.garbage import clean, remove_unused
from service.settings import Settings
from service.storage import resumable
from service.storage.folder_store import FolderStore
from service.storage.store import Store

DAY = 86400.0


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store", max_bytes=1 << 20)


def settings(**given: Any) -> Settings:
    return Settings(collect_after_seconds=given.pop("collect_after_seconds", 0.0), **given)


def keep(store: Store, content: bytes) -> str:
    with store.receive() as incoming:
        incoming.write(content)
        return incoming.commit()


def checkpoint(database: Database, store: Store, content: bytes, **columns: Any) -> str:
    sha256 = keep(store, content)
    with database.writing() as session:
        row = uploads.add_checkpoint(session, name="a.pt", sha256=sha256, size=len(content))
        session.flush()
        if columns:
            session.execute(update(Checkpoint).where(Checkpoint.id == row.id).values(**columns))
        return row.id


def dataset(database: Database, store: Store, content: bytes, **columns: Any) -> str:
    with database.writing() as session:
        row = uploads.add_dataset(session, name="data", sha256=keep(store, content), size=len(content))
        session.flush()
        if columns:
            session.execute(update(Dataset).where(Dataset.id == row.id).values(**columns))
        return row.id


def job(database: Database, checkpoint_id: str, **columns: Any) -> str:
    facts = {"kind": "plane", "name": "a", "checkpoint": {}, "checkpoint_id": checkpoint_id, "points": 1}
    with database.writing() as session:
        row = Job(**{**facts, "spec": {"checkpoint": checkpoint_id, "dataset": "digits"}, "state": "done", **columns})
        session.add(row)
        session.flush()
        return row.id


def left(store: Store) -> set[str]:
    return {one.sha256 for one in store.stored()}


def test_unreferenced_bytes_are_removed_and_all_others_kept(database: Database, store: FolderStore) -> None:
    weights, samples, lost = keep(store, b"weights"), keep(store, b"samples"), keep(store, b"lost")
    checkpoint(database, store, b"upload", weights_sha256=weights)
    dataset(database, store, b"data", data_sha256=samples)
    before = left(store)
    assert clean(database, store, settings(), dry_run=True).files == [lost]
    assert left(store) == before
    gone = clean(database, store, settings())
    assert (gone.files, gone.size) == ([lost], 4)
    assert left(store) == before - {lost}
    assert not clean(database, store, settings())


def test_sizes_that_earlier_versions_did_not_write_are_written(database: Database, store: FolderStore) -> None:
    weights, samples = keep(store, b"weights"), keep(store, b"many samples")
    found = checkpoint(database, store, b"upload", weights_sha256=weights), checkpoint(database, store, b"unread")
    data = (
        dataset(database, store, b"data", data_sha256=samples),
        dataset(database, store, b"gone", data_sha256="0" * 64),
    )
    clean(database, store, settings())
    with database.reading() as session:
        sizes = {row.id: row.sanitized_size for row in session.scalars(select(Checkpoint))}
        assert [sizes[one] for one in found] == [7, 0]
        sizes = {row.id: row.sanitized_size for row in session.scalars(select(Dataset))}
        assert [sizes[one] for one in data] == [12, 0]


def test_unreferenced_bytes_are_kept_for_a_while(database: Database, store: FolderStore) -> None:
    young, old = keep(store, b"young"), keep(store, b"old")
    os.utime(store.path(old), (time.time() - 4000,) * 2)
    assert clean(database, store, settings(collect_after_seconds=3600)).files == [old]
    assert left(store) == {young}


def test_bytes_shared_by_two_uploads_are_removed_with_the_second(database: Database, store: FolderStore) -> None:
    one, two = (checkpoint(database, store, b"same") for _ in range(2))
    for checkpoint_id, expected in ((one, 1), (two, 0)):
        with database.writing() as session:
            unused = uploads.delete_checkpoint(session, checkpoint_id)
        remove_unused(database, store, unused)
        assert len(left(store)) == expected


def test_nothing_is_deleted_for_its_age_by_default(database: Database, store: FolderStore) -> None:
    job(database, checkpoint(database, store, b"old", created=1.0), created=1.0, finished=1.0)
    dataset(database, store, b"data", created=1.0)
    assert not clean(database, store, settings())


def test_finished_jobs_are_deleted_after_the_days_of_the_setting_and_unfinished_and_shipped_ones_kept(
    database: Database, store: FolderStore
) -> None:
    now = time.time()
    own = checkpoint(database, store, b"own")
    old = job(database, own, finished=now - 11 * DAY)
    young = job(database, own, finished=now - 9 * DAY)
    running = job(database, own, created=now - 11 * DAY, state="running")
    shipped = job(database, own, finished=now - 11 * DAY, gallery="resnet")
    assert clean(database, store, settings(keep_results_days=10), dry_run=True).jobs == [old]
    assert clean(database, store, settings(keep_results_days=10)).jobs == [old]
    with database.reading() as session:
        assert set(session.scalars(select(Job.id))) == {young, running, shipped}


def test_uploads_are_deleted_after_the_days_of_the_setting_unless_a_job_has_used_them_since(
    database: Database, store: FolderStore
) -> None:
    now = time.time()
    long_ago = now - 11 * DAY
    unused, asked, third, running, shipped, young = (
        checkpoint(database, store, bytes([n]), created=now if n == 5 else long_ago, gallery="x" if n == 4 else None)
        for n in range(6)
    )
    data_unused, data_asked = (dataset(database, store, bytes([n, n]), created=long_ago) for n in range(2))
    job(database, asked, finished=now, spec={"checkpoint": asked, "third": third, "dataset": data_asked})
    job(database, running, created=long_ago, state="running", spec={"checkpoint": running, "dataset": "digits"})
    job(database, unused, created=long_ago, finished=long_ago)
    gone = clean(database, store, settings(keep_uploads_days=10))
    assert (gone.checkpoints, gone.datasets) == ([unused], [data_unused])
    assert len(gone.files) == 2
    with database.reading() as session:
        assert set(session.scalars(select(Checkpoint.id))) == {asked, third, running, shipped, young}
        assert list(session.scalars(select(Dataset.id))) == [data_asked]
        assert session.scalar(select(Job.id).where(Job.checkpoint_id == unused)) is not None  # results outlive it


def begin(database: Database, store: Store, hours: float) -> str:
    with database.writing() as session:
        upload = resumable.begin(session, purpose="checkpoint", name="a", size=9, owner=None, hours=hours)
    resumable.path_of(store, upload.id).write_bytes(b"half")
    return upload.id


def test_an_expired_resumable_upload_is_removed(database: Database, store: FolderStore) -> None:
    over, going = begin(database, store, -1), begin(database, store, 1)
    with database.reading() as session, pytest.raises(GoneError, match="in time"):
        resumable.find(session, over)
    assert clean(database, store, settings(), dry_run=True).uploads == [over]
    assert clean(database, store, settings()).uploads == [over]
    assert [path.name for path in store.resumable.iterdir()] == [going]
    with database.reading() as session:
        assert list(session.scalars(select(Upload.id))) == [going]
        with pytest.raises(NotFoundError):
            resumable.find(session, over)


def test_bytes_of_a_resumable_upload_without_a_row_are_removed(database: Database, store: FolderStore) -> None:
    (store.resumable / "0123456789abcdef.unchecked").write_bytes(b"x")
    clean(database, store, settings())
    assert not list(store.resumable.iterdir())


STORING = """
import random, sys, time
from pathlib import Path
from service.library import uploads
from service.database.sessions import Database
from service.errors import UnavailableError
from service.storage.folder_store import FolderStore

database, store = Database(sys.argv[1]), FolderStore(Path(sys.argv[2]), max_bytes=1 << 20)
draw = random.Random(int(sys.argv[3]))
for n in range(60):
    content = b"%d of few" % draw.randrange(4) if n % 2 else b"%d of %s" % (n, sys.argv[3].encode())
    with store.receive() as incoming:
        incoming.write(content)
        sha256 = incoming.commit()
    time.sleep(draw.random() * 0.03)  # its row is not written yet
    try:
        with database.writing() as session:
            made = uploads.add_checkpoint(session, name="a", sha256=sha256, size=len(content)).id
            session.flush()
            store.require(sha256)
    except UnavailableError:
        continue  # not acknowledged
    print(made, sha256, flush=True)
    if draw.random() < 0.5:
        with database.writing() as session:
            uploads.delete_checkpoint(session, made)
        print(made, "deleted", flush=True)
"""

CLEANING = """
import sys
from pathlib import Path
from service.maintenance.garbage import clean
from service.database.sessions import Database
from service.settings import Settings
from service.storage.folder_store import FolderStore

database, store = Database(sys.argv[1]), FolderStore(Path(sys.argv[2]), max_bytes=1 << 20)
removed = 0
print("ready", flush=True)
while True:
    removed += len(clean(database, store, Settings(collect_after_seconds=0)).files)
    print(removed, flush=True)
"""


def test_no_acknowledged_upload_loses_its_bytes_to_a_collector_that_waits_for_nothing(
    database: Database, database_url: str, store: FolderStore
) -> None:
    """Three processes store files, some of them the same, and delete half; two others collect continuously."""

    def start(code: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", code, database_url, str(store.folder), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    cleaners = [start(CLEANING) for _ in range(2)]
    for cleaner in cleaners:
        assert cleaner.stdout is not None
        assert cleaner.stdout.readline() == "ready\n"
    storers = [start(STORING, str(seed)) for seed in range(3)]
    said = [storer.communicate(timeout=250)[0].splitlines() for storer in storers]
    for cleaner in cleaners:
        cleaner.kill()
    removed = [int(line) for cleaner in cleaners for line in cleaner.communicate()[0].splitlines()]
    acknowledged: dict[str, str] = {}
    for line in (line.split() for lines in said for line in lines):
        acknowledged[line[0]] = line[1]
    kept = {one: sha256 for one, sha256 in acknowledged.items() if sha256 != "deleted"}
    assert len(kept) > 10
    assert max(removed) > 0  # the collector did collect
    with database.reading() as session:
        rows = {row.id: row.sha256 for row in session.scalars(select(Checkpoint))}
    assert rows == kept
    for sha256 in set(rows.values()):
        assert store.path(sha256).read_bytes()
    clean(database, store, settings())
    assert left(store) == set(rows.values())
