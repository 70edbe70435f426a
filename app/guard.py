"""Security headers on every response, allowed hosts, and a JSON error for bodies that are too large.

Plain ASGI, so that streams pass through untouched.
"""

import base64
import hashlib
import re
import socket
from collections.abc import Iterable, MutableMapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.settings import Settings

from .schemas import ErrorBody, ErrorDetail


def _sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# What plotly.js 4.1 writes into the page: an empty style element that it fills with rules, the style sheet of maps, and
# inline styles of two kinds of elements. A browser test opens every view: another version may need other hashes.
_ELEMENTS = f"{_sha256('')} 'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='"
_PIXELATED = ("optimizeSpeed", "-moz-crisp-edges", "-o-crisp-edges", "-webkit-optimize-contrast", "optimize-contrast")
_RENDERING = "".join(f"image-rendering: {one}; " for one in (*_PIXELATED, "crisp-edges", "pixelated"))
_ATTRIBUTES = f"{_sha256(_RENDERING)} {_sha256('font-size:70%')}"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    f"style-src-elem 'self' {_ELEMENTS}; style-src-attr 'unsafe-hashes' {_ATTRIBUTES}; "
    "img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
HSTS = "max-age=31536000"
BAD_HOST = "This service does not answer to that host name. Its setting allowed_hosts lists the names it answers to."
TOO_LARGE = "The body is larger than any request of this kind. Files go to /api/v1/checkpoints and /api/v1/datasets."
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def allowed_hosts(settings: Settings) -> tuple[str, ...]:
    """Host names that the service answers to; "*" is any.

    With access control any name is allowed: a page under another name has no cookie of ours. Without it, a page
    whose name resolves to this machine (DNS rebinding) could read everything.
    """
    if settings.allowed_hosts:
        named = (name.strip().lower() for name in settings.allowed_hosts.split(","))
        return (*LOOPBACK, settings.host.lower(), *filter(None, named))
    if settings.protected:
        return ("*",)
    own = socket.gethostname().lower()
    return (*LOOPBACK, settings.host.lower(), own, f"{own}.local", *_addresses(own))


def _addresses(name: str) -> Iterable[str]:
    """Our own addresses, under which colleagues reach a service without access control."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    except OSError:
        return ()


class Guard:
    """ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp, settings: Settings):
        self._app, self._hosts = app, allowed_hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add headers to its response; refuse one for another host name with 400."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        secure = scope["scheme"] == "https"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_headers(message, secure)
            await send(message)

        if "*" not in self._hosts and _name(Headers(scope=scope).get("host", "")) not in self._hosts:
            return await refuse(with_headers, 400, "bad_host", BAD_HOST)
        return await self._app(scope, receive, _errors_as_json(with_headers))


def _errors_as_json(send: Send) -> Send:
    """The framework answers 413 in plain text; our errors are all JSON."""
    replaced = False

    async def send_json(message: Message) -> None:
        nonlocal replaced
        if message["type"] == "http.response.start" and message["status"] == 413:
            replaced = Headers(raw=message["headers"]).get("content-type", "").startswith("text/plain")
            if replaced:
                await refuse(send, 413, "too_large", TOO_LARGE)
        if not replaced:
            await send(message)

    return send_json


def add_headers(message: MutableMapping[str, object], secure: bool) -> None:
    """Add the security headers that the start of a response lacks.

    Args:
        secure: the request came by HTTPS; browsers then remember to use it.
    """
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    if secure:
        headers.setdefault("Strict-Transport-Security", HSTS)


def _name(host: str) -> str:
    """The host without its port and the brackets of an IPv6 address; empty if it is not a host."""
    found = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^][:]+))(?::[0-9]*)?", host.lower())
    return (found[1] or found[2]) if found else ""


async def refuse(send: Send, status: int, code: str, message: str, *, retry_seconds: int | None = None) -> None:
    """Answer with an error of the API."""
    body = ErrorBody(error=ErrorDetail(code=code, message=message)).model_dump_json(exclude_none=True).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if retry_seconds is not None:
        headers.append((b"retry-after", str(retry_seconds).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
