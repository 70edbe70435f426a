"""Zip archives whose directory, local headers, sizes and checksums agree; anything ambiguous is refused.

Two programs must never see different archives in one file: there is one directory, at the very end, its entries have
unique names and offsets, and the file contains nothing else but padding.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .source import BLOCK, FileError, Source, printable

MAX_ENTRIES, MAX_DIRECTORY = 20_000, 16 << 20  # bytes; names of 800 characters for as many entries
STORED, DEFLATED = 0, 8
_DAMAGED = "The zip archive is damaged: {}. Copy or save the file again."
_ENCRYPTED, _DESCRIPTOR = 0x1, 0x8
_END, _END64, _LOCATOR = 22, 56, 20  # bytes of the records at the end
_BIG = 0xFFFFFFFF


@dataclass(frozen=True)
class Entry:
    """One member: its position, sizes and checksum."""

    name: str
    method: int
    crc: int
    packed: int  # bytes in the file
    size: int  # bytes unpacked
    header: int  # position of the local header
    start: int  # position of the first byte of the content


class Archive:
    """The members of a zip file by name.

    Raises:
        FileError: the file is not a zip archive, or is an ambiguous one.
    """

    def __init__(self, source: Source, *, compressed: bool, most: int):
        """
        Args:
            compressed: whether deflated members are allowed; otherwise stored ones only.
            most: limit in bytes on all members together, unpacked.
        """
        self.source = source
        start, size, count = _directory(source)
        self.entries = _entries(source, start, size, count)
        _require_apart(list(self.entries.values()), start)
        self._require_kinds(compressed, most)

    def _require_kinds(self, compressed: bool, most: int) -> None:
        for entry in self.entries.values():
            if entry.method not in ((STORED, DEFLATED) if compressed else (STORED,)):
                raise FileError(
                    f"Entry {printable(entry.name)!r} of the zip archive is compressed in a way that is not read. "
                    "Save the file again with its own library, without another compression."
                )
            if entry.method == STORED and entry.packed != entry.size:
                raise FileError(_DAMAGED.format(f"entry {printable(entry.name)!r} has two sizes"))
        total = sum(entry.size for entry in self.entries.values())
        if total > most:
            raise FileError(f"The archive holds {total} bytes unpacked; at most {most} are read.")

    def read(self, name: str, most: int) -> bytes:
        """The whole content of a member, its checksum verified.

        Raises:
            FileError: it has more than `most` bytes, or as `blocks`.
        """
        size = self.entries[name].size
        if size > most:
            raise FileError(f"Entry {printable(name)!r} of the archive has {size} bytes; at most {most} are read.")
        return b"".join(self.blocks(name))

    def blocks(self, name: str) -> Iterator[bytes]:
        """The content of a member piece by piece; the checksum is verified at the end.

        Raises:
            FileError: more or fewer bytes than declared, or another checksum.
        """
        entry, crc, total = self.entries[name], 0, 0
        for block in _unpacked(self.source, entry):
            crc, total = zlib.crc32(block, crc), total + len(block)
            if total > entry.size:
                break
            yield block
        if total != entry.size:
            raise FileError(_DAMAGED.format(f"entry {printable(name)!r} is not as long as it says"))
        if crc != entry.crc:
            raise FileError(_DAMAGED.format(f"entry {printable(name)!r} does not match its checksum"))

    def verify(self) -> None:
        """Read every member once and compare its checksum; raises as `blocks`."""
        for name in self.entries:
            for _ in self.blocks(name):
                pass


def _unpacked(source: Source, entry: Entry) -> Iterator[bytes]:
    """The content in blocks of at most `BLOCK` bytes, however much a packed one holds."""
    unpack = zlib.decompressobj(-15) if entry.method == DEFLATED else None
    for start in range(entry.start, entry.start + entry.packed, BLOCK):
        block = source.read(start, min(BLOCK, entry.start + entry.packed - start))
        if unpack is None:
            yield block
            continue
        while block:
            try:
                yield unpack.decompress(block, BLOCK)
            except zlib.error:
                raise FileError(_DAMAGED.format(f"entry {printable(entry.name)!r} cannot be unpacked")) from None
            block = unpack.unconsumed_tail
    if unpack is not None:
        yield unpack.flush()  # less than one match: its bytes were read, but had no place in the last block


def _directory(source: Source) -> tuple[int, int, int]:
    """(start, size, entries) of the central directory, which must end where the end records start."""
    if source.size < _END:
        raise FileError(_DAMAGED.format("it is too short"))
    end = source.size - _END
    signature, *plain, comment = struct.unpack("<4s4H2LH", source.read(end, _END))
    if signature != b"PK\x05\x06" or comment:
        raise FileError(_DAMAGED.format("its directory is not at the end"))
    numbers = plain
    if end >= _LOCATOR + _END64 and source.read(end - _LOCATOR, 4) == b"PK\x06\x07":
        end -= _LOCATOR + _END64
        numbers = _large_end(source, end)
        _require_same(plain, numbers)
    disk, first_disk, here, count, size, start = numbers
    if (disk, first_disk, here) != (0, 0, count):
        raise FileError(_DAMAGED.format("it is spread over several files"))
    if count > MAX_ENTRIES:
        raise FileError(f"The zip archive has {count} entries; at most {MAX_ENTRIES} are read.")
    if start + size != end:
        raise FileError(_DAMAGED.format("its directory is not where it says"))
    if size > MAX_DIRECTORY:
        raise FileError(f"The directory of the zip archive has {size} bytes; at most {MAX_DIRECTORY} are read.")
    return start, size, count


def _large_end(source: Source, end: int) -> list[int]:
    """The six numbers of zip64's end record at `end`; its locator follows and must point to it."""
    signature, length, *_ = struct.unpack("<4sQ2H", record := source.read(end, 16))
    _, disk, place, disks = struct.unpack("<4sLQL", source.read(end + _END64, _LOCATOR))
    if signature != b"PK\x06\x06" or length != _END64 - 12 or (disk, place, disks) != (0, end, 1):
        raise FileError(_DAMAGED.format("its directory is not at the end"))
    return list(struct.unpack("<2L4Q", source.read(end + len(record), _END64 - len(record))))


def _require_same(plain: list[int], large: list[int]) -> None:
    """Require that the plain end record agrees with zip64's in every number that does not refer to it.

    Raises:
        FileError: a program that reads the other record would see another archive.
    """
    for number, other, refers in zip(plain, large, (0xFFFF,) * 4 + (_BIG,) * 2, strict=True):
        if number not in (other, refers):
            raise FileError(_DAMAGED.format(f"its two end records contradict each other, {number} and {other}"))


def _entries(source: Source, start: int, size: int, count: int) -> dict[str, Entry]:
    directory, position = source.read(start, size), 0
    entries: dict[str, Entry] = {}
    for _ in range(count):
        entry, position = _entry(source, directory, position)
        if entry.name in entries:
            raise FileError(_DAMAGED.format(f"entry {printable(entry.name)!r} is there twice"))
        entries[entry.name] = entry
    if position != size:
        raise FileError(_DAMAGED.format("its directory is longer than its entries"))
    return entries


def _entry(source: Source, directory: bytes, at: int) -> tuple[Entry, int]:
    """One entry of the directory, and the position after it."""
    if len(directory) < at + 46 or directory[at : at + 4] != b"PK\x01\x02":
        raise FileError(_DAMAGED.format("its directory breaks off"))
    flags, method, crc, packed, size, named, extra, comment, disk, _, attributes, header = struct.unpack(
        "<HH4xL2L3H2HLL", directory[at + 8 : at + 46]
    )
    after = at + 46 + named + extra + comment
    name = _name(directory[at + 46 : at + 46 + named])
    if after > len(directory) or disk or flags & _ENCRYPTED or (attributes >> 16) & 0o170000 == 0o120000:
        raise FileError(_DAMAGED.format(f"entry {printable(name)!r} is encrypted, a link or cut off"))
    packed, size, header = _large(directory[at + 46 + named : at + 46 + named + extra], packed, size, header)
    entry = Entry(name, method, crc, packed, size, header, 0)
    return replace(entry, start=_content(source, entry)), after


def _name(raw: bytes) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise FileError(_DAMAGED.format("a name in it is not text")) from None
    if not name or name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/") or name[1:2] == ":":
        raise FileError(f"The zip archive has an entry called {printable(name)!r}, which names a place outside of it.")
    return name


def _large(extra: bytes, packed: int, size: int, header: int) -> tuple[int, int, int]:
    """Sizes and positions over 4 GiB, from the zip64 field: size, packed size, position, each only if needed."""
    numbers, at = b"", 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack("<2H", extra[at : at + 4])
        if kind == 1:
            numbers = extra[at + 4 : at + 4 + length]
        at += 4 + length
    found = []
    for number in (size, packed, header):
        if number == _BIG and len(numbers) >= 8:
            number, numbers = struct.unpack("<Q", numbers[:8])[0], numbers[8:]
        found.append(number)
    return found[1], found[0], found[2]


def _content(source: Source, entry: Entry) -> int:
    """Position of the content, after checking that the local header agrees with the directory."""
    name, at = entry.name, entry.header
    signature, flags, method, crc, packed, size, named, extra = struct.unpack("<4s2xHH4x3LHH", source.read(at, 30))
    if signature != b"PK\x03\x04" or method != entry.method or flags & _ENCRYPTED:
        raise FileError(_DAMAGED.format(f"the header of entry {printable(name)!r} does not fit"))
    if source.read(at + 30, named) != name.encode():
        raise FileError(_DAMAGED.format(f"entry {printable(name)!r} has two names"))
    packed, size, _ = _large(source.read(at + 30 + named, extra), packed, size, 0)
    if not flags & _DESCRIPTOR and (crc, packed, size) != (entry.crc, entry.packed, entry.size):
        raise FileError(_DAMAGED.format(f"entry {printable(name)!r} has two sizes or checksums"))
    return at + 30 + int(named) + int(extra)


def _require_apart(entries: list[Entry], directory: int) -> None:
    """Require entries to follow each other from byte 0 to the directory, at most a data descriptor apart."""
    position = 0
    for entry in sorted(entries, key=lambda entry: entry.header):
        if not position <= entry.header <= position + 24:
            raise FileError(_DAMAGED.format("its entries overlap or leave gaps"))
        position = entry.start + entry.packed
    if not position <= directory <= position + 24:
        raise FileError(_DAMAGED.format("its entries do not end where its directory begins"))
