"""Limits on connections and on requests in progress, in total and by address.

There are always fewer connections than files that this process may open. One more than an address may hold takes the
place of the one that has been idle for the longest; where none is idle, it is answered with 429 and closed.
"""

import asyncio
import errno
import logging
import time
from functools import cache
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from service import open_files
from service.errors import ServiceError, TooManyError
from service.settings import Settings

from .guard import HEADERS, refuse
from .schemas import ErrorBody, ErrorDetail
from .slots import Slots, network_of

logger = logging.getLogger(__name__)

SHARES = {"address": 1.0}  # half of all at most: a proxy or a laboratory behind one address needs many
RETRY_SECONDS = 5
_NO_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REPORT_SECONDS = 60.0


class Connection(Protocol):
    """What `Connections` needs of a connection."""

    @property
    def idle(self) -> bool:
        """Whether no request is in progress."""

    def close(self) -> None:
        """Close it."""


class Connections:
    """The open connections of this process."""

    def __init__(self, most: int):
        self._most = most
        self._slots = Slots("connections", most, shares=SHARES)
        self._open: dict[str, dict[Connection, None]] = {}  # by network, the longest idle first

    def admit(self, connection: Connection, address: str) -> ServiceError | None:
        """Count a new connection, after closing an idle one if it is one too many.

        Returns:
            The error to answer with, if it must be closed.
        """
        network = network_of(address)
        holder = [("address", network)]
        refusal = self._slots.refusal(holder)
        if refusal and (idle := self._longest_idle(network)):
            self.remove(idle[0], idle[1])
            idle[0].close()
            refusal = self._slots.refusal(holder)
        if refusal is None:
            self._slots.take(holder)
            self._open.setdefault(network, {})[connection] = None
        return refusal

    def remove(self, connection: Connection, address: str) -> None:
        """Stop counting a connection, if it is counted."""
        network = network_of(address)
        own = self._open.get(network, {})
        if connection in own:
            del own[connection]
            self._slots.release([("address", network)])
            if not own:
                del self._open[network]

    def note_idle(self, connection: Connection, address: str) -> None:
        """A request of this connection has ended: of its address, it is idle for the shortest time now."""
        own = self._open.get(network_of(address), {})
        if connection in own:
            del own[connection]
            own[connection] = None

    def _longest_idle(self, network: str) -> tuple[Connection, str] | None:
        """An idle connection of this network; of any other if all connections are taken."""
        networks = [network, *self._open] if self._slots.taken >= self._most else [network]
        return next(((one, own) for own in networks for one in self._open.get(own, {}) if one.idle), None)


@cache
def connections() -> Connections:
    """The connections of this process."""
    return Connections(most_connections(Settings()))


def most_connections(settings: Settings) -> int:
    """As many as the settings allow, at most half of the files: a connection may need a file of its own."""
    return max(1, min(settings.max_connections, open_files.limit() // 2))


def refusal_of_connection(error: ServiceError) -> bytes:
    """The answer, sent before a request has arrived, on a connection that is then closed."""
    status = "429 Too Many Requests" if isinstance(error, TooManyError) else "503 Service Unavailable"
    body = ErrorBody(error=ErrorDetail(code=error.code, message=str(error))).model_dump_json(exclude_none=True)
    headers = {
        **HEADERS,
        "Content-Type": "application/json",
        "Content-Length": str(len(body.encode())),
        "Retry-After": str(RETRY_SECONDS),
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "", body]
    return "\r\n".join(lines).encode()


class LimitRequests:
    """ASGI middleware: limits requests in progress by address, behind a trusted proxy by the one that it names.

    Half of the connections may have one in progress, so that one client of a proxy cannot hold all that the proxy may.
    """

    def __init__(self, app: ASGIApp, settings: Settings):
        self._app = app
        self._slots = Slots("requests", max(1, most_connections(settings) // 2), shares=SHARES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 429."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        client = scope.get("client")
        holder = [("address", network_of(client[0] if client else ""))]
        if error := self._slots.refusal(holder):
            status = 429 if isinstance(error, TooManyError) else 503
            return await refuse(send, status, error.code, str(error), retry_seconds=RETRY_SECONDS)
        self._slots.take(holder)
        try:
            await self._app(scope, receive, send)
        finally:
            self._slots.release(holder)


class LoopErrors:
    """Handler of asyncio's errors: that no file is left for a connection is said once a minute, in one line.

    asyncio itself pauses for a second then, but reports it for each connection that waits.
    """

    def __init__(self) -> None:
        self._said = -_REPORT_SECONDS

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log the error."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _NO_FILES):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._said >= _REPORT_SECONDS:
            self._said = time.monotonic()
            logger.error(
                "no connection is accepted for a second: the system gives no more files or memory",
                extra={"error": error.strerror, "files": open_files.limit()},
            )
