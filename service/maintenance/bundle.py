"""A backup as files in a folder, or in one tar file: written under another name until it is complete.

Imports errors only. Never overwrites anything, and never lets others read: what is in it is private.
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


class Writing(ABC):
    """Takes files under names with `/`."""

    @abstractmethod
    def add(self, name: str, path: Path) -> None:
        """Copy a file in."""


class Reading(ABC):
    """Gives files by name."""

    @abstractmethod
    def names(self) -> list[str]:
        """Of every file."""

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """One of them; FileNotFoundError where there is none of this name."""


@contextlib.contextmanager
def writing(target: Path) -> Iterator[Writing]:
    """Make a bundle; it appears under its name when everything is in it, and leaves nothing when that fails.

    Args:
        target: a tar file where the name ends so, else a folder.

    Raises:
        ConflictError: there is something already.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ConflictError(f"{target.name} is there already. Choose another name.")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.unfinished-{os.getpid()}")
    try:
        with _TarWriting(unfinished) if target.suffix == _TAR else _FolderWriting(unfinished) as bundle:
            yield bundle
        if target.is_dir():
            target.rmdir()
        move_durably(unfinished, target)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def reading(source: Path) -> Iterator[Reading]:
    """Open a bundle.

    Raises:
        InvalidError: there is none.
    """
    if source.is_dir():
        yield _FolderReading(source)
        return
    try:
        with tarfile.open(source) as tar:
            yield _TarReading(tar)
    except FileNotFoundError:
        raise InvalidError(f"There is no backup {source.name}.") from None
    except tarfile.TarError:
        raise InvalidError(f"{source.name} is no backup, or only a part of one.") from None


class _FolderWriting(Writing):
    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(mode=0o700)

    def add(self, name: str, path: Path) -> None:
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            sync_file(copy)

    def __enter__(self) -> "_FolderWriting":
        return self

    def __exit__(self, *_: object) -> None:
        for folder in {self.folder, *(path.parent for path in self.folder.rglob("*"))}:
            sync_folder(folder)


class _TarWriting(Writing):
    def __init__(self, path: Path):
        self.file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self.tar = tarfile.open(fileobj=self.file, mode="w")  # noqa: SIM115 - closed by __exit__

    def add(self, name: str, path: Path) -> None:
        self.tar.add(path, name, recursive=False, filter=_plain)

    def __enter__(self) -> "_TarWriting":
        return self

    def __exit__(self, *_: object) -> None:
        self.tar.close()
        sync_file(self.file)
        self.file.close()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nothing of this machine's users and rights."""
    entry.uid, entry.gid, entry.uname, entry.gname, entry.mode = 0, 0, "", "", 0o600
    return entry


class _FolderReading(Reading):
    def __init__(self, folder: Path):
        self.folder = folder

    def names(self) -> list[str]:
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]

    def open(self, name: str) -> IO[bytes]:
        return (self.folder / name).open("rb")


class _TarReading(Reading):
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
