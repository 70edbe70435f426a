"""What can be made of a job's result: its JSON, a file of any format of `landscape.formats`, its summary numbers.

Small ones are made where they are asked for; large ones, and pictures, by a process of their own (large_answers.py).
"""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import Any, BinaryIO

from sqlalchemy.orm import Session

from landscape.errors import LandscapeError
from landscape.formats import FORMATS

from ..database.tables import TERMINAL, Job, require
from ..errors import InvalidError
from ..queue.values import digest_of_tiles
from . import results

ENDINGS = tuple(FORMATS)
NUMBERS = "numbers"
SMALL_POINTS = 20_000  # a result is read and written within about a tenth of a second
# Numbers take a few times as long; pictures load large libraries.
_SMALL = {**dict.fromkeys(("json", "npz", "csv", "vtp", "h5"), SMALL_POINTS), NUMBERS: 2_500}


@dataclass(frozen=True)
class Asked:
    """What is asked of a job: an ending, or `NUMBERS`; `height` and `array` are of pictures, the others of numbers."""

    job: str
    answer: str = "json"
    height: str = "auto"
    array: str = "losses"
    level: float = 0.1
    radius: float = 0.5

    @property
    def media(self) -> str:
        """Its media type."""
        return "application/json" if self.answer == NUMBERS else FORMATS[self.answer].media

    def is_small(self, points: int) -> bool:
        """Whether it is made in a moment for a grid of so many points."""
        return points <= _SMALL.get(self.answer, 0)


def tag(session: Session, job: Job, asked: Asked) -> str:
    """A name of what an answer contains, for caches: another one whenever that can differ. Reads no values."""
    values = ""
    if job.state in TERMINAL:
        values = job.values_sha256 or digest_of_tiles(session, job.id)  # earlier versions have not stored it
    state = [job.state, job.tiles_done, job.points_done, job.grid, job.provenance is not None]
    content = json.dumps([version("loss-atlas"), asdict(asked), values, state])
    return sha256(content.encode()).hexdigest()[:32]


def write(session: Session, asked: Asked, file: BinaryIO) -> None:
    """Write an answer, made of what is computed so far.

    Raises:
        NotFoundError: there is no such job.
        ConflictError, DamagedError: as `results.load`.
        InvalidError: this result cannot be written in this format, or a library for it is not installed.
    """
    job = require(session, Job, asked.job)
    result = results.load(session, job)
    try:
        if asked.answer == NUMBERS:
            items = results.numbers(result, asked.level, asked.radius)
            file.write(_json({"items": [one.to_json() for one in items]}))
        elif asked.answer == "json":
            described = {"id": job.id, "state": job.state, "name": job.name, **result.to_json()}
            for k, (name, value) in enumerate(described.items()):  # one at a time: a large text is never whole
                file.write((b"," if k else b"{") + _json(name) + b":" + _json(value))
            file.write(b"}")
        else:
            file.write(result.to_bytes(asked.answer, height=asked.height, array=asked.array))
    except LandscapeError as error:
        raise InvalidError(str(error), field="format") from None


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
