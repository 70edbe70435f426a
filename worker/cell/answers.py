"""What a cell answered, checked before anything of it is stored: a stranger's graph has run in there."""

import json
from typing import Any

from landscape.grid import Axis, Grid
from landscape.results.arrays import VALUES

from .server import CellError

MOST_COLUMNS = 64  # numbers per point


def memory_in(found: Any) -> int | None:
    """A number of bytes that a cell answered with."""
    return found if type(found) is int and 0 <= found < 1 << 50 else None


def provenance_in(found: Any) -> dict[str, Any]:
    """The provenance that a cell answered with: a JSON object whose texts can be stored, with columns.

    Raises:
        CellError: it is something else.
    """
    columns: Any = found.get("columns") if type(found) is dict else None
    known = type(columns) is list and columns[: len(VALUES)] == list(VALUES) and len(columns) <= MOST_COLUMNS
    if not known or not all(type(name) is str and name.isprintable() for name in columns):
        raise CellError("the process that computed it answered without columns")
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise CellError("the process that computed it answered with half characters") from None
    return dict(found)


def grid_in(axes: dict[str, Any]) -> Grid:
    """The grid that a cell answered with.

    Raises:
        GridError: it is not one.
    """
    return Grid(*(Axis(**axes[name]) for name in ("alpha", "beta") if axes.get(name)))
