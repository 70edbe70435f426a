"""Ownership and visibility: what a caller sees and may change."""

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
        NotFoundError: there is none, or it is somebody else's.
        ForbiddenError: it belongs to everybody.
    """
    row, caller = require(session, table, row_id), session.info.get("caller", LOCAL)
    if not caller.owns(row.owner):
        raise ForbiddenError(
            f"This {table.__name__.lower()} is shared with you or with everybody: it can be seen, not changed."
        )
    return row


@event.listens_for(Session, "do_orm_execute")
def _see_own(state: ORMExecuteState) -> None:
    """A session of a caller finds what that caller may see, whatever is asked: nothing else has to think of it.

    Questions that are about everybody's things (is a file in use?) say `execution_options(everybody=True)`.
    """
    caller = state.session.info.get("caller")
    if caller is None or caller.admin or not state.is_select or state.execution_options.get("everybody"):
        return
    state.statement = state.statement.options(
        *(with_loader_criteria(table, _visible(table, caller), include_aliases=True) for table in _OWNED)
    )


def _visible(table: Any, caller: Caller) -> ColumnElement[bool]:
    seen: list[ColumnElement[bool]] = []
    if caller.name:
        seen += [table.owner == caller.name, table.owner.is_(None)]
    if table is Job and caller.linked:
        seen.append(Job.id.in_(caller.linked))
    return or_(*seen) if seen else false()
