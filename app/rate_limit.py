"""A rate limit on wrong tokens, by address, against guessing. It never holds up a right token.

A secret that is sent again is no further guess: a page whose link was revoked asks with it several times.
"""

import threading
import time

from fastapi import Request

from service.errors import TooManyError

from .slots import network_of

ATTEMPTS, WINDOW_SECONDS = 10, 60.0
MOST_ADDRESSES = 10_000


class RateLimit:
    """Different wrong tokens, sessions and links of each address within the last minute."""

    def __init__(self) -> None:
        self._wrong: dict[str, dict[int, float]] = {}  # when each was sent first, by its hash
        self._lock = threading.Lock()

    def count_wrong(self, request: Request, secret: str) -> None:
        """Count a wrong secret of this address, which the caller then refuses.

        Raises:
            TooManyError: it has sent `ATTEMPTS` others within the window; with the seconds to wait.
        """
        address, clock = network_of(request.client.host if request.client else ""), time.monotonic()
        with self._lock:
            if len(self._wrong) > MOST_ADDRESSES:
                self._wrong.clear()
            recent = {one: sent for one, sent in self._wrong.get(address, {}).items() if clock - sent <= WINDOW_SECONDS}
            if len(recent) < ATTEMPTS:
                recent.setdefault(hash(secret), clock)
            self._wrong[address] = recent
            if hash(secret) in recent:
                return
            wait = int(WINDOW_SECONDS - (clock - min(recent.values()))) + 1
        raise TooManyError(
            f"Too many wrong tokens from this address. Send a valid one, or try again in {wait} s.", seconds=wait
        )
