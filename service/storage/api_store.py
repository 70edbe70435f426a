"""A store behind the API of the service, for a worker without a shared disk and without a bucket.

Digests are verified on both sides. Files that were read or written stay in a bounded local cache. httpx is imported
only when such a store is used.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import (
    DamagedError,
    ForbiddenError,
    InvalidError,
    NoSpaceError,
    NotFoundError,
    ServiceError,
    TooLargeError,
    UnavailableError,
)
from .cache import Cache
from .files import BLOCK, blocks_of, require_digest
from .store import DAMAGED, GONE, Store, StoredFile

if TYPE_CHECKING:
    import httpx

_ATTEMPTS = 5
BACKOFF_SECONDS = 0.5  # doubled from one attempt to the next
_RETRIED = (429, 502, 503, 504)  # HTTP status codes
_READ_AND_ADD = "A worker can only read and add files; the service itself lists and removes them."


class ApiStore(Store):
    """`GET` and `PUT /api/store/{sha256}` with a token of scope `work`; older services have only this alias.

    Raises:
        InvalidError: httpx is not installed.
    """

    def __init__(
        self, url: str, local: Path, *, token: str | None, cache_bytes: int, max_bytes: int, min_free_bytes: int = 0
    ):
        super().__init__(local, max_bytes=max_bytes, min_free_bytes=min_free_bytes)
        self.url = url.rstrip("/").removesuffix("/api/v1").removesuffix("/api")
        self.cache = Cache(local / "cache", cache_bytes)
        self._http = _client(self.url, token)

    def path(self, sha256: str) -> Path:
        """A local file with the bytes of this digest, just verified: the cached copy, or a new one.

        Raises:
            NotFoundError: they are not in the store.
            DamagedError: they have changed.
            UnavailableError: the service does not answer.
            ServiceError: it refuses the request; the error says why.
            NoSpaceError: too little disk space is left for a copy.
            TooLargeError: they are larger than the limit of this host.
        """
        return self.cache.find(sha256) or self._fetch(sha256)

    def find(self, sha256: str) -> StoredFile | None:
        """Size and age of what is stored under this digest, without reading it; None if nothing is stored.

        Raises:
            NotFoundError: this is not a SHA-256.
            UnavailableError: the service does not answer.
            ServiceError: it refuses the request; the error says why.
        """
        address = _address(sha256)
        try:
            response = self._request(lambda: self._http.head(address, timeout=3.0), attempts=1)
        except NotFoundError:
            return None
        return StoredFile(sha256, int(response.headers["content-length"]), float(response.headers["age"]))

    def _remove(self, sha256: str) -> None:
        raise ForbiddenError(_READ_AND_ADD)

    def stored(self) -> Iterator[StoredFile]:
        """Nothing: a worker cannot list the files of the service.

        Raises:
            ForbiddenError: always.
        """
        raise ForbiddenError(_READ_AND_ADD)

    def usable(self) -> bool:
        try:
            return self.find("0" * 64) is None
        except ServiceError:
            return False

    def _commit(self, path: Path, sha256: str) -> None:
        size = {"Content-Length": str(path.stat().st_size)}
        self._request(lambda: self._http.put(_address(sha256), content=blocks_of(path), headers=size))
        self.cache.add(path, sha256)

    def _fetch(self, sha256: str) -> Path:
        found: Path = self._request(lambda: self._download(sha256))
        return found

    def _download(self, sha256: str) -> "Path | httpx.Response":
        """The file in the cache, or the response if it was an error."""
        with self._http.stream("GET", _address(sha256)) as response, self.receive() as incoming:
            if response.status_code != 200:
                response.read()
                return response
            for block in response.iter_bytes(BLOCK):
                incoming.write(block)
            if incoming.finish() != sha256:
                raise DamagedError(DAMAGED)
            return self.cache.add(incoming.path, sha256)

    def _request(self, send: "Callable[[], Any]", *, attempts: int = _ATTEMPTS) -> Any:
        """The response of `send`, retried while the service is unreachable or busy: every request is idempotent."""
        import httpx

        for attempt in range(attempts):
            if attempt:
                time.sleep(BACKOFF_SECONDS * 2**attempt)
            try:
                response = send()
            except httpx.TransportError:
                continue
            if not isinstance(response, httpx.Response) or response.is_success:
                return response
            if response.status_code not in _RETRIED:
                raise refusal(response)
        raise UnavailableError(f"The store at {self.url} does not answer. Try again in a moment.")


def _client(url: str, token: str | None) -> "httpx.Client":
    try:
        import httpx
    except ImportError:
        raise InvalidError("A store at an API needs httpx: pip install 'loss-atlas[worker]'.") from None
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    limits = httpx.Limits(max_keepalive_connections=0)  # a few files per job: no connection is worth keeping open
    return httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(60.0, connect=5.0), limits=limits)


def _address(sha256: str) -> str:
    return f"/api/store/{require_digest(sha256)}"


def refusal(response: "httpx.Response") -> ServiceError:
    """The error that a local store would raise, made from the service's response."""
    if response.status_code == 404:
        return NotFoundError(GONE)
    if response.status_code in (401, 403):
        return ForbiddenError("The store refused the token of this worker. Make one with: landscape token --scope work")
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return UnavailableError(f"The store answered with HTTP status {response.status_code}.")
    kinds = {"damaged": DamagedError, "no_space": NoSpaceError, "too_large": TooLargeError}
    return kinds.get(error["code"], InvalidError)(DAMAGED if error["code"] == "damaged" else error["message"])
