"""The prefix of the REST API: /api/v1, with /api as an alias that behaves the same."""

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

API = "/api/v1"
ALIAS = "/api"
_CALLED_BY = "landscape.prefix"


class Alias:
    """ASGI middleware: rewrites a path under /api to the same path under /api/v1, so there is one set of routes."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, its path under /api/v1."""
        if scope["type"] == "http" and scope["path"].startswith(f"{ALIAS}/") and not _is_canonical(scope["path"]):
            scope = {**scope, "path": API + scope["path"].removeprefix(ALIAS), _CALLED_BY: ALIAS}
        await self._app(scope, receive, send)


def _is_canonical(path: str) -> bool:
    return path == API or path.startswith(f"{API}/")


def prefix_of(request: Request) -> str:
    """The prefix that the client called: URLs in the response begin with it too."""
    return str(request.scope.get(_CALLED_BY, API))
