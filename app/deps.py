"""What endpoints are given: settings, database, store, hints; and paging.

Imports the torch-free modules of worker/. Never answers a request itself.
"""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request

from worker.database import Database
from worker.hints import Hints
from worker.settings import Settings
from worker.store import Store


@dataclass(frozen=True)
class Service:
    """Everything that lives as long as the process."""

    settings: Settings
    database: Database
    store: Store
    hints: Hints


def _service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


@dataclass(frozen=True)
class Page:
    """Which part of a list is wanted."""

    limit: Annotated[int, Query(ge=1, le=200)] = 50
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0


ServiceDep = Annotated[Service, Depends(_service)]
PageDep = Annotated[Page, Depends()]
IdPath = Annotated[str, Path(pattern=r"^[a-z0-9]{16,64}$")]
