"""A process that makes one large answer (downloads.py): its memory and its time are not those of the API.

This module is also the program of that process. It reads the database, writes one file, and ends with the API.
"""

import contextlib
import json
import logging
import os
import resource
import subprocess
import sys
import threading
from dataclasses import asdict
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Any

from landscape.sandbox import thread_variables

from ..database.sessions import Database
from ..errors import InvalidError, NoSpaceError, ServiceError, UnavailableError
from .downloads import Asked, write

logger = logging.getLogger(__name__)

SECONDS = 600.0
MEMORY = 4 << 30  # bytes of address space
NICENESS = 19  # the API and the workers go first


def make(database_url: str, asked: Asked, path: Path, *, seconds: float = SECONDS) -> None:
    """Write an answer to `path` in a process of its own, which is killed after so many seconds.

    Raises:
        UnavailableError: the process was killed, or ended without saying why.
        ServiceError: what `write` raised there, with its code.
    """
    request = {"database": database_url, "asked": asdict(asked), "path": str(path)}
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **thread_variables(1)},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    timer = threading.Timer(seconds, child.kill)
    timer.start()
    with child, contextlib.suppress(BrokenPipeError):
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()  # and stays open: the child ends when it closes
        said = child.stdout.read()
    timer.cancel()
    if not said:
        logger.warning("the process of a large answer ended", extra={"code": child.returncode, "asked": asdict(asked)})
        raise UnavailableError(
            f"Making this answer was ended after {seconds:g} s at the latest. Try again later, or another format."
        )
    if error := json.loads(said):
        classes = {one.code: one for one in ServiceError.__subclasses__()}
        raise classes[error["code"]](error["message"], field=error["field"])


def main() -> None:
    """Carry out the request on standard input; print {} or the error as JSON."""
    os.nice(NICENESS)
    with contextlib.suppress(ValueError, OSError):  # macOS does not enforce it
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_api, daemon=True).start()
    print(json.dumps(_carry_out(request["database"], Asked(**request["asked"]), Path(request["path"]))))


def _carry_out(database_url: str, asked: Asked, path: Path) -> dict[str, Any]:
    try:
        with Database(database_url).reading() as session, path.open("wb") as file:
            write(session, asked, file)
    except ServiceError as error:
        return _said(error)
    except MemoryError:
        return _said(InvalidError("This result is too large for this format. Use npz, which holds all of it."))
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT):
            raise
        return _said(NoSpaceError("The disk of the service is full, so no large answer can be made. Try again later."))
    return {}


def _said(error: ServiceError) -> dict[str, Any]:
    return {"code": error.code, "message": str(error), "field": error.field}


def _end_with_the_api() -> None:
    """The API holds the other end of standard input: it closes when the API ends in any way."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
