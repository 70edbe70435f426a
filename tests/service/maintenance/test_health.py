"""The health checks of containers, on rows that workers would have written."""

import socket
from pathlib import Path

import pytest

from service.database.sessions import Database
from service.database.tables import ALIVE_SECONDS, PRESENCE_SECONDS, Worker, now
from service.errors import UnavailableError
from service.maintenance.health import require_api, require_worker
from service.settings import Settings
from tests.support.servers import free_port


def test_a_worker_counts_as_alive_for_a_while_after_its_last_update(database: Database, database_url: str) -> None:
    settings = Settings(database=database_url)
    ages = {"quick": 0.0, "busy": 2 * PRESENCE_SECONDS, "dead": ALIVE_SECONDS + 1}
    with database.writing() as session:
        for name, age in ages.items():
            session.add(Worker(id=name, device="CPU", host=socket.gethostname(), seen=now() - age))
        session.add(Worker(id="elsewhere", device="CPU", host="another host"))
    require_worker(settings, 2)
    with pytest.raises(UnavailableError, match="2 of 3 workers on this machine are alive"):
        require_worker(settings, 3)


def test_a_database_that_does_not_answer_is_an_error_of_the_check(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="The database does not answer"):
        require_worker(Settings(database=f"sqlite:///{tmp_path / 'no' / 'folder.sqlite'}"), 1)


def test_an_api_that_does_not_answer_is_an_error_of_the_check() -> None:
    with pytest.raises(UnavailableError, match="The API does not answer"):
        require_api(Settings(port=free_port()))
