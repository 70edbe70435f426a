"""The seccomp wall: a list of allowed system calls for all threads; any other is unknown to the process (ENOSYS).

So the C library falls back where it can (`clone3` to `clone`), and an attack finds a kernel without the call.
"""

import ctypes
import os
import struct
from collections.abc import Iterable

from . import kernel
from .bpf import Check, program
from .calls import ARCHITECTURES, CHECKED, PLAIN, SECCOMP, checks

_SET_FILTER, _ALL_THREADS, _ASK_ACTION = 1, 1, 2


def supported() -> bool:
    """Whether this kernel filters system calls, and we know the numbers of its calls."""
    if not kernel.LINUX or kernel.MACHINE not in ARCHITECTURES:
        return False
    try:
        kernel.call(SECCOMP[kernel.MACHINE], _ASK_ACTION, 0, ctypes.create_string_buffer(struct.pack("I", 1 << 31), 4))
    except kernel.MissingError:
        return False
    return True


def filter_for(machine: str, *, reading_only: bool, gpu: bool) -> bytes:
    """The program for an architecture, eight bytes per instruction."""
    column = list(ARCHITECTURES).index(machine)
    conditions = checks(os.getpid(), reading_only=reading_only, gpu=gpu)
    calls: dict[int, Iterable[Check]] = {}
    for name, numbers in (PLAIN | CHECKED).items():
        if name == "read" or numbers[column]:  # the number 0 is that of `read` on x86_64
            calls[numbers[column]] = conditions.get(name, ())
    return program(ARCHITECTURES[machine], calls)


def allow_only_computing(*, reading_only: bool, gpu: bool) -> bool:
    """Put the filter on every thread of this process, which has given up new privileges; false where it can't be."""
    if not supported():
        return False
    text = filter_for(kernel.MACHINE, reading_only=reading_only, gpu=gpu)
    content = ctypes.create_string_buffer(text, len(text))
    described = ctypes.create_string_buffer(struct.pack("HP", len(text) // 8, ctypes.addressof(content)))
    try:
        return kernel.call(SECCOMP[kernel.MACHINE], _SET_FILTER, _ALL_THREADS, described) == 0
    except kernel.MissingError:
        return False
