"""A rate limit on failed logins, by address, against guessing of tokens."""

import time
from collections import deque

from fastapi import Request

from service.errors import TooManyError

ATTEMPTS, WINDOW_SECONDS = 10, 60.0
MOST_ADDRESSES = 10_000


class RateLimit:
    """Failed attempts of each address; after `ATTEMPTS` within the window the next one must wait."""

    def __init__(self) -> None:
        self._failed: dict[str, deque[float]] = {}

    def require(self, request: Request) -> None:
        """Refuse an address with too many failed attempts.

        Raises:
            TooManyError: with the seconds to wait.
        """
        failed = self._failed.get(_address(request), deque())
        while failed and time.monotonic() - failed[0] > WINDOW_SECONDS:
            failed.popleft()
        if len(failed) >= ATTEMPTS:
            wait = int(WINDOW_SECONDS - (time.monotonic() - failed[0])) + 1
            raise TooManyError(f"Too many wrong tokens from this address. Try again in {wait} s.", seconds=wait)

    def note_failure(self, request: Request) -> None:
        """Count a failed attempt of this address."""
        if len(self._failed) > MOST_ADDRESSES:
            self._failed.clear()
        self._failed.setdefault(_address(request), deque(maxlen=ATTEMPTS)).append(time.monotonic())


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
