"""Local copies of bytes stored elsewhere: bounded, verified, shared by all processes of a machine.

Never the only copy of a file: losing a cache costs a download.
"""

import contextlib
import os
from pathlib import Path

from landscape.disk import digest_of
from landscape.disk_cache import evict

from .files import require_digest

_IN_USE_SECONDS = 120.0  # a path that was returned is opened within this time


class Cache:
    """A folder of files named by their digest, at most `max_bytes` of them; the least recently used go first.

    Files used in the last two minutes are never evicted, so that a path that was returned can be opened.
    """

    def __init__(self, folder: Path, max_bytes: int):
        self.folder, self.max_bytes = folder, max_bytes
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, sha256: str) -> Path | None:
        """The verified copy of these bytes; None if there is none, or if it was damaged and is removed.

        Raises:
            NotFoundError: this is not a SHA-256.
        """
        path = self.folder / require_digest(sha256)
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
            if digest_of(path) == sha256:
                return path
            path.unlink()
        return None

    def add(self, path: Path, sha256: str) -> Path:
        """Move in a file whose digest has been verified, after evicting others to make room for it.

        Raises:
            NotFoundError: this is not a SHA-256.
        """
        evict(self.folder, path.stat().st_size, self.max_bytes, spared_seconds=_IN_USE_SECONDS)
        target = self.folder / require_digest(sha256)
        os.utime(path)
        return path.replace(target)

    def remove(self, sha256: str) -> None:
        """Remove a copy; no error if there is none.

        Raises:
            NotFoundError: this is not a SHA-256.
        """
        (self.folder / require_digest(sha256)).unlink(missing_ok=True)
