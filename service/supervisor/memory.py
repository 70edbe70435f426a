"""Memory: of a process, and of the machine or the container."""

import contextlib
import os
import resource
import sys
from pathlib import Path

SHARE = 0.8  # of the memory, for all workers together


def total() -> int:
    """Bytes of memory of this machine, or fewer if the container or the control group of this process is limited."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max", or no such file
            found.append(int((Path("/sys/fs/cgroup") / name).read_text()))
    return min(found)


def resident(pid: int | None = None) -> int | None:
    """Resident memory of a process of this machine in bytes, this one by default; None if it is unknown.

    Mapped files (samples, libraries) are not counted: processes share them, and the system can reclaim them.
    """
    try:
        total, mapped = map(int, Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1:3])
    except (OSError, ValueError, IndexError):
        if pid is not None:
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return (total - mapped) * resource.getpagesize()
