"""How many files and connections a process may have open."""

import contextlib
import resource

MOST = 1 << 16  # enough for every limit of the settings; some programs close as many at their start as they may open


def raise_limit() -> int:
    """Raise the usual limit to the one that the system allows at most; processes started from here inherit it.

    Returns:
        The number of files that this process may have open.
    """
    usual, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if allowed == resource.RLIM_INFINITY else min(allowed, MOST)
    if usual != resource.RLIM_INFINITY and usual < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, allowed))
    return limit()


def limit() -> int:
    """The number of files that this process may have open."""
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if usual == resource.RLIM_INFINITY else usual
