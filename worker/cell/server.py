"""The fork server of a worker (forkserver.py), as the worker sees it: started when needed, and again if it ends."""

import atexit
import os
import socket
import subprocess
from typing import Any

from landscape.sandbox import thread_variables
from service.supervisor.processes import PYTHON

from . import messages

START_SECONDS = 300.0  # a fork server on a busy machine may take this long to load torch
SEND_SECONDS = 60.0  # a process that does not read what it is sent for this long is ended
NAMES = ("PATH", "LANG", "LC_ALL", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES", "TZ", "TMPDIR")


def environment(given: dict[str, str]) -> dict[str, str]:
    """The environment of the fork server: nothing of `given` that could be a secret."""
    kept = {name: given[name] for name in NAMES if name in given}
    return {**kept, **thread_variables(1), "PYTHONDONTWRITEBYTECODE": "1"}  # a fork must not find threads


class CellError(Exception):
    """A cell ended or failed for a reason that is not in the request; the message completes "failed: …".

    `memory` says whether more memory would have helped.
    """

    def __init__(self, reason: str, *, memory: bool = False):
        super().__init__(reason)
        self.memory = memory


class ForkServer:
    """The fork server of this worker; it is started again if it has ended."""

    def __init__(self) -> None:
        atexit.register(self.close)  # also of a worker that is told to stop while it starts
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket
        self._receiver: messages.Receiver

    def fork(self, end: socket.socket, order: dict[str, Any]) -> int:
        """Start a cell that talks over `end`; its process id.

        Raises:
            CellError: no process can be started.
        """
        try:
            return int(self._ask(order, end.fileno())["pid"])
        except (messages.ClosedError, TimeoutError, OSError):
            self.close()
        try:
            return int(self._ask(order, end.fileno())["pid"])
        except (messages.ClosedError, TimeoutError, OSError) as error:
            raise CellError(f"no process could be started to compute it ({error})") from error

    def status(self, pid: int) -> int | None:
        """Wait for a cell that is ending: its exit code, or minus the signal; None if that is not known."""
        if self._process is None:
            return None
        try:
            code = self._ask({"ended": pid})["status"]
            return None if code is None else int(code)
        except (messages.ClosedError, TimeoutError, OSError):
            self.close()
            return None

    def close(self) -> None:
        """End it and all its cells."""
        if self._process is not None:
            self._channel.close()
            self._process.kill()
            self._process.wait()
            self._process = None

    def _ask(self, request: dict[str, Any], file: int | None = None) -> dict[str, Any]:
        if self._process is None:
            self._start()
        messages.send(self._channel, request, file=file)
        return self._receiver.receive().head

    def _start(self) -> None:
        self._channel, end = socket.socketpair()
        with end:
            command = [*PYTHON, "-m", "worker.cell.forkserver", str(end.fileno())]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, env=environment(dict(os.environ)), pass_fds=[end.fileno()], cwd="/"
            )
        self._channel.settimeout(START_SECONDS)
        self._receiver = messages.Receiver(self._channel)
        self._receiver.receive()
        self._channel.settimeout(SEND_SECONDS)
