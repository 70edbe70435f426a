"""Immutable bytes under their SHA-256: uploads and sanitised weights; what every store promises, and a folder as one.

Imports errors and landscape.disk_cache. Names given by users never become paths; every read verifies the digest.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from typing import IO, BinaryIO
from uuid import uuid4

from landscape.disk_cache import Shelf

from ..errors import DamagedError, NoSpaceError, NotFoundError, TooLargeError, UnavailableError

_BLOCK = 1 << 20
_ENTRY_SECONDS = 10.0  # between making an unfinished file and locking it there is a moment
_LOCK = ".lock"

GONE = "The stored file is gone. Upload it again."
DAMAGED = "The stored file is damaged: its digest has changed. Upload it again; that mends everything made from it."
_NO_ROOM = "Too little disk space is left for this file. Ask the operator to make room."


@dataclass(frozen=True)
class Stored:
    """A file in the store, as garbage collection sees it."""

    sha256: str
    size: int  # bytes
    age: float  # seconds since it was written last, by the clock of this process


class Store(ABC):
    """Bytes arrive in a local folder of unfinished files, counted and hashed, and are given their home when complete.

    A back end says where that home is. tests/service/storage/test_store.py is the contract; every back end passes it.
    """

    def __init__(self, local: Path, *, max_bytes: int, min_free_bytes: int = 0):
        self.unfinished, self.resumable = local / "unfinished", local / "resumable"
        self.prepared = local / "prepared"  # what workers of this machine have made of stored data sets
        self.max_bytes, self.min_free_bytes = max_bytes, min_free_bytes
        for folder in (self.unfinished, self.resumable):
            folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def path(self, sha256: str) -> Path:
        """A local file with the bytes of this digest, compared with it just now. Open it soon: it may be a copy.

        Raises:
            NotFoundError: they are not in the store.
            DamagedError: they have changed.
            UnavailableError: the store does not answer.
        """

    @abstractmethod
    def find(self, sha256: str) -> Stored | None:
        """What is under this digest, without reading it; None where nothing is."""

    def require(self, sha256: str) -> None:
        """Whoever writes a row that refers to these bytes asks this in the same transaction, after writing it:
        garbage collection may have taken them just before (cleaning.py).

        Raises:
            UnavailableError: they are gone; storing them again helps.
        """
        if self.find(sha256) is None:
            raise UnavailableError("The same file was deleted while this one arrived. Send it again.")

    def remove(self, sha256: str) -> None:
        """Forget the bytes of this digest, and what was made of them here; it is no error if they are not there."""
        self._remove(require_digest(sha256))
        Shelf(self.prepared).forget(sha256)

    @abstractmethod
    def _remove(self, sha256: str) -> None:
        """Forget the bytes themselves."""

    @abstractmethod
    def stored(self) -> Iterator[Stored]:
        """Everything that has its home here, in no order; nothing unfinished."""

    @abstractmethod
    def usable(self) -> bool:
        """Whether something could be stored now."""

    @abstractmethod
    def _settle(self, path: Path, sha256: str) -> None:
        """Give a complete local file its home at once and durably, replacing what is there; `path` is free then."""

    @contextlib.contextmanager
    def receive(self) -> Iterator["Receipt"]:
        """Take bytes piece by piece; without `Receipt.keep()` nothing of them stays."""
        path = self.unfinished / uuid4().hex
        self.require_space(0)
        with saying_no_room(), path.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield Receipt(self, path, file)
            finally:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def room(self) -> Iterator[Path]:
        """A folder of one's own for files on their way into the store; it goes with its owner, however that ends."""
        folder = self.unfinished / uuid4().hex
        folder.mkdir()
        try:
            with (folder / _LOCK).open("xb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep_file(self, path: Path) -> str:
        """Copy a finished file into the store.

        Returns:
            Its SHA-256, hex.
        """
        with self.receive() as receipt, path.open("rb") as file:
            while block := file.read(_BLOCK):
                receipt.write(block)
            return receipt.keep()

    def adopt(self, path: Path) -> str:
        """Make a complete file of `room()` or `resumable` the store's own, without copying it.

        Returns:
            Its SHA-256, hex.
        """
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        self._settle(path, sha256)
        return sha256

    def require_space(self, announced: int) -> None:
        """Refuse `announced` more bytes where they are over the limit or do not fit the disk.

        Raises:
            TooLargeError, NoSpaceError
        """
        if announced > self.max_bytes:
            raise TooLargeError(f"The file is larger than {self.max_bytes} bytes, the limit of this service.")
        if self.free_bytes() - announced < self.min_free_bytes:
            raise NoSpaceError(_NO_ROOM)

    def free_bytes(self) -> int:
        """Left on the disk where bytes arrive."""
        return shutil.disk_usage(self.unfinished).free

    def sweep(self) -> None:
        """Remove unfinished files whose writers have died: a living one holds a lock."""
        for path in self.unfinished.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _ENTRY_SECONDS and _is_abandoned(path):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


class FolderStore(Store):
    """Files named by their digest in a folder of this machine, or of a volume that all machines share."""

    def __init__(self, folder: Path, *, max_bytes: int, min_free_bytes: int = 0):
        super().__init__(folder, max_bytes=max_bytes, min_free_bytes=min_free_bytes)
        self.folder = folder

    def path(self, sha256: str) -> Path:
        path = self._home(sha256)
        if not path.is_file():
            raise NotFoundError(GONE)
        if not is_whole(path, sha256):
            raise DamagedError(DAMAGED)
        return path

    def find(self, sha256: str) -> Stored | None:
        return _facts(self._home(sha256))

    def _remove(self, sha256: str) -> None:
        self._home(sha256).unlink(missing_ok=True)

    def stored(self) -> Iterator[Stored]:
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            if found := _facts(path):
                yield found

    def usable(self) -> bool:
        return os.access(self.unfinished, os.W_OK)

    def _settle(self, path: Path, sha256: str) -> None:
        home = self._home(sha256)
        home.parent.mkdir(exist_ok=True)
        os.utime(path)  # its age counts from now: bytes nobody refers to yet must not look old
        path.replace(home)
        _sync_folder(home.parent)

    def _home(self, sha256: str) -> Path:
        return self.folder / require_digest(sha256)[:2] / sha256


class Receipt:
    """Bytes on their way into the store: counted, hashed and checked against the limits as they come."""

    def __init__(self, store: Store, path: Path, file: BinaryIO):
        self.store, self.path, self.file = store, path, file
        self.size, self._digest, self._unchecked = 0, hashlib.sha256(), 0

    def write(self, block: bytes) -> None:
        self.size += len(block)
        if self.size > self.store.max_bytes:
            self.store.require_space(self.size)
        self._unchecked += len(block)
        if self._unchecked > 64 * _BLOCK:
            self.store.require_space(0)
            self._unchecked = 0
        self._digest.update(block)
        self.file.write(block)

    def finish(self) -> str:
        """Make the bytes durable where they are.

        Returns:
            Their SHA-256, hex.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        return self._digest.hexdigest()

    def keep(self) -> str:
        """Make the bytes durable and give them their home.

        Returns:
            Their SHA-256, hex.
        """
        sha256 = self.finish()
        self.store._settle(self.path, sha256)
        return sha256


def require_digest(sha256: str) -> str:
    """The digest itself.

    Raises:
        NotFoundError: it is none, so that nothing can be stored under it.
    """
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise NotFoundError("A stored file is named by a SHA-256.")
    return sha256


def is_whole(path: Path, sha256: str) -> bool:
    """Whether a file still is what its digest says."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def locked(file: IO[bytes]) -> bool:
    """Hold an open file for this process; false where another holds it. Closing it, or dying, lets go."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _facts(path: Path) -> Stored | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return Stored(path.name, facts.st_size, time.time() - facts.st_mtime)


def _is_abandoned(path: Path) -> bool:
    lock = path / _LOCK if path.is_dir() else path
    try:
        with lock.open("r+b") as file:
            return locked(file)
    except FileNotFoundError:  # a folder whose owner died before locking it
        return True


@contextlib.contextmanager
def saying_no_room() -> Iterator[None]:
    """A disk that is full while bytes arrive is said in a sentence; what was being written is removed by its owner."""
    try:
        yield
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT, EFBIG):
            raise NoSpaceError(_NO_ROOM) from None
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
