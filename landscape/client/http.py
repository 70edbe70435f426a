"""HTTP as both faces use it: addresses, headers, and httpx's errors as ours.

Imports httpx, exchange and errors. Never sends by itself.
"""

from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import httpx

from ..errors import LandscapeError
from .errors import UnreachableError
from .flow import Reply, Request

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def checked(url: str) -> str:
    """The address of a service, without a slash at its end.

    Raises:
        LandscapeError: it is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise LandscapeError(f"A server is named like http://lab:8000; got {url!r}.")
    return url.rstrip("/").removesuffix("/api")


def options(url: str, token: str | None, timeout: float) -> dict[str, Any]:
    """Arguments of httpx.Client and httpx.AsyncClient."""
    headers = {"User-Agent": f"loss-landscape/{version('loss-landscape')}"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    limits = httpx.Timeout(timeout, connect=min(timeout, 10.0))
    return {"base_url": url, "headers": headers, "timeout": limits}


def arguments(request: Request) -> dict[str, Any]:
    """Arguments of `build_request`; the service's own addresses begin with /api already."""
    path = request.path if request.path.startswith("/api/") else f"/api{request.path}"
    given = {"params": request.query or None, "json": request.body, "content": request.content or None}
    given = {name: value for name, value in given.items() if value is not None}
    return {"method": request.method, "url": path, "headers": request.headers, **given}


def reply_of(response: httpx.Response, content: bytes = b"") -> Reply:
    return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, content)


def unreachable(url: str, error: httpx.TransportError) -> UnreachableError:
    reason = str(error) or type(error).__name__
    return UnreachableError(
        f"The service at {url} does not answer: {reason[:200]}.", sent=not isinstance(error, NOT_SENT)
    )
