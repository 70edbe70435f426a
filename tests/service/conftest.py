"""A database on every back end, and services for one test that need other settings or are broken."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from service.database.sessions import Database
from tests.support.service import Service, services


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services for this test alone, each with its own data folder."""
    with services(tmp_path, workers=1) as start:
        yield start


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.engine.dispose()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.writing() as session:
        yield session
