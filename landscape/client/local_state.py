"""Files of the client in the user's own folders: tokens by server, and the addresses of unfinished uploads.

Only this user can read the files.
"""

import contextlib
import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..disk import write_durably
from ..errors import LandscapeError


def token_for(url: str) -> str | None:
    """LANDSCAPE_TOKEN, or else the token that `landscape login` saved for this server."""
    return os.environ.get("LANDSCAPE_TOKEN") or _read(_tokens_file()).get(url.rstrip("/"))


def read_token(file: Path) -> str:
    """The token in a file.

    Raises:
        LandscapeError: it cannot be read or is empty.
    """
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise LandscapeError(f"The token file {file} cannot be read: {type(error).__name__}.") from None
    if not token:
        raise LandscapeError(f"The token file {file} is empty.")
    return token


def save_token(url: str, token: str) -> Path:
    """Save this user's token for a server; returns the file."""
    path = _tokens_file()
    _write(path, {**_read(path), url.rstrip("/"): token})
    return path


def remove_token(url: str) -> None:
    """Remove this user's token for a server, if there is one."""
    _remove(_tokens_file(), url.rstrip("/"))


class UnfinishedUpload:
    """The address at which an interrupted upload of a file can be resumed, as long as the file has not changed."""

    def __init__(self, file: Path, url: str, *about: str):
        stat = file.stat()
        identity = [url, str(file.resolve()), stat.st_size, stat.st_mtime_ns, *about]
        self._key = sha256(json.dumps(identity).encode()).hexdigest()
        self._path = _folder("XDG_CACHE_HOME", ".cache") / "uploads.json"

    @property
    def address(self) -> str | None:
        """The address, or None if there is no upload to resume."""
        return _read(self._path).get(self._key)

    def save(self, address: str) -> None:
        """Keep the address until the upload is complete."""
        _write(self._path, {**_read(self._path), self._key: address})

    def remove(self) -> None:
        """Delete the address: the upload is complete."""
        _remove(self._path, self._key)


def _tokens_file() -> Path:
    return _folder("XDG_CONFIG_HOME", ".config") / "tokens.json"


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default) / "landscape"


def _read(path: Path) -> dict[str, str]:
    """The entries of a file; none if it is missing or damaged."""
    with contextlib.suppress(OSError, ValueError):
        entries: Any = json.loads(path.read_text())
        if isinstance(entries, dict):
            return {str(key): str(value) for key, value in entries.items()}
    return {}


def _remove(path: Path, key: str) -> None:
    _write(path, {name: value for name, value in _read(path).items() if name != key})


def _write(path: Path, entries: dict[str, str]) -> None:
    """Replace the file atomically; only this user can read it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_durably(path, json.dumps(entries, indent=1).encode(), mode=0o600)
