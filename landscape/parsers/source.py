"""A file that is read by position, never past its end, and never mapped into memory (a file may shrink)."""

import os
from typing import BinaryIO

from ..errors import LandscapeError

BLOCK = 1 << 20


class FileError(LandscapeError):
    """A file that is damaged, inconsistent or not supported; the message is one or two sentences."""

    code = "bad_file"


class Source:
    """Bytes of an open file by position."""

    def __init__(self, file: BinaryIO):
        self._descriptor = file.fileno()
        self.size = os.fstat(self._descriptor).st_size  # bytes

    def read(self, start: int, count: int) -> bytes:
        """Exactly `count` bytes from `start`.

        Raises:
            FileError: the file ends earlier.
        """
        if start < 0 or count < 0 or start + count > self.size:
            raise FileError("The file is damaged: it ends before its contents do. Copy or save it again.")
        parts = []
        while count:
            part = os.pread(self._descriptor, min(count, 64 * BLOCK), start)
            if not part:
                raise FileError("The file became shorter while it was read. Copy it again.")
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def printable(text: str, length: int = 60) -> str:
    """`text` for a message: on one line, without control characters or lone surrogates, clipped.

    >>> printable("a name\\n with a line break"), printable("weights", 4)
    ('a name with a line break', 'wei…')
    """
    if len(text) <= length and text.isascii() and text.isprintable():
        return text
    clean = "".join(c for c in text[: 4 * length] if c.isprintable()).encode(errors="replace").decode()
    return clean if len(clean) <= length else clean[: length - 1] + "…"
