"""Memory that this process may still take, and that of the machine or the container."""

import contextlib
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
PROC = Path("/proc")


def total() -> int:
    """Bytes of memory of this machine, or fewer if the container or the control group of this process is limited."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_limits()])


def available() -> int:
    """Bytes that this process can still take: of the machine, its control group and its own limit, the least."""
    found = [total() - _used_in_group()]
    if free := _lines(PROC / "meminfo").get("MemAvailable"):
        found.append(free)
    with contextlib.suppress(ImportError):  # of POSIX only
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
        if limit != resource.RLIM_INFINITY:
            found.append(limit - of_process("VmData"))
    return max(0, min(found))


def of_process(name: str) -> int:
    """Bytes of this process by a name of /proc/self/status: "VmData", "VmRSS", "VmHWM"; 0 where that is unknown."""
    return _lines(PROC / "self/status").get(name, 0)


def _limits() -> list[int]:
    return _numbers("memory.max", "memory/memory.limit_in_bytes")


def _used_in_group() -> int:
    """Bytes in use by the control group without what the system can reclaim, if it is limited; else 0."""
    if not _limits():
        return 0
    used = _numbers("memory.current", "memory/memory.usage_in_bytes")
    cached = [
        int(line.split()[1])
        for line in (_text(CGROUP / "memory.stat") or _text(CGROUP / "memory/memory.stat")).splitlines()
        if line.startswith(("inactive_file ", "active_file "))
    ]
    return max(0, min(used, default=0) - sum(cached))


def _numbers(*names: str) -> list[int]:
    """The numbers in files of the control group; "max" and missing files are left out."""
    return [int(text) for text in (_text(CGROUP / name).strip() for name in names) if text.isdigit()]


def _lines(path: Path) -> dict[str, int]:
    """Name -> bytes, of lines such as "MemAvailable:  12 kB"."""
    pairs = (line.split(":") for line in _text(path).splitlines() if line.endswith(" kB"))
    return {name: 1024 * int(value.split()[0]) for name, value in pairs}


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""
