"""The boundary around strangers' files: each is read by a throw-away process of its own, which writes clean weights.

Run as a module it is that process, and imports landscape.checkpoint there only.
Never unpickles or parses anything in the worker itself.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .errors import ServiceError
from .settings import Settings
from .store import Store


class RejectedError(ServiceError):
    """A file that is not a usable checkpoint, and why, in a sentence."""

    code = "rejected"


@dataclass(frozen=True)
class Verdict:
    """What a checkpoint was read as."""

    weights_sha256: str  # sanitised safetensors, in the store
    candidates: list[dict[str, Any]]  # architectures as JSON, with their label and parameter count
    facts: dict[str, str]


def read_checkpoint(sha256: str, store: Store, settings: Settings) -> Verdict:
    """Read the upload `sha256` in a fresh process and keep its sanitised weights.

    Raises:
        RejectedError: it is not a usable checkpoint; at most 500 characters, no path and no traceback.
    """
    source = store.path(sha256)
    with TemporaryDirectory(dir=store.unfinished, prefix="reading-") as folder:
        weights = Path(folder) / "weights.safetensors"
        answer = _ask_child(source, weights, settings)
        if "rejected" in answer:
            raise RejectedError(answer["rejected"][:500])
        return Verdict(store.keep_file(weights), answer["candidates"], answer["facts"])


def _ask_child(source: Path, weights: Path, settings: Settings) -> dict[str, Any]:
    command = [sys.executable, "-I", "-m", "worker.reader", str(weights), str(settings.reader_memory_bytes)]
    environment = {"PATH": os.defpath, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        with source.open("rb") as file:
            child = subprocess.run(
                [*command, str(int(settings.reader_seconds))],
                stdin=file,
                capture_output=True,
                env=environment,
                timeout=settings.reader_seconds,
                start_new_session=True,
            )
    except subprocess.TimeoutExpired:
        raise RejectedError(f"Reading the file took longer than {settings.reader_seconds:g} s.") from None
    if child.returncode != 0:
        raise RejectedError("This file crashed the reader, so it cannot be used.")
    answer: dict[str, Any] = json.loads(child.stdout)
    return answer


def _limit(memory: int, seconds: int) -> None:
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, memory),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # macOS has no RLIMIT_AS worth the name
            resource.setrlimit(kind, (most, most))


def main() -> None:
    """Read the checkpoint on standard input; print the answer as one JSON object."""
    weights, memory, seconds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    _limit(memory, seconds)
    print(json.dumps(_answer(Path("/dev/stdin"), weights)))


def _answer(source: Path, weights: Path) -> dict[str, Any]:
    from safetensors.numpy import save_file

    from landscape.checkpoint import read
    from landscape.errors import LandscapeError

    try:
        reading = read(source)
        save_file(reading.weights, weights)
    except LandscapeError as error:
        return {"rejected": str(error)}
    except MemoryError:
        return {"rejected": "The file needs more memory than reading a checkpoint may take."}
    described = [
        {**candidate.to_json(), "label": candidate.label, "parameters": candidate.parameter_count}
        for candidate in reading.candidates
    ]
    return {"candidates": described, "facts": reading.facts}


if __name__ == "__main__":
    main()
