"""Health and version of the service. Answers within a second, even when parts of it hang."""

import platform
from importlib import metadata

import plotly
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request

from ..deps import Anyone
from ..schemas import Health, Version

router = APIRouter(tags=["system"])
_threads = CapacityLimiter(4)  # of its own: no other request is waited for


@router.get("/health")
async def health(request: Request, _: Anyone) -> Health:
    """The state of each part; "degraded" when one of them is not ok."""
    parts = await to_thread.run_sync(request.app.state.checks.run, limiter=_threads)
    good = parts["workers"] != "0" and {parts[name] for name in ("database", "store", "broker")} == {"ok"}
    return Health.model_validate({**parts, "status": "ok" if good else "degraded"})


@router.get("/version")
async def version(_: Anyone) -> Version:
    """The versions of the service, of Python and of the page's plotting library."""
    return Version(version=metadata.version("loss-atlas"), python=platform.python_version(), plotly=plotly.__version__)
