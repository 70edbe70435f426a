"""Whatever got lost on the way: tiles of silent workers are offered again, and workers are told what waits.

Imports queue, hints; no torch. One per API process; several do no harm.
"""

import logging
import time

from sqlalchemy import delete, or_
from sqlalchemy.exc import SQLAlchemyError

from . import queue
from .database import Database
from .hints import Hints
from .settings import Settings
from .tables import Worker, now

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 2.0
FORGET_SECONDS = 3600.0  # a worker that has not been seen for so long


class Reconciler:
    """Compares what should be with what is, every two seconds and whenever something new waits."""

    def __init__(self, database: Database, hints: Hints, settings: Settings):
        self.database, self.hints, self.settings = database, hints, settings
        self._not_before = 0.0

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

    def _reclaim(self) -> int:
        """Offer tiles again whose worker fell silent; the number of tiles that wait."""
        seconds = self.settings.lease_seconds
        with self.database.reading() as session:
            overdue, waiting = queue.overdue(session, seconds), queue.waiting(session)
        if not overdue or time.monotonic() < self._not_before:
            return waiting
        with self.database.writing() as session:
            lost = queue.reclaim(session, lease_seconds=seconds, max_attempts=self.settings.max_attempts)
            gone = or_(Worker.seen < now() - FORGET_SECONDS, Worker.seen > now() + FORGET_SECONDS)
            session.execute(delete(Worker).where(gone))
            waiting = queue.waiting(session)
        logger.warning("leases lost", extra={"count": lost})
        return waiting
