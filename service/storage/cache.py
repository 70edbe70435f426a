"""Local copies of stored bytes for a store that is elsewhere: bounded, verified, shared by all processes of a machine.

Imports store and landscape.disk_cache. Never the only place where something lies: losing a cache costs a download.
"""

import contextlib
import os
from pathlib import Path

from landscape.disk_cache import make_room

from .store import is_whole, require_digest

_IN_USE_SECONDS = 120.0  # a path just handed out is opened within this time


class Cache:
    """A folder of files named by their digest, at most `max_bytes` of them; those used last stay.

    What was used in the last two minutes stays in any case, so that a path handed out can be opened.
    """

    def __init__(self, folder: Path, max_bytes: int):
        self.folder, self.max_bytes = folder, max_bytes
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, sha256: str) -> Path | None:
        """The copy of these bytes, compared with their digest; None where there is none, or no longer a true one."""
        path = self.folder / require_digest(sha256)
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
            if is_whole(path, sha256):
                return path
            path.unlink()
        return None

    def take(self, path: Path, sha256: str) -> Path:
        """Move a file in whose digest is known to be right, and others out to make room."""
        make_room(self.folder, path.stat().st_size, self.max_bytes, spared_seconds=_IN_USE_SECONDS)
        home = self.folder / require_digest(sha256)
        os.utime(path)
        return path.replace(home)

    def forget(self, sha256: str) -> None:
        """Remove a copy; it is no error if there is none."""
        (self.folder / require_digest(sha256)).unlink(missing_ok=True)
