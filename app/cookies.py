"""The cookies of the page: its session, and links to single results. Scripts cannot read either."""

from fastapi import Request, Response

from service.access.callers import Caller

from .deps import LINK_COOKIE, SESSION_COOKIE
from .prefix import ALIAS, API, prefix_of

LINK_SECONDS = 30 * 86400


def set_session(request: Request, response: Response, secret: str, seconds: float) -> None:
    """Set the cookie of the page's session, which lasts for so many seconds."""
    _set(request, response, SESSION_COOKIE, secret, path="/", seconds=seconds)


def delete_session(response: Response) -> None:
    """Delete the cookie of the page's session."""
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")


def set_link(request: Request, response: Response, secret: str, job_id: str) -> None:
    """Set a link's cookie, sent with requests for this job alone, under both prefixes."""
    for prefix in (API, ALIAS):
        _set(request, response, LINK_COOKIE, secret, path=f"{prefix}/jobs/{job_id}", seconds=LINK_SECONDS)


def renew_link(request: Request, response: Response, caller: Caller, job_id: str) -> None:
    """Links opened before /api/v1 existed have a cookie for the alias alone: set it for both prefixes."""
    secret = request.cookies.get(LINK_COOKIE)
    if secret and job_id in caller.linked and prefix_of(request) == ALIAS:
        set_link(request, response, secret, job_id)


def _set(request: Request, response: Response, name: str, secret: str, *, path: str, seconds: float) -> None:
    """SameSite=Strict is enough: the page itself needs no cookie, and its requests come from our own origin."""
    response.set_cookie(
        name,
        secret,
        max_age=int(seconds),
        path=path,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
