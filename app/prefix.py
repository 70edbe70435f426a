"""Where the REST API lives: under /api/v1, with /api as an alias that answers the same."""

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

API = "/api/v1"
ALIAS = "/api"
_CALLED_BY = "landscape.prefix"


class Alias:
    """ASGI middleware: a path under /api goes on as the same path under /api/v1, so that there is one set of routes."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(f"{ALIAS}/") and not _is_canonical(scope["path"]):
            scope = {**scope, "path": API + scope["path"].removeprefix(ALIAS), _CALLED_BY: ALIAS}
        await self._app(scope, receive, send)


def _is_canonical(path: str) -> bool:
    return path == API or path.startswith(f"{API}/")


def prefix_of(request: Request) -> str:
    """The prefix that the client called: addresses in the answer begin with it too."""
    return str(request.scope.get(_CALLED_BY, API))
