"""Files on disk: replaced in one step that a crash cannot leave half done, and their digests."""

import hashlib
import os
from pathlib import Path
from typing import IO, Any


def write_durably(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Replace the content of a file: after a crash of the process or the machine it is the old one or the new one.

    Args:
        mode: permissions of the file, less those that the umask takes away.
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
    """Move a file or folder, whose content is durable, to its name in a folder that is made where it is missing."""
    if not target.parent.is_dir():
        target.parent.mkdir(exist_ok=True)
        sync_folder(target.parent.parent)
    path.replace(target)
    sync_folder(target.parent)


def sync_file(file: IO[Any]) -> None:
    """Make what was written to an open file durable."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; Windows does so by itself."""
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
