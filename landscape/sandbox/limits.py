"""Limits on memory, computing and files that a process sets on itself (setrlimit) and cannot raise again."""

import contextlib
import resource
import signal

NICE = 10  # of processes that read or compute: where cores are scarce, a service answers first
HARD_EXTRA = 1  # s of computing between the signal that names the reason and the end by force


def thread_variables(count: int) -> dict[str, str]:
    """The environment variables with which a new process computes in so many threads."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(count))


def set_limits(*, memory: int | None, cpu_seconds: int | None, file_bytes: int) -> None:
    """Set the limits that are given; one that is already lower stays. No dumps of memory are written.

    Args:
        memory: bytes of private writable memory: neither reserved addresses nor read-only maps of files count.
        cpu_seconds: of computing, all threads together; then the process gets SIGXCPU, which ends it.
        file_bytes: most bytes of a written file; pipes and sockets do not count. Writing more raises OSError (EFBIG).
    """
    _lower(resource.RLIMIT_CORE, 0, 0)
    _lower(resource.RLIMIT_FSIZE, file_bytes, file_bytes)
    if memory is not None:
        _lower(resource.RLIMIT_DATA, memory, memory)
    if cpu_seconds is not None:
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        _lower(resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + HARD_EXTRA)


def _lower(kind: int, soft: int, hard: int) -> None:
    """Set a limit unless a lower one is set already; macOS refuses some."""
    _, now = resource.getrlimit(kind)
    if now != resource.RLIM_INFINITY:
        soft, hard = min(soft, now), min(hard, now)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (soft, hard))


def out_of_computing(exit_status: int, used_seconds: float, cpu_seconds: int | None) -> bool:
    """Whether a process ended because of its limit on computing.

    Args:
        exit_status: as `subprocess.Popen.returncode`: minus the signal that ended it.
        used_seconds: of computing (`os.wait4`); tells the kernel's SIGKILL at the limit from another.
        cpu_seconds: as given to `set_limits`.
    """
    if exit_status == -signal.SIGXCPU:
        return True
    return exit_status == -signal.SIGKILL and cpu_seconds is not None and used_seconds >= cpu_seconds
