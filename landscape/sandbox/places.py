"""The files that Python, torch and a CUDA driver need in order to run; nothing of the installation's data."""

import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

_SYSTEM = (
    "/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo",
    "/usr/share/locale", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/localtime", "/etc/ssl/openssl.cnf",
    "/dev/urandom", "/dev/random", "/dev/zero", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
    "/proc/sys/vm/overcommit_memory", "/proc/self/maps", "/proc/self/status", "/proc/self/stat", "/proc/self/statm",
    "/proc/self/fd", "/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/kernel/mm/transparent_hugepage",
)  # fmt: skip
_CUDA = (
    "/proc/driver/nvidia", "/proc/devices", "/proc/modules", "/proc/self/task", "/sys/bus/pci", "/sys/devices",
    "/sys/module/nvidia", "/usr/local/cuda", "/usr/share/nvidia", "/etc/nvidia",
)  # fmt: skip
NULL = Path("/dev/null")


def of_the_system(*, gpu: bool) -> tuple[Path, ...]:
    """Files and folders outside of Python's that may be read, those that exist."""
    return tuple(path for path in map(Path, (*_SYSTEM, *(_CUDA if gpu else ()))) if path.exists())


def of_python() -> tuple[Path, ...]:
    """The folders of the interpreter, of its libraries, and of the packages that are loaded from elsewhere.

    The folder that a program was started in counts if it is on `sys.path`: `python -I` leaves it out.
    """
    found = dict.fromkeys(path for path in _folders() if path.exists() and path != Path("/"))
    return tuple(path for path in found if not any(above in found for above in path.parents))


def _folders() -> Iterator[Path]:
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix} - {"/usr", "/usr/local"}  # those hold more than Python
    yield from map(Path, (*prefixes, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sys.executable))
    yield from map(Path, (*site.getsitepackages(), *filter(None, sys.path)))
    for name, module in tuple(sys.modules.items()):  # a source tree that is installed in place is not on sys.path
        if "." not in name:
            yield from map(Path, getattr(module, "__path__", ()))


def devices() -> tuple[Path, ...]:
    """The devices of a CUDA driver."""
    return (*Path("/dev").glob("nvidia*"), *Path("/dev").glob("nvidia-caps/*"))
