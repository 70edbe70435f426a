"""Timeouts for stalled clients: a connection whose client neither reads nor sends anything for a while is closed.

A client that is slow but makes progress, or that waits for us, is never cut off.
"""

import asyncio
import logging
from functools import cache
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.access.local_peer import LocalPeer
from service.settings import Settings

logger = logging.getLogger(__name__)

# Bytes read from a connection at a time. asyncio's 256 KiB, held once by it, once by h11 and once by uvicorn, were
# 130 MiB with two hundred uploads at once.
_READ_BYTES = 64 << 10


class StallTimeoutProtocol(H11Protocol, asyncio.BufferedProtocol):
    """HTTP for uvicorn. Two timers: while our bytes are unread, and while the request is incomplete."""

    _reader_timer: asyncio.TimerHandle | None = None
    _sender_timer: asyncio.TimerHandle | None = None
    _buffer = memoryview(bytearray(_READ_BYTES))  # one for all connections: emptied before the next is read

    def get_buffer(self, sizehint: int) -> memoryview:
        """The buffer for the next bytes, shared by all connections."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on the bytes in the buffer."""
        self.data_received(bytes(self._buffer[:nbytes]))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for a request."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "peer": LocalPeer(transport.get_extra_info("socket"))}  # request.state.peer
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop both timers."""
        self._cancel_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on bytes of a request; while it is incomplete, its client must send more in time."""
        super().data_received(data)
        state = self.conn.their_state
        if state is h11.SEND_BODY or (state is h11.IDLE and self._sender_timer is None):
            self._wait_for_request()  # headers must be complete in time; a body must make progress
        elif state is not h11.IDLE and self._sender_timer:
            self._sender_timer.cancel()
            self._sender_timer = None

    def pause_writing(self) -> None:
        """Wait for the client to read: too many of our bytes are unread."""
        super().pause_writing()
        self._wait_for_reader(self._unread_bytes())

    def resume_writing(self) -> None:
        """Stop waiting for the client, which has read enough."""
        super().resume_writing()
        if self._reader_timer:
            self._reader_timer.cancel()

    def _wait_for_reader(self, unread: int) -> None:
        self._reader_timer = self.loop.call_later(_timeout(), self._check_reader, unread)

    def _check_reader(self, unread: int) -> None:
        if (still_unread := self._unread_bytes()) < unread:
            self._wait_for_reader(still_unread)  # slow, but it reads
        else:
            self._cut_off("reads nothing")

    def _unread_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def _wait_for_request(self) -> None:
        if self._sender_timer:
            self._sender_timer.cancel()
        self._sender_timer = self.loop.call_later(_timeout(), self._check_sender)

    def _check_sender(self) -> None:
        self._sender_timer = None
        if cast(Any, self.flow).read_paused:
            self._wait_for_request()  # we paused reading, not the client
        elif self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._cut_off("sends nothing")

    def _cut_off(self, why: str) -> None:
        logger.warning("stalled client cut off", extra={"why": why, "client": self.client and self.client[0]})
        self.transport.abort()

    def _cancel_timers(self) -> None:
        for timer in (self._reader_timer, self._sender_timer):
            if timer:
                timer.cancel()


@cache
def _timeout() -> float:
    return Settings().client_patience_seconds
