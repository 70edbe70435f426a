"""All walls together, in the order in which each can still be raised."""

import contextlib
import os
from dataclasses import dataclass

from . import kernel, landlock, limits, places, seccomp, user


@dataclass(frozen=True)
class Walls:
    """What a process keeps besides the files that Python and torch read; other files it gets as open descriptors."""

    memory: int | None = None  # bytes of private writable memory; neither reserved addresses nor files read by mapping
    cpu_seconds: int | None = None  # of computing, all threads together; then SIGXCPU
    file_bytes: int = 0  # largest file that may be written; pipes and sockets do not count
    gpu: bool = False  # a CUDA driver: its devices, and what it asks of the kernel


def raise_walls(walls: Walls) -> tuple[str, ...]:
    """Give up, for good, everything that computing does not need.

    To be called while the process has one thread: Landlock and capabilities bind the thread that asks and those it
    starts. Open descriptors stay open; none should be a socket that can be sent to an address. `PR_SET_PDEATHSIG` is
    cleared with the account: see `die_with_parent`.

    Returns:
        The names of the walls that hold now, of "limits", "user" or "capabilities", "landlock", "seccomp". "user" is an
        account of its own without capabilities; "capabilities" stands where the account had to stay: the process was
        not root, or Python's files can be read by root only. A wall that this machine lacks is left out.
    """
    alone = not kernel.LINUX or kernel.threads() == 1
    python = places.of_python()
    allowed = [(places.NULL, landlock.WRITE)]
    allowed += [(path, landlock.READ) for path in (*places.of_the_system(gpu=walls.gpu), *python)]
    allowed += [(path, landlock.USE_DEVICE) for path in places.devices() if walls.gpu]
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = "/"  # torch makes a folder when it is asked for shapes, unless it exists
    with contextlib.suppress(kernel.MissingError):
        kernel.prctl(kernel.NO_NEW_PRIVILEGES, 1)
    limits.set_limits(memory=walls.memory, cpu_seconds=walls.cpu_seconds, file_bytes=walls.file_bytes)
    user.drop_bounding()
    own = user.others_can_read(python) and user.lesser_user()
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
