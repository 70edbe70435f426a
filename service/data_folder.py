"""The data folder belongs to the account that runs the service alone, in PostgreSQL's manner.

It holds all users' uploads and results, and the digests of their tokens: other accounts of the machine see none of it.
"""

import os
import shlex
import stat
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from .errors import ServiceError
from .settings import Settings

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_DATABASE_FILES = ("", "-wal", "-shm")  # what SQLite appends to the name of the database


def open_data_folder(settings: Settings) -> None:
    """Create the data folder, or check that no other account can open it or the database; new files are private too.

    An empty folder is closed to others; one with files is refused as it is, since others may have changed them.

    Raises:
        ServiceError: others can open it, or this account cannot use it; the message says what to do.
    """
    os.umask(_OTHERS)
    folder = settings.data
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _require_usable(folder)
        if not any(folder.iterdir()):
            folder.chmod(stat.S_IRWXU)
    except FileExistsError:
        raise ServiceError(f"The data folder cannot be {folder}, which is a file. Name a folder.") from None
    except OSError as error:
        raise ServiceError(f"The data folder {folder} cannot be used: {error.strerror}. {_advice(folder)}") from None
    _require_private(folder, [path for path in _database_files(settings) if path.exists()])


def _require_usable(folder: Path) -> None:
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise ServiceError(f"The data folder {folder} is on a disk that is read-only. {_advice(folder)}")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise ServiceError(f"The data folder {folder} cannot be used: Permission denied. {_advice(folder)}")


def _advice(folder: Path) -> str:
    return f"Name another with --data, or make {folder} a folder that this account ({_account()}) can write to."


def _account() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # an account without a name, as in many containers
        return f"uid {os.geteuid()}"


def _require_private(folder: Path, files: list[Path]) -> None:
    loose = [path for path in (folder, *files) if path.stat().st_mode & _OTHERS]
    if not loose:
        return
    commands = [f"chmod {700 if path.is_dir() else 600} {shlex.quote(str(path))}" for path in loose]
    raise ServiceError(
        f"Other accounts of this machine may open {loose[0]}; only the account that runs the service may. "
        f"Close it to them with: {' && '.join(commands)}"
    )


def _database_files(settings: Settings) -> list[Path]:
    """The files of a SQLite database; none for another kind."""
    try:
        url = make_url(settings.database_url)
    except ArgumentError:  # opening the database reports it
        return []
    if not url.drivername.startswith("sqlite") or not url.database or url.database == ":memory:":
        return []
    return [Path(f"{url.database}{ending}") for ending in _DATABASE_FILES]
