"""Quotas of a user: unfinished jobs, points per job, stored bytes; each limit is a setting.

Stored are an upload and the sanitized file that reading makes of it, so both count. Jobs and uploads without an owner
are not counted.
"""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..database.tables import TERMINAL, Checkpoint, Dataset, Job, Upload
from ..errors import InvalidError, NoSpaceError, QuotaError, ServiceError, TooManyError
from ..settings import Settings
from .spec import AnySpec

# Bytes of a sanitized file per byte of its upload, and what every file may have. Weights are stored uncompressed, and
# grow only to float32, from 2 bytes each, or where several names share them. Data sets may be packed: measured are 3
# (digits), 24 to 53 (strokes like MNIST's), 37 to 97 (black and white), 62 (padded tokens) and 201 (bags of words).
GROWTH: dict[type[Checkpoint] | type[Dataset], int] = {Checkpoint: 4, Dataset: 250}
SMALL = 16 << 20


def require_job(session: Session, settings: Settings, owner: str, *specs: AnySpec) -> None:
    """Refuse a job that is too large, or one more than a user may have unfinished.

    Raises:
        InvalidError: it has too many points.
        TooManyError: the user has too many unfinished jobs.
    """
    for spec in specs:
        if spec.points > settings.max_job_points:
            raise InvalidError(
                f"The grid has {spec.points} points; this service computes at most {settings.max_job_points}. "
                "Use fewer.",
                field="grid",
            )
    unfinished = select(func.count()).select_from(Job).where(Job.owner == owner, Job.state.not_in(TERMINAL))
    if (session.scalar(unfinished) or 0) >= settings.max_unfinished_jobs:
        raise TooManyError(
            f"{settings.max_unfinished_jobs} of your jobs are not finished, the most one user may have. "
            "Wait until some are, or cancel them.",
            seconds=30,
        )


def held_bytes(session: Session, owner: str) -> int:
    """Bytes that count for the storage quota of a user: uploads, announced ones, and sanitized files."""
    sums = (
        func.sum(Checkpoint.size + Checkpoint.sanitized_size),
        func.sum(Dataset.size + Dataset.sanitized_size),
        func.sum(Upload.size),
    )
    owners = (Checkpoint.owner, Dataset.owner, Upload.owner)
    found = (session.scalar(select(total).where(own == owner)) for total, own in zip(sums, owners, strict=True))
    return sum(int(total or 0) for total in found)


def require_bytes(session: Session, settings: Settings, owner: str, size: int) -> int:
    """Refuse bytes that would exceed the storage quota of a user.

    In a transaction that writes, since these come one after the other: bytes that two of them add count for both.

    Returns:
        The most bytes that would not have been refused.

    Raises:
        QuotaError: they would.
    """
    held = held_bytes(session, owner)
    if held + size > settings.max_user_bytes:
        raise QuotaError(
            f"Your uploads, and what was read from them, hold {held} bytes; with {size} more they would exceed the "
            f"{settings.max_user_bytes} that one user may store. Delete some first."
        )
    return settings.max_user_bytes - held


@dataclass(frozen=True)
class Room:
    """How long the sanitized file of an upload may become."""

    bytes: int
    reached: ServiceError  # to be raised when the file would be longer: it names the limit


def sanitized_room(session: Session, settings: Settings, upload: Checkpoint | Dataset, free_bytes: int) -> Room:
    """The room for the sanitized file of an upload: the least of what its kind, its owner and the disk leave.

    Args:
        free_bytes: on the disk of the store.

    Returns:
        0 bytes or more, and what to raise at the limit: InvalidError, QuotaError, or NoSpaceError if only the disk is
        full, so that the upload can be read later.
    """
    kind = type(upload)
    rooms = [_room_by_kind(kind, upload.size), _room_on_disk(settings, free_bytes)]
    if upload.owner is not None:
        left = settings.max_user_bytes - held_bytes(session, upload.owner) + upload.sanitized_size
        rooms.append(_room_in_quota(settings, left))
    return min(rooms, key=lambda room: room.bytes)


def _room_by_kind(kind: type[Checkpoint] | type[Dataset], size: int) -> Room:
    most = max(SMALL, GROWTH[kind] * size)
    refused = (
        f"The file has {size} bytes and would take more than {most} once it is read, which no real one does. "
        "Leave out numbers that are all the same, or save it uncompressed."
    )
    return Room(most, InvalidError(refused))


def _room_in_quota(settings: Settings, left: int) -> Room:
    refused = (
        f"What the file holds does not fit: of the {settings.max_user_bytes} bytes that one user may store, "
        f"{max(0, left)} are left for it. Delete other uploads and send it again."
    )
    return Room(max(0, left), QuotaError(refused))


def _room_on_disk(settings: Settings, free_bytes: int) -> Room:
    left = max(0, free_bytes - settings.min_free_bytes)
    return Room(left, NoSpaceError("Too little disk space is left to read this file. Ask the operator to free some."))
