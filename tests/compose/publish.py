"""A published port: listens here, connects inside the network namespace. `publish.py NAMESPACE ADDRESS PORT TARGET`."""

import ctypes
import os
import socket
import sys
import threading

_CLONE_NEWNET = 0x40000000


def main() -> None:
    namespace, address, port, target = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    listener = socket.create_server((address, port))  # before the process changes its namespace
    descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    while True:
        outside, _ = listener.accept()
        threading.Thread(target=_serve, args=(outside, target), daemon=True).start()


def _serve(outside: socket.socket, target: int) -> None:
    try:
        inside = socket.create_connection(("127.0.0.1", target))
    except OSError:
        outside.close()
        return
    threading.Thread(target=_copy, args=(outside, inside), daemon=True).start()
    _copy(inside, outside)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while block := source.recv(1 << 16):
            sink.sendall(block)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        sink.close()


if __name__ == "__main__":
    main()
