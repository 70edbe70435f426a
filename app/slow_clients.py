"""Patience with clients: a connection whose other end neither takes nor sends anything for a while is cut off.

Imports uvicorn and settings. Never cuts off a client that is slow but goes on, nor one that waits for us.
"""

import asyncio
import logging
from functools import cache
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.settings import Settings

logger = logging.getLogger(__name__)

# What is taken from a connection at a time. asyncio's 256 KiB, held once by it, once by h11 and once by uvicorn, were
# 130 MiB with two hundred uploads at once.
_AT_A_TIME = 64 << 10


class PatientProtocol(H11Protocol, asyncio.BufferedProtocol):
    """HTTP for uvicorn. Two timers: while the client leaves our bytes unread, and while its request is not complete."""

    _unread: asyncio.TimerHandle | None = None
    _unsent: asyncio.TimerHandle | None = None
    _arriving = memoryview(bytearray(_AT_A_TIME))  # one for all connections: emptied before the next is read

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._arriving

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._arriving[:nbytes]))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        state = self.conn.their_state
        if state is h11.SEND_BODY or (state is h11.IDLE and self._unsent is None):
            self._wait_for_request()  # a head must be complete in time; a body must go on
        elif state is not h11.IDLE and self._unsent:
            self._unsent.cancel()
            self._unsent = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_for_reader(self._left())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread:
            self._unread.cancel()

    def _wait_for_reader(self, left: int) -> None:
        self._unread = self.loop.call_later(_patience(), self._look_at_reader, left)

    def _look_at_reader(self, left: int) -> None:
        if (now_left := self._left()) < left:
            self._wait_for_reader(now_left)  # slow, but it reads
        else:
            self._cut_off("reads nothing")

    def _left(self) -> int:
        return self.transport.get_write_buffer_size()

    def _wait_for_request(self) -> None:
        if self._unsent:
            self._unsent.cancel()
        self._unsent = self.loop.call_later(_patience(), self._look_at_sender)

    def _look_at_sender(self) -> None:
        self._unsent = None
        if cast(Any, self.flow).read_paused:
            self._wait_for_request()  # it is we who do not take more
        elif self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._cut_off("sends nothing")

    def _cut_off(self, why: str) -> None:
        logger.warning("slow client cut off", extra={"why": why, "client": self.client and self.client[0]})
        self.transport.abort()

    def _forget(self) -> None:
        for timer in (self._unread, self._unsent):
            if timer:
                timer.cancel()


@cache
def _patience() -> float:
    return Settings().client_patience_seconds
