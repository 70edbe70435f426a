"""The file of an unfinished landscape, next to the output file; the same command resumes from it.

Writes are atomic: a file is written completely or not at all.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..disk import write_durably
from ..errors import LandscapeError
from ..result import Result

ENDING = ".partial"
SECONDS = 5.0  # between two writes, at least
# The settings that the numbers depend on: their names in the provenance, and in messages.
SETTINGS = {
    "weights_sha256": "the checkpoint",
    "data_sha256": "the samples",
    "also": "further samples",
    "seed": "the seed",
    "normalization": "the normalization",
    "directions": "the directions",
    "landmarks": "the checkpoints",
    "loss": "the loss",
    "batch_norm": "the BatchNorm policy",
    "calibration_samples": "the calibration",
    "precision": "the precision",
    "curvature": "the curvature",
    "engine": "the engine's choice",
    "device": "the device",
    "versions": "the versions",
}


class PartialFile:
    """The file of partial results next to an output file."""

    def __init__(self, output: Path):
        self.path, self.written = output.with_name(output.name + ENDING), time.monotonic()
        self.latest: Result | None = None

    def started(self) -> Result | None:
        """The result of an earlier, interrupted run, if there is one.

        Raises:
            LandscapeError: the file cannot be read.
        """
        from ..formats import npz

        if not self.path.exists():
            return None
        try:
            return Result(**vars(npz.read(self.path.read_bytes(), self.path.name)))
        except (LandscapeError, OSError) as error:
            raise LandscapeError(f"{error} Delete it to start again.") from error

    def keep(self, result: Result) -> None:
        """Write the result, unless it was written within the last seconds."""
        self.latest = result
        if time.monotonic() - self.written > SECONDS:
            self.write(result)

    def flush(self) -> None:
        """Write what has not been written yet; called even when an error ends the command."""
        if self.latest is not None:
            self.write(self.latest)

    def write(self, result: Result) -> None:
        """Write the result."""
        write_durably(self.path, result.to_bytes("npz"))
        self.written = time.monotonic()

    def remove(self) -> None:
        """Delete the file: the result is finished."""
        self.path.unlink(missing_ok=True)


def require_same(started: Result, now: Result) -> None:
    """Refuse to resume a landscape that has other settings.

    Raises:
        LandscapeError: a setting differs; the message names it, with both values.
    """
    for name, words in _differences(started, now):
        raise LandscapeError(
            f"An earlier run with this output was interrupted, and differs in {words}: {name[0]} then, {name[1]} now. "
            f"To resume, use the same settings; else choose another output, or delete the {ENDING} file."
        )


def _differences(started: Result, now: Result) -> "list[tuple[tuple[str, str], str]]":
    found = []
    if started.kind != now.kind:
        found.append(((started.kind, now.kind), "the kind"))
    if not _same_grid(started, now) or started.columns != now.columns:
        found.append(((_grid(started), _grid(now)), "the grid"))
    for name, words in SETTINGS.items():
        old, new = started.provenance.get(name), now.provenance.get(name)
        if _plain(old) != _plain(new):
            found.append(((_short(old), _short(new)), words))
    return found


def _same_grid(one: Result, other: Result) -> bool:
    return np.array_equal(one.alphas, other.alphas) and np.array_equal(one.betas, other.betas)


def _grid(result: Result) -> str:
    spans = [
        f"{len(axis)} points on [{axis[0]:g}, {axis[-1]:g}]" for axis in (result.alphas, result.betas) if len(axis) > 1
    ]
    return " × ".join(spans)


def _plain(value: Any) -> Any:
    """The value after a round trip through JSON, so that a tuple equals the list that JSON makes of it."""
    return json.loads(json.dumps(value))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
