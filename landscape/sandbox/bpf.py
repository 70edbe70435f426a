"""Programs of the kernel's packet filter that decide on system calls: a small assembler.

A program sees `struct seccomp_data`: the number of the call at byte 0, the architecture at 4, six arguments of 64 bits
from 16.
Source: https://docs.kernel.org/userspace-api/seccomp_filter.html and <linux/bpf_common.h>.
"""

import errno
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000 | errno.ENOSYS, 0x80000000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
OTHER_NUMBERS = 0x40000000  # from here on x86_64 counts the calls of x32

Instruction = tuple[int, int, int, int]  # operation, jump if true, jump if false, constant


@dataclass(frozen=True)
class Check:
    """A condition on an argument: its bits under the mask are one of the values.

    Only 32 bits are seen, enough for what the kernel takes as an int; of a pointer both halves are asked.
    """

    argument: int  # 0 to 5
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    high: bool = False  # the upper 32 bits


def program(architecture: int, calls: Mapping[int, Iterable[Check]]) -> bytes:
    """The filter that allows calls, by number, whose checks all hold, and refuses others as unknown (ENOSYS).

    A call by the numbers of another architecture ends the process.
    """
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in _instructions(architecture, calls))


def _instructions(architecture: int, calls: Mapping[int, Iterable[Check]]) -> Iterator[Instruction]:
    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _EQUAL, 1, 0, architecture
    yield _RETURN, 0, 0, KILL
    yield _LOAD, 0, 0, _NUMBER
    yield _AT_LEAST, 0, 1, OTHER_NUMBERS
    yield _RETURN, 0, 0, KILL
    for number, checks in calls.items():
        block = [instruction for check in checks for instruction in _checked(check)] + [(_RETURN, 0, 0, ALLOW)]
        yield _EQUAL, 0, len(block), number
        yield from block
    yield _RETURN, 0, 0, REFUSE


def _checked(check: Check) -> Iterator[Instruction]:
    """Go on behind these instructions if the check holds, else refuse."""
    yield _LOAD, 0, 0, _ARGUMENTS + 8 * check.argument + 4 * check.high  # both architectures are little-endian
    yield _AND, 0, 0, check.mask
    for left in range(len(check.values), 0, -1):
        yield _EQUAL, left, 0, check.values[-left]
    yield _RETURN, 0, 0, REFUSE
