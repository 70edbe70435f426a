"""Recovers lost work: requeues tiles of silent workers, and sends wake-up messages that were lost.

One per API process; several do no harm.
"""

import logging
import time

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import SQLAlchemyError

from ..database.job_log import write_line
from ..database.sessions import Database
from ..database.tables import Job, LogLine, Worker, is_alive, now
from ..errors import BusyError
from ..settings import Settings
from . import leases, requeue
from .wakeups import WakeUps

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 2.0
FORGET_SECONDS = 3600.0  # a worker not seen for this long is deleted
MISSING_SECONDS = 120.0  # without a worker of a kind of device, until the logs of jobs that need it say so


class Reconciler:
    """Compares desired and actual state, every two seconds and whenever new work waits."""

    def __init__(self, database: Database, wakeups: WakeUps, settings: Settings):
        self.database, self.wakeups, self.settings = database, wakeups, settings
        self._not_before = 0.0
        self._missing_since: dict[str, float] = {}  # by kind of device without a worker

    def run_once(self) -> None:
        """Wait for the next round and run it.

        Raises:
            SQLAlchemyError, BusyError: the database does not answer.
        """
        self.wakeups.wait(PERIOD_SECONDS)
        try:
            waiting = self._reclaim()
        except (SQLAlchemyError, BusyError):  # heartbeats failed too: workers get one lease time to send the next
            self._not_before = time.monotonic() + self.settings.lease_seconds
            raise
        self.wakeups.top_up(waiting)
        self.report_missing_devices()

    def report_missing_devices(self, after_seconds: float = MISSING_SECONDS) -> None:
        """Write to a job's log that no worker with the kind of device that started it is left.

        Only that kind computes the same bits.
        """
        with self.database.reading() as session:
            present = set(session.scalars(select(Worker.device).where(is_alive())))
            begun = select(Job.device).where(Job.state == "running", Job.device.is_not(None)).distinct()
            missing = {kind for kind in session.scalars(begun) if kind} - present
        clock = time.monotonic()
        self._missing_since = {kind: self._missing_since.get(kind, clock) for kind in missing}
        for kind in [kind for kind, since in self._missing_since.items() if clock - since >= after_seconds]:
            text = (
                f"No worker of the kind that began this job ({kind}) is running. The job continues when one is; "
                "or cancel it and submit it again, to have it computed by the workers that are running."
            )
            with self.database.writing() as session:
                told = select(LogLine.job_id).where(LogLine.text == text)
                waiting = select(Job.id).where(Job.state == "running", Job.device == kind, Job.id.not_in(told))
                for job_id in session.scalars(waiting).all():
                    write_line(session, job_id, text, "warning")
            self._missing_since[kind] = clock

    def _reclaim(self) -> int:
        """Requeue tiles with expired leases.

        Returns:
            The number of tiles that wait.
        """
        seconds = self.settings.lease_seconds
        with self.database.reading() as session:
            overdue, waiting = requeue.any_overdue(session, seconds), leases.count_waiting(session)
        if not overdue or time.monotonic() < self._not_before:
            return waiting
        with self.database.writing() as session:
            lost = requeue.reclaim(session, lease_seconds=seconds, max_attempts=self.settings.max_attempts)
            gone = or_(Worker.seen < now() - FORGET_SECONDS, Worker.seen > now() + FORGET_SECONDS)
            session.execute(delete(Worker).where(gone))
            waiting = leases.count_waiting(session)
        logger.warning("leases lost", extra={"count": lost})
        return waiting
