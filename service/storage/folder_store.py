"""A store in a folder: files named by their digest, on this machine or on a volume that all machines share."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from landscape.disk import digest_of, move_durably

from ..errors import DamagedError, NotFoundError
from .files import require_digest
from .store import DAMAGED, GONE, Store, StoredFile


class FolderStore(Store):
    """One file `<first two characters>/<sha256>` for each stored file."""

    def __init__(self, folder: Path, *, max_bytes: int, min_free_bytes: int = 0):
        super().__init__(folder, max_bytes=max_bytes, min_free_bytes=min_free_bytes)
        self.folder = folder

    def path(self, sha256: str) -> Path:
        path = self._path_of(sha256)
        if not path.is_file():
            raise NotFoundError(GONE)
        if digest_of(path) != sha256:
            raise DamagedError(DAMAGED)
        return path

    def find(self, sha256: str) -> StoredFile | None:
        return _stored_file(self._path_of(sha256))

    def _remove(self, sha256: str) -> None:
        self._path_of(sha256).unlink(missing_ok=True)

    def stored(self) -> Iterator[StoredFile]:
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            if found := _stored_file(path):
                yield found

    def usable(self) -> bool:
        return os.access(self.unfinished, os.W_OK)

    def _commit(self, path: Path, sha256: str) -> None:
        target = self._path_of(sha256)
        os.utime(path)  # its age counts from now: bytes without a reference yet must not look old
        move_durably(path, target)

    def _path_of(self, sha256: str) -> Path:
        return self.folder / require_digest(sha256)[:2] / sha256


def _stored_file(path: Path) -> StoredFile | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return StoredFile(path.name, facts.st_size, time.time() - facts.st_mtime)
