"""Official archives in the data folder are added to the data sets once, without a request."""

import tarfile
from pathlib import Path

from sqlalchemy import select

from service.database.sessions import Database
from service.database.tables import Dataset, Tile
from service.library import archives, uploads
from service.storage.folder_store import FolderStore


def test_archives_in_the_data_folder_are_added_once_and_wait_to_be_read(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite'}")
    store, folder = FolderStore(tmp_path / "store", max_bytes=1 << 20), tmp_path / "datasets"
    archives.add(database, store, folder)
    folder.mkdir()
    (folder / "cifar-10-binary.tar.gz").write_bytes(b"an archive")
    (folder / "notes.txt").write_bytes(b"something else")
    for kind in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"):
        (folder / kind).write_bytes(b"numbers")
    archives.add(database, store, folder)
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"numbers")
    archives.add(database, store, folder)
    archives.add(database, store, folder)
    with database.reading() as session:
        rows = list(session.scalars(select(Dataset).order_by(Dataset.created)))
        assert [row.name for row in rows] == ["cifar10", "mnist"]
        assert {tile.purpose for tile in session.scalars(select(Tile))} == {"read-data"}
    with tarfile.open(store.path(rows[1].sha256)) as archive:
        assert archive.getnames()[-1] == "t10k-labels-idx1-ubyte.gz"
    assert not list(store.unfinished.iterdir())


def test_an_upload_of_a_user_with_the_name_of_an_archive_does_not_block_it(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite'}")
    store, folder = FolderStore(tmp_path / "store", max_bytes=1 << 20), tmp_path / "datasets"
    folder.mkdir()
    (folder / "cifar-10-binary.tar.gz").write_bytes(b"an archive")
    with database.writing() as session:
        uploads.add_dataset(session, name="cifar10", sha256="0" * 64, size=1, owner="eve")
    for _ in range(2):
        archives.add(database, store, folder)
    with database.reading() as session:
        assert sorted(str(row.owner) for row in session.scalars(select(Dataset))) == ["None", "eve"]
