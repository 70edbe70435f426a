"""Health and version of the service. Answers within a second, even when parts of it hang."""

import platform
from importlib import metadata

import plotly
from fastapi import APIRouter, Request

from ..deps import Anyone
from ..schemas import Health, Version

router = APIRouter(tags=["system"])


@router.get("/health")
def health(request: Request, _: Anyone) -> Health:
    """The state of each part; "degraded" when one of them is not ok."""
    parts = request.app.state.checks.run()
    good = parts["workers"] != "0" and {parts[name] for name in ("database", "store", "broker")} == {"ok"}
    return Health.model_validate({**parts, "status": "ok" if good else "degraded"})


@router.get("/version")
def version(_: Anyone) -> Version:
    """The versions of the service, of Python and of the page's plotting library."""
    return Version(version=metadata.version("loss-atlas"), python=platform.python_version(), plotly=plotly.__version__)
