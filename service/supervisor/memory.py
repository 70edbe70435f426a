"""How much memory a process holds."""

import resource
import sys
from pathlib import Path


def resident(pid: int | None = None) -> int | None:
    """Bytes of memory that a process of this machine holds (this one where absent); None where that is not known.

    Without files it has mapped, which all processes share and the system takes back: samples, libraries.
    """
    try:
        total, mapped = map(int, Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1:3])
    except (OSError, ValueError, IndexError):
        if pid is not None:
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return (total - mapped) * resource.getpagesize()
