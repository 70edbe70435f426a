"""A database as the service has it, on SQLite and on PostgreSQL."""

from collections.abc import Iterator

import pytest

from worker.database import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.engine.dispose()
