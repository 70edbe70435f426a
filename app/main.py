"""The application: routes put together, errors turned into HTTP, headers, and the reconciler that keeps hints flowing.

Imports fastapi and the torch-free modules of worker/. Never torch, never mathematics; endpoints have their own files.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from worker import archives
from worker.database import Database
from worker.errors import ServiceError
from worker.hints import Hints
from worker.logs import log_as_json
from worker.reconciler import Reconciler
from worker.settings import Settings
from worker.spec import Kind
from worker.store import Store

from . import checkpoints, datasets, events, gallery, jobs, system
from .deps import Service
from .schemas import ErrorBody, ErrorDetail

logger = logging.getLogger(__name__)

FRONTEND = Path(__file__).parent.parent / "frontend"
ABANDONED_SECONDS = 3600.0
STATUS = {
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "invalid": 422,
    "damaged": 500,
    "no_space": 507,
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service with these settings (from the environment where absent)."""
    settings = settings or Settings()
    settings.data.mkdir(parents=True, exist_ok=True)
    app = FastAPI(
        title="Loss Landscape",
        version=version("loss-landscape"),
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        responses={code: {"model": ErrorBody} for code in (404, 409, 422)},
    )
    app.state.service = Service(
        settings,
        Database(settings.database_url),
        Store(settings.store, max_bytes=settings.max_upload_bytes, min_free_bytes=settings.min_free_bytes),
        Hints(settings.broker),
    )
    for resource in (checkpoints, datasets, jobs, events, gallery, system):
        app.include_router(resource.router, prefix="/api")
    _serve_page(app)
    app.middleware("http")(_with_headers)
    app.exception_handler(ServiceError)(_service_error)
    app.exception_handler(RequestValidationError)(_invalid_request)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(SQLAlchemyError)(_database_error)
    app.exception_handler(Exception)(_unforeseen)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    log_as_json()
    service = app.state.service
    await asyncio.to_thread(archives.add, service.database, service.store, service.settings.data / archives.FOLDER)
    task = asyncio.create_task(_reconcile(service))
    yield
    task.cancel()


async def _reconcile(service: Service) -> None:
    """Offer what lost its worker, and tell the workers what waits: a broker that forgot everything costs seconds."""
    reconciler = Reconciler(service.database, service.hints, service.settings)
    while True:
        try:
            await asyncio.to_thread(reconciler.run_once)
            await asyncio.to_thread(service.store.sweep, ABANDONED_SECONDS)
        except Exception:
            logger.exception("reconciling failed; trying again")


def _serve_page(app: FastAPI) -> None:
    from plotly.offline import offline

    plotly_js = Path(offline.__file__).parent.parent / "package_data" / "plotly.min.js"

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(FRONTEND / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/static/plotly.min.js", include_in_schema=False)
    def plotly() -> FileResponse:
        return FileResponse(plotly_js, media_type="text/javascript", headers={"Cache-Control": "max-age=86400"})

    app.mount("/static", StaticFiles(directory=FRONTEND), name="static")


async def _with_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _error(status: int, code: str, message: str, field: str | None = None) -> JSONResponse:
    body = ErrorBody(error=ErrorDetail(code=code, message=message, field=field))
    return JSONResponse(body.model_dump(exclude_none=True), status)


def _service_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    return _error(STATUS.get(error.code, 422), error.code, str(error), error.field)


def _invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Say which field, what was wrong and what it got; never echo the whole input (it may not even be JSON)."""
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
    codes = {404: "not_found", 405: "method_not_allowed"}
    return _error(error.status_code, codes.get(error.status_code, "http_error"), str(error.detail))


def _database_error(_: Request, error: Exception) -> JSONResponse:
    logger.error("database failed", exc_info=error)
    return _error(503, "database_unavailable", "The database does not answer just now. Try again in a moment.")


def _unforeseen(_: Request, error: Exception) -> JSONResponse:
    logger.error("unforeseen error", exc_info=error)
    return _error(500, "internal_error", "Something went wrong inside the service; its log has the details.")
