"""A backup is a consistent snapshot of the whole library, and a restore reproduces it bit for bit."""

import hashlib
import json
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from service.database import json_rows
from service.database.sessions import Database
from service.database.tables import REVISION, Access, Base, Checkpoint, Count, Job, LogLine, Tile, Turn, Upload, Worker
from service.errors import ConflictError, DamagedError, InvalidError
from service.library import uploads
from service.maintenance.backup import backup, restore
from service.storage.folder_store import FolderStore
from service.storage.s3 import S3Store
from service.storage.store import Store
from tests.support.objects import BUCKET, object_server
from tests.support.servers import new_database

ODD = struct.pack("<4d", float("nan"), float("inf"), -0.0, 0.1)
KINDS = ("sqlite", "postgresql")
TARGETS = ("folder", "file.tar")


@pytest.fixture
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Database]]:
    """A function that creates a database of a kind."""
    made: list[Database] = []

    def make(kind: str) -> Database:
        if kind == "sqlite":
            made.append(Database(f"sqlite:///{tmp_path / f'{len(made)}.sqlite'}"))
        else:
            made.append(Database(new_database(request.getfixturevalue("postgresql_url"))))
        return made[-1]

    yield make
    for database in made:
        database.engine.dispose()


def folder(path: Path) -> FolderStore:
    return FolderStore(path, max_bytes=1 << 30)


def keep(store: Store, content: bytes) -> str:
    with store.receive() as incoming:
        incoming.write(content)
        return incoming.commit()


def fill(database: Database, store: Store) -> None:
    """Fill every table with values that are easily lost: null, NaN, empty and unusual strings, large numbers."""
    weights, samples = keep(store, b"weights" * 1000), keep(store, b"samples")
    with database.writing() as session:
        name = "odd ‒ \u2028 \U0001f600 \x7f"
        one = uploads.add_checkpoint(session, name=name, sha256=keep(store, b"a"), size=1 << 40, owner="ann")
        one.weights_sha256, one.candidates, one.facts = weights, [{"label": "é", "parameters": 2**53}], {"a": "b"}
        data = uploads.add_dataset(session, name="data", sha256=keep(store, b"b"), size=2)
        data.data_sha256, data.facts = samples, {"x": [1.5, None, 1e-320]}
        session.add(Turn(owner="bob", served=7))
        session.flush()
        job = Job(kind="surface", name="", spec={"seed": 2**63 - 1}, checkpoint={}, checkpoint_id=one.id, points=3)
        job.provenance, job.created = {"center": {"loss": 0.1 + 0.2}}, 1234567890.123456
        session.add(job)
        session.flush()
        done = {"values": ODD, "sha256": "0" * 64, "seconds": 0.1, "sequence": 1, "state": "done"}
        session.add(Tile(purpose="points", job_id=job.id, owner="bob", level=0, points=[[0, 1]], **done))
        session.add(Tile(purpose="points", job_id=job.id, owner="bob", level=0, rank=1, points=[], values=b""))
        session.add(LogLine(job_id=job.id, text="said"))
        session.add(Count(name="points", label="", value=2.5))
        session.add(Access(kind="token", digest="d", owner="ann", scopes=["read"], expires=None))
        session.add(Worker(id="w", device="CPU"))
        session.add(Upload(purpose="checkpoint", name="half", size=3, expires=1.0))


def everything(database: Database) -> dict[str, list[Any]]:
    """Every row that a backup contains."""
    with database.reading() as session:
        return {
            table.name: [tuple(row) for row in session.execute(select(table).order_by(*table.primary_key.columns))]
            for table in Base.metadata.sorted_tables
            if table.name not in ("workers", "uploads")
        }


def contents(store: Store) -> dict[str, bytes]:
    return {one.sha256: store.path(one.sha256).read_bytes() for one in store.stored()}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("kind_after", KINDS)
@pytest.mark.parametrize("kind_before", KINDS)
def test_everything_is_restored_on_any_database(
    databases: Callable[[str], Database], tmp_path: Path, kind_before: str, kind_after: str, name: str
) -> None:
    before, after = databases(kind_before), databases(kind_after)
    old, new = folder(tmp_path / "old"), folder(tmp_path / "new")
    fill(before, old)
    keep(old, b"nothing refers to this")
    made = backup(before, old, tmp_path / name)
    assert (made.files, made.missing) == (4, [])
    done = restore(after, new, tmp_path / name)
    assert done == made
    assert everything(after) == everything(before)
    assert contents(new) == {one: held for one, held in contents(old).items() if held != b"nothing refers to this"}
    assert not list(tmp_path.glob("*unfinished*"))
    assert not list(tmp_path.glob(".rows*"))
    with after.writing() as session:  # new ids follow the restored ones
        last = max(session.scalars(select(LogLine.id)))
        line = LogLine(job_id=session.scalars(select(Job.id)).one(), text="more")
        session.add(line)
        session.flush()
        assert line.id > last


def test_a_null_stays_a_null_in_the_database_itself(databases: Callable[[str], Database], tmp_path: Path) -> None:
    before, after = databases("sqlite"), databases("sqlite")
    old, new = folder(tmp_path / "old"), folder(tmp_path / "new")
    fill(before, old)
    backup(before, old, tmp_path / "backup")
    restore(after, new, tmp_path / "backup")
    for database in (before, after):
        with database.reading() as session:
            assert session.scalar(text("SELECT count(*) FROM jobs WHERE grid IS NULL")) == 1


def test_a_backup_goes_from_a_folder_into_a_bucket(databases: Callable[[str], Database], tmp_path: Path) -> None:
    before, after, old = databases("sqlite"), databases("sqlite"), folder(tmp_path / "old")
    fill(before, old)
    backup(before, old, tmp_path / "b.tar")
    with object_server() as server:
        address = f"s3://{BUCKET}/restored"
        new = S3Store(address, tmp_path / "new", client=server.clients, cache_bytes=1 << 30, max_bytes=1 << 30)
        restore(after, new, tmp_path / "b.tar")
        assert contents(new) == contents(old)


@pytest.mark.parametrize("name", TARGETS)
def test_a_restore_into_a_service_that_is_not_empty_is_refused(
    databases: Callable[[str], Database], tmp_path: Path, name: str
) -> None:
    database, store = databases("sqlite"), folder(tmp_path / "store")
    fill(database, store)
    backup(database, store, tmp_path / name)
    with pytest.raises(ConflictError, match="not empty"):
        restore(database, folder(tmp_path / "new"), tmp_path / name)
    with pytest.raises(ConflictError, match="store is not empty"):
        restore(databases("sqlite"), store, tmp_path / name)
    before = everything(database)
    with pytest.raises(ConflictError, match="exists already"):
        backup(database, store, tmp_path / name)
    assert everything(database) == before


def change(path: Path, name: str, content: bytes) -> None:
    """Overwrite a file of a backup with other content."""
    if path.is_dir():
        (path / name).write_bytes(content)
        return
    with tarfile.open(path) as tar:
        where = tar.getmember(name).offset_data
    with path.open("r+b") as file:
        file.seek(where)
        file.write(content)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("damaged", ["store", "rows"])
def test_a_damaged_backup_is_refused_and_leaves_the_service_empty(
    databases: Callable[[str], Database], tmp_path: Path, name: str, damaged: str
) -> None:
    before, after = databases("sqlite"), databases("sqlite")
    old, new = folder(tmp_path / "old"), folder(tmp_path / "new")
    fill(before, old)
    backup(before, old, tmp_path / name)
    digest = next(one.sha256 for one in old.stored() if one.size == 7000)
    change(tmp_path / name, f"store/{digest}" if damaged == "store" else "rows/jobs.jsonl", b"#")
    with pytest.raises(DamagedError, match="changed"):
        restore(after, new, tmp_path / name)
    assert contents(new) == {}
    assert not list(new.unfinished.iterdir())
    assert everything(after)["checkpoints"] == []


def test_half_a_backup_is_refused(databases: Callable[[str], Database], tmp_path: Path) -> None:
    database, store = databases("sqlite"), folder(tmp_path / "store")
    fill(database, store)
    backup(database, store, tmp_path / "b.tar")
    whole = (tmp_path / "b.tar").read_bytes()
    for part in (0, 300, 5000, len(whole) - 11_000):
        (tmp_path / "half.tar").write_bytes(whole[:part])
        with pytest.raises((InvalidError, DamagedError)):
            restore(databases("sqlite"), folder(tmp_path / f"new-{part}"), tmp_path / "half.tar")
    with pytest.raises(InvalidError, match="no backup"):
        restore(databases("sqlite"), folder(tmp_path / "new"), tmp_path / "nothing.tar")


def test_damaged_and_lost_files_are_named_and_everything_else_is_saved(
    databases: Callable[[str], Database], tmp_path: Path
) -> None:
    before, after = databases("sqlite"), databases("sqlite")
    old, new = folder(tmp_path / "old"), folder(tmp_path / "new")
    fill(before, old)
    lost, damaged = keep(old, b"a"), keep(old, b"samples")
    old.remove(lost)
    old.path(damaged).write_bytes(b"sampler")
    made = backup(before, old, tmp_path / "backup")
    assert made.missing == sorted([lost, damaged])
    assert made.files == 2
    restore(after, new, tmp_path / "backup")
    assert everything(after) == everything(before)


def test_a_backup_of_a_newer_version_is_refused(databases: Callable[[str], Database], tmp_path: Path) -> None:
    database, store = databases("sqlite"), folder(tmp_path / "store")
    fill(database, store)
    backup(database, store, tmp_path / "backup")
    facts = json.loads((tmp_path / "backup/backup.json").read_text())
    assert facts["revision"] == REVISION
    for newer in ({"format": 2}, {"revision": "9999"}):
        (tmp_path / "backup/backup.json").write_text(json.dumps({**facts, **newer, "version": "9.9"}))
        with pytest.raises(InvalidError, match=r"Loss Landscape 9\.9, which is newer"):
            restore(databases("sqlite"), folder(tmp_path / "new"), tmp_path / "backup")


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_of_an_earlier_version_is_upgraded(
    databases: Callable[[str], Database], tmp_path: Path, kind: str
) -> None:
    store = folder(tmp_path / "store")
    sha256 = keep(store, b"a")
    first = tmp_path / "first"
    (first / "rows").mkdir(parents=True)
    (first / "store").mkdir()
    (first / "store" / sha256).write_bytes(b"a")
    write_first(first, sha256)
    database = databases(kind)
    done = restore(database, folder(tmp_path / "new"), first)
    assert done.files == 1
    with database.reading() as session:
        assert session.scalars(select(Checkpoint.sha256)).one() == sha256
        job = session.scalars(select(Job)).one()
        assert (job.owner, job.state, job.spec) == (None, "done", {"kind": "slice", "filters": "axes"})
        tile = session.scalars(select(Tile)).one()
        assert (tile.values, tile.points, tile.owner, tile.sha256) == (ODD, [[0, 0], [1, 0]], "", None)
        assert tile.count == 2


def write_first(path: Path, sha256: str) -> None:
    """The rows of a database of revision 0001, as this program would have written them."""
    checkpoint = {"id": "c" * 32, "name": "a", "sha256": sha256, "size": 1, "state": "received", "reason": None}
    checkpoint |= {"weights_sha256": None, "candidates": [], "architecture": None, "facts": {}, "gallery": None}
    job = {"id": "j" * 32, "kind": "slice", "name": "", "spec": {"kind": "slice"}, "checkpoint": {}, "state": "done"}
    job |= {"checkpoint_id": "c" * 32, "gallery": None, "error": None, "provenance": None, "grid": None, "points": 2}
    job |= {"points_per_tile": 2, "points_done": 2, "tiles_done": 1, "created": 1.5, "started": 2.0, "finished": 3.0}
    tile = {"id": 5, "purpose": "points", "checkpoint_id": None, "dataset_id": None, "job_id": "j" * 32, "level": 0}
    tile |= {"rank": 0, "points": [[0, 0], [1, 0]], "state": "done", "lease": None, "leased_until": None, "attempts": 1}
    tile |= {"values": json_rows._plain(ODD), "sequence": 1, "finished": 3.0}
    lines = {"checkpoints": [{**checkpoint, "created": 1.0}], "datasets": [], "jobs": [job], "tiles": [tile]}
    digests = {}
    for name, own in lines.items():
        text = "".join(json.dumps(line) + "\n" for line in own)
        (path / "rows" / f"{name}.jsonl").write_text(text)
        digests[name] = hashlib.sha256(text.encode()).hexdigest()
    facts = {
        "format": 1,
        "revision": "0001",
        "version": "0.1.0",
        "rows": {name: len(own) for name, own in lines.items()},
    }
    (path / "backup.json").write_text(json.dumps({**facts, "sha256": digests, "missing": []}))


WRITING = """
import sys
from pathlib import Path
from service.library import uploads
from service.database.sessions import Database
from service.storage.folder_store import FolderStore

database, store = Database(sys.argv[1]), FolderStore(Path(sys.argv[2]), max_bytes=1 << 20)
print("ready", flush=True)
n, made = 0, []
while True:
    content = b"number %d" % n
    with store.receive() as incoming:
        incoming.write(content)
        sha256 = incoming.commit()
    with database.writing() as session:
        made.append(uploads.add_checkpoint(session, name=str(n), sha256=sha256, size=len(content)).id)
    n += 1
    if len(made) > 20:
        with database.writing() as session:
            unused = uploads.delete_checkpoint(session, made.pop(n % 20))
        for one in unused:
            store.remove(one)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_made_while_others_write_is_one_moment_and_whole(
    databases: Callable[[str], Database], tmp_path: Path, kind: str
) -> None:
    database, store = databases(kind), folder(tmp_path / "store")
    url = database.engine.url.render_as_string(hide_password=False)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITING, url, str(store.folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        for n in range(5):
            made = backup(database, store, tmp_path / f"{n}.tar")
            assert made.missing == []
            after, new = databases("sqlite"), folder(tmp_path / f"new-{n}")
            restore(after, new, tmp_path / f"{n}.tar")
            with after.reading() as session:
                found = {row.name: row.sha256 for row in session.scalars(select(Checkpoint))}
                assert len(list(session.scalars(select(Tile.id)))) == len(found)
            assert made.rows["checkpoints"] == len(found)
            for name, sha256 in found.items():
                assert new.path(sha256).read_text() == f"number {name}"
    finally:
        writer.kill()
        writer.communicate()
