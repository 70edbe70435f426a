"""Counters for /metrics, increased in the transaction of the event that they count, so that none is missed.

They are rows of the database and never kept in memory: several workers and API processes add to the same row.
"""

from bisect import bisect_left
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from .tables import Count

# Upper bounds of the histogram's buckets; a tile should take about two seconds.
SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
OVERFLOW = "+Inf"


def add(session: Session, name: str, label: str = "", by: float = 1.0) -> None:
    """Increase the counter with this name and label by `by`."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    new = insert(Count).values(name=name, label=label, value=by)
    more = {"value": Count.value + new.excluded.value}
    session.execute(new.on_conflict_do_update(index_elements=[Count.name, Count.label], set_=more))


def add_tile(session: Session, purpose: str, *, points: int, seconds: float) -> None:
    """Count a finished tile; call it at the end of the transaction, since every worker changes these rows."""
    add(session, "tiles", purpose)
    if points:
        add(session, "points", by=points)
        add(session, "tile_seconds", bucket(seconds))
        add(session, "tile_seconds_sum", by=seconds)


def bucket(seconds: float) -> str:
    """Upper bound of the bucket that a duration falls into."""
    index = bisect_left(SECONDS, seconds)
    return str(SECONDS[index]) if index < len(SECONDS) else OVERFLOW


def read_all(session: Session, names: Sequence[str]) -> dict[tuple[str, str], float]:
    """Every counter with one of these names, by name and label."""
    found = session.execute(select(Count.name, Count.label, Count.value).where(Count.name.in_(names)))
    return {(name, label): value for name, label, value in found}
