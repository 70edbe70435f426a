"""HTTP details that both clients share: addresses, headers, httpx's arguments, and httpx's errors as ours."""

from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import httpx

from ..errors import LandscapeError
from .errors import UnreachableError
from .flow import Reply, Request

API = "/api/v1"
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def base_url(url: str) -> str:
    """The address of a service, without the API's prefix and without a slash at the end.

    Raises:
        LandscapeError: it is not an http or https address.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that do not match
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise LandscapeError(f"The address of a service is like http://lab:8000; got {url!r}.")
    return url.rstrip("/").removesuffix("/api/v1").removesuffix("/api")


def client_arguments(url: str, token: str | None, timeout: float) -> dict[str, Any]:
    """Arguments of httpx.Client and httpx.AsyncClient."""
    headers = {"User-Agent": f"loss-atlas/{version('loss-atlas')}"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    timeouts = httpx.Timeout(timeout, connect=min(timeout, 10.0))
    return {"base_url": url, "headers": headers, "timeout": timeouts}


def request_arguments(request: Request) -> dict[str, Any]:
    """Arguments of httpx's `build_request`; paths from the service already have the prefix."""
    path = request.path if request.path.startswith("/api/") else f"{API}{request.path}"
    given = {"params": request.query or None, "json": request.body, "content": request.content or None}
    given = {name: value for name, value in given.items() if value is not None}
    return {"method": request.method, "url": path, "headers": request.headers, **given}


def reply(response: httpx.Response, content: bytes = b"") -> Reply:
    """A response of httpx as ours; `content` is empty while it streams."""
    return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, content)


def unreachable(url: str, error: httpx.TransportError) -> UnreachableError:
    """An error of httpx as ours; it knows whether the request may have reached the service."""
    reason = str(error) or type(error).__name__
    return UnreachableError(
        f"The service at {url} does not answer: {reason[:200]}.", sent=not isinstance(error, NOT_SENT)
    )
