"""Calls of the Linux kernel that Python has no function for, by number and with the C library's `prctl`."""

import contextlib
import ctypes
import os
import platform
import signal
import sys

LINUX = sys.platform == "linux"
MACHINE = platform.machine() if sys.maxsize > 1 << 32 else ""  # a 32-bit process has other numbers

_PARENT_DEATH, DUMPABLE, DROP_BOUNDING, NO_NEW_PRIVILEGES, AMBIENT, CLEAR_AMBIENT = (
    1,
    4,
    24,
    38,
    47,
    4,
)  # <linux/prctl.h>


class MissingError(OSError):
    """This kernel does not have the call, or refuses it."""


def call(number: int, *arguments: "int | ctypes.Array[ctypes.c_char] | None") -> int:
    """The result of a system call; every argument goes as a machine word.

    Raises:
        MissingError: the kernel answered with an error.
    """
    return _checked("syscall", ctypes.c_long(number), *map(_word, arguments))


def prctl(option: int, *arguments: int) -> int:
    """The result of `prctl(option, …)`, the missing arguments zero.

    Raises:
        MissingError: the kernel answered with an error.
    """
    given = [*arguments, 0, 0, 0, 0][:4]
    return _checked("prctl", ctypes.c_int(option), *map(ctypes.c_ulong, given))


def _word(
    argument: "int | ctypes.Array[ctypes.c_char] | None",
) -> "ctypes.c_ulong | ctypes.Array[ctypes.c_char] | None":
    return ctypes.c_ulong(argument) if isinstance(argument, int) else argument


def _checked(function: str, *arguments: object) -> int:
    found = getattr(ctypes.CDLL(None, use_errno=True), function, None) if LINUX else None
    if found is None:
        raise MissingError("not Linux")
    found.restype = ctypes.c_long if function == "syscall" else ctypes.c_int
    result = int(found(*arguments))
    if result < 0:
        raise MissingError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def threads() -> int:
    """The number of threads of this process; 0 where it cannot be told."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names only
    except OSError:
        return 0


def die_with_parent() -> None:
    """On Linux the kernel kills this process when the thread that started it ends; to be called behind the walls."""
    with contextlib.suppress(MissingError):
        prctl(_PARENT_DEATH, signal.SIGKILL)
