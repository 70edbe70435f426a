"""Digests of the values of tiles (rows.py)."""

import json
from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..database.tables import Tile


def digest_of(points: Sequence[Sequence[int]], values: bytes) -> str:
    """SHA-256 of a tile's points and their values, hex."""
    return sha256(json.dumps([list(point) for point in points]).encode() + values).hexdigest()


def is_intact(tile: Tile) -> bool:
    """Whether a finished tile is as its worker wrote it; tiles of earlier versions have no digest and are trusted."""
    return tile.sha256 is None or tile.sha256 == digest_of(tile.points, tile.values or b"")


def digest_of_tiles(session: Session, job_id: str) -> str:
    """SHA-256 over the digests of a job's finished tiles in the order of its points; reads no values."""
    finished = select(Tile.sha256).where(Tile.job_id == job_id, Tile.sequence > 0).order_by(Tile.level, Tile.rank)
    return sha256("\n".join(digest or "" for digest in session.scalars(finished)).encode()).hexdigest()
