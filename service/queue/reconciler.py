"""Whatever got lost on the way: tiles of silent workers are offered again, and workers are told what waits.

Imports queue, hints; no torch. One per API process; several do no harm.
"""

import logging
import time

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import SQLAlchemyError

from ..database.job_log import tell
from ..database.sessions import Database
from ..database.tables import Job, LogLine, Worker, now
from ..settings import Settings
from . import leases
from .wakeups import Hints

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 2.0
FORGET_SECONDS = 3600.0  # a worker that has not been seen for so long
MISSED_SECONDS = 120.0  # a kind of device without a worker for so long: whoever waits for it is told


class Reconciler:
    """Compares what should be with what is, every two seconds and whenever something new waits."""

    def __init__(self, database: Database, hints: Hints, settings: Settings):
        self.database, self.hints, self.settings = database, hints, settings
        self._not_before = 0.0
        self._missed: dict[str, float] = {}  # kind of device: since when no worker has it

    def run_once(self) -> None:
        """Wait for the next time, and do it.

        Raises:
            SQLAlchemyError: the database does not answer.
        """
        self.hints.sleep(PERIOD_SECONDS)
        try:
            waiting = self._reclaim()
        except SQLAlchemyError:  # nor can workers say that they live: they get the time of a lease to do so
            self._not_before = time.monotonic() + self.settings.lease_seconds
            raise
        self.hints.top_up(waiting)
        self.tell_who_waits()

    def tell_who_waits(self, patience: float = MISSED_SECONDS) -> None:
        """Say in the log of a job that no worker of the kind that began it is left: its bits are that kind's alone."""
        with self.database.reading() as session:
            here = set(session.scalars(select(Worker.device).where(Worker.seen > now() - MISSED_SECONDS)))
            begun = select(Job.device).where(Job.state == "running", Job.device.is_not(None)).distinct()
            missing = {kind for kind in session.scalars(begun) if kind} - here
        clock = time.monotonic()
        self._missed = {kind: self._missed.get(kind, clock) for kind in missing}
        for kind in [kind for kind, since in self._missed.items() if clock - since >= patience]:
            text = (
                f"No worker of the kind that began this job ({kind}) is here. It goes on when one is; "
                "or cancel it and ask again, to have it computed by those that are."
            )
            with self.database.writing() as session:
                told = select(LogLine.job_id).where(LogLine.text == text)
                waiting = select(Job.id).where(Job.state == "running", Job.device == kind, Job.id.not_in(told))
                for job_id in session.scalars(waiting).all():
                    tell(session, job_id, text, "warning")
            self._missed[kind] = clock

    def _reclaim(self) -> int:
        """Offer tiles again whose worker fell silent; the number of tiles that wait."""
        seconds = self.settings.lease_seconds
        with self.database.reading() as session:
            overdue, waiting = leases.overdue(session, seconds), leases.waiting(session)
        if not overdue or time.monotonic() < self._not_before:
            return waiting
        with self.database.writing() as session:
            lost = leases.reclaim(session, lease_seconds=seconds, max_attempts=self.settings.max_attempts)
            gone = or_(Worker.seen < now() - FORGET_SECONDS, Worker.seen > now() + FORGET_SECONDS)
            session.execute(delete(Worker).where(gone))
            waiting = leases.waiting(session)
        logger.warning("leases lost", extra={"count": lost})
        return waiting
