"""Dependencies of the endpoints: authentication, the scope that a caller needs, paging.

The signature of an endpoint declares who may call it (`Reader`, `Submitter`, `Admin`, `Guest`, `Remote`, `Anyone`);
its database is limited to what the caller may see. An endpoint that declares nothing is an error at start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, cast
from urllib.parse import urlsplit

from fastapi import Depends, Path, Query, Request
from fastapi.routing import APIRoute
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from service.access import tokens
from service.access.callers import LINK, LOCAL, Caller, with_link
from service.access.local_peer import LocalPeer
from service.access.visibility import seen_by
from service.database.sessions import Database
from service.errors import ForbiddenError, UnauthorizedError
from service.queue.wakeups import WakeUps
from service.settings import Settings
from service.storage.store import Store

from .rate_limit import RateLimit
from .slots import holders_of

SESSION_COOKIE = "landscape_session"
LINK_COOKIE = "landscape_link"
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")  # headers of requests that a proxy passes on
NO_TOKEN = "Log in, or send a valid token: Authorization: Bearer …"
NOT_THE_OWN_ACCOUNT = (
    "Only the account that runs this service needs no token. Log in, or send one that it made with "
    "`landscape token make`: Authorization: Bearer …"
)
SAFE = ("GET", "HEAD", "OPTIONS")

bearer_scheme = HTTPBearer(
    scheme_name="token",
    description="From `landscape token make`, or the secret of a link to one result",
    auto_error=False,
)
session_scheme = APIKeyCookie(
    name=SESSION_COOKIE,
    scheme_name="session",
    description="Cookie of the page, by `POST /api/v1/session`; unsafe methods need the page's own Origin",
    auto_error=False,
)


@dataclass(frozen=True)
class Service:
    """The state of this process; in an endpoint, with the database limited to what the caller may see."""

    settings: Settings
    database: Database
    store: Store
    wakeups: WakeUps
    caller: Caller = LOCAL
    used: set[str] = field(default_factory=set)  # ids of tokens, sessions and links used recently

    @property
    def owner(self) -> str:
        """Name of the user who owns what this caller creates."""
        return self.caller.name


def _service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


class Needs:
    """A dependency: the service for a caller who has this scope; other callers are refused before the endpoint runs."""

    def __init__(self, scope: str):
        self.scope = scope

    def __call__(
        self,
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_scheme)],
        cookie: Annotated[str | None, Depends(session_scheme)],
    ) -> Service:
        """The service for the caller of this request, its database limited to what the caller may see.

        Raises:
            UnauthorizedError: this caller needs a valid credential, and there is none.
            TooManyError: the credential is wrong, as many before it from this address.
            ForbiddenError: the caller lacks the scope, or another site made the request.
        """
        service = _service(request)
        require_same_origin(request, by_cookie=bearer is None and cookie is not None)
        caller = LOCAL if needs_no_token(request) else _caller(request, service, bearer, cookie)
        if not caller.may(self.scope):
            raise ForbiddenError(f"This needs a token with the scope {self.scope!r}.")
        return replace(service, caller=caller, database=_seen_by(service.database, caller))


async def open_to_all(request: Request) -> Service:
    """The service for an endpoint that needs no authentication; the database is not limited."""
    return _service(request)


@lru_cache(1024)
def _seen_by(database: Database, caller: Caller) -> Database:
    return seen_by(database, caller)


def _caller(
    request: Request, service: Service, bearer: HTTPAuthorizationCredentials | None, cookie: str | None
) -> Caller:
    """Authenticated by the token if one is sent, else by the page's session and the link that was opened."""
    credentials: list[tuple[str, tuple[str, ...]]]
    if "authorization" in request.headers:
        credentials = [(bearer.credentials if bearer else "", ("token", "link"))]
    else:
        credentials = [(cookie or "", ("session",)), (request.cookies.get(LINK_COOKIE, ""), ("link",))]
    with service.database.reading() as session:
        found = [tokens.authenticate(session, secret, kinds) for secret, kinds in credentials]
    known = [one for one in found if one is not None]
    if not known:
        request.state.session_is_over = bool(cookie) and "authorization" not in request.headers
        for secret, _ in credentials:
            if secret:
                count_wrong_secret(request, secret)
        raise UnauthorizedError(NO_TOKEN if service.settings.protected else NOT_THE_OWN_ACCOUNT)
    service.used.update(one.key for one in known if one.key)
    caller = known[0] if len(known) == 1 else with_link(known[0], known[1])
    request.state.caller = holders_of(request, caller)[0]  # whose turn the next request is (turns.py)
    return caller


def needs_no_token(request: Request) -> bool:
    """Whether access control is off, or the request comes straight from a process of the account that runs us.

    What a proxy passes on comes from others, even if the proxy runs under our account.
    """
    settings = _service(request).settings
    if settings.access == "off" or not settings.trusts_own_account:
        return settings.access == "off"
    peer: LocalPeer | None = getattr(request.state, "peer", None)
    return peer is not None and peer.is_own_account and not any(name in request.headers for name in FORWARDED)


def count_wrong_secret(request: Request, secret: str) -> None:
    """Count a wrong token, session or link of this address.

    Raises:
        TooManyError: there were too many others within a minute.
    """
    limit: RateLimit = request.app.state.rate_limit
    limit.count_wrong(request, secret)


def require_same_origin(request: Request, *, by_cookie: bool = False) -> None:
    """Protection against cross-site request forgery, with our cookie and on a loopback service that needs no token.

    Args:
        by_cookie: the caller is authenticated by a cookie; then a request without an origin is refused too.

    Raises:
        ForbiddenError: the request was made by another site.
    """
    if request.method in SAFE or "authorization" in request.headers:
        return
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    has_origin = origin is not None or site is not None
    host = request.headers.get("host", "")
    ours = site in (None, "same-origin", "none") and (origin is None or _is_own(origin, host))
    if not ours or (by_cookie and not has_origin):
        raise ForbiddenError("The request does not come from this service's own page.")


def _is_own(origin: str, host: str) -> bool:
    """Compared by host and port, not by scheme: a proxy in front of us may have terminated TLS."""
    parts = urlsplit(origin)
    port = {"http": ":80", "https": ":443"}.get(parts.scheme)
    return port is not None and parts.netloc.lower().removesuffix(port) == host.lower().removesuffix(port)


def scope_of(route: APIRoute) -> str | None:
    """The scope that a caller of this route needs; "" if it is open to all, None if the route declares nothing."""
    calls = [dependency.call for dependency in route.dependant.dependencies]
    scopes = [call.scope for call in calls if isinstance(call, Needs)] + [""] * calls.count(open_to_all)
    return scopes[0] if scopes else None


def require_scopes(routes: Sequence[object]) -> None:
    """Raise if an endpoint does not declare who may call it: it would be open to all."""
    for route in routes:
        assert not isinstance(route, APIRoute) or scope_of(route) is not None, (
            f"{route} declares no scope: take Reader, Submitter, Admin, Guest, Remote or Anyone"
        )


Anyone = Annotated[Service, Depends(open_to_all)]
Guest = Annotated[Service, Depends(Needs(LINK))]  # or a token that may read
Reader = Annotated[Service, Depends(Needs("read"))]
Submitter = Annotated[Service, Depends(Needs("submit"))]
Admin = Annotated[Service, Depends(Needs("admin"))]
Remote = Annotated[Service, Depends(Needs("work"))]  # a worker without a shared disk


@dataclass(frozen=True)
class Page:
    """The requested part of a list."""

    limit: Annotated[int, Query(ge=1, le=200)] = 50
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0


PageDep = Annotated[Page, Depends()]
IdPath = Annotated[str, Path(pattern=r"^[a-z0-9]{16,64}$")]
