"""Is it alive, and which version is it: for machines.

Imports checks. Answers within a second, whatever is broken behind it.
"""

import platform
from importlib import metadata

import plotly
from fastapi import APIRouter, Request

from ..deps import Anyone
from ..schemas import Health, Version

router = APIRouter(tags=["system"])


@router.get("/health")
def health(request: Request, _: Anyone) -> Health:
    """Honest about each part; "degraded" when one is missing."""
    parts = request.app.state.checks.ask()
    good = parts["workers"] != "0" and {parts[name] for name in ("database", "store", "broker")} == {"ok"}
    return Health.model_validate({**parts, "status": "ok" if good else "degraded"})


@router.get("/version")
def version(_: Anyone) -> Version:
    return Version(version=metadata.version("loss-atlas"), python=platform.python_version(), plotly=plotly.__version__)
