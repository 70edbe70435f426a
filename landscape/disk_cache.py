"""A private, bounded cache of large files that all processes of a user share by mapping them; evicts the oldest first.

A cached file is not trusted: owner and digest are checked at every use. The cache never fails: if nothing can be
stored it returns None, and the caller keeps its own copy.
"""

import contextlib
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from errno import EFBIG, ENOSPC
from pathlib import Path

from .disk import digest_of

logger = logging.getLogger(__name__)

MAX_BYTES = 20 << 30
SPARE = 1 << 30  # bytes that stay free on the disk, or a tenth of it if that is more
LOCK_TIMEOUT = 60.0  # seconds to wait for another process that writes here
_LOCK, _PART = ".lock", ".part"

Write = Callable[[Path], None]


@dataclass(frozen=True)
class DiskCache:
    """Files by key, named `key.digest` with the SHA-256 of their content; keys consist of a–z, 0–9 and "-"."""

    folder: Path
    max_bytes: int = MAX_BYTES

    def find(self, key: str) -> Path | None:
        """The verified file of this key, or None. Another process may evict it before it is opened."""
        try:
            self._require_private()
            return self._whole(key)
        except OSError:
            return None

    def get_or_write(self, key: str, size: int, write: Write) -> Path | None:
        """The file of this key; if there is none, `write` makes it (about `size` bytes), in one process only."""
        try:
            if size > self.max_bytes:
                raise OSError(EFBIG, f"{size} bytes are more than the {self.max_bytes} that may be kept")
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._require_private()
            return self._taken(key, size, write)
        except OSError as error:
            logger.info("samples are not shared between processes: %s", error)
            return None

    def remove(self, beginning: str) -> None:
        """Remove every file whose key starts with `beginning`; existing mappings stay valid."""
        for path in self.folder.glob(f"{beginning}*"):
            with contextlib.suppress(OSError):  # the file belongs to another user
                path.unlink()

    def _taken(self, key: str, size: int, write: Write) -> Path:
        end = time.monotonic() + LOCK_TIMEOUT
        while time.monotonic() < end:
            if found := self._whole(key):
                return found
            with self._alone() as alone:
                if alone and not self._named(key):
                    return self._written(key, size, write)
            time.sleep(0.05)
        raise TimeoutError(f"another process holds {self.folder / _LOCK}")

    def _named(self, key: str) -> list[Path]:
        return sorted(self.folder.glob(f"{key}.*"))

    def _whole(self, key: str) -> Path | None:
        """The file of this key, if its owner and digest are right; a damaged or foreign file is deleted."""
        for path in self._named(key):
            with contextlib.suppress(FileNotFoundError):
                if _is_own(path) and digest_of(path) == path.name.partition(".")[2]:
                    os.utime(path)
                    return path
                path.unlink()
        return None

    def _written(self, key: str, size: int, write: Write) -> Path:
        part = self.folder / _PART  # left behind if a writer died
        part.unlink(missing_ok=True)
        evict(self.folder, size, self.max_bytes)
        disk = shutil.disk_usage(self.folder)
        if disk.free - size < max(SPARE, disk.total // 10):
            raise OSError(ENOSPC, f"too little room is left in {self.folder}")
        try:
            write(part)
            part.chmod(0o400)
            return part.replace(self.folder / f"{key}.{digest_of(part)}")
        finally:
            part.unlink(missing_ok=True)

    def _require_private(self) -> None:
        """Refuse a folder that other users can read or write."""
        facts = self.folder.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
            raise PermissionError(f"{self.folder} is not a folder of this user alone")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Lock the folder against other processes; yields whether that succeeded."""
        import fcntl

        with os.fdopen(os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True


def own_cache() -> DiskCache | None:
    """This user's cache for the shell: `landscape/samples` in the cache folder; None if there is none."""
    if not hasattr(os, "geteuid"):  # Windows, which has no permission bits
        return None
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return DiskCache(caches / "landscape" / "samples")


def evict(folder: Path, size: int, max_bytes: int, *, spared_seconds: float = 0.0) -> None:
    """Remove the least recently used files until `size` more bytes fit; hidden and just-used files stay."""
    kept = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if not path.name.startswith("."):
                facts = path.stat()
                kept.append((facts.st_mtime, facts.st_size, path))
    total = size + sum(own for _, own, _ in kept)
    for used, own, path in sorted(kept):
        if total <= max_bytes or time.time() - used < spared_seconds:
            return
        path.unlink(missing_ok=True)
        total -= own


def _is_own(path: Path) -> bool:
    facts = path.lstat()
    return stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid()
