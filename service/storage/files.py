"""Files on the local disk: names, locks, and a full disk reported as an error of the service."""

import contextlib
import fcntl
from collections.abc import Iterator
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from typing import IO

from ..errors import NoSpaceError, NotFoundError

BLOCK = 1 << 20  # bytes read or written at a time
DISK_FULL = "Too little disk space is left for this file. Ask the operator to free some."


def require_digest(sha256: str) -> str:
    """Return the digest if it is one.

    Raises:
        NotFoundError: it is not a SHA-256 in hex, so nothing can be stored under it.
    """
    if not is_digest(sha256):
        raise NotFoundError("A stored file is named by a SHA-256.")
    return sha256


def is_digest(name: str) -> bool:
    """Whether this is a SHA-256 in hex."""
    return len(name) == 64 and set(name) <= set("0123456789abcdef")


def blocks_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a block at a time."""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def try_lock(file: IO[bytes]) -> bool:
    """Lock an open file for this process; False if another process holds it. Closing the file or exiting unlocks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def disk_full_as_error() -> Iterator[None]:
    """Report a full disk while bytes arrive as an error of the service; the caller removes its partial file.

    Raises:
        NoSpaceError: in place of an OSError that says so.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT, EFBIG):
            raise NoSpaceError(DISK_FULL) from None
        raise
