"""Access: the page's session, access tokens, and links to single results.

A secret is returned once, when it is created.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from service.access import tokens
from service.access.callers import LINK, USER
from service.access.visibility import require_own
from service.database.tables import Access, Job
from service.errors import UnauthorizedError

from ..cookies import delete_session, set_link, set_session
from ..deps import (
    SESSION_COOKIE,
    Admin,
    Anyone,
    Guest,
    IdPath,
    Service,
    Submitter,
    count_wrong_secret,
    needs_no_token,
    require_same_origin,
)
from ..openapi import errors
from ..schemas import moment

router = APIRouter(tags=["access"])

OF_ONE = errors(401, 403, 404, 422)  # of a token, a job, a link


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Secret = Annotated[str, Field(min_length=1, max_length=tokens.LONGEST_SECRET)]
Days = Annotated[float | None, Field(gt=0, le=36_500, description="valid for this long; until revoked where absent")]
Scope = Literal["read", "submit", "admin", "work"]


class Login(_Strict):
    """What the page sends to log in."""

    token: Secret


class Opening(_Strict):
    """What the page sends to open a link."""

    link: Secret = Field(description="the part of the address after #/shared/")


class TokenIn(_Strict):
    """A token to be made."""

    user: str = Field(pattern=f"^{USER}$", description="owner of the token and of what is made with it")
    scopes: list[Scope] = Field(min_length=1, max_length=4)
    days: Days = None
    name: str = Field("", max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$", description="a label for people")


class LinkIn(_Strict):
    """A link to be made."""

    days: Days = None


class Who(BaseModel):
    """The caller, as the service sees it."""

    user: str
    scopes: list[Scope | Literal["link"]]
    access: bool = Field(description="whether this caller needed a token")
    expires: str | None = Field(description="when the session ends; null where there is none")


class TokenOut(BaseModel):
    """A token, without its secret."""

    id: str
    user: str
    name: str
    scopes: list[Scope]
    created: str
    expires: str | None
    used: str | None = Field(description="when it was last used, to within half a minute")


class TokenMade(TokenOut):
    """A new token, with its secret."""

    token: str = Field(description="the secret, shown only this once")


class TokenList(BaseModel):
    """Every token, newest first."""

    items: list[TokenOut]


class LinkOut(BaseModel):
    """A link to the result of a job, without its secret."""

    id: str
    created: str
    expires: str | None
    used: str | None


class LinkMade(LinkOut):
    """A new link, with its secret."""

    link: str = Field(description="address on this service that opens the result, shown only this once")


class LinkList(BaseModel):
    """Valid links to the result of a job, newest first."""

    items: list[LinkOut]


class Opened(BaseModel):
    """The result that a link opens."""

    job: str = Field(description="id of the job whose result the link opens")


@router.post("/session", responses=errors(401, 403, 422, 429))
def log_in(request: Request, response: Response, service: Anyone, login: Login) -> Who:
    """Log in: start a session of the page with a token. Its cookie is for the page; programs send the token itself."""
    require_same_origin(request)
    return _who(service, None) if needs_no_token(request) else start_session(request, response, service, login.token)


def start_session(request: Request, response: Response, service: Service, token: str) -> Who:
    """Start a session of the page with a token; `response` sets its cookie.

    Raises:
        UnauthorizedError: the token is not valid.
        TooManyError: nor were many before it from this address.
    """
    try:
        with service.database.writing() as session:
            row, secret = tokens.log_in(session, token.strip(), service.settings.session_hours)
            answer = Who(user=row.owner, scopes=row.scopes, access=True, expires=moment(row.expires))
    except UnauthorizedError:
        count_wrong_secret(request, token)
        raise
    set_session(request, response, secret, service.settings.session_hours * 3600)
    return answer


@router.get("/session", responses=errors(401, 403))
def who_am_i(service: Guest) -> Who:
    """The caller, and when the session ends."""
    with service.database.reading() as session:
        expires = session.scalar(select(Access.expires).where(Access.id == service.caller.key))
    return _who(service, moment(expires))


@router.delete("/session", status_code=204, responses=errors(403))
def log_out(request: Request, service: Anyone, response: Response) -> None:
    """Log out: end the session of this browser."""
    require_same_origin(request)
    secret = request.cookies.get(SESSION_COOKIE)
    with service.database.writing() as session:
        caller = tokens.authenticate(session, secret or "", ("session",))
        if caller is not None and caller.key:
            tokens.revoke(session, caller.key, "session")
    delete_session(response)


def _who(service: Service, expires: str | None) -> Who:
    caller = service.caller
    return Who(
        user=caller.name,
        scopes=sorted(caller.scopes),
        access=caller.key is not None,
        expires=expires,
    )


@router.get("/tokens", responses=errors(401, 403))
def list_tokens(service: Admin) -> TokenList:
    """Every token, newest first, without its secret."""
    with service.database.reading() as session:
        return TokenList(items=[TokenOut(**_token(row)) for row in tokens.list_tokens(session)])


@router.post("/tokens", status_code=201, responses=errors(401, 403, 422))
def make_token(service: Admin, token: TokenIn) -> TokenMade:
    """Make a token for a user; the answer holds its secret, which cannot be shown again."""
    with service.database.writing() as session:
        row, secret = tokens.create_token(session, **token.model_dump())
        return TokenMade(**_token(row), token=secret)


@router.delete("/tokens/{token_id}", status_code=204, responses=OF_ONE)
def revoke_token(service: Admin, token_id: IdPath) -> None:
    """Revoke a token and the sessions that were started with it, at once."""
    with service.database.writing() as session:
        tokens.revoke(session, token_id, "token")


def _token(row: Access) -> dict[str, object]:
    return {"user": row.owner, "name": row.name, "scopes": row.scopes, **_times(row)}


def _times(row: Access) -> dict[str, object]:
    return {"id": row.id} | {name: moment(getattr(row, name)) for name in ("created", "expires", "used")}


@router.post("/jobs/{job_id}/share", status_code=201, responses=OF_ONE)
def share_result(service: Submitter, job_id: IdPath, link: LinkIn) -> LinkMade:
    """Make a link: anyone with it can view this job's result, and can neither change it nor see anything else."""
    with service.database.writing() as session:
        require_own(session, Job, job_id)
        row, secret = tokens.create(
            session,
            "link",
            owner=service.owner,
            scopes=[LINK],
            job_id=job_id,
            seconds=link.days and link.days * 86400,
        )
        return LinkMade.model_validate({**_times(row), "link": f"/#/shared/{secret}"})


@router.get("/jobs/{job_id}/share", responses=OF_ONE)
def list_links(service: Submitter, job_id: IdPath) -> LinkList:
    """The valid links to this job's result."""
    with service.database.reading() as session:
        require_own(session, Job, job_id)
        return LinkList.model_validate({"items": [_times(row) for row in tokens.list_links(session, job_id)]})


@router.delete("/jobs/{job_id}/share/{link_id}", status_code=204, responses=OF_ONE)
def revoke_link(service: Submitter, job_id: IdPath, link_id: IdPath) -> None:
    """Revoke a link at once."""
    with service.database.writing() as session:
        require_own(session, Job, job_id)
        tokens.revoke(session, link_id, "link", job_id=job_id)


@router.post("/shared", responses=errors(401, 403, 422, 429))
def open_link(request: Request, response: Response, service: Anyone, opening: Opening) -> Opened:
    """For the page: exchange a link for a cookie that is valid for its job alone; programs send it as a token."""
    require_same_origin(request)
    with service.database.reading() as session:
        caller = tokens.authenticate(session, opening.link, ("link",))
    if caller is None:
        count_wrong_secret(request, opening.link)
        raise UnauthorizedError("This link is not valid: it was revoked, has expired, or was not copied completely.")
    [job_id] = caller.linked
    set_link(request, response, opening.link, job_id)
    return Opened(job=job_id)
