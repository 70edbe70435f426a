"""The Landlock wall: which files a process can open, no TCP, no abstract sockets, no signals outwards.

The kernel is asked what it knows (its ABI), and gets all of that. Source: https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from . import kernel

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same number on every architecture
_ASK_VERSION, _BENEATH = 1, 1
# Rights on files (<linux/landlock.h>)
_WRITE, _READ, _LIST, _TRUNCATE, _DEVICE = 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
_OF_A_FILE = 1 << 0 | _WRITE | _READ | _TRUNCATE | _DEVICE
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # by ABI: how many rights there are
_TCP, _SCOPES = 0b11, 0b11  # bind and connect; abstract sockets and signals

READ, WRITE = _READ | _LIST, _READ | _WRITE | _TRUNCATE
USE_DEVICE = _READ | _WRITE | _DEVICE


def version() -> int:
    """The ABI of Landlock in this kernel; 0 without."""
    try:
        return kernel.call(_CREATE, None, 0, _ASK_VERSION)
    except kernel.MissingError:
        return 0


def restrict(allowed: Iterable[tuple[Path, int]]) -> bool:
    """Leave this thread, and those it starts, the given rights beneath paths and no other; false without Landlock.

    Args:
        allowed: a file or folder, and READ, WRITE or USE_DEVICE; what does not exist is passed over.
    """
    abi = version()
    if not abi:
        return False
    known = (1 << _FILE_RIGHTS[min(abi, 5)]) - 1
    try:
        ruleset = kernel.call(_CREATE, *_attributes(abi, known), 0)
        try:
            for path, rights in allowed:
                _allow(ruleset, path, rights & known)
            kernel.call(_RESTRICT, ruleset, 0)
        finally:
            os.close(ruleset)
    except kernel.MissingError:
        return False
    return True


def _attributes(abi: int, rights: int) -> "tuple[ctypes.Array[ctypes.c_char], int]":
    """`struct landlock_ruleset_attr` and its size: what is denied unless a rule allows it."""
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    return ctypes.create_string_buffer(struct.pack("QQQ", rights, _TCP, _SCOPES)[:size], size), size


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights &= -1 if path.is_dir() else _OF_A_FILE
        kernel.call(
            _ADD_RULE, ruleset, _BENEATH, ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor)), 0
        )
    finally:
        os.close(descriptor)
