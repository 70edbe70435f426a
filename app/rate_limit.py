"""A rate limit on wrong tokens, by address, against guessing. It never holds up a right token."""

import threading
import time
from collections import deque

from fastapi import Request

from service.errors import TooManyError

ATTEMPTS, WINDOW_SECONDS = 10, 60.0
MOST_ADDRESSES = 10_000


class RateLimit:
    """Wrong tokens, sessions and links of each address within the last minute."""

    def __init__(self) -> None:
        self._wrong: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def count_wrong(self, request: Request) -> None:
        """Count a wrong secret of this address, which the caller then refuses.

        Raises:
            TooManyError: it has sent `ATTEMPTS` within the window already; with the seconds to wait.
        """
        address, clock = request.client.host if request.client else "", time.monotonic()
        with self._lock:
            if len(self._wrong) > MOST_ADDRESSES:
                self._wrong.clear()
            wrong = self._wrong.setdefault(address, deque())
            while wrong and clock - wrong[0] > WINDOW_SECONDS:
                wrong.popleft()
            if len(wrong) < ATTEMPTS:
                wrong.append(clock)
                return
            wait = int(WINDOW_SECONDS - (clock - wrong[0])) + 1
        raise TooManyError(
            f"Too many wrong tokens from this address. Send a valid one, or try again in {wait} s.", seconds=wait
        )
