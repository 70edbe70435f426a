"""Immutable bytes under their SHA-256: uploads and sanitised weights.

Imports errors only. Names given by users never become paths; every read verifies the digest.
"""

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from .errors import DamagedError, NoSpaceError, NotFoundError, TooLargeError

_BLOCK = 1 << 20


class Store:
    """A folder of files named by their SHA-256, and one of files not finished yet."""

    def __init__(self, folder: Path, *, max_bytes: int, min_free_bytes: int = 0):
        self.folder, self.unfinished = folder, folder / "unfinished"
        self.max_bytes, self.min_free_bytes = max_bytes, min_free_bytes
        self.unfinished.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def receive(self) -> Iterator["Receipt"]:
        """Take bytes piece by piece; without `Receipt.keep()` nothing of them stays."""
        path = self.unfinished / uuid4().hex
        self.require_space(0)
        with path.open("xb") as file:
            try:
                yield Receipt(self, path, file)
            finally:
                path.unlink(missing_ok=True)

    def require_space(self, announced: int) -> None:
        """Refuse `announced` more bytes where they are over the limit or do not fit the disk.

        Raises:
            TooLargeError, NoSpaceError
        """
        if announced > self.max_bytes:
            raise TooLargeError(f"The file is larger than {self.max_bytes} bytes, the limit of this service.")
        if shutil.disk_usage(self.folder).free - announced < self.min_free_bytes:
            raise NoSpaceError("Too little disk space is left for this file. Ask the operator to make room.")

    def keep_file(self, path: Path) -> str:
        """Copy a finished file into the store.

        Returns:
            Its SHA-256, hex.
        """
        with self.receive() as receipt, path.open("rb") as file:
            while block := file.read(_BLOCK):
                receipt.write(block)
            return receipt.keep()

    def path(self, sha256: str) -> Path:
        """Where the bytes of this digest lie, after comparing them with it.

        Raises:
            NotFoundError: they are not in the store.
            DamagedError: they have changed.
        """
        path = self._home(sha256)
        if not path.is_file():
            raise NotFoundError("The stored file is gone. Upload it again.")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise DamagedError("The stored file is damaged: its digest has changed. Upload it again.")
        return path

    def remove(self, sha256: str) -> None:
        """Forget the bytes of this digest; it is no error if they are not there."""
        self._home(sha256).unlink(missing_ok=True)

    def sweep(self, older_than_seconds: float) -> None:
        """Remove unfinished files that nobody writes to any more (their process died)."""
        for path in self.unfinished.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > older_than_seconds:
                    path.unlink()

    def _home(self, sha256: str) -> Path:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise NotFoundError("A stored file is named by a SHA-256.")
        return self.folder / sha256[:2] / sha256


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

    def keep(self) -> str:
        """Make the bytes durable and give them their name.

        Returns:
            Their SHA-256, hex.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        sha256 = self._digest.hexdigest()
        home = self.store._home(sha256)
        home.parent.mkdir(exist_ok=True)
        self.path.replace(home)
        _sync_folder(home.parent)
        return sha256


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
