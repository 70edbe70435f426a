"""Is it alive, and which version is it: for machines."""

import os
import platform
from importlib import metadata

import plotly
from fastapi import APIRouter
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from worker.tables import Worker, now

from .deps import Service, ServiceDep
from .schemas import Health, Version

router = APIRouter(tags=["system"])


@router.get("/health")
def health(service: ServiceDep) -> Health:
    """Honest about each part; "degraded" when one is missing."""
    workers = _workers(service)
    parts = {
        "database": "ok" if workers is not None else "unreachable",
        "store": "ok" if os.access(service.store.unfinished, os.W_OK) else "unwritable",
        "broker": "ok" if service.hints.reachable() else "unreachable",
    }
    good = workers and set(parts.values()) == {"ok"}
    return Health.model_validate({**parts, "workers": workers or 0, "status": "ok" if good else "degraded"})


def _workers(service: Service) -> int | None:
    try:
        with service.database.reading() as session:
            return session.scalar(select(func.count()).select_from(Worker).where(Worker.seen > now() - 10)) or 0
    except SQLAlchemyError:
        return None


@router.get("/version")
def version() -> Version:
    return Version(
        version=metadata.version("loss-landscape"), python=platform.python_version(), plotly=plotly.__version__
    )
