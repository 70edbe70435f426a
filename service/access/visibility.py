"""Ownership and visibility: what a caller may see and may change."""

from typing import Any

from sqlalchemy import ColumnElement, event, false, or_
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from ..database.sessions import Database
from ..database.tables import Checkpoint, Dataset, Job, Row, Upload, require
from ..errors import ForbiddenError
from .callers import LOCAL, Caller

_OWNED = (Checkpoint, Dataset, Job, Upload)


def seen_by(database: Database, caller: Caller) -> Database:
    """The same database, in which every query finds only what the caller may see."""
    return database.with_info(caller=caller)


def require_own(session: Session, table: type[Row], row_id: str) -> Row:
    """The row with this id, which the caller of this session may change.

    Raises:
        NotFoundError: there is none, or it belongs to another user.
        ForbiddenError: the caller may see it, but not change it.
    """
    row, caller = require(session, table, row_id), session.info.get("caller", LOCAL)
    if not caller.owns(row.owner):
        raise ForbiddenError(
            f"This {table.__name__.lower()} is shared with you or with all users: it can be seen, not changed."
        )
    return row


@event.listens_for(Session, "do_orm_execute")
def _limit_to_visible(state: ORMExecuteState) -> None:
    """Limit every SELECT of a session that carries a caller to the rows which that caller may see.

    It applies to every query, so no endpoint can forget it. The few queries about the rows of all owners (is a file
    still in use?) opt out with `execution_options(all_owners=True)`.
    """
    caller = state.session.info.get("caller")
    if caller is None or caller.admin or not state.is_select or state.execution_options.get("all_owners"):
        return
    state.statement = state.statement.options(
        *(with_loader_criteria(table, _visible(table, caller), include_aliases=True) for table in _OWNED)
    )


def _visible(table: Any, caller: Caller) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = []
    if caller.name:
        conditions += [table.owner == caller.name, table.owner.is_(None)]
    if table is Job and caller.linked:
        conditions.append(Job.id.in_(caller.linked))
    return or_(*conditions) if conditions else false()
