"""The application: its routes and middleware, errors as HTTP responses, background tasks."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, get_args

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from service import versions
from service.access.tokens import LONGEST_SECRET, record_use
from service.data_folder import open_data_folder
from service.database.sessions import Database
from service.errors import ServiceError, TooManyError, UnauthorizedError
from service.jobs.spec import Kind
from service.library import archives
from service.logs import log_as_json
from service.maintenance import garbage
from service.queue.reconciler import Reconciler
from service.queue.wakeups import WakeUps
from service.settings import Settings
from service.storage.open import open_store

from .answers import Answers
from .checks import Checks
from .connections import LimitRequests, LoopErrors
from .cookies import delete_session
from .deps import Anyone, Service, needs_no_token, open_to_all, require_scopes
from .feeds import Feeds
from .guard import HEADERS, Guard
from .openapi import describe, errors
from .prefix import API, Alias
from .rate_limit import RateLimit
from .routes import access, blobs, checkpoints, datasets, events, gallery, jobs, metrics, system, tus
from .routes.metrics import CountRequests, Metrics
from .schemas import ErrorBody, ErrorDetail
from .slots import Slots
from .turns import TakeTurns

logger = logging.getLogger(__name__)

FRONTEND = Path(__file__).parent.parent / "frontend"
Token = Annotated[str | None, Query(max_length=LONGEST_SECRET)]  # in the address that `landscape up` prints
CLEAN_SECONDS = 60.0
USED_SECONDS = 30.0
WRITER_SECONDS = 2.0  # a request that writes waits this long for one that waits for another program
MAX_JSON_BYTES = 1 << 20
STATUS = {
    "checksum_format": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "too_slow": 408,
    "conflict": 409,
    "gone": 410,
    "tus_version": 412,
    "too_large": 413,
    "media_type": 415,
    "invalid": 422,
    "locked": 423,
    "too_many": 429,
    "checksum_mismatch": 460,
    "damaged": 500,
    "busy": 503,
    "unavailable": 503,
    "no_space": 507,
    "quota": 507,
}


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application with these settings, by default from the environment.

    Raises as `open_data_folder`, `Database` and `open_store`.
    """
    settings = settings or Settings()
    open_data_folder(settings)
    app = FastAPI(
        title="Loss Landscape",
        version=version("loss-atlas"),
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    app.state.service = Service(
        settings,
        Database(settings.database_url, writer_timeout=WRITER_SECONDS),
        open_store(settings),
        WakeUps(settings.broker),
    )
    service = app.state.service
    app.state.upload_slots = Slots("uploads", settings.max_uploads, most_each={"user": settings.max_user_uploads})
    app.state.answers = Answers(settings)
    app.state.checks = Checks(service)
    most_streams = {"user": settings.max_user_event_streams}
    app.state.feeds = Feeds(
        service.database, Slots("event streams", settings.max_event_streams, most_each=most_streams)
    )
    app.state.metrics = Metrics(service, app.state.feeds)
    app.state.rate_limit = RateLimit()
    for resource in (access, checkpoints, datasets, jobs, events, gallery, system):
        require_scopes(resource.router.routes)
        app.include_router(
            resource.router, prefix=API, max_body_size=MAX_JSON_BYTES, responses=errors(400, 413, 429, 503)
        )
    for streaming in (tus, blobs):
        require_scopes(streaming.router.routes)
        app.include_router(streaming.router, prefix=API, responses=errors(400, 429, 503))
    app.include_router(metrics.router)
    _serve_page(app)
    require_scopes([*app.routes, *metrics.router.routes])
    app.add_middleware(TakeTurns)
    app.add_middleware(LimitRequests, settings=settings)
    app.add_middleware(CountRequests, metrics=app.state.metrics)
    app.add_middleware(Alias)
    app.add_middleware(Guard, settings=settings)
    app.exception_handler(ServiceError)(_service_error)
    app.exception_handler(RequestValidationError)(_invalid_request)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(SQLAlchemyError)(_database_error)
    app.exception_handler(Exception)(_unexpected_error)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    log_as_json()
    asyncio.get_running_loop().set_exception_handler(LoopErrors())
    service = app.state.service
    await asyncio.to_thread(archives.add, service.database, service.store, service.settings.data / archives.FOLDER)
    await asyncio.to_thread(versions.announce, service.database)
    loops = (_reconcile, _clean, _record_token_use)
    tasks = [asyncio.create_task(loop(service)) for loop in loops]
    tasks.append(asyncio.create_task(_clean_answers(app.state.answers, service)))
    yield
    for task in tasks:
        task.cancel()


async def _reconcile(service: Service) -> None:
    """Requeue work of dead workers and resend lost wake-up messages: a broker that lost everything costs seconds."""
    reconciler = Reconciler(service.database, service.wakeups, service.settings)
    while True:
        try:
            await asyncio.to_thread(reconciler.run_once)
            await asyncio.to_thread(service.store.sweep)
        except Exception:
            logger.exception("the reconciler failed; it is retried")


async def _clean(service: Service) -> None:
    """Collect garbage and remove what has expired, as the settings say."""
    while True:
        await asyncio.sleep(CLEAN_SECONDS)
        try:
            await asyncio.to_thread(garbage.clean, service.database, service.store, service.settings)
        except Exception:
            logger.exception("garbage collection failed; it is retried")


async def _clean_answers(answers: Answers, service: Service) -> None:
    while True:
        try:
            await asyncio.to_thread(answers.clean, service)
        except Exception:
            logger.exception("removing old answers failed; it is retried")
        await asyncio.sleep(CLEAN_SECONDS)


async def _record_token_use(service: Service) -> None:
    """Record when tokens were last used, for many requests at once."""
    while True:
        await asyncio.sleep(USED_SECONDS)
        used = set(service.used)
        service.used.difference_update(used)
        try:
            await asyncio.to_thread(record_use, service.database, used)
        except Exception:
            logger.exception("recording the use of tokens failed; it is retried")
            service.used.update(used)


def _serve_page(app: FastAPI) -> None:
    from plotly.offline import offline

    plotly_js = Path(offline.__file__).parent.parent / "package_data" / "plotly.min.js"

    @app.get("/", include_in_schema=False)
    def page(request: Request, service: Anyone, token: Token = None) -> Response:
        if token is None:
            return FileResponse(FRONTEND / "index.html", headers={"Cache-Control": "no-cache"})
        response = RedirectResponse("/", 303, {"Cache-Control": "no-store"})  # an address without the token
        of_another_site = request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if not of_another_site and not needs_no_token(request):
            access.start_session(request, response, service, token)
        return response

    @app.get("/static/plotly.min.js", include_in_schema=False, dependencies=[Depends(open_to_all)])
    def plotly() -> FileResponse:
        return FileResponse(plotly_js, media_type="text/javascript", headers={"Cache-Control": "max-age=86400"})

    app.mount("/static", StaticFiles(directory=FRONTEND), name="static")


def _error(status: int, code: str, message: str, field: str | None = None) -> JSONResponse:
    body = ErrorBody(error=ErrorDetail(code=code, message=message, field=field))
    return JSONResponse(body.model_dump(exclude_none=True), status, HEADERS)


def _service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    response = _error(STATUS.get(error.code, 422), error.code, str(error), error.field)
    if response.status_code == 503:
        response.headers["Retry-After"] = "5"
    if isinstance(error, TooManyError):
        response.headers["Retry-After"] = str(error.seconds)
    if isinstance(error, UnauthorizedError):
        response.headers["WWW-Authenticate"] = "Bearer"
    if getattr(request.state, "session_is_over", False):
        delete_session(response)  # the page would send its cookie again and again
    return response


def _invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Name the field, the error and the value; never echo the whole input (it may not even be JSON)."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path", *get_args(Kind)))
    message = str(first["msg"]).removeprefix("Value error, ")
    got = first.get("input")
    if isinstance(got, str | int | float | bool) and first["type"] != "json_invalid":
        message += f"; got {got!r}"[:100]
    return _error(422, "invalid", f"{field}: {message}" if field else message, field or None)


def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    codes = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
    return _error(error.status_code, codes.get(error.status_code, "http_error"), str(error.detail))


def _database_error(_: Request, error: Exception) -> JSONResponse:
    logger.error("database failed", exc_info=error)
    response = _error(503, "database_unavailable", "The database does not answer. Try again in a moment.")
    response.headers["Retry-After"] = "5"
    return response


def _unexpected_error(_: Request, error: Exception) -> JSONResponse:
    logger.error("unexpected error", exc_info=error)
    return _error(500, "internal_error", "Internal error; the log of the service has the details.")
