"""A database on every back end, and services of a test's own for tests that need other settings or break things."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.database.sessions import Database
from tests.conftest import Service, start_service


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services of the test's own, each on a folder."""
    started: list[Service] = []

    def start(name: str = "data", **settings: Any) -> Service:
        started.append(start_service(tmp_path / name, workers=1, **settings))
        return started[-1]

    yield start
    for service in started:
        if service.process.poll() is None:
            service.stop()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.engine.dispose()
