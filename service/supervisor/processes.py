"""Child processes kept running: restarted with a back-off when they end, killed when they hang or exceed a limit.

A process that repeatedly ends right after its start is given up; the error shows the end of its log.
run.py decides which processes there are.
"""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from ..database.sessions import Database
from ..database.tables import Worker
from ..errors import ServiceError
from ..logs import rotate
from ..queue import requeue
from ..settings import WORKER_ID, Settings
from ..versions import OTHER_VERSION
from . import guardian, memory

logger = logging.getLogger(__name__)

Report = Callable[[str], None]

PYTHON = (sys.executable, "-P")  # the working directory, which may contain anything, is not searched for modules

SLOWEST_RESTART = 30.0
LONG_LIFE = 10.0  # a process that ran for this long is restarted at once
KILLED = 128 + signal.SIGKILL  # exit code of a guardian whose command was killed: by the system for memory, or a person
NO_FAULT = {OTHER_VERSION: "waits for the service to have its version", KILLED: "was killed"}  # by exit code
MOST_FALSE_STARTS = 5  # in a row, then it is given up: after 14 s of back-off plus the time of the starts
START_SECONDS = 300.0  # a worker on a busy machine may take this long to load torch and write its row
DEADLINES = 10  # of a tile: then its worker, which ends the computation itself after at most nine, is killed
LOG_LINES = 20


@dataclass
class Child:
    """A process that is kept running."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path | None  # absent: our own output
    process: "subprocess.Popen[bytes] | None" = None
    worked: bool = False  # whether it has held a tile since its start, if it is a worker
    failures: int = 0  # short runs in a row: each doubles the back-off before the next start
    false_starts: int = 0  # short runs in a row that did nothing
    started: float = 0.0
    not_before: float = 0.0

    def start(self) -> None:
        """Start it under a guardian, which ends it when we are gone."""
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(self.log.open("ab")) if self.log else None
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__, *self.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,  # Ctrl-C in the terminal is for us alone; we stop the others in order
            )
        self.started = time.monotonic()

    def limit_log(self, most_bytes: int) -> None:
        """Start its log over once it has so many bytes."""
        if self.log:
            with contextlib.suppress(OSError):  # the disk's own trouble ends no service
                rotate(self.log, most_bytes)

    @property
    def has_ended(self) -> bool:
        """Whether it was started and has ended."""
        return self.process is not None and self.process.poll() is not None

    def keep_running(self, report: Report, *, counts: bool = True) -> None:
        """Restart it when it has ended: at once after a long run or a tile, with a growing back-off after short ones.

        Args:
            counts: whether a short run is a false start: not if the database did not answer. One that had a tile,
                was killed, or ended because the service has another version, never is one.

        Raises:
            ServiceError: too many false starts in a row.
        """
        if self.process is not None and self.has_ended:
            code = self.process.returncode
            self.count_end(time.monotonic() - self.started, counts=counts and code not in NO_FAULT)
            self.ask_to_stop()
            self.process = None
            if self.false_starts >= MOST_FALSE_STARTS:
                self._give_up(code, report)
            where = f" (its log: {self.log})" if self.log else ""
            why = NO_FAULT.get(code, f"ended with code {code}")
            report(f"{self.name} {why}; starting it again{where}")
        if self.process is None and time.monotonic() >= self.not_before:
            self.start()

    def count_end(self, lived: float, *, counts: bool) -> None:
        """Record a run of so many seconds, and schedule the next start: at once if it had a tile, whose job pauses."""
        short = lived <= LONG_LIFE and not self.worked
        self.failures = self.failures + 1 if short else 0
        self.false_starts = self.false_starts + 1 if short and counts else 0
        pause = min(SLOWEST_RESTART, 2.0 ** (self.failures - 1)) if self.failures > 1 else 0.0
        self.not_before = time.monotonic() + pause

    def _give_up(self, code: int, report: Report) -> None:
        for line in last_lines(self.log):
            report(f"  {line}")
        where = f"its log, {self.log}," if self.log else "its output"
        raise ServiceError(
            f"The process {self.name!r} ended {self.false_starts} times in a row within {LONG_LIFE:g} s of its start, "
            f"the last time with code {code}. Correct what {where} says and start again; no job is lost."
        )

    def ask_to_stop(self) -> None:
        """Close the guardian's standard input: it tells the command to stop."""
        if self.process and self.process.stdin:
            self.process.stdin.close()

    def stop(self, seconds: float) -> None:
        """Ask it to stop, and kill its guardian if it has not ended after so many seconds."""
        if self.process is None:
            return
        self.ask_to_stop()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class WorkerChild(Child):
    """A worker, known by its row in the database; each start is a new worker with a new id.

    The ages of its last heartbeat and of its tile are measured by our monotonic clock: other clocks may jump.
    """

    id: str = ""
    heard: float = 0.0  # when its row changed last
    _seen: float | None = None
    _busy: tuple[float | None, float] = field(default=(None, 0.0))  # start of its tile, by its row and by our clock

    def start(self) -> None:
        """Start it as a worker with a new id, under a guardian."""
        self.id = f"{socket.gethostname()}-{uuid4().hex[:12]}"
        self.environment = {**self.environment, WORKER_ID: self.id}
        super().start()
        self.heard, self.worked, self._seen, self._busy = self.started, False, None, (None, 0.0)

    def note(self, row: Worker | None) -> None:
        """Record the changes in its row."""
        clock = time.monotonic()
        if row is not None and row.seen != self._seen:
            self.heard, self._seen = clock, row.seen
        if row is not None and row.busy_since != self._busy[0]:
            self._busy, self.worked = (row.busy_since, clock), True

    def fault(self, row: Worker | None, settings: Settings) -> str | None:
        """Why it must be killed, as a sentence for the owner of the job; None if it need not be."""
        clock, limit = time.monotonic(), settings.worker_memory_bytes
        allowed = START_SECONDS if self._seen is None else settings.worker_silence_seconds
        if clock - self.heard > allowed:
            return f"its worker did not answer for {allowed:g} s"
        deadline = DEADLINES * settings.tile_deadline_seconds
        if self._busy[0] is not None and clock - self._busy[1] > deadline:
            return f"it took longer than {deadline:g} s, the limit for one part"
        held = row and (memory.resident(row.pid) or row.memory)
        if limit and held and held > limit:
            return f"it needed more than {limit / (1 << 30):.3g} GiB of memory, the limit of a worker"
        return None

    def kill(self, row: Worker | None) -> None:
        """Kill it at once, even if it is suspended; its guardian ends with it."""
        assert self.process is not None
        if row is None:
            self.process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(row.pid, signal.SIGKILL)
        self.process.wait()


def keep_workers_running(
    workers: Sequence[WorkerChild], database: Database, settings: Settings, report: Report
) -> bool:
    """Restart workers that ended, kill those that hang or exceed a limit, and offer their tiles to others at once.

    Returns:
        Whether the database answered.

    Raises:
        ServiceError: a worker had too many false starts in a row. One that has held a tile had no false start: a
            job that kills its workers fails after `max_attempts`.
        BusyError: too many others write to the database.
    """
    try:
        with database.reading() as session:
            found = session.scalars(select(Worker).where(Worker.id.in_([worker.id for worker in workers])))
            rows = {row.id: row for row in found}
    except SQLAlchemyError as error:  # no worker can write its row now, so a missing heartbeat is no fault
        logger.warning("the database does not answer", extra={"error": str(error)[:200]})
        for worker in workers:
            worker.heard = time.monotonic()
            worker.keep_running(report, counts=False)
        return False
    for worker in workers:
        row = rows.get(worker.id)
        worker.note(row)
        why = worker.fault(row, settings) if worker.process and not worker.has_ended else None
        if why:
            report(f"{worker.name} is killed: {why}")
            worker.kill(row)
        answered = True
        if worker.has_ended:
            held = _abandon(database, worker.id, settings, why or "its worker process died")
            answered, worker.worked = held is not None, worker.worked or bool(held)
        worker.keep_running(report, counts=answered)
    return True


def _abandon(database: Database, worker: str, settings: Settings, why: str) -> int | None:
    """Offer the tiles of a dead worker to others; their number, None if the database does not answer."""
    try:
        with database.writing() as session:
            return requeue.after_worker_death(session, worker, settings.max_attempts, why)
    except SQLAlchemyError as error:  # its leases will expire
        logger.warning("a dead worker's tile waits for its lease to end", extra={"error": str(error)[:200]})
        return None


def last_lines(log: Path | None) -> list[str]:
    """The last lines of a log; empty if there is none."""
    if log is None:
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - (1 << 16)))
        return file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
