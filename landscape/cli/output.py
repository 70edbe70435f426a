"""Where a command's answer goes: JSON on stdout, or a file whose format and folder are known to be there.

Imports errors. Never overwrites or makes a folder.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ..errors import LandscapeError, UnknownNameError


def say_json(answer: Any) -> None:
    """One JSON object on stdout."""
    json.dump(answer, sys.stdout, indent=1, allow_nan=False)
    print()


def require_writable(output: Path) -> None:
    """Refuse a format or a folder that is not there before anything is computed.

    Raises:
        UnknownNameError, LandscapeError: the ending is no format, or there is no such folder.
    """
    from ..formats import FORMATS

    if output.suffix.lstrip(".") not in FORMATS:
        raise UnknownNameError("format", output.suffix, tuple(FORMATS))
    require_folder(output)


def require_folder(output: Path) -> None:
    """Refuse a folder that is not there.

    Raises:
        LandscapeError: there is no such folder.
    """
    if not output.absolute().parent.is_dir():
        raise LandscapeError(f"The folder of {output} does not exist. Make it first.")
