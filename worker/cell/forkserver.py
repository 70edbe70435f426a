"""The fork server: a process without secrets that has loaded torch and computed nothing; every cell is a fork of it.

A fork starts in 10 ms instead of the 1.5 s of a new interpreter, and shares the pages of the libraries. No cell gets
anything of another one: the server holds no job's data. Its environment is empty but for numbers of threads and the
GPU, and its only open file is the socket to its worker; when that closes, it kills every cell and ends.

Run as `python -m worker.cell.forkserver DESCRIPTOR`.
"""

import contextlib
import gc
import os
import signal
import socket
import sys
from typing import Any

from landscape.sandbox import NICE, die_with_parent
from service.open_files import raise_limit

from . import inside, messages


def serve(channel: socket.socket) -> None:
    """Start a cell for every request that comes with a socket, and report how each ended, until the worker is gone."""
    receiver, cells = messages.Receiver(channel, files=True), set[int]()
    with contextlib.suppress(messages.ClosedError):
        while True:
            request = receiver.receive()
            if request.file is not None:
                pid = _fork(channel, request.file, request.head)
                os.close(request.file)
                cells.add(pid)
                messages.send(channel, {"pid": pid})
            else:
                messages.send(channel, {"status": _status(int(request.head["ended"]), cells)})
    for pid in cells:
        os.kill(pid, signal.SIGKILL)


def _status(pid: int, cells: set[int]) -> int | None:
    """The exit code of a cell that is ending, or minus the signal; None for a cell of an earlier fork server."""
    if pid not in cells:
        return None
    cells.discard(pid)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _fork(channel: socket.socket, end: int, order: dict[str, Any]) -> int:
    """Fork a cell that talks over the descriptor `end`; its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        channel.close()
        silent = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):  # what a graph writes must not get into the log of the worker
            os.dup2(silent, standard)
        code = inside.run(_only(end), order)
    finally:
        os._exit(code)


def _only(end: int) -> socket.socket:
    """The socket of the cell, as its only open file but the standard ones."""
    kept = os.dup2(end, 3) if end != 3 else end
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    return socket.socket(fileno=kept)


def main() -> None:
    """Load everything that a cell may need, then serve.

    Raises:
        ClosedError: the worker has ended in the meantime.
    """
    die_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):  # the worker decides when a cell ends
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICE)
    raise_limit()  # of open files: a trajectory may have a thousand
    channel = socket.socket(fileno=int(sys.argv[1]))
    inside.load()
    gc.collect()
    gc.freeze()  # the collector of a cell must not write to pages that it shares with the others
    messages.send(channel, {"ready": os.getpid()})
    serve(channel)


if __name__ == "__main__":
    main()
