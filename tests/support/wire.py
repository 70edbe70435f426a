"""A TCP proxy between a client and the service that can be slow or cut: real connections, really broken."""

import contextlib
import socket
import struct
import threading
import time

_PIECE = 16 << 10


class Wire:
    """Forwards connections to a port of this machine. `speed` limits the bytes sent to it per second."""

    def __init__(self, target: int):
        self.target, self.speed, self.whole = target, 0.0, True
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE)  # else the kernel holds megabytes
        self.port = int(self._server.getsockname()[1])
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset every connection, and accept none until `mend()`."""
        self.whole = False
        for one in list(self._open):
            self._break(one)

    def mend(self) -> None:
        self.whole = True

    def close(self) -> None:
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                here = self._server.accept()[0]
            except OSError:
                return
            there = self._reach() if self.whole else None
            if there is None:
                self._break(here)
                continue
            self._open |= {here, there}
            threading.Thread(target=self._pass_on, args=(here, there, True), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(there, here, False), daemon=True).start()

    def _reach(self) -> socket.socket | None:
        with contextlib.suppress(OSError):
            there = socket.create_connection(("127.0.0.1", self.target))
            there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIECE)
            return there
        return None

    def _pass_on(self, source: socket.socket, target: socket.socket, limited: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                target.sendall(piece)
                if limited and self.speed:
                    time.sleep(len(piece) / self.speed)
        for one in (source, target):
            self._break(one)

    def _break(self, one: socket.socket) -> None:
        self._open.discard(one)
        with contextlib.suppress(OSError):
            if not self.whole:  # RST instead of FIN
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.shutdown(socket.SHUT_RDWR)
        one.close()
