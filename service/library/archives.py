"""Adds official CIFAR and MNIST archives from the data folder; they are then handled like any uploaded data set."""

import logging
import tarfile
from pathlib import Path

from sqlalchemy import select

from ..database.sessions import Database
from ..database.tables import Dataset
from ..storage.store import Store
from . import uploads

logger = logging.getLogger(__name__)

FOLDER = "datasets"  # inside the data folder
FILES = {
    "cifar10": ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz"),
    "cifar100": ("cifar-100-python.tar.gz", "cifar-100-binary.tar.gz"),
    "mnist": ("mnist.npz", "mnist.tar", "mnist.tar.gz", "mnist.zip"),
}
_MNIST = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def add(database: Database, store: Store, folder: Path) -> None:
    """Add the archives in `folder` that are missing; raises as `Store.copy_in`, `Store.require`.

    Raises:
        BusyError: see `Database.writing`.
    """
    for name, files in FILES.items():
        path = next((folder / file for file in files if (folder / file).is_file()), None)
        if path is not None:
            _add_file(database, store, name, path)
    four = [_plain_or_gzipped(folder, file) for file in _MNIST]
    if all(four):
        with store.temporary_folder() as temporary:
            path = temporary / "mnist.tar"
            with tarfile.open(path, "w") as archive:
                for file in four:
                    assert file is not None
                    archive.add(file, file.name)
            _add_file(database, store, "mnist", path)


def _plain_or_gzipped(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _add_file(database: Database, store: Store, name: str, path: Path) -> None:
    """Add an archive, unless it was added before, even if it was rejected; uploads of users may have the same name."""
    added = select(Dataset.id).where(Dataset.name == name, Dataset.owner.is_(None)).limit(1)
    with database.reading() as session:
        if session.scalar(added) is not None:
            return
    sha256, size = store.copy_in(path), path.stat().st_size
    with database.writing() as session:
        uploads.add_dataset(session, name=name, sha256=sha256, size=size)
        store.require(sha256)
    logger.info("data set added", extra={"dataset": name})
