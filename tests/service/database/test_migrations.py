"""Migrations: a database of every earlier version is upgraded with its data, on both kinds of database.

The old databases are made by the SQL of their time (tests/service/database/revisions/), not from today's tables.
"""

import multiprocessing
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect, select, text
from sqlalchemy.exc import IntegrityError

from service.database import migrations
from service.database.sessions import Database
from service.database.tables import REVISION, Base, Checkpoint, Dataset, Job, Tile
from service.errors import ConflictError
from service.jobs import lifecycle, results
from service.queue import completion, leases, requeue
from service.queue.rows import pack
from tests.service.queue.steps import end_pauses

REVISIONS = Path(__file__).parent / "revisions"
OLDER = [path.stem for path in sorted(REVISIONS.glob("*.sql"))]


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.engine.dispose()


def create_old(url: str, revision: str) -> None:
    """Create the database of a release, with data in it."""
    script = (REVISIONS / f"{revision}.sql").read_text()
    with connected(url) as connection:
        for statement in re.split(r";\n", script):
            dialect = "" if connection.dialect.name == "sqlite" else "postgresql"
            if dialect:
                statement = statement.replace(" BLOB", " BYTEA").replace(" DOUBLE", " DOUBLE PRECISION")
                statement = statement.replace("id INTEGER NOT NULL", "id SERIAL NOT NULL")
                statement = re.sub(r"X'([0-9a-f]*)'", r"'\\x\1'::bytea", statement)
            if statement.strip():
                connection.exec_driver_sql(statement)
        if connection.dialect.name == "postgresql":
            for table in ("tiles", "log_lines"):
                if inspect(connection).has_table(table):
                    connection.exec_driver_sql(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")


def all_rows(url: str) -> dict[str, dict[str, list[Any]]]:
    """Every value of a database, by table and column, in the order of the primary key."""
    with connected(url) as connection:
        found = MetaData()
        found.reflect(connection)
        return {
            table.name: {
                column.name: list(connection.scalars(select(column).order_by(*table.primary_key)))
                for column in table.columns
            }
            for table in found.sorted_tables
            if table.name != "alembic_version"
        }


def differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        found: list[object] = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True}),
            Base.metadata,
        )
        return found


def test_a_new_database_has_the_schema_of_the_code(database_url: str) -> None:
    with opened(database_url) as database:
        assert differences(database.engine) == []


def test_the_revision_of_the_code_is_the_newest_and_each_older_one_is_tested(tmp_path: Path) -> None:
    with connected(f"sqlite:///{tmp_path / 'x.sqlite'}") as connection:
        scripts = ScriptDirectory.from_config(migrations.config(connection))
        assert scripts.get_heads() == [REVISION]
        assert sorted(one.revision for one in scripts.walk_revisions()) == [*OLDER, REVISION]


@pytest.mark.parametrize("revision", OLDER)
def test_a_database_of_an_earlier_version_is_upgraded_with_all_its_data(database_url: str, revision: str) -> None:
    create_old(database_url, revision)
    with opened(database_url) as database:
        assert differences(database.engine) == []
        with database.reading() as session:
            assert {row.name: row.size for row in session.scalars(select(Checkpoint))} == {"a.pt": 5, "waits.pt": 7}
            assert {row.name for row in session.scalars(select(Dataset))} == {"ones"}
            done, half = (session.get_one(Job, letter * 32) for letter in "de")
            assert done.state == "done"
            assert results.load(session, done).losses.tolist() == [[1.0, 2.0], [3.0, 4.0]]
            assert half.state == "running"
            assert {row.sanitized_size for row in session.scalars(select(Checkpoint))} == {0}, "counts as its upload"
            assert {row.owner for row in session.scalars(select(Tile))} == {""}
            assert [row.owner for row in session.scalars(select(Job))] == [None] * 3


@pytest.mark.parametrize("revision", OLDER)
def test_unfinished_jobs_of_an_earlier_version_are_finished_after_the_upgrade(database_url: str, revision: str) -> None:
    create_old(database_url, revision)
    with opened(database_url) as database, database.writing() as session:
        requeue.reclaim(session, lease_seconds=8, max_attempts=3)
        end_pauses(session)
        purposes = []
        while held := leases.lease(session, 60):
            purposes.append((held.purpose, held.subject[0], held.points))
            if held.purpose == "points":
                values = pack([(10.0 * i + j, 0.5, 0.1) for i, j in held.points])
                assert completion.finish_points(session, held, values, seconds=1.0)
            elif held.purpose == "prepare":
                assert completion.fail(session, held, "enough")
            else:
                assert completion.finish_reading(session, held, {"state": "ready"}, seconds=1.0)
        assert sorted(purposes) == [
            ("points", "e", [(0, 1)]),
            ("points", "e", [(1, 0), (1, 1)]),
            ("prepare", "f", []),
            ("read", "b", []),
        ]
        session.expire_all()
        job = session.get_one(Job, "e" * 32)
        assert job.state == "done"
        assert results.load(session, job).losses.tolist() == [[1.0, 1.0], [10.0, 11.0]]
        lifecycle.delete_job(session, job.id)
        session.flush()
        assert session.scalar(select(Tile.id).where(Tile.job_id == job.id)) is None


@pytest.mark.parametrize("revision", ["0002", "0003"])
def test_later_schemas_keep_every_value_but_requests_that_now_name_their_filters(
    database_url: str, revision: str
) -> None:
    create_old(database_url, revision)
    before = all_rows(database_url)
    assert all(next(iter(columns.values())) for columns in before.values()), "every table of the old database has rows"
    with opened(database_url):
        after = all_rows(database_url)
    specs, kinds = after["jobs"].pop("spec"), after["jobs"]["kind"]
    assert "surface" in kinds
    for earlier, later, kind in zip(before["jobs"].pop("spec"), specs, kinds, strict=True):
        drawn = {"filters": "axes"} if kind in ("slice", "surface", "curvature") else {}
        assert later == {**earlier, **drawn}
    assert {name: {column: after[name][column] for column in columns} for name, columns in before.items()} == before


@pytest.mark.parametrize("revision", OLDER)
def test_constraints_hold_after_an_upgrade(database_url: str, revision: str) -> None:
    create_old(database_url, revision)
    with opened(database_url) as database:
        for wrong in (
            "INSERT INTO tiles (purpose, job_id, owner, level, rank, count, points, turn, state, attempts) "
            f"VALUES ('points', '{'d' * 32}', '', 0, 0, 1, '[]', 0, 'waiting', 0)",  # this level and rank exist already
            "INSERT INTO log_lines (job_id, at, level, text) VALUES ('no-such-job', 1, 'info', 'x')",
        ):
            with pytest.raises(IntegrityError), database.writing() as session:
                session.execute(text(wrong))


def test_a_newer_database_is_refused_and_left_unchanged(database_url: str) -> None:
    with opened(database_url):
        pass
    with connected(database_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConflictError, match=r"another version.*9999"):
        Database(database_url)
    with connected(database_url) as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_foreign_database_is_refused_and_left_unchanged(database_url: str) -> None:
    with connected(database_url) as connection:
        connection.execute(text("CREATE TABLE jobs (id VARCHAR PRIMARY KEY, title VARCHAR)"))
    with pytest.raises(ConflictError, match="another version"):
        Database(database_url)
    with connected(database_url) as connection:
        assert inspect(connection).get_table_names() == ["jobs"]
        assert [column["name"] for column in inspect(connection).get_columns("jobs")] == ["id", "title"]


def _open(url: str, at: float) -> None:
    import time

    time.sleep(max(0.0, at - time.time()))
    Database(url).engine.dispose()


def test_processes_that_start_together_upgrade_the_database_once(database_url: str) -> None:
    import time

    create_old(database_url, "0001")
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_open, args=(database_url, time.time() + 4)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    with opened(database_url) as database:
        assert differences(database.engine) == []
