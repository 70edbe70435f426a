"""Visibility: the database of a caller hides rows of other users from every form of query."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import exists, func, select, union
from sqlalchemy.orm import Session, aliased

from service.access.callers import LINK, LOCAL, Caller
from service.access.visibility import require_own, seen_by
from service.database.sessions import Database
from service.database.tables import Checkpoint, Dataset, Job, Tile, Turn, Upload
from service.errors import ForbiddenError, NotFoundError

ADA = Caller("ada", frozenset({"read", "submit"}))
ADMIN = Caller("root", frozenset({"admin"}))
VISITOR = Caller("", frozenset({LINK}), linked=frozenset({"job-of-bob"}))
OWNERS = {"ada": "ada", "bob": "bob", "all": None}


@pytest.fixture
def rows(database: Database) -> Database:
    """One row of each table for Ada, for Bob, and for all users, with the ids `job-of-ada`, `job-of-bob`, …"""
    with database.writing() as session:
        for name, owner in OWNERS.items():
            session.add(Checkpoint(id=f"checkpoint-of-{name}", name="a", sha256="0", size=1, owner=owner))
            session.add(Dataset(id=f"dataset-of-{name}", name="a", sha256="0", size=1, owner=owner))
            session.add(Upload(id=f"upload-of-{name}", purpose="dataset", name="a", size=1, owner=owner, expires=1.0))
            job = {"kind": "slice", "name": "a", "spec": {}, "checkpoint": {}, "checkpoint_id": "a", "points": 1}
            session.add(Job(id=f"job-of-{name}", owner=owner, **job))
            session.flush()
            session.add(Tile(purpose="points", job_id=f"job-of-{name}", level=0))
    return database


def ids(session: Session, table: Any) -> list[str]:
    return sorted(session.scalars(select(table.id)))


@pytest.mark.parametrize(
    ("table", "kind"), [(Checkpoint, "checkpoint"), (Dataset, "dataset"), (Job, "job"), (Upload, "upload")]
)
def test_a_caller_finds_own_rows_and_those_of_all_users_only(rows: Database, table: Any, kind: str) -> None:
    with seen_by(rows, ADA).reading() as session:
        assert ids(session, table) == [f"{kind}-of-ada", f"{kind}-of-all"]
        assert session.get(table, f"{kind}-of-bob") is None
    with seen_by(rows, VISITOR).reading() as session:
        assert ids(session, table) == (["job-of-bob"] if table is Job else [])
    for caller in (ADMIN, LOCAL):
        with seen_by(rows, caller).reading() as session:
            assert len(ids(session, table)) == 3
    with rows.reading() as session:
        assert len(ids(session, table)) == 3


OTHER = aliased(Job)
QUERIES: dict[str, Callable[[], Any]] = {
    "entity": lambda: select(Job).where(Job.id == "job-of-bob"),
    "column": lambda: select(Job.name).where(Job.id == "job-of-bob"),
    "alias": lambda: select(OTHER.id).where(OTHER.id == "job-of-bob"),
    "count": lambda: select(func.nullif(func.count(), 0)).select_from(Job).where(Job.id == "job-of-bob"),
    "join": lambda: select(Tile.id).join(Job, Job.id == Tile.job_id).where(Tile.job_id == "job-of-bob"),
    "subquery": lambda: select(Tile.id).where(Tile.job_id.in_(select(Job.id).where(Job.id == "job-of-bob"))),
    "exists": lambda: select(Turn.owner).where(exists().where(Job.id == "job-of-bob")),
    "derived table": lambda: select(select(Job.id).where(Job.id == "job-of-bob").subquery().c.id),
    "union": lambda: union(*(select(Job.id).where(Job.id == "job-of-bob"), select(Job.id).where(Job.id == "none"))),
}


@pytest.mark.parametrize("query", QUERIES)
def test_no_form_of_query_finds_a_job_of_another_user(rows: Database, query: str) -> None:
    for caller, found in ((ADA, False), (LOCAL, True)):
        with seen_by(rows, caller).reading() as session:
            assert (session.scalars(QUERIES[query]()).first() is not None) == found


def test_a_writing_session_is_limited_too(rows: Database) -> None:
    with seen_by(rows, ADA).writing() as session:
        assert ids(session, Job) == ["job-of-ada", "job-of-all"]


def test_only_a_query_that_opts_out_finds_the_rows_of_all_owners(rows: Database) -> None:
    with seen_by(rows, ADA).reading() as session:
        everything = select(Job.id).execution_options(all_owners=True)
        assert len(session.scalars(everything).all()) == 3
        assert len(ids(session, Job)) == 2


def test_a_caller_may_change_own_rows_only(rows: Database) -> None:
    with seen_by(rows, ADA).reading() as session:
        assert require_own(session, Job, "job-of-ada").owner == "ada"
        with pytest.raises(NotFoundError, match="no job with this id"):
            require_own(session, Job, "job-of-bob")
        with pytest.raises(ForbiddenError, match="not changed"):
            require_own(session, Job, "job-of-all")
    with seen_by(rows, VISITOR).reading() as session, pytest.raises(ForbiddenError):
        require_own(session, Job, "job-of-bob")
    with seen_by(rows, ADMIN).reading() as session:
        assert require_own(session, Job, "job-of-all").owner is None
