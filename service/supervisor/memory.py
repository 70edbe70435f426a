"""Memory of a process, and the share of the machine's (`landscape.memory.total`) that workers take."""

import resource
import sys
from pathlib import Path

from landscape.memory import total

__all__ = ["SHARE", "resident", "total"]

SHARE = 0.8  # of the memory, for all workers together


def resident(pid: int | None = None) -> int | None:
    """Resident memory of a process of this machine in bytes, this one by default; None if it is unknown.

    Mapped files (samples, libraries) are not counted: processes share them, and the system can reclaim them.
    """
    try:
        size, mapped = map(int, Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1:3])
    except (OSError, ValueError, IndexError):
        if pid is not None:
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return (size - mapped) * resource.getpagesize()
