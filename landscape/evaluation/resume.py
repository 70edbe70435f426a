"""The file of an unfinished landscape, next to the output file; the same command resumes from it.

Writes are atomic: a file is written completely or not at all.
"""

import time
from pathlib import Path

from ..disk import write_durably
from ..errors import LandscapeError
from ..grid import Grid
from ..result import Result
from .reuse import DifferentSettingsError, require_same_points

ENDING = ".partial"
SECONDS = 5.0  # between two writes, at least


class PartialFile:
    """The file of partial results next to an output file."""

    def __init__(self, output: Path):
        self.path, self.written = output.with_name(output.name + ENDING), time.monotonic()
        self.latest: Result | None = None

    def started(self, grid: Grid) -> Result | None:
        """The result of an earlier, interrupted run on this grid, if there is one.

        Raises:
            LandscapeError: the file cannot be read, or holds another grid.
        """
        from ..formats import npz

        if not self.path.exists():
            return None
        try:
            found = Result(**vars(npz.read(self.path.read_bytes(), self.path.name)))
        except (LandscapeError, OSError) as error:
            raise LandscapeError(f"{error} Delete it to start again.") from error
        try:
            require_same_points(found, grid)
        except DifferentSettingsError as error:
            raise self.refusal(error) from error
        return found

    def refusal(self, error: DifferentSettingsError) -> LandscapeError:
        """The error that says why the earlier run cannot be resumed, and what to do."""
        return LandscapeError(
            f"An earlier run with this output was interrupted, and differs in {error.difference}. "
            f"To resume, use the same settings; else choose another output, or delete the {ENDING} file."
        )

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
