"""A worker process: takes the tile whose turn it is, keeps its lease alive, says that it lives, ends in good order.

Imports torch, Celery, tiles, queue; app/ never imports it. Never writes to the database but through queue.py, and never
depends on the broker: a hint makes it look for work at once, and without any it looks by itself every few seconds.
"""

import errno
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

import torch
from celery.signals import setup_logging, worker_shutting_down
from sqlalchemy import delete, update
from sqlalchemy.exc import OperationalError

from landscape.engine.out_of_memory import is_out_of_memory
from landscape.errors import LandscapeError
from landscape.objective.objective import Stop, Stopped
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
from service.supervisor.memory import resident

from .gpu import is_beyond_repair
from .reader import ReaderKilledError
from .tiles import Outcome, Tiles

logger = logging.getLogger(__name__)

IDLE_SECONDS = 5.0
GRACE_SECONDS = 15.0  # a tile may take this long once the process is told to stop; then another worker takes it over
# No fault of the tile: it waits for better times.
PASSING = (UnavailableError, BusyError, NoSpaceError, OperationalError)
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
PASSING_SECONDS = 2.0
REPLACE_ME = 70  # exit code of a process in which nothing can be computed any more


class Worker:
    """One process that computes one tile at a time."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.database = Database(settings.database_url)
        self.wakeups = WakeUps(settings.broker)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.id = os.environ.get(WORKER_ID) or f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
        self.tiles = Tiles(settings, self.database, open_store(settings, min_free_bytes=0), self.device)
        self._end_by = math.inf
        self._busy, self._looked = threading.Lock(), time.monotonic()

    def work(self) -> bool:
        """Take the tile whose turn it is and see it through. False: nothing waits, or this process is ending."""
        with self._busy:
            held = None if self.ending else self._lease()
            if held is not None:
                self._see_through(held)
            self._looked = time.monotonic()
        if held is not None:
            with self.database.reading() as session:
                waiting = leases.count_waiting(session)
            self.wakeups.top_up(waiting)
        return held is not None

    def _lease(self) -> Lease | None:
        with self.database.writing() as session:
            mine = {"worker": self.id, "device": self.tiles.kind}
            return leases.lease(session, self.settings.lease_seconds, sizes=self.tiles.sizes, **mine)

    def _see_through(self, held: Lease) -> None:
        started, broken = time.perf_counter(), False
        about = {"tile": held.tile, "purpose": held.purpose, "job": held.subject}
        outcome: Outcome
        try:
            with self._heartbeat(held) as stop:
                outcome = self.tiles.do(held, stop)
        except Stopped:
            logger.info("tile dropped", extra=about)
            outcome = partial(requeue.release, held=held)
        except Exception as error:
            logger.exception("tile failed", extra=about)
            broken = is_beyond_repair(error)
            outcome = self._after(error, held)
        try:
            self._write(outcome)
        except UnavailableError:  # what was stored for it is gone again, or the store does not say
            self._write(partial(requeue.release, held=held))
        logger.info("tile", extra={**about, "elapsed_s": round(time.perf_counter() - started, 3)})
        if broken:
            logger.error("this process can compute nothing any more; another takes its place")
            os._exit(REPLACE_ME)

    def _after(self, error: Exception, held: Lease) -> Outcome:
        """What becomes of a tile after this error."""
        if isinstance(error, PASSING) or (isinstance(error, OSError) and error.errno in FULL_DISK):
            time.sleep(PASSING_SECONDS)
            return partial(requeue.release, held=held)
        if isinstance(error, LandscapeError | ServiceError):
            return partial(completion.fail, held=held, reason=str(error))
        return partial(
            requeue.after_error, held=held, max_attempts=self.settings.max_attempts, reason=self._in_words(error)
        )

    def _in_words(self, error: Exception) -> str:
        if isinstance(error, ReaderKilledError):
            return "the process that read it was killed"
        if is_out_of_memory(error):
            self.tiles.forget()
            return "the worker ran out of memory"
        if is_beyond_repair(error):
            return "the GPU failed, and the worker's process was replaced"
        return f"an internal error ({type(error).__name__}), which the worker's log describes"

    def _write(self, outcome: Outcome) -> None:
        """Write it as soon as the database lets us: its disk may be full, its server away."""
        while True:
            try:
                with self.database.writing() as session:
                    outcome(session)
                    session.execute(update(WorkerRow).where(WorkerRow.id == self.id).values(busy_since=None))
                return
            except OperationalError as error:
                if time.monotonic() > self._end_by:
                    raise
                logger.warning("writing a tile failed; trying again", extra={"error": str(error)[:200]})
                time.sleep(PASSING_SECONDS)

    @contextmanager
    def _heartbeat(self, held: Lease) -> Iterator[Stop]:
        """Keep the lease alive from a thread; the answer says whether the work is no longer wanted."""
        over, lost = threading.Event(), threading.Event()

        def beat() -> None:
            while not over.wait(self.settings.lease_seconds / 6) and not lost.is_set():
                try:
                    with self.database.writing() as session:
                        if not leases.heartbeat(session, held, self.settings.lease_seconds):
                            lost.set()
                except Exception:
                    logger.exception("heartbeat failed", extra={"tile": held.tile})

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield lambda: lost.is_set() or time.monotonic() > self._end_by
        finally:
            over.set()
            thread.join()

    def show_presence(self) -> None:
        """Say every few seconds that this worker lives, until the process ends."""
        fixed = {"id": self.id, "device": self.tiles.kind, "host": socket.gethostname(), "pid": os.getpid()}
        while not self.ending:
            try:
                used = torch.cuda.memory_reserved() if self.device.type == "cuda" else None
                with self.database.writing() as session:
                    session.merge(WorkerRow(**fixed, seen=now(), memory=resident(), device_memory=used))
            except Exception:
                logger.exception("presence failed")
            time.sleep(PRESENCE_SECONDS)

    def look_around(self) -> None:
        """Look for work whenever no hint has come for a while: the broker may be away, full, or have forgotten."""
        while not self.ending:
            time.sleep(1)
            try:
                while time.monotonic() - self._looked > IDLE_SECONDS and not self._busy.locked():
                    while self.work():
                        pass
            except Exception:
                logger.exception("looking for work failed")
                self._looked = time.monotonic()

    @property
    def ending(self) -> bool:
        return self._end_by < math.inf

    def end_soon(self) -> None:
        """Take no further tile, and finish the one at hand if that is quick."""
        self._end_by = min(self._end_by, time.monotonic() + GRACE_SECONDS)

    def end(self) -> None:
        """Wait for the tile at hand, and say goodbye."""
        self.end_soon()
        with self._busy, self.database.writing() as session:
            session.execute(delete(WorkerRow).where(WorkerRow.id == self.id))


def main() -> None:
    """Run one worker process until it is told to stop; SIGTERM lets it finish its tile."""
    log_as_json()
    setup_logging.connect(lambda **_: None, weak=False)  # Celery would set the levels of our loggers otherwise
    settings = Settings()
    torch.set_num_threads(settings.threads)
    worker = Worker(settings)
    worker_shutting_down.connect(lambda **_: worker.end_soon(), weak=False)
    worker.wakeups.celery.task(worker.work, name=TASK)
    for loop in (worker.show_presence, worker.look_around):
        threading.Thread(target=loop, daemon=True).start()
    logger.info("worker ready", extra={"worker": worker.id})
    options = ["--pool=solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    try:
        worker.wakeups.celery.worker_main(["worker", *options, "-Q", QUEUE, "-n", worker.id])
    finally:
        worker.end()


if __name__ == "__main__":
    main()
