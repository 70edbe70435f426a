"""A way to the service that breaks: a proxy that cuts a connection when a rule says so."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator

_REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE) /")
Rule = Callable[[bytes, int], bool]  # (the request so far, bytes of the answer so far) -> cut now?


class Cutting:
    """Forwards to a port of this machine; `cuts` counts the connections it has broken."""

    def __init__(self, target: int, rule: Rule):
        self.target, self.rule, self.cuts = target, rule, 0
        self._got = 0  # bytes of the answer to the latest request
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._over = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over = True
        for one in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                one.close()

    def _accept(self) -> None:
        while not self._over:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.target)) as service:
            sent = bytearray()
            back = threading.Thread(target=self._back, args=(service, client, sent), daemon=True)
            back.start()
            for block in _blocks(client):
                if _REQUEST.match(block):  # the next one of a connection that is used again
                    sent.clear()
                    self._got = 0
                sent += block
                if self.rule(bytes(sent), 0):
                    self._cut(client, service)
                    return
                with contextlib.suppress(OSError):
                    service.sendall(block)
            back.join(30)

    def _back(self, service: socket.socket, client: socket.socket, sent: bytearray) -> None:
        for block in _blocks(service):
            self._got += len(block)
            if self.rule(bytes(sent), self._got):
                self._cut(client, service)
                return
            with contextlib.suppress(OSError):
                client.sendall(block)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _cut(self, *ends: socket.socket) -> None:
        self.cuts += 1
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _blocks(source: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while block := source.recv(1 << 16):
            yield block
