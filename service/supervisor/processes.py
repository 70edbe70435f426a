"""Processes kept running: started on a leash, started again when they end, killed when they hang or take too much.

Imports settings, tables, queue, memory; no torch. Never decides which processes there are: supervisor.py does.
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
from ..queue import leases
from ..settings import WORKER_ID, Settings
from . import guardian, memory

logger = logging.getLogger(__name__)

Say = Callable[[str], None]

SLOWEST_RESTART = 30.0
LONG_LIFE = 10.0  # a process that lived so long starts again at once
START_SECONDS = 300.0  # a worker on a busy machine may take this long to load torch and show itself


@dataclass
class Child:
    """A process we keep running."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path | None  # our own output where absent
    process: "subprocess.Popen[bytes] | None" = None
    failures: int = 0
    started: float = 0.0
    not_before: float = 0.0

    def start(self) -> None:
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(self.log.open("ab")) if self.log else None
            self.process = subprocess.Popen(
                [sys.executable, "-S", "-E", guardian.__file__, *self.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,  # Ctrl-C in the terminal is for us alone; we stop the others in order
            )
        self.started = time.monotonic()

    def keep_running(self, say: Say) -> bool:
        """Start it again when it has ended: at once after a long life, later after a short one.

        Returns:
            Whether it was found to have ended.
        """
        if self.process is not None and self.process.poll() is None:
            return False
        clock, ended = time.monotonic(), self.process is not None
        if self.process is not None:
            self.failures = 0 if clock - self.started > LONG_LIFE else self.failures + 1
            self.not_before = clock + (min(SLOWEST_RESTART, 2.0 ** (self.failures - 1)) if self.failures > 1 else 0.0)
            where = f" (its log: {self.log})" if self.log else ""
            say(f"{self.name} ended with code {self.process.returncode}; starting it again{where}")
            self.let_go()
            self.process = None
        if clock >= self.not_before:
            self.start()
        return ended

    def let_go(self) -> None:
        """Let go of the leash: it is told to stop."""
        if self.process and self.process.stdin:
            self.process.stdin.close()

    def stop(self, seconds: float) -> None:
        """Let go of the leash and wait."""
        if self.process is None:
            return
        self.let_go()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class WorkerChild(Child):
    """A worker, known by its row in the database; each start is a new worker with a new name.

    What it says of itself is timed by our own clock, which no one sets: those of hosts and database may jump.
    """

    id: str = ""
    heard: float = 0.0  # when its row changed last
    _seen: float | None = None
    _busy: tuple[float | None, float] = field(default=(None, 0.0))  # when it took its tile by its clock, by ours

    def start(self) -> None:
        self.id = f"{socket.gethostname()}-{uuid4().hex[:12]}"
        self.environment = {**self.environment, WORKER_ID: self.id}
        super().start()
        self.heard, self._seen, self._busy = self.started, None, (None, 0.0)

    def hear(self, row: Worker | None) -> None:
        """Note what its row says now."""
        clock = time.monotonic()
        if row is not None and row.seen != self._seen:
            self.heard, self._seen = clock, row.seen
        if row is not None and row.busy_since != self._busy[0]:
            self._busy = (row.busy_since, clock)

    def fault(self, row: Worker | None, settings: Settings) -> str | None:
        """Why it must be killed, in words for whoever asked for the job; None where it is well."""
        clock, limit = time.monotonic(), settings.worker_memory_bytes
        patience = START_SECONDS if self._seen is None else settings.worker_silence_seconds
        if clock - self.heard > patience:
            return f"its worker did not answer for {patience:g} s"
        if self._busy[0] is not None and clock - self._busy[1] > settings.tile_deadline_seconds:
            return f"it took longer than {settings.tile_deadline_seconds:g} s, the limit for one part"
        held = row and (memory.resident(row.pid) or row.memory)
        if limit and held and held > limit:
            return f"it needed more than {limit / (1 << 30):.3g} GiB of memory, the limit of a worker"
        return None

    def kill(self, row: Worker | None) -> None:
        """At once, stopped or not; the leash ends with it."""
        assert self.process is not None
        if row is None:
            self.process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(row.pid, signal.SIGKILL)
        self.process.wait()


def look_after(workers: Sequence[WorkerChild], database: Database, settings: Settings, say: Say) -> None:
    """Start again what ended, kill what hangs or takes too much, and offer their tiles to others at once."""
    try:
        with database.reading() as session:
            found = session.scalars(select(Worker).where(Worker.id.in_([worker.id for worker in workers])))
            rows = {row.id: row for row in found}
    except SQLAlchemyError as error:  # no worker can say that it lives, and none is blamed for it
        logger.warning("the database does not answer", extra={"error": str(error)[:200]})
        for worker in workers:
            worker.heard = time.monotonic()
            worker.keep_running(say)
        return
    for worker in workers:
        row, name = rows.get(worker.id), worker.id
        worker.hear(row)
        why = worker.fault(row, settings) if worker.process and worker.process.poll() is None else None
        if why:
            say(f"{worker.name} is killed: {why}")
            worker.kill(row)
        if worker.keep_running(say):
            _abandon(database, name, settings, why or "its worker process died")


def _abandon(database: Database, worker: str, settings: Settings, why: str) -> None:
    try:
        with database.writing() as session:
            leases.abandon(session, worker, settings.max_attempts, why)
    except SQLAlchemyError as error:  # its lease runs out by itself
        logger.warning("a dead worker's tile waits for its lease to end", extra={"error": str(error)[:200]})
