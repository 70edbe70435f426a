"""Numbers that only grow, for /metrics: added in the transaction of what they count, so that none is missed.

Imports tables; no torch. Never holds a number of its own: several workers and several API processes add to one row.
"""

from bisect import bisect_left
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from .tables import Count

# Upper ends of the buckets; a tile aims at two seconds.
SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
OVER = "+Inf"


def add(session: Session, name: str, label: str = "", by: float = 1.0) -> None:
    """Count `by` more under this name and label."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    new = insert(Count).values(name=name, label=label, value=by)
    more = {"value": Count.value + new.excluded.value}
    session.execute(new.on_conflict_do_update(index_elements=[Count.name, Count.label], set_=more))


def add_tile(session: Session, purpose: str, *, points: int, seconds: float) -> None:
    """Count a finished tile; call it last in the transaction, since every worker changes these rows."""
    add(session, "tiles", purpose)
    if points:
        add(session, "points", by=points)
        add(session, "tile_seconds", bucket(seconds))
        add(session, "tile_seconds_sum", by=seconds)


def bucket(seconds: float) -> str:
    """Upper end of the bucket that a duration falls into."""
    place = bisect_left(SECONDS, seconds)
    return str(SECONDS[place]) if place < len(SECONDS) else OVER


def all_of(session: Session, names: Sequence[str]) -> dict[tuple[str, str], float]:
    """Every count with one of these names, by name and label."""
    found = session.execute(select(Count.name, Count.label, Count.value).where(Count.name.in_(names)))
    return {(name, label): value for name, label, value in found}
