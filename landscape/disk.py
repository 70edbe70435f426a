"""Atomic, durable writes of files, and their digests."""

import hashlib
import os
from pathlib import Path
from typing import IO, Any


def write_durably(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Replace the content of a file atomically: after a crash it is either the old one or the new one.

    Args:
        mode: permissions of the file, before the umask.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.touch(mode)
        with part.open("wb") as file:
            file.write(content)
            sync_file(file)
        move_durably(part, path)
    finally:
        part.unlink(missing_ok=True)


def move_durably(path: Path, target: Path) -> None:
    """Move a file or folder, already synced, to `target`, whose folder is created if missing."""
    if not target.parent.is_dir():
        target.parent.mkdir(exist_ok=True)
        sync_folder(target.parent.parent)
    path.replace(target)
    sync_folder(target.parent)


def sync_file(file: IO[Any]) -> None:
    """Flush what was written to an open file to the disk (fsync)."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to the disk (fsync); not needed on Windows."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(file: Path | IO[bytes]) -> str:
    """SHA-256 of a file, or of the rest of an open one, hex."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return digest_of(opened)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
