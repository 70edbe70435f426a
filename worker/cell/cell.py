"""The worker's side of a cell: starts it, asks it, and ends it when it must stop, takes too long or needs too much.

A cell is killed, never asked to stop: it holds nothing that could be lost.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscape.errors import LandscapeError
from landscape.parsers.source import printable
from landscape.stop import Stop, Stopped
from service.errors import ServiceError
from service.supervisor import memory

from . import messages
from .server import SEND_SECONDS, CellError, ForkServer

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2  # between two looks at whether to stop, and at the process
_SENTENCE = 1000  # characters of an error for the owner of the job

Report = Callable[[dict[str, Any]], None]


class TooMuchWorkError(ServiceError):
    """One part of the job needs more computing than the limit; that does not depend on how busy the machine is."""

    code = "too_much_work"


@dataclass(frozen=True)
class Limits:
    """What one question may take."""

    cpu_seconds: float  # of computing, over all threads
    wall_seconds: float  # of the clock: more than `cpu_seconds`, since the machine may be busy
    memory: int | None  # bytes resident


class Cell:
    """One process with one job.

    Attributes:
        hello: what it said at its start: "walls" that hold, "kind" of its device, whether that is a "gpu".
        choice: of the engine, which its job is computed with; None until it is prepared.
        device_memory: bytes it holds on a GPU, as it said last.
    """

    def __init__(self, server: ForkServer, *, threads: int, limits: Limits, walls: bool, samples: bool = False):
        """
        Args:
            walls: whether to raise those of the kernel.
            samples: whether it prepares samples, which come out of it as open files, instead of computing a job.

        Raises:
            CellError: it cannot be started.
            TooMuchWorkError: its start took all the computing that `limits` allow.
        """
        own, end = socket.socketpair()
        self._server = server
        self._channel: socket.socket | None = own
        try:
            with end:
                self.pid = server.fork(
                    end, {"threads": threads, "memory": limits.memory, "walls": walls, "samples": samples}
                )
        except BaseException:
            own.close()
            raise
        self._handle = _handle(self.pid)
        self._receiver = messages.Receiver(self._channel, files=samples)
        self.choice: Any = None
        self.device_memory: int | None = None
        self.hello = self._answer(limits).head

    def ask(
        self,
        task: str,
        limits: Limits,
        *,
        stop: Stop | None = None,
        report: Report | None = None,
        body: bytes = b"",
        file: int | None = None,
        **fields: Any,
    ) -> messages.Message:
        """The answer to a question; after any error but `LandscapeError` the cell is ended.

        Args:
            stop: called several times a second; returns whether to stop.
            report: is called with {"step", "done", "total"} while it works.
            file: a descriptor, of which the cell gets a copy.

        Raises:
            Stopped: `stop` returned true.
            LandscapeError: the request cannot be carried out; the message says why.
            TooMuchWorkError: it needs more computing than `limits` allow.
            CellError: it ended, took too long, or failed for a reason that is not in the request.
        """
        if self._channel is None:
            raise CellError("the process that computed it has ended")
        try:
            self._channel.settimeout(SEND_SECONDS)
            messages.send(self._channel, {"task": task, **fields}, body, file)
        except (messages.ClosedError, TimeoutError):
            raise self._ended() from None

        def check() -> None:
            if stop is not None and stop():
                raise Stopped

        message = self._answer(limits, check, report)
        if message.head.get("refused"):
            raise LandscapeError(printable(str(message.head["refused"]), _SENTENCE))
        if message.head.get("failed"):
            raise self._failed(message.head)
        return message

    @property
    def resident(self) -> int:
        """Bytes of memory that it holds; mapped files are not counted."""
        return memory.resident(self.pid) or 0

    def end(self) -> int | None:
        """Kill it; its exit code, or minus the signal that ended it; None if that is not known."""
        if self._channel is None:
            return None
        _kill(self.pid, self._handle)
        self._channel.close()
        self._channel = None
        return self._server.status(self.pid)

    def _answer(
        self, limits: Limits, check: Callable[[], None] | None = None, report: Report | None = None
    ) -> messages.Message:
        assert self._channel is not None
        self._channel.settimeout(POLL_SECONDS)
        begun, computed = time.monotonic(), _cpu_seconds(self.pid)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    message = self._receiver.receive()
                    if "progress" not in message.head:
                        return message
                    if report is not None:
                        report(message.head["progress"])
                if check is not None:
                    check()
                self._require_within(limits, begun, computed)
        except messages.ClosedError:
            raise self._ended() from None
        except messages.MessageError as error:
            self.end()
            raise CellError(f"the process that computed it answered with nonsense ({error})") from None
        except BaseException:
            self.end()
            raise

    def _require_within(self, limits: Limits, begun: float, computed: float) -> None:
        if (most := limits.cpu_seconds) < _cpu_seconds(self.pid) - computed:
            raise TooMuchWorkError(
                f"One part of this job needs more than {most:g} s of computing, the limit of this service. Use fewer "
                "samples or a smaller network, or ask the operator for a higher limit."
            )
        if time.monotonic() - begun > limits.wall_seconds:
            raise CellError(f"it took longer than {limits.wall_seconds:g} s on a busy machine")
        if limits.memory is not None and self.resident > limits.memory:
            raise CellError(
                f"it needed more than {limits.memory / (1 << 30):.3g} GiB of memory, the limit of a job", memory=True
            )

    def _ended(self) -> CellError:
        code = self.end()
        if code is None or code >= 0:
            return CellError("the process that computed it ended")
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return CellError(f"the process that computed it was ended by {name}", memory=-code == signal.SIGKILL)

    def _failed(self, head: dict[str, Any]) -> CellError:
        self.end()
        name = printable(str(head["failed"]))
        logger.error("a cell failed", extra={"error": name, "said": str(head.get("said"))[:4000]})
        if head.get("memory"):
            return CellError("the worker ran out of memory", memory=True)
        if head.get("gpu"):
            return CellError("the GPU failed, and the process that used it was replaced")
        return CellError(f"an internal error ({name}), which the worker's log describes")


def _handle(pid: int) -> int | None:
    """A descriptor of a process: its id could be another's if the fork server died; None where there is no such thing.

    Taken before the fork server can have waited for the process.
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _kill(pid: int, handle: int | None) -> None:
    with contextlib.suppress(OSError):  # it has ended
        if handle is None:
            os.kill(pid, signal.SIGKILL)
        else:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    if handle is not None:
        os.close(handle)


def _cpu_seconds(pid: int) -> float:
    """Time that a process has computed, over all its threads, in seconds; 0 where that is not known."""
    if sys.platform != "linux":
        return 0.0
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
