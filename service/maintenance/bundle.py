"""A bundle of files in a folder or in one tar file, written under a temporary name until it is complete.

It never overwrites anything, and only its owner can read it.
"""

import contextlib
import os
import shutil
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from landscape.disk import move_durably, sync_file, sync_folder

from ..errors import ConflictError, InvalidError

_TAR = ".tar"


class Writer(ABC):
    """Adds files to a bundle; a name may contain `/`."""

    @abstractmethod
    def add(self, name: str, path: Path) -> None:
        """Copy a file into the bundle."""


class Reader(ABC):
    """Reads the files of a bundle by name."""

    @abstractmethod
    def names(self) -> list[str]:
        """The name of every file."""

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """Open the file of this name; FileNotFoundError if there is none."""


@contextlib.contextmanager
def create(target: Path) -> Iterator[Writer]:
    """Create a bundle; it is renamed to `target` when it is complete, and removed on an error.

    Args:
        target: a tar file if the name ends with .tar, else a folder.

    Raises:
        ConflictError: `target` exists.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ConflictError(f"{target.name} exists already. Choose another name.")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.unfinished-{os.getpid()}")
    try:
        with _TarWriter(unfinished) if target.suffix == _TAR else _FolderWriter(unfinished) as bundle:
            yield bundle
        if target.is_dir():
            target.rmdir()
        move_durably(unfinished, target)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def open_bundle(source: Path) -> Iterator[Reader]:
    """Open a bundle.

    Raises:
        InvalidError: there is none at `source`.
    """
    if source.is_dir():
        yield _FolderReader(source)
        return
    try:
        with tarfile.open(source) as tar:
            yield _TarReader(tar)
    except FileNotFoundError:
        raise InvalidError(f"There is no backup {source.name}.") from None
    except tarfile.TarError:
        raise InvalidError(f"{source.name} is no backup, or only a part of one.") from None


class _FolderWriter(Writer):
    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(mode=0o700)

    def add(self, name: str, path: Path) -> None:
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            sync_file(copy)

    def __enter__(self) -> "_FolderWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for folder in {self.folder, *(path.parent for path in self.folder.rglob("*"))}:
            sync_folder(folder)


class _TarWriter(Writer):
    def __init__(self, path: Path):
        self.file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self.tar = tarfile.open(fileobj=self.file, mode="w")  # noqa: SIM115 - closed by __exit__

    def add(self, name: str, path: Path) -> None:
        self.tar.add(path, name, recursive=False, filter=_anonymous)

    def __enter__(self) -> "_TarWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.tar.close()
        sync_file(self.file)
        self.file.close()


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Drop the users, groups and permissions of this machine."""
    entry.uid, entry.gid, entry.uname, entry.gname, entry.mode = 0, 0, "", "", 0o600
    return entry


class _FolderReader(Reader):
    def __init__(self, folder: Path):
        self.folder = folder

    def names(self) -> list[str]:
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]

    def open(self, name: str) -> IO[bytes]:
        return (self.folder / name).open("rb")


class _TarReader(Reader):
    def __init__(self, tar: tarfile.TarFile):
        self.tar = tar

    def names(self) -> list[str]:
        return [entry.name for entry in self.tar if entry.isfile()]

    def open(self, name: str) -> IO[bytes]:
        try:
            file = self.tar.extractfile(name)
        except KeyError:
            file = None
        if file is None:
            raise FileNotFoundError(name)
        return file
