"""The filters of both architectures, run by a slow interpreter of the instructions that they use."""

import os
import struct

import pytest

from landscape.sandbox.bpf import ALLOW, KILL, REFUSE
from landscape.sandbox.calls import ARCHITECTURES, CHECKED, PLAIN
from landscape.sandbox.seccomp import filter_for

MACHINES = ("x86_64", "aarch64")
OTHER = 0x40000003  # i386


def verdict(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    data = struct.pack("IIQ6Q", number, architecture, 0, *[*arguments, 0, 0, 0, 0, 0, 0][:6])
    code, at, value = list(struct.iter_unpack("HBBI", program)), 0, 0
    while True:
        operation, if_true, if_false, constant = code[at]
        at += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("I", data, constant)
        elif operation == 0x54:
            value &= constant
        elif operation == 0x06:
            return constant
        else:
            holds = {0x15: value == constant, 0x35: value >= constant}[operation]
            at += if_true if holds else if_false


@pytest.mark.parametrize("machine", MACHINES)
def test_only_calls_of_the_list_are_allowed_and_only_of_this_architecture(machine: str) -> None:
    column, architecture = MACHINES.index(machine), ARCHITECTURES[machine]
    program = filter_for(machine, reading_only=True, gpu=False)
    plain = {numbers[column] for name, numbers in PLAIN.items() if numbers[column] or name == "read"} - {0}
    checked = {numbers[column] for numbers in CHECKED.values()} - {0}
    for number in range(1, 600):
        if number not in checked:
            assert verdict(program, architecture, number) == (ALLOW if number in plain else REFUSE)
        assert verdict(program, OTHER, number) == KILL
        assert verdict(program, architecture, 0x40000000 | number) == KILL
    assert verdict(program, architecture, 0) == (ALLOW if machine == "x86_64" else REFUSE)  # read; io_setup


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("call", "arguments", "allowed"),
    [
        ("openat", (0, 1, os.O_RDONLY | os.O_CLOEXEC), True),
        ("openat", (0, 1, os.O_RDWR), False),
        ("openat", (0, 1, os.O_CREAT), False),
        ("clone", (0x3D0F00,), True),  # as the C library starts a thread
        ("clone", (17,), False),  # SIGCHLD: fork
        ("clone", (0x3D0F00 | 0x10000000,), False),  # CLONE_NEWUSER
        ("clone", (0x4100,), False),  # CLONE_VFORK | CLONE_VM
        ("tgkill", (os.getpid(), 7, 6), True),
        ("tgkill", (os.getpid() + 1, 7, 6), False),
        ("prlimit64", (0,), True),
        ("prlimit64", (1,), False),
        ("fcntl", (3, 3), True),
        ("fcntl", (3, 8), False),  # F_SETOWN
        ("ioctl", (3, 0x5421), True),
        ("ioctl", (3, 0x5412), False),  # TIOCSTI
        ("sendto", (3, 1, 1, 0, 0), True),
        ("sendto", (3, 1, 1, 0, 0x10), False),
        ("sendto", (3, 1, 1, 0, 0x10 << 32), False),
        ("mmap", (0, 1, 3, 0x22), True),  # private and anonymous
        ("mmap", (0, 1, 3, 0x21), False),
        ("prctl", (15,), True),
        ("prctl", (4,), False),  # PR_SET_DUMPABLE
    ],
)
def test_arguments_decide_where_they_must(machine: str, call: str, arguments: tuple[int, ...], allowed: bool) -> None:
    program = filter_for(machine, reading_only=True, gpu=False)
    found = verdict(program, ARCHITECTURES[machine], CHECKED[call][MACHINES.index(machine)], *arguments)
    assert found == (ALLOW if allowed else REFUSE)


@pytest.mark.parametrize("machine", MACHINES)
def test_files_may_be_opened_for_writing_where_landlock_says_which(machine: str) -> None:
    program = filter_for(machine, reading_only=False, gpu=False)
    number = CHECKED["openat"][MACHINES.index(machine)]
    assert verdict(program, ARCHITECTURES[machine], number, 0, 1, os.O_RDWR | os.O_CREAT) == ALLOW
