"""Fewer rights as a user: an account of its own where the process is root, no capabilities anywhere."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from . import kernel

# Above the ranges that systemd, containers and directories of accounts give out; the process number makes
# two cells of one moment two accounts. The second is for containers with few ids.
_FIRST, _FIRST_OF_FEW, _FEW = 2_000_000_000, 61_184, 4_000
_CAPSET = {"x86_64": 126, "aarch64": 91}
_VERSION_3 = 0x20080522  # <linux/capability.h>


def is_root() -> bool:
    """Whether this process may become another account."""
    return hasattr(os, "setresuid") and os.geteuid() == 0


def lesser_user() -> bool:
    """Give this process an account of its own without groups; false if it is not root or there are no such ids."""
    if not is_root():
        return False
    for number in (_FIRST + os.getpid(), _FIRST_OF_FEW + os.getpid() % _FEW):
        try:
            os.setgroups([])
            os.setresgid(number, number, number)
            os.setresuid(number, number, number)
        except OSError:
            continue
        return True
    return False


def drop_bounding() -> None:
    """Give up every capability that a program started later could get; only root can."""
    for number in range(64):
        try:
            kernel.prctl(kernel.DROP_BOUNDING, number)
        except kernel.MissingError:
            return


def drop_capabilities() -> bool:
    """Give up every capability of this thread; false where the kernel has none."""
    if kernel.MACHINE not in _CAPSET:
        return False
    header = ctypes.create_string_buffer(struct.pack("Ii", _VERSION_3, 0))
    try:
        kernel.prctl(kernel.AMBIENT, kernel.CLEAR_AMBIENT)
        kernel.call(_CAPSET[kernel.MACHINE], header, ctypes.create_string_buffer(24))
    except kernel.MissingError:
        return False
    return True


def others_can_read(paths: Iterable[Path]) -> bool:
    """Whether an account without rights of its own can read these files, and list and enter these folders."""
    return all(_open_to_all(path.resolve()) for path in paths if path.exists())


def _open_to_all(path: Path) -> bool:
    needed = 0o005 if path.is_dir() else 0o004
    entered = all(parent.stat().st_mode & 0o001 for parent in path.parents)
    return entered and path.stat().st_mode & needed == needed
