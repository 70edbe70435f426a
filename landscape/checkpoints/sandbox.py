"""The sandbox for untrusted files: each file is parsed in a process of its own, which answers in JSON.

This module is also the program of that process: a fresh interpreter with an empty environment, limits on memory, CPU,
files and time, and the file as its only, read-only input. It loads torch only for packed networks, whose operators it
tries on shapes alone (packing/).
"""

import contextlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import LandscapeError

logger = logging.getLogger(__name__)

CRASHED = "This file crashed the reader, so it cannot be used. Save it again with the library that made it."
TOO_LARGE = "The file needs more memory than reading may take."
MAX_ANSWER = 64 << 20  # bytes


class KilledError(LandscapeError):
    """The reading process was killed from outside, or for lack of memory: nothing is known about the file."""

    code = "reader_killed"


@dataclass(frozen=True)
class Limits:
    """Resource limits of the reading process."""

    memory: int = 6 << 30  # bytes of address space, and of written files
    seconds: float = 30.0  # of wall time, and of CPU time


def read_in_sandbox(task: str, source: Path, output: Path, limits: Limits | None = None) -> dict[str, Any]:
    """Read `source` in a separate process.

    Args:
        task: "checkpoint" or "dataset".
        output: where the process writes the sanitized contents; the folder exists, the file does not.

    Returns:
        {"rejected": sentence}, or the result of the task.

    Raises:
        KilledError: the process was killed from outside; no limit of ours does that.
        OSError: `source` cannot be opened.
    """
    limits = limits or Limits()
    command = [sys.executable, "-I", "-m", "landscape.checkpoints.sandbox", task, str(output)]
    try:
        with source.open("rb") as file:
            child = subprocess.run(
                [*command, str(limits.memory), str(max(1, int(limits.seconds)))],
                stdin=file,
                capture_output=True,
                env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                timeout=limits.seconds,
                start_new_session=True,
                cwd="/",
            )
    except subprocess.TimeoutExpired:
        return {"rejected": f"Reading the file took longer than {limits.seconds:g} s, so it cannot be used."}
    if child.returncode == -signal.SIGKILL:
        raise KilledError("The process that read the file was killed. Try again.")
    if child.returncode != 0 or len(child.stdout) > MAX_ANSWER:
        logger.warning("reader ended with %s: %s", child.returncode, child.stderr[-2000:].decode(errors="replace"))
        return {"rejected": CRASHED}
    answer: dict[str, Any] = json.loads(child.stdout)
    return answer


def limit(memory: int, seconds: int) -> None:
    """Set limits on this process that it cannot raise again."""
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, memory),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # macOS does not enforce RLIMIT_AS
            resource.setrlimit(kind, (most, most))


def run_task(task: str, descriptor: int, output: Path) -> dict[str, Any]:
    """The result of the task on the open file; an error that a user can cause becomes a sentence."""
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return TASKS[task](file, output)
    except LandscapeError as error:
        from .checkpoint import sentence

        return {"rejected": sentence(error)}
    except (MemoryError, OSError):
        return {"rejected": TOO_LARGE}


def _checkpoint(file: Any, output: Path) -> dict[str, Any]:
    from ..parsers.source import Source
    from .checkpoint import describe

    reading = describe(Source(file))
    reading.save(output)
    return {
        "candidates": [candidate.to_json() for candidate in reading.candidates],
        "facts": reading.facts,
        "tensors": reading.table(),
    }


def _dataset(file: Any, output: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from ..parsers.dataset import read

    samples = read(file)
    samples.save(output)
    return asdict(samples.described)


TASKS: dict[str, Callable[[Any, Path], dict[str, Any]]] = {"checkpoint": _checkpoint, "dataset": _dataset}


def main() -> None:
    """Read the file on standard input; print the answer as one JSON object."""
    task, output, memory, seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    limit(memory, seconds)
    print(json.dumps(run_task(task, sys.stdin.fileno(), output)))


if __name__ == "__main__":
    main()
