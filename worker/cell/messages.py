"""Messages between a worker and its cells over a Unix socket: a JSON object, some bytes, at most one open file.

A cell may send anything once a stranger's graph has run in it, so what a worker receives is JSON of bounded size, never
a pickle, and every field is checked where it is used.
"""

import json
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

from service.errors import ServiceError

MAX_HEAD, MAX_BODY = 16 << 20, 256 << 20  # bytes: the points of a tile, a path of a thousand checkpoints; values
_SIZES = struct.Struct("<II")
_BLOCK = 1 << 20
FILE = "file"  # key of a head whose message comes with an open file


class ClosedError(ServiceError):
    """The other process has closed its end, or ended."""

    code = "closed"


class MessageError(ServiceError):
    """The other process has sent something that is no message, or one that is too large."""

    code = "message"


@dataclass(frozen=True)
class Message:
    """One message."""

    head: dict[str, Any]
    body: bytes = b""
    file: int | None = field(default=None, compare=False)  # descriptor, owned by its receiver


def send(channel: socket.socket, head: dict[str, Any], body: bytes = b"", file: int | None = None) -> None:
    """Send a message, with a copy of the descriptor `file`.

    Raises:
        ClosedError: the other process has ended.
        TimeoutError: it does not read, and the socket has a timeout.
    """
    text = json.dumps(head if file is None else {**head, FILE: True}).encode()
    sizes = _SIZES.pack(len(text), len(body))
    try:
        sent = socket.send_fds(channel, [sizes], [] if file is None else [file])
        channel.sendall(sizes[sent:] + text)
        if body:
            channel.sendall(body)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ClosedError("The other process has ended.") from error


class Receiver:
    """Receives messages from a socket; one that arrives in pieces is kept until it is complete."""

    def __init__(self, channel: socket.socket, *, files: bool = False):
        """With `files`, descriptors that come with a message are received too; else the system closes them."""
        self.channel, self._files = channel, files
        self._buffer, self._descriptors = bytearray(), list[int]()

    def receive(self) -> Message:
        """The next message.

        Raises:
            ClosedError: the other process has closed its end.
            MessageError: what it sends is no message.
            TimeoutError: the socket has a timeout, and the message is not complete yet; call again.
        """
        while (message := self._complete()) is None:
            self._read()
        return message

    def _complete(self) -> Message | None:
        if len(self._buffer) < _SIZES.size:
            return None
        head, body = _SIZES.unpack_from(self._buffer)
        if head > MAX_HEAD or body > MAX_BODY:
            raise MessageError(f"A message of {head + body} bytes was announced.")
        end = _SIZES.size + head + body
        if len(self._buffer) < end:
            return None
        text, content = bytes(self._buffer[_SIZES.size : end - body]), bytes(self._buffer[end - body : end])
        del self._buffer[:end]
        found = _object(text)
        expected = bool(found.pop(FILE, False)) and self._descriptors
        return Message(found, content, self._descriptors.pop(0) if expected else None)

    def _read(self) -> None:
        try:
            if self._files:
                block, descriptors, _, _ = socket.recv_fds(self.channel, _BLOCK, 4)
                self._descriptors += descriptors
            else:
                block = self.channel.recv(_BLOCK)
        except ConnectionResetError:
            block = b""
        if not block:
            raise ClosedError("The other process has ended.")
        self._buffer += block


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if type(found) is not dict:
        raise MessageError("A message is not a JSON object.")
    return found


def closed(descriptor: int | None) -> None:
    """Close a received descriptor, if there is one."""
    if descriptor is not None:
        os.close(descriptor)
