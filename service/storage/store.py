"""Content-addressed storage: immutable bytes under their SHA-256, for uploads and sanitized weights.

`Store` is the contract of every back end. Names given by users never become paths; every read verifies the digest.
"""

import contextlib
import fcntl
import hashlib
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from landscape.disk import digest_of, sync_file
from landscape.disk_cache import DiskCache

from ..errors import NoSpaceError, TooLargeError, UnavailableError
from .files import BLOCK, DISK_FULL, blocks_of, disk_full_as_error, require_digest, try_lock

_ENTRY_SECONDS = 10.0  # an unfinished file is locked a moment after it is created
_LOCK = ".lock"

GONE = "The stored file is gone. Upload it again."
DAMAGED = "The stored file is damaged: its digest has changed. Upload it again; that repairs everything made from it."


@dataclass(frozen=True)
class StoredFile:
    """A file in the store, as garbage collection sees it."""

    sha256: str
    size: int  # bytes
    age: float  # seconds since it was last written, by the clock of this process


class Store(ABC):
    """Bytes arrive in a local folder of unfinished files, are counted and hashed, and are committed when complete.

    A back end decides where committed bytes are kept; every back end passes tests/service/storage/test_store.py.
    """

    def __init__(self, local: Path, *, max_bytes: int, min_free_bytes: int = 0):
        self.unfinished, self.resumable = local / "unfinished", local / "resumable"
        self.prepared = local / "prepared"  # stored data sets as workers of this machine prepared them
        self.max_bytes, self.min_free_bytes = max_bytes, min_free_bytes
        for folder in (self.unfinished, self.resumable):
            folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def path(self, sha256: str) -> Path:
        """A local file with the bytes of this digest, just verified. Open it soon: it may be a cached copy.

        Raises:
            NotFoundError: they are not in the store.
            DamagedError: they have changed.
            UnavailableError: the store does not answer.
            NoSpaceError: too little disk space is left for a local copy.
            TooLargeError: they are larger than the limit of this host.
        """

    @abstractmethod
    def find(self, sha256: str) -> StoredFile | None:
        """Size and age of what is stored under this digest, without reading it; None if nothing is stored.

        Raises:
            NotFoundError: this is not a SHA-256.
            UnavailableError: the store does not answer.
        """

    def require(self, sha256: str) -> None:
        """Check that these bytes are still stored.

        Call it in the transaction that writes a row referring to them, after writing it: garbage collection
        (service/maintenance/garbage.py) may have removed them just before.

        Raises:
            UnavailableError: they are gone, and must be stored again.
            NotFoundError: this is not a SHA-256.
        """
        if self.find(sha256) is None:
            raise UnavailableError("The same file was deleted while this one arrived. Send it again.")

    def remove(self, sha256: str) -> None:
        """Remove the bytes of this digest and files prepared from them here; no error if there are none.

        Raises:
            NotFoundError: this is not a SHA-256.
            UnavailableError: the store does not answer.
            ForbiddenError: the store is behind the API, where only the service itself removes files.
        """
        self._remove(require_digest(sha256))
        DiskCache(self.prepared).remove(sha256)

    @abstractmethod
    def _remove(self, sha256: str) -> None:
        """Remove the bytes themselves."""

    @abstractmethod
    def stored(self) -> Iterator[StoredFile]:
        """Every committed file, in no particular order.

        Raises:
            UnavailableError: the store does not answer.
        """

    @abstractmethod
    def usable(self) -> bool:
        """Whether the store accepts files now."""

    @abstractmethod
    def _commit(self, path: Path, sha256: str) -> None:
        """Store a complete local file atomically and durably, replacing any copy; `path` may be reused afterwards."""

    @contextlib.contextmanager
    def receive(self) -> Iterator["IncomingFile"]:
        """Receive bytes piece by piece; without `IncomingFile.commit()` they are discarded.

        Raises:
            NoSpaceError: too little disk space is left, now or while bytes arrive.
            TooLargeError: more bytes arrive than the limit of this service.
        """
        path = self.unfinished / uuid4().hex
        self.require_space(0)
        with disk_full_as_error(), path.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield IncomingFile(self, path, file)
            finally:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """A private folder for files on their way into the store; removed at the end, or by `sweep` after a crash."""
        folder = self.unfinished / uuid4().hex
        folder.mkdir()
        try:
            with (folder / _LOCK).open("xb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def copy_in(self, path: Path) -> str:
        """Copy a finished file into the store.

        Returns:
            Its SHA-256, hex.

        Raises:
            NoSpaceError: too little disk space is left for it.
            TooLargeError: it is over the limit of this service.
        """
        with self.receive() as incoming:
            for block in blocks_of(path):
                incoming.write(block)
            return incoming.commit()

    def move_in(self, path: Path) -> str:
        """Move a complete file out of `temporary_folder()` or `resumable` into the store, without copying it.

        Returns:
            Its SHA-256, hex.
        """
        with path.open("rb") as file:
            sha256 = digest_of(file)
            sync_file(file)
        self._commit(path, sha256)
        return sha256

    def require_space(self, announced: int) -> None:
        """Refuse `announced` more bytes if they are over the limit or do not fit on the disk.

        Raises:
            TooLargeError: they are over the limit of this service.
            NoSpaceError: too little disk space is left for them.
        """
        if announced > self.max_bytes:
            raise TooLargeError(f"The file is larger than {self.max_bytes} bytes, the limit of this service.")
        if self.free_bytes() - announced < self.min_free_bytes:
            raise NoSpaceError(DISK_FULL)

    def free_bytes(self) -> int:
        """Free space on the disk where bytes arrive."""
        return shutil.disk_usage(self.unfinished).free

    def sweep(self) -> None:
        """Remove unfinished files of dead processes: a live one holds a lock."""
        for path in self.unfinished.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _ENTRY_SECONDS and _is_abandoned(path):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


class IncomingFile:
    """Bytes on their way into the store: counted, hashed and checked against the limits as they arrive."""

    def __init__(self, store: Store, path: Path, file: BinaryIO):
        self.store, self.path, self.file = store, path, file
        self.size, self._digest, self._unchecked = 0, hashlib.sha256(), 0

    def write(self, block: bytes) -> None:
        """Append a block, and check the limits.

        Raises:
            TooLargeError: it is now larger than the limit of this service.
            NoSpaceError: too little disk space is left.
        """
        self.size += len(block)
        if self.size > self.store.max_bytes:
            self.store.require_space(self.size)
        self._unchecked += len(block)
        if self._unchecked > 64 * BLOCK:
            self.store.require_space(0)
            self._unchecked = 0
        self._digest.update(block)
        self.file.write(block)

    def finish(self) -> str:
        """Make the bytes durable in the folder of unfinished files.

        Returns:
            Their SHA-256, hex.
        """
        sync_file(self.file)
        return self._digest.hexdigest()

    def commit(self) -> str:
        """Make the bytes durable and store them.

        Returns:
            Their SHA-256, hex.
        """
        sha256 = self.finish()
        self.store._commit(self.path, sha256)
        return sha256


def _is_abandoned(path: Path) -> bool:
    lock = path / _LOCK if path.is_dir() else path
    try:
        with lock.open("r+b") as file:
            return try_lock(file)
    except FileNotFoundError:  # a folder of a process that died before locking it
        return True
