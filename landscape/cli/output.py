"""The output of a command: JSON on stdout, exit codes, and checks that a result file can be written.

Never creates folders.
"""

import json
import sys
from pathlib import Path
from typing import Any

import typer

from ..errors import LandscapeError, UnknownNameError
from ..terminal import printable

INTERRUPTED = 130  # exit code after Ctrl-C, as in a POSIX shell


def say(*lines: str, err: bool = False) -> None:
    """Print lines for a person to stdout, or to stderr; names in them cannot steer the terminal or begin a line."""
    for line in lines:
        typer.echo(printable(line), err=err)


def print_json(answer: Any) -> None:
    """Print one JSON value to stdout."""
    json.dump(answer, sys.stdout, indent=1, allow_nan=False)
    print()


def require_writable(output: Path) -> None:
    """Check the format and the folder of a result file before anything is computed.

    Raises:
        UnknownNameError, LandscapeError: the extension is not a known format, or the folder does not exist.
    """
    from ..formats import FORMATS

    if output.suffix.lstrip(".") not in FORMATS:
        raise UnknownNameError("format", output.suffix, tuple(FORMATS))
    require_folder(output)


def require_folder(output: Path) -> None:
    """Check that the folder of a file exists.

    Raises:
        LandscapeError: it does not.
    """
    if not output.absolute().parent.is_dir():
        raise LandscapeError(f"The folder of {output} does not exist. Make it first.")
