"""Connections of clients that stall are closed, and so is one too many (connections.py).

A client that waits for us is never cut off, nor one that reads and sends at the smallest rate of the settings.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.access.local_peer import LocalPeer
from service.errors import ServiceError
from service.settings import Settings

from .connections import connections, refusal_of_connection

logger = logging.getLogger(__name__)

# Bytes read from a connection at a time. asyncio's 256 KiB, held once by it, once by h11 and once by uvicorn, were
# 130 MiB with two hundred uploads at once.
_READ_BYTES = 64 << 10
_SLOW_PERIODS = 3  # of half the timeout each, in a row: an upload that is too slow has got its 408 before
_TOLERANCE = 0.5  # of the smallest rate: periods cut bursts in two


class StallTimeoutProtocol(H11Protocol, asyncio.BufferedProtocol):
    """HTTP for uvicorn. Two timers: while our bytes are unread, and while the request is incomplete."""

    _reader_timer: asyncio.TimerHandle | None = None
    _sender_timer: asyncio.TimerHandle | None = None
    _received = 0  # bytes since the timer of an incomplete body was set
    _slow_periods = 0
    _buffer = memoryview(bytearray(_READ_BYTES))  # one for all connections: emptied before the next is read

    def get_buffer(self, sizehint: int) -> memoryview:
        """The buffer for the next bytes, shared by all connections."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on the bytes in the buffer."""
        self.data_received(bytes(self._buffer[:nbytes]))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for a request, or refuse one connection too many."""
        super().connection_made(transport)
        if error := connections().admit(self, self._address):
            self._refuse(error)
            return
        self.app_state = {**self.app_state, "peer": LocalPeer(transport.get_extra_info("socket"))}  # request.state.peer
        _end_with_the_peer(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop both timers."""
        connections().remove(self, self._address)
        self._cancel_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on bytes of a request; while it is incomplete, its client must send more in time."""
        waited_for_headers = self.conn.their_state is h11.IDLE
        super().data_received(data)
        self._received += len(data)
        self._watch_sender(starts=waited_for_headers)

    def on_response_complete(self) -> None:
        """Note that the connection is idle, until the next request, which may have arrived already."""
        connections().note_idle(self, self._address)
        super().on_response_complete()
        if not self.idle:
            self._watch_sender(starts=True)

    def _watch_sender(self, *, starts: bool) -> None:
        state = self.conn.their_state
        if state is h11.SEND_BODY and (starts or self._sender_timer is None):
            self._slow_periods = 0
            self._wait_for_body()
        elif state is h11.IDLE and self._sender_timer is None:
            self._wait_for_headers()  # all of them in time, however many pieces they come in
        elif state not in (h11.IDLE, h11.SEND_BODY) and self._sender_timer:
            self._sender_timer.cancel()
            self._sender_timer = None

    @property
    def idle(self) -> bool:
        """Whether no request is in progress; one whose headers are incomplete is none yet."""
        return self.cycle is None or self.cycle.response_complete

    def close(self) -> None:
        """Close the connection."""
        self.transport.close()

    def pause_writing(self) -> None:
        """Wait for the client to read: too many of our bytes are unread."""
        super().pause_writing()
        self._wait_for_reader(self._unread_bytes())

    def resume_writing(self) -> None:
        """Stop waiting for the client, which has read enough."""
        super().resume_writing()
        if self._reader_timer:
            self._reader_timer.cancel()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _refuse(self, error: ServiceError) -> None:
        logger.warning("connection refused", extra={"why": str(error), "client": self._address})
        self.transport.write(refusal_of_connection(error))
        self.transport.close()

    def _wait_for_reader(self, unread: int) -> None:
        self._reader_timer = self.loop.call_later(_timeout(), self._check_reader, unread)

    def _check_reader(self, unread: int) -> None:
        still_unread = self._unread_bytes()
        if unread - still_unread >= _fewest_bytes(_timeout()):
            self._wait_for_reader(still_unread)  # slow, but it reads
        else:
            self._cut_off("reads too little" if still_unread < unread else "reads nothing")

    def _unread_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def _wait_for_headers(self) -> None:
        self._set_sender_timer(_timeout(), self._check_headers)

    def _wait_for_body(self) -> None:
        self._received = 0
        self._set_sender_timer(_timeout() / 2, self._check_body)

    def _set_sender_timer(self, seconds: float, check: Callable[[], None]) -> None:
        if self._sender_timer:
            self._sender_timer.cancel()
        self._sender_timer = self.loop.call_later(seconds, check)

    def _check_headers(self) -> None:
        self._sender_timer = None
        if self.conn.their_state is h11.IDLE:
            self._cut_off("sends nothing")

    def _check_body(self) -> None:
        self._sender_timer = None
        if self.conn.their_state is not h11.SEND_BODY:
            return
        ours = cast(Any, self.flow).read_paused  # we paused reading, not the client
        slow = not ours and self._received < _fewest_bytes(_timeout() / 2)
        self._slow_periods = self._slow_periods + 1 if slow else 0
        if self._slow_periods < _SLOW_PERIODS:
            self._wait_for_body()
        else:
            self._cut_off("sends too little")

    def _cut_off(self, why: str) -> None:
        logger.warning("stalled client cut off", extra={"why": why, "client": self._address})
        self.transport.abort()

    def _cancel_timers(self) -> None:
        for timer in (self._reader_timer, self._sender_timer):
            if timer:
                timer.cancel()


def _end_with_the_peer(transport: asyncio.Transport) -> None:
    """Let the system end the connection when the client's machine has vanished, instead of after a quarter of an hour.

    Bytes that we sent (an event stream sends some every few seconds) must be acknowledged within twice the timeout.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT") and (connected := transport.get_extra_info("socket")):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2000 * _timeout()))


@cache
def _settings() -> Settings:
    return Settings()


def _timeout() -> float:
    return _settings().client_patience_seconds


def _fewest_bytes(seconds: float) -> int:
    """Bytes that a client must read or send in so many seconds."""
    return max(1, int(_TOLERANCE * _settings().upload_slowest_bytes * seconds))
