"""Results as CSV: a row per computed point."""

import csv
import io
from typing import Any

import numpy as np

from ..errors import FormatError
from ..results.arrays import PLURAL, VALUES, Arrays
from .picture import PictureOptions

_FIRST = ("alpha", "beta")
_ROWS_AT_ONCE = 4096


def write(result: Arrays, ending: str, picture: PictureOptions) -> bytes:
    """A row per computed point: alpha, beta, then the arrays; numbers as Python's repr, which reads back equal."""
    table = result.table()
    content = io.BytesIO()
    content.write(",".join(table).encode() + b"\n")
    numbers = np.stack(list(table.values()), axis=1)
    for first in range(0, len(numbers), _ROWS_AT_ONCE):  # as Python's numbers and text they take ten times the memory
        rows = numbers[first : first + _ROWS_AT_ONCE].tolist()
        content.write("".join(",".join(map(repr, row)) + "\n" for row in rows).encode())
    return content.getvalue()


def read(content: bytes, name: str) -> Arrays:
    """The result in a table that `write` wrote; missing points count as not computed, and there is no provenance.

    Raises:
        FormatError: it is not such a table.
    """
    try:
        head, *lines = csv.reader(io.StringIO(content.decode()))
        table = np.array(lines, dtype=np.float64).reshape(len(lines), len(head))
    except ValueError as error:
        raise FormatError(f"{name} cannot be read as a table of numbers: {str(error)[:120]}.") from error
    if tuple(head[:2]) != _FIRST or "loss" not in head or not len(table):
        raise FormatError(f"{name} holds no result: expected columns alpha, beta, loss, … and a line per point.")
    return _placed(dict(zip(head, table.T, strict=True)))


def _placed(columns: dict[str, Any]) -> Arrays:
    """The grid arrays made of columns that hold one number per point."""
    alphas, rows = np.unique(columns.pop("alpha"), return_inverse=True)
    betas, places = np.unique(columns.pop("beta"), return_inverse=True)
    shape = (len(alphas), len(betas))
    arrays: dict[str, Any] = {name: np.full(shape, np.nan) for name in VALUES}
    for name, numbers in columns.items():
        arrays.setdefault(PLURAL.get(name, name), np.full(shape, np.nan))[rows, places] = numbers
    computed = np.zeros(shape, bool)
    computed[rows, places] = True
    kind = "surface" if len(betas) > 1 else "slice"
    fixed = {name: arrays.pop(name) for name in VALUES}
    return Arrays(kind, alphas, betas, **fixed, computed=computed, extra=arrays).frozen()
