"""A worker process: leases a tile, extends the lease while it computes, writes the outcome, and shuts down gracefully.

It does not depend on the broker: a wake-up message makes it look for work at once, and without any it polls the
database every few seconds.
"""

import errno
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

from celery.signals import setup_logging, worker_shutting_down
from sqlalchemy import delete, update
from sqlalchemy.exc import OperationalError

from landscape.errors import LandscapeError
from landscape.stop import Stop, Stopped
from service.database.sessions import Database
from service.database.tables import PRESENCE_SECONDS, now
from service.database.tables import Worker as WorkerRow
from service.errors import BusyError, NoSpaceError, ServiceError, UnavailableError
from service.logs import log_as_json
from service.queue import completion, leases, requeue
from service.queue.leases import Lease
from service.queue.wakeups import QUEUE, TASK, WakeUps
from service.settings import WORKER_ID, Settings
from service.storage.open import open_store

from .cell.server import CellError
from .reader import ReaderKilledError
from .tiles import Outcome, TileRunner

logger = logging.getLogger(__name__)

IDLE_SECONDS = 5.0  # without a wake-up message, the database is polled after this long
GRACE_SECONDS = 15.0  # a tile may take this long once the process is told to stop; then it is released
TRANSIENT = (UnavailableError, BusyError, NoSpaceError, OperationalError)  # not caused by the tile, which is retried
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
RETRY_SECONDS = 2.0
PAUSE_SECONDS = 5.0  # of a job after a transient error; others go on
CELLS_SECONDS = 30.0  # cells of jobs are kept for so long while there is no work


class Worker:
    """One process that takes one tile at a time.

    Raises as `Database`, `open_store` and `TileRunner`.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.database = Database(settings.database_url)
        self.wakeups = WakeUps(settings.broker)
        self.id = os.environ.get(WORKER_ID) or f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
        self.tiles = TileRunner(settings, self.database, open_store(settings, min_free_bytes=0))
        self._stop_by = math.inf
        self._busy, self._polled, self._worked = threading.Lock(), time.monotonic(), time.monotonic()

    def work(self) -> bool:
        """Lease the next tile and process it. False: none waits, or this process is shutting down.

        Raises:
            OperationalError: the database does not answer before this process must end.
        """
        with self._busy:
            held = None if self.shutting_down else self._lease()
            if held is not None:
                self._run(held)
                self._worked = time.monotonic()
            elif time.monotonic() - self._worked > CELLS_SECONDS:
                self.tiles.end_cells()
            self._polled = time.monotonic()
        if held is not None:
            with self.database.reading() as session:
                waiting = leases.count_waiting(session)
            self.wakeups.top_up(waiting)
        return held is not None

    def _lease(self) -> Lease | None:
        with self.database.writing() as session:
            return leases.lease(
                session, self.settings.lease_seconds, worker=self.id, device=self.tiles.kind, sizes=self.tiles.sizes
            )

    def _run(self, held: Lease) -> None:
        started = time.perf_counter()
        about = {"tile": held.tile, "purpose": held.purpose, "job": held.subject}
        outcome: Outcome
        try:
            with self._heartbeat(held) as stop:
                outcome = self.tiles.run(held, stop)
        except Stopped:
            logger.info("tile dropped", extra=about)
            outcome = partial(requeue.release, held=held)
        except Exception as error:
            logger.exception("tile failed", extra=about)
            outcome = self._outcome_after(error, held)
        try:
            self._write(outcome)
        except UnavailableError:  # its stored bytes have since been deleted, or the store does not answer
            self._write(partial(requeue.release, held=held))
        logger.info("tile", extra={**about, "elapsed_s": round(time.perf_counter() - started, 3)})

    def _outcome_after(self, error: Exception, held: Lease) -> Outcome:
        """Release the tile after a transient error, fail its job after one of the request, else count an attempt."""
        if isinstance(error, TRANSIENT) or (isinstance(error, OSError) and error.errno in DISK_FULL):
            return partial(requeue.release, held=held, pause=PAUSE_SECONDS)
        if isinstance(error, LandscapeError | ServiceError):
            return partial(completion.fail, held=held, reason=str(error))
        return partial(
            requeue.after_error, held=held, max_attempts=self.settings.max_attempts, reason=self._reason(error)
        )

    def _reason(self, error: Exception) -> str:
        """Why the attempt failed, for the log of the job."""
        if isinstance(error, ReaderKilledError):
            return "the process that read it was killed, or the machine was too busy"
        if isinstance(error, CellError):
            return str(error)
        return f"an internal error ({type(error).__name__}), which the worker's log describes"

    def _write(self, outcome: Outcome) -> None:
        """Write an outcome, retrying while the database does not answer or its disk is full."""
        while True:
            try:
                with self.database.writing() as session:
                    outcome(session)
                    session.execute(update(WorkerRow).where(WorkerRow.id == self.id).values(busy_since=None))
                return
            except OperationalError as error:
                if time.monotonic() > self._stop_by:
                    raise
                logger.warning("writing the outcome of a tile failed; trying again", extra={"error": str(error)[:200]})
                time.sleep(RETRY_SECONDS)

    @contextmanager
    def _heartbeat(self, held: Lease) -> Iterator[Stop]:
        """Extend the lease from a thread; the yielded function returns whether to stop: lease lost, or time is up."""
        done, lost = threading.Event(), threading.Event()

        def extend() -> None:
            while not done.wait(self.settings.lease_seconds / 6) and not lost.is_set():
                try:
                    with self.database.writing() as session:
                        if not leases.heartbeat(session, held, self.settings.lease_seconds, self.tiles.preparing):
                            lost.set()
                except Exception:
                    logger.exception("heartbeat failed", extra={"tile": held.tile})

        thread = threading.Thread(target=extend, daemon=True)
        thread.start()
        try:
            yield lambda: lost.is_set() or time.monotonic() > self._stop_by
        finally:
            done.set()
            thread.join()

    def report_presence(self) -> None:
        """Update this worker's row every few seconds until shutdown: that it is alive, and its memory use."""
        fixed = {"id": self.id, "device": self.tiles.kind, "host": socket.gethostname(), "pid": os.getpid()}
        while not self.shutting_down:
            try:
                used = {"memory": self.tiles.resident, "device_memory": self.tiles.device_memory}
                with self.database.writing() as session:
                    session.merge(WorkerRow(**fixed, seen=now(), **used))
            except Exception:
                logger.exception("reporting presence failed")
            time.sleep(PRESENCE_SECONDS)

    def poll_for_work(self) -> None:
        """Look for work when no wake-up message has come for a while: the broker may be down, full, or have lost it."""
        while not self.shutting_down:
            time.sleep(1)
            try:
                while time.monotonic() - self._polled > IDLE_SECONDS and not self._busy.locked():
                    while self.work():
                        pass
            except Exception:
                logger.exception("polling for work failed")
                self._polled = time.monotonic()

    @property
    def shutting_down(self) -> bool:
        """Whether this process was told to stop."""
        return self._stop_by < math.inf

    def begin_shutdown(self) -> None:
        """Lease no further tile; the current one may take GRACE_SECONDS more, then it is released."""
        self._stop_by = min(self._stop_by, time.monotonic() + GRACE_SECONDS)

    def shut_down(self) -> None:
        """Wait for the current tile, and delete this worker's row."""
        self.begin_shutdown()
        with self._busy, self.database.writing() as session:
            session.execute(delete(WorkerRow).where(WorkerRow.id == self.id))
        self.tiles.close()


def main() -> None:
    """Run one worker process until it is told to stop; SIGTERM lets it finish its tile."""
    log_as_json()
    setup_logging.connect(lambda **_: None, weak=False)  # Celery would set the levels of our loggers otherwise
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # until Celery's handler takes its place
    settings = Settings()
    worker = Worker(settings)
    worker_shutting_down.connect(lambda **_: worker.begin_shutdown(), weak=False)
    worker.wakeups.celery.task(worker.work, name=TASK)
    for loop in (worker.report_presence, worker.poll_for_work):
        threading.Thread(target=loop, daemon=True).start()
    logger.info("worker ready", extra={"worker": worker.id, "device": worker.tiles.kind, "walls": worker.tiles.walls})
    options = ["--pool=solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    try:
        worker.wakeups.celery.worker_main(["worker", *options, "-Q", QUEUE, "-n", worker.id])
    finally:
        worker.shut_down()


if __name__ == "__main__":
    main()
