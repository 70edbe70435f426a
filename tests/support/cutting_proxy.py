"""A TCP proxy that cuts connections by a rule, for tests of retries and resumption."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator

_REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE) /")
Rule = Callable[[bytes, int], bool]  # (the request so far, bytes of the response so far) -> cut now?


class CuttingProxy:
    """Forwards to a port of this machine; `cuts` is the number of connections it has cut."""

    def __init__(self, target: int, rule: Rule):
        self.target, self.rule, self.cuts = target, rule, 0
        self._received = 0  # bytes of the response to the latest request
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._closed = False
        self._clients: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._closed = True
        for one in [self._listener, *self._clients]:
            with contextlib.suppress(OSError):
                one.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.target)) as service:
            sent = bytearray()
            responses = threading.Thread(target=self._forward_response, args=(service, client, sent), daemon=True)
            responses.start()
            for block in _blocks(client):
                if _REQUEST.match(block):  # the next one on a kept-alive connection
                    sent.clear()
                    self._received = 0
                sent += block
                if self.rule(bytes(sent), 0):
                    self._cut(client, service)
                    return
                with contextlib.suppress(OSError):
                    service.sendall(block)
            responses.join(30)

    def _forward_response(self, service: socket.socket, client: socket.socket, sent: bytearray) -> None:
        for block in _blocks(service):
            self._received += len(block)
            if self.rule(bytes(sent), self._received):
                self._cut(client, service)
                return
            with contextlib.suppress(OSError):
                client.sendall(block)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _cut(self, *sockets: socket.socket) -> None:
        self.cuts += 1
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def _blocks(source: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while block := source.recv(1 << 16):
            yield block
