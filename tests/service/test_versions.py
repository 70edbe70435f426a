"""While a lab is upgraded, host by host, workers of another version wait instead of giving up."""

import os
from pathlib import Path
from unittest.mock import patch

import pytest
import typer
from sqlalchemy import text, update

from service import versions
from service.cli.worker import worker
from service.database.sessions import Database
from service.database.tables import REVISION, Count
from service.errors import ConflictError


def set_version(database: Database, label: str) -> None:
    with database.writing() as session:
        session.execute(update(Count).where(Count.name == versions.NAME).values(label=label))


def test_a_worker_waits_until_the_service_has_its_version(database: Database, database_url: str) -> None:
    versions.announce(database)
    versions.require_same(database_url)
    set_version(database, "0.0.1")
    with pytest.raises(ConflictError, match=r"the service is 0\.0\.1"):
        versions.require_same(database_url)
    lines: list[str] = []

    def upgrade_later(line: str) -> None:
        lines.append(line)
        if len(lines) == 3:
            versions.announce(database)

    versions.wait_for_same(database_url, upgrade_later, pause=0.01)
    assert [line.rpartition("again in ")[2] for line in lines] == ["0.01 s.", "0.02 s.", "0.04 s."]
    assert "Install the same version on both. Waiting for the other to be upgraded" in lines[0]


def test_a_worker_waits_until_the_service_has_upgraded_the_database(database: Database, database_url: str) -> None:
    def set_revision(revision: str) -> None:
        with database.writing() as session:
            session.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))

    set_revision("0002")
    lines: list[str] = []

    def upgrade(line: str) -> None:
        lines.append(line)
        set_revision(REVISION)

    versions.wait_for_same(database_url, upgrade, pause=0.01)
    assert len(lines) == 1
    assert "The database has schema 0002" in lines[0]


def test_one_worker_of_another_version_ends_with_a_sentence_and_an_exit_code_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'landscape.sqlite'}")
    versions.announce(database)
    set_version(database, "0.0.1")
    database.engine.dispose()
    with patch.dict(os.environ), pytest.raises(typer.Exit) as ended:
        worker(data=tmp_path)
    assert ended.value.exit_code == versions.OTHER_VERSION
    assert "the service is 0.0.1" in capsys.readouterr().err
