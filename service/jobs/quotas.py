"""Quotas of a user: unfinished jobs, points per job, stored bytes; each limit is a setting.

Jobs and uploads without an owner are not counted.
"""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..database.tables import TERMINAL, Checkpoint, Dataset, Job, Upload
from ..errors import InvalidError, QuotaError, TooManyError
from ..settings import Settings
from .spec import AnySpec


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


def require_bytes(session: Session, settings: Settings, owner: str, size: int) -> None:
    """Refuse an upload that would exceed the storage quota of a user.

    Raises:
        QuotaError: it would.
    """
    held = sum(
        session.scalar(select(func.coalesce(func.sum(table.size), 0)).where(table.owner == owner)) or 0
        for table in (Checkpoint, Dataset, Upload)
    )
    if held + size > settings.max_user_bytes:
        raise QuotaError(
            f"Your uploads hold {held} bytes; with {size} more they would exceed the "
            f"{settings.max_user_bytes} that one user may store. Delete some first."
        )
