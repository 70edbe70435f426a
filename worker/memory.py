"""How much memory a process holds, and which errors mean that there is none left, or that the GPU is lost.

Imports torch only where an error is judged. Never frees anything.
"""

import resource
import sys
from pathlib import Path

_LOST = ("device-side assert", "CUDA error", "unspecified launch failure", "uncorrectable ECC")
_FULL = ("can't allocate memory", "not enough memory", "Unable to allocate", "out of memory")


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the machine or of the GPU; the process itself is whole."""
    import torch

    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or (isinstance(error, RuntimeError) and any(word in str(error) for word in _FULL))


def is_beyond_repair(error: BaseException) -> bool:
    """Whether this process can use its GPU no more: every later call would fail, whatever it computes."""
    import torch

    if is_out_of_memory(error):
        return False
    lost = isinstance(error, RuntimeError) and any(word in str(error) for word in _LOST)
    return lost or isinstance(error, torch.AcceleratorError)
