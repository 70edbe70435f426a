"""Turns of the threads of one process to write to the database, so that few of them wait for it."""

import contextlib
import threading
import time
from collections.abc import Iterator

from ..errors import BusyError

BUSY = "The database is busy: another program has locked it. Try again in a moment."
FEW = 8  # threads that may wait for as long as one waits for the database itself
LONGEST_SECONDS = 30.0


class Turns:
    """One thread at a time writes. While it waits for another program, a few wait with it; the others soon give up.

    Without this, every thread of the API would wait for a locked database, and none would be left for readers.
    """

    def __init__(self, timeout: float | None):
        self._timeout = timeout  # seconds, of all but a few; None: all wait for as long as it takes
        self._free = threading.Condition()
        self._taken: float | None = None  # when the present turn began, by the monotonic clock
        self._waiting = 0

    @contextlib.contextmanager
    def take(self) -> Iterator[None]:
        """Wait for the turn, and hold it for the length of the block.

        Raises:
            BusyError: the present turn takes too long.
        """
        with self._free:
            self._waiting += 1
            try:
                self._wait(time.monotonic() + LONGEST_SECONDS if self._waiting <= FEW else None)
            finally:
                self._waiting -= 1
            self._taken = time.monotonic()
        try:
            yield
        finally:
            with self._free:
                self._taken = None
                self._free.notify()

    def _wait(self, end: float | None) -> None:
        """Wait until it is free; to the `end`, or else until the present turn has taken longer than the timeout."""
        while self._taken is not None:
            if self._timeout is None:
                self._free.wait()
                continue
            left = (self._taken + self._timeout if end is None else end) - time.monotonic()
            if left <= 0:
                raise BusyError(BUSY)
            self._free.wait(left)
