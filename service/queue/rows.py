"""The numbers of points as bytes, in the database and between worker and cell. Imports nothing of the service."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def pack(rows: Sequence[Sequence[float]]) -> bytes:
    """The numbers of each point as float64, little-endian."""
    return np.array(rows, dtype="<f8").tobytes()


def unpack(values: bytes, columns: Sequence[str]) -> Any:
    """The array (points, columns) that `pack` was given."""
    return np.frombuffer(values, dtype="<f8").reshape(-1, len(columns))
