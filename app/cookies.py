"""The cookies of the page: its session, and links to single results. Scripts cannot read either."""

from fastapi import Request, Response

from service.access.callers import Caller

from .deps import LINK_COOKIE, SESSION_COOKIE
from .prefix import ALIAS, API, prefix_of

LINK_SECONDS = 30 * 86400


def set_session(request: Request, response: Response, secret: str, seconds: float) -> None:
    _set(request, response, SESSION_COOKIE, secret, path="/", seconds=seconds)


def delete_session(response: Response) -> None:
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")


def set_link(request: Request, response: Response, secret: str, job_id: str) -> None:
    """The browser sends it with requests for this job alone, under both prefixes."""
    for prefix in (API, ALIAS):
        _set(request, response, LINK_COOKIE, secret, path=f"{prefix}/jobs/{job_id}", seconds=LINK_SECONDS)


def renew_link(request: Request, response: Response, caller: Caller, job_id: str) -> None:
    """A link that was opened before there was /api/v1 left a cookie for the alias alone: set it for both."""
    secret = request.cookies.get(LINK_COOKIE)
    if secret and job_id in caller.linked and prefix_of(request) == ALIAS:
        set_link(request, response, secret, job_id)


def _set(request: Request, response: Response, name: str, secret: str, *, path: str, seconds: float) -> None:
    """Strict: the page itself is open, so that a request after a link from elsewhere still comes from our own page."""
    response.set_cookie(
        name,
        secret,
        max_age=int(seconds),
        path=path,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
