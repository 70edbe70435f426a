"""Rows of the database as lines of JSON and back, the same from SQLite and from PostgreSQL."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Column, LargeBinary, Table, func, insert, null, select, text
from sqlalchemy.orm import Session

_BATCH_ROWS = 200


def write(session: Session, table: Table, path: Path) -> int:
    """Write every row of a table as one line.

    Returns:
        The number of rows.
    """
    count = 0
    ordered = select(table).order_by(*table.primary_key.columns)
    with path.open("w", encoding="utf-8") as file:
        for row in session.execute(ordered, execution_options={"yield_per": _BATCH_ROWS}):
            line = {column.name: _plain(value) for column, value in zip(table.columns, row, strict=True)}
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
            count += 1
    return count


def insert_all(session: Session, table: Table, lines: Iterable[bytes]) -> int:
    """Add the rows that `write` wrote.

    Returns:
        The number of rows.
    """
    count = 0
    for line in lines:
        session.execute(insert(table).values(_row(table, json.loads(line))))
        count += 1
    _advance_sequences(session, table)
    return count


def _plain(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _row(table: Table, line: dict[str, Any]) -> dict[str, Any]:
    return {column.name: _value(column, line[column.name]) for column in table.columns if column.name in line}


def _value(column: Column[Any], value: Any) -> Any:
    if value is None:
        return null() if isinstance(column.type, JSON) else None  # None would be the JSON text "null"
    return base64.b64decode(value["base64"]) if isinstance(column.type, LargeBinary) else value


def _advance_sequences(session: Session, table: Table) -> None:
    """Continue after the highest id: PostgreSQL's sequences do not notice ids that are inserted."""
    key = table.autoincrement_column
    if key is None or session.get_bind().dialect.name != "postgresql":
        return
    last = session.scalar(select(func.max(key)))
    if last is not None:
        name = func.pg_get_serial_sequence(table.name, key.name)
        session.execute(select(func.setval(text(":name"), last)).params(name=session.scalar(select(name))))
