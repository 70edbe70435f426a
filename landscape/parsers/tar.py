"""Members of a tar archive in order, without more memory than one of them takes.

Python's tarfile reads headers of any length that a file announces (3 GB of pax headers, in a gzip file of 3 MB), so
only what official archives hold is read here: regular files, and names over 100 characters as pax or GNU store them.
Source: POSIX.1-2017, pax, sections "ustar Interchange Format" and "pax Header Block".
"""

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from .source import BLOCK, FileError

_RECORD = 512  # bytes
MAX_HEADER = 64 << 10  # bytes of a header that precedes a member
_REGULAR, _LONG_NAME, _PAX, _SPARSE = b"0\07", b"L", b"xg", b"S"  # types of members
_DAMAGED = "The archive is damaged. Download it again."
_TOO_LARGE = "The archive is larger than any known data set, or one of its headers is. Download it again."


class Readable(Protocol):
    """What is needed of a file."""

    def read(self, count: int, /) -> bytes:
        """At most `count` bytes; none at the end."""


Content = Callable[[], bytes]  # reads the content of a member; before the next member is asked for


def members(file: Readable, most: int, most_bytes: int, most_together: int) -> Iterator[tuple[str, Content]]:
    """(path, function that reads the content) of every regular file in the archive.

    Args:
        file: the archive, unpacked; it is read from here on, forwards.
        most, most_bytes, most_together: limits on the members, on the bytes of one, and on the bytes of all.

    Raises:
        FileError: the archive is damaged, or over one of these limits.
    """
    archive, name, count = _Forwards(file, most_together), "", 0
    while any(header := archive.take(_RECORD)):
        kind, size = header[156:157], _checked_size(header)
        count += 1
        if count > most or size > (MAX_HEADER if kind in _LONG_NAME + _PAX else most_bytes):
            raise FileError(_TOO_LARGE)
        end = archive.position + size + -size % _RECORD
        if kind == _SPARSE:
            raise FileError(_DAMAGED)
        if kind in _LONG_NAME + _PAX:
            found = archive.take(size)
            name = _text(found) if kind == _LONG_NAME else _pax_path(found) or name
        else:
            if kind in _REGULAR:
                yield name or _path(header), partial(archive.take, size)
            name = ""
        archive.skip_to(end)


class _Forwards:
    """A file that is read once, from the beginning to the end."""

    def __init__(self, file: Readable, most: int):
        self.file, self.most, self.position = file, most + BLOCK, 0  # the headers may have a block

    def take(self, count: int) -> bytes:
        """The next `count` bytes; a FileError if there are fewer, or if too many have been read."""
        if self.position + count > self.most:
            raise FileError(_TOO_LARGE)
        parts = []
        while count:
            try:
                part = self.file.read(min(count, BLOCK))
            except (OSError, EOFError, zlib.error):
                raise FileError(_DAMAGED) from None
            if not part:
                raise FileError(_DAMAGED)
            parts.append(part)
            self.position, count = self.position + len(part), count - len(part)
        return b"".join(parts)

    def skip_to(self, position: int) -> None:
        """Read on to `position` and keep nothing; raises as `take`."""
        while self.position < position:
            self.take(min(BLOCK, position - self.position))


def _checked_size(header: bytes) -> int:
    """Bytes of the content that follows a header, whose checksum is verified."""
    if _octal(header[148:156]) != sum(header[:148]) + 8 * ord(" ") + sum(header[156:]):
        raise FileError(_DAMAGED)
    return _octal(header[124:136])


def _octal(field: bytes) -> int:
    """A number in octal digits; larger ones, stored otherwise, are no known data set's."""
    digits = _text(field)
    if not digits or set(digits) - set("01234567"):
        raise FileError(_DAMAGED)
    return int(digits, 8)


def _path(header: bytes) -> str:
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""  # GNU keeps other things there
    return f"{prefix}/{_text(header[:100])}" if prefix else _text(header[:100])


def _pax_path(content: bytes) -> str:
    """The path in a pax header: lines of a length, a key and a value; others, times for example, don't matter.

    Raises:
        FileError: a line is not as long as it says, or gives the member another size.
    """
    path, at = "", 0
    while at < len(content):
        length, _, rest = content[at:].partition(b" ")
        if not length.isdigit() or len(length) > 6 or not len(length) + 4 <= int(length) <= len(content) - at:
            raise FileError(_DAMAGED)
        key, _, value = rest[: int(length) - len(length) - 2].partition(b"=")
        if key == b"size" or key.startswith(b"GNU.sparse"):
            raise FileError(_DAMAGED)
        path = _text(value) if key == b"path" else path
        at += int(length)
    return path


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("latin-1").strip()
