"""What the client keeps in the user's own folders: tokens by server, and where unfinished uploads go on.

Imports the standard library and errors. Never keeps a file another user can read.
"""

import contextlib
import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..errors import LandscapeError


def token_for(url: str) -> str | None:
    """LANDSCAPE_TOKEN, else the token that `landscape login` kept for this server."""
    return os.environ.get("LANDSCAPE_TOKEN") or _kept(_logins()).get(url.rstrip("/"))


def token_in(file: Path) -> str:
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


def keep_token(url: str, token: str | None) -> Path:
    """Keep the token of a server for this user (None forgets it); the file it is in."""
    path = _logins()
    kept = {**_kept(path), url.rstrip("/"): token}
    _keep(path, {server: one for server, one in kept.items() if one})
    return path


class Unfinished:
    """Where the upload of one file, as it is now, goes on."""

    def __init__(self, file: Path, url: str, *about: str):
        stat = file.stat()
        what = [url, str(file.resolve()), stat.st_size, stat.st_mtime_ns, *about]
        self._key = sha256(json.dumps(what).encode()).hexdigest()
        self._path = _folder("XDG_CACHE_HOME", ".cache") / "uploads.json"

    @property
    def place(self) -> str | None:
        """The address of the upload, where one was begun."""
        return _kept(self._path).get(self._key)

    def remember(self, place: str) -> None:
        _keep(self._path, {**_kept(self._path), self._key: place})

    def forget(self) -> None:
        kept = _kept(self._path)
        kept.pop(self._key, None)
        _keep(self._path, kept)


def _logins() -> Path:
    return _folder("XDG_CONFIG_HOME", ".config") / "tokens.json"


def _folder(variable: str, otherwise: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / otherwise) / "landscape"


def _kept(path: Path) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        found: Any = json.loads(path.read_text())
        if isinstance(found, dict):
            return {str(key): str(value) for key, value in found.items()}
    return {}


def _keep(path: Path, kept: dict[str, str]) -> None:
    """Replace the file in one move; nobody else may read it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(kept, file, indent=1)
    beside.replace(path)
