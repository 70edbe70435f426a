"""All walls together, in the order in which each can still be raised."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from . import kernel, landlock, limits, places, seccomp, user


@dataclass(frozen=True)
class Walls:
    """What a process keeps: limits, and files beyond those that Python and torch need."""

    memory: int | None = None  # bytes of private writable memory; neither reserved addresses nor files read by mapping
    address_space: int | None = None  # bytes of addresses, reserved or used
    cpu_seconds: int | None = None  # of computing, all threads together; then SIGXCPU
    file_bytes: int = 0  # largest file that may be written
    readable: tuple[Path, ...] = ()  # files and folders
    writable: tuple[Path, ...] = ()
    gpu: bool = False  # a CUDA driver: its devices, and what it asks of the kernel


def raise_walls(walls: Walls) -> tuple[str, ...]:
    """Give up, for good, everything that computing does not need.

    To be called while the process has one thread: Landlock and capabilities bind the thread that asks and those it
    starts. Open descriptors stay open; none should be a socket that can be sent to an address.

    Returns:
        The names of the walls that hold now, of "limits", "user" or "capabilities", "landlock", "seccomp". "user" is an
        account of its own without capabilities; "capabilities" stands where the account had to stay: the process was
        not root, or Python's files can be read by root only. A wall that this machine lacks is left out.
    """
    alone = not kernel.LINUX or kernel.threads() == 1
    readable = (*places.of_python(), *walls.readable)
    allowed = [(places.NULL, landlock.WRITE)]
    allowed += [(path, landlock.READ) for path in (*places.of_the_system(gpu=walls.gpu), *readable)]
    allowed += [(path, landlock.WRITE) for path in walls.writable]
    allowed += [(path, landlock.USE_DEVICE) for path in places.devices() if walls.gpu]
    with contextlib.suppress(kernel.MissingError):
        kernel.prctl(kernel.NO_NEW_PRIVILEGES, 1)
    limits.set_limits(walls.memory, walls.address_space, walls.cpu_seconds, walls.file_bytes)
    user.drop_bounding()
    own = user.others_can_read(readable) and user.lesser_user()
    powerless = user.drop_capabilities()
    with contextlib.suppress(kernel.MissingError):
        kernel.prctl(kernel.DUMPABLE, 0)  # its memory and /proc belong to root; a change of account has reset this
    locked = landlock.restrict(allowed)
    filtered = seccomp.allow_only_computing(reading_only=not locked, gpu=walls.gpu)
    holding = {"limits": True, "user": own, "capabilities": powerless and alone and not own}
    holding |= {"landlock": locked and alone, "seccomp": filtered}
    return tuple(name for name, holds in holding.items() if holds)


def available() -> tuple[str, ...]:
    """The names of the walls that this machine can raise around a process of this account; nothing is raised."""
    own = user.is_root() and user.others_can_read(places.of_python())
    able = {"limits": True, "user": own, "capabilities": kernel.LINUX and not own}
    able |= {"landlock": landlock.version() > 0, "seccomp": seccomp.supported()}
    return tuple(name for name, can in able.items() if can)
