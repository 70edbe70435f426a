"""The sandbox for untrusted files: each file is parsed in a process of its own, which answers in JSON.

This module is also the program of that process: a fresh interpreter with an empty environment, behind the walls of
`landscape.sandbox`, with the file as its only input and an empty file as its only output. It loads torch only for
packed networks, whose operators it tries (packing/).

Whether a file can be read depends on the file and on the limits, not on how busy the machine is: computing is limited,
memory, and what is written. Time on the clock only protects the worker; who needs too much of it is tried again.
"""

import contextlib
import errno
import json
import logging
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import LandscapeError
from ..sandbox import NICE, Walls, die_with_parent, out_of_computing, raise_walls, set_limits, thread_variables

logger = logging.getLogger(__name__)

CRASHED = "This file crashed the reader, so it cannot be used. Save it again with the library that made it."
TOO_LARGE = "The file needs more memory than reading may take."
TOO_MUCH_COMPUTING = "Reading the file needs more than {} s of computing, so it cannot be used. Send a smaller one."
MAX_ANSWER = 16 << 20  # bytes; that of ten thousand tensors is a million
POLL, SOON = 0.25, 0.01  # s
SMALL_FILE = 2 << 30  # bytes of memory for any file; a large one gets room for its numbers in float32 besides
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # of the disk, which says nothing about the file


class KilledError(LandscapeError):
    """Nothing is known about the file: the process that read it was killed from outside, or too slow just now."""

    code = "reader_killed"


class StoppedError(Exception):
    """`stop` returned true, and the process was ended."""


@dataclass(frozen=True)
class Limits:
    """Limits of the reading process."""

    memory: int = 6 << 30  # bytes, for a large file; see SMALL_FILE
    seconds: float = 30.0  # of computing, rounded up to whole seconds
    wall: float = 10.0  # times as long by the clock
    output: int = 16 << 30  # bytes of the sanitized file
    walls: bool = True  # whether it also has the walls that this kernel can raise

    def memory_for(self, size: int) -> int:
        """Bytes of memory for reading a file of `size` bytes."""
        return min(self.memory, SMALL_FILE + 2 * size)


@dataclass(frozen=True)
class _Order:
    """What the process is told on its command line."""

    task: str
    output: int  # descriptor
    memory: int
    seconds: int
    output_bytes: int
    walls: bool


def read_in_sandbox(
    task: str, source: Path, output: Path, limits: Limits | None = None, *, stop: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Read `source` in a separate process.

    Args:
        task: "checkpoint" or "dataset".
        output: gets the sanitized contents; the folder exists, the file does not, and does not after a rejection.
        stop: asked every quarter of a second; true ends the process.

    Returns:
        {"rejected": sentence}, with "too_long": bytes if `limits.output` is the reason, or the result of the task.

    Raises:
        KilledError: nothing is known about the file; another attempt may succeed.
        StoppedError: `stop` returned true.
        OSError: `source` cannot be opened, or the disk of `output` is full or broken.
    """
    limits, answer = limits or Limits(), None
    with source.open("rb") as file, output.open("xb") as clean:
        try:
            memory = limits.memory_for(os.fstat(file.fileno()).st_size)
            seconds = max(1, math.ceil(limits.seconds))
            order = _Order(task, clean.fileno(), memory, seconds, limits.output, limits.walls)
            answer = _answer(_Ended.of(order, file.fileno(), limits.wall * seconds, stop), order)
        finally:
            if answer is None or "rejected" in answer:
                output.unlink()
    return answer


@dataclass(frozen=True)
class _Ended:
    """How the process ended."""

    status: int  # as of subprocess.Popen.returncode
    computing: float  # s
    printed: bytes
    errors: bytes

    @classmethod
    def of(cls, order: _Order, source: int, wall_seconds: float, stop: Callable[[], bool]) -> "_Ended":
        """Run the process to its end, for so many seconds by the clock at most.

        Raises:
            KilledError: it took too long by the clock.
            StoppedError: `stop` returned true.
        """
        until = time.monotonic() + wall_seconds
        with _started(order, source) as child, selectors.DefaultSelector() as open_pipes:
            texts = {pipe: bytearray() for pipe in (child.stdout, child.stderr) if pipe}
            for pipe in texts:
                open_pipes.register(pipe, selectors.EVENT_READ)
            ended = None
            while ended is None or open_pipes.get_map():
                if stop():
                    raise StoppedError
                if time.monotonic() > until:
                    raise KilledError(
                        "Reading the file was too slow just now. Try again when the machine is less busy."
                    )
                for key, _ in open_pipes.select(POLL if open_pipes.get_map() else SOON):
                    part = os.read(key.fd, 1 << 16)
                    texts[key.fileobj] += part[: MAX_ANSWER + 1 - len(texts[key.fileobj])]  # type: ignore[index]
                    if not part:
                        open_pipes.unregister(key.fileobj)
                ended = ended or _waited(child)
            return cls(*ended, *map(bytes, texts.values()))


def _waited(child: "subprocess.Popen[bytes]") -> tuple[int, float] | None:
    """The status of an ended process, and its seconds of computing; None if it is running."""
    number, status, used = os.wait4(child.pid, os.WNOHANG)
    if not number:
        return None
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, used.ru_utime + used.ru_stime


@contextlib.contextmanager
def _started(order: _Order, source: int) -> Iterator["subprocess.Popen[bytes]"]:
    """The process, which does not outlive the block."""
    command = [sys.executable, "-I", "-m", "landscape.checkpoints.sandbox", json.dumps(asdict(order))]
    with subprocess.Popen(
        command,
        stdin=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=thread_variables(1),
        pass_fds=[order.output],
        start_new_session=True,
        cwd="/",
    ) as child:
        try:
            yield child
        finally:
            if child.returncode is None:
                child.kill()


def _answer(ended: _Ended, order: _Order) -> dict[str, Any]:
    """What the end of the process says about the file.

    Raises:
        KilledError: nothing.
        OSError: the disk is full or broken.
    """
    if out_of_computing(ended.status, ended.computing, order.seconds):
        return {"rejected": TOO_MUCH_COMPUTING.format(order.seconds)}
    if ended.status == -signal.SIGKILL:
        raise KilledError("The process that read the file was killed. Try again.")
    if ended.status != 0 or len(ended.printed) > MAX_ANSWER:
        logger.warning("reader ended with %s: %s", ended.status, ended.errors[-2000:].decode(errors="replace"))
        return {"rejected": CRASHED}
    try:
        answer = json.loads(ended.printed)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("rejected", ""), str):
        return {"rejected": CRASHED}
    if answer.get("errno") in _FULL:
        raise OSError(answer["errno"], f"the sanitized file cannot be written: {os.strerror(answer['errno'])}")
    return answer


def run_task(task: str, descriptor: int, output: Path | int) -> dict[str, Any]:
    """The result of the task on the open file; an error that a user can cause becomes a sentence.

    Args:
        output: a new file, or the descriptor of an empty one.
    """
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return TASKS[task](file, output)
    except LandscapeError as error:
        from ..parsers.safetensors import TooLongError
        from .checkpoint import sentence

        return {"rejected": sentence(error)} | ({"too_long": error.size} if isinstance(error, TooLongError) else {})
    except OSError as error:
        if error.errno in _FULL:
            return {"errno": error.errno}
        return {"rejected": TOO_LARGE}
    except MemoryError:
        return {"rejected": TOO_LARGE}


def _checkpoint(file: Any, output: Path | int) -> dict[str, Any]:
    from ..parsers.source import Source
    from .checkpoint import describe

    reading = describe(Source(file))
    reading.save(output)
    return {
        "candidates": [candidate.to_json() for candidate in reading.candidates],
        "facts": reading.facts,
        "tensors": reading.table(),
    }


def _dataset(file: Any, output: Path | int) -> dict[str, Any]:
    from ..parsers.dataset import read

    samples = read(file, keeps=True)
    samples.save(output)
    return asdict(samples.described)


TASKS: dict[str, Callable[[Any, Path | int], dict[str, Any]]] = {"checkpoint": _checkpoint, "dataset": _dataset}


def main() -> None:
    """Read the file on standard input; print the answer as one JSON object."""
    os.nice(NICE)
    order = _Order(**json.loads(sys.argv[1]))
    limits: dict[str, Any] = {"memory": order.memory, "cpu_seconds": order.seconds, "file_bytes": order.output_bytes}
    if order.walls:
        raise_walls(Walls(**limits))
    else:
        set_limits(**limits)
    die_with_parent()
    print(json.dumps(run_task(order.task, sys.stdin.fileno(), order.output)))


if __name__ == "__main__":
    main()
