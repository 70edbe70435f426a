"""Runs the whole service on one machine: starts broker, API and workers, restarts those that end, stops them all.

Every process runs under a guardian (guardian.py), so none outlives this one, however it ends.
"""

import contextlib
import fcntl
import logging
import logging.handlers
import os
import queue
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from landscape.sandbox import thread_variables

from ..access.bootstrap import address, startup_messages
from ..data_folder import open_data_folder
from ..database.sessions import Database
from ..database.tables import Job
from ..errors import ServiceError
from ..jobs import gallery
from ..logs import log_as_json
from ..open_files import raise_limit
from ..settings import Settings
from ..storage.open import open_store
from ..versions import announce
from . import memory
from .private_broker import PrivateBroker
from .processes import PYTHON, Child, Report, WorkerChild, keep_workers_running

POLL_SECONDS = 0.3
MOST_LINES = 1000  # that wait to be written to the terminal
LAST_LINES_SECONDS = 2.0  # to write them at the end
MIN_MEMORY = 1 << 28  # bytes of a worker, however many there are
_LANDSCAPE = [*PYTHON, "-m", "landscape.cli"]
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def run_service(settings: Settings, *, workers: int | None = None, demo: bool = False, report: Report = print) -> None:
    """Run the whole service until Ctrl-C, SIGTERM or the end of the terminal.

    Args:
        workers: number of worker processes; by default one per GPU, else one per CPU core.
        report: gets one line per event for the person at the terminal.

    Raises:
        ServiceError: the port is taken, the data folder cannot be used or is in use, or a process cannot run.
        ConflictError: another version made the database.
        UnavailableError, BusyError: the database does not answer.
        DamagedError: the database is damaged.
    """
    open_data_folder(settings)
    raise_limit()  # of open files, for all processes
    stop = _stop_event()
    with _lock(settings), _written_by_a_thread(report) as report:
        _require_free_port(settings)
        broker = None if "broker" in settings.model_fields_set else PrivateBroker()
        if broker:
            settings = settings.model_copy(update={"broker": broker.url})
        logs = settings.data / "logs"
        logs.mkdir(exist_ok=True)
        try:
            others = [Child("broker", broker.command(), dict(os.environ), logs / "broker.log")] if broker else []
            others.append(Child("service", [*_LANDSCAPE, "serve"], _environment(settings), logs / "service.log"))
            _run(settings, others, _workers(settings, workers, logs), _Terminal(settings, demo, report), report, stop)
        finally:
            if broker:
                broker.remove()


def run_workers(settings: Settings, *, workers: int | None = None, report: Report = print) -> None:
    """Run workers alone, for a service whose other parts run elsewhere; arguments as for `run_service`.

    Raises:
        ServiceError: a worker cannot run, or the address of the database is wrong.
        ConflictError: another version made the database.
        UnavailableError, BusyError: the database does not answer.
        DamagedError: the database is damaged.
    """
    raise_limit()
    with _written_by_a_thread(report) as report:
        _run(settings, [], _workers(settings, workers, None), None, report, _stop_event())


@contextlib.contextmanager
def _written_by_a_thread(report: Report) -> Iterator[Report]:
    """Reports and logs that nothing waits for: a terminal that is held (Ctrl-S), or a pipe without a reader, blocks.

    What is more than `MOST_LINES` behind is not written.
    """
    lines: queue.Queue[str | logging.LogRecord | None] = queue.Queue(MOST_LINES)
    log_as_json(logging.WARNING)
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, [_Queued(lines)]

    def write() -> None:
        while (line := lines.get()) is not None:
            if isinstance(line, str):
                report(line)
            else:
                for handler in handlers:
                    handler.handle(line)

    def put(line: str | None) -> None:
        with contextlib.suppress(queue.Full):
            lines.put_nowait(line)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield put
    finally:
        root.handlers = handlers
        put(None)
        thread.join(LAST_LINES_SECONDS)


class _Queued(logging.handlers.QueueHandler):
    """Puts records into a queue, or drops them if it is full."""

    def enqueue(self, record: logging.LogRecord) -> None:
        """Never waits."""
        with contextlib.suppress(queue.Full):
            self.queue.put_nowait(record)


def _stop_event() -> threading.Event:
    """An event that the first stop signal sets; an exception could be swallowed by the code that it interrupts."""
    stop = threading.Event()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    return stop


def _run(
    settings: Settings,
    others: list[Child],
    workers: list[WorkerChild],
    terminal: "_Terminal | None",
    report: Report,
    stop: threading.Event,
) -> None:
    try:
        database = Database(settings.database_url)
        if terminal:
            announce(database)  # before the workers start: they refuse a service of an earlier version
            terminal.start(database)
        for child in [*others, *workers]:
            child.start()
        while not stop.is_set():
            answered = keep_workers_running(workers, database, settings, report)
            for child in others:  # without the database none can start, so an exit is no false start
                child.keep_running(report, counts=answered)
            for child in [*others, *workers]:
                child.limit_log(settings.max_log_bytes)
            if terminal:
                terminal.update(database)
            stop.wait(POLL_SECONDS)
    finally:
        report("stopping …")
        for worker in workers:  # first, and all at once, so that they can finish their tiles
            worker.ask_to_stop()
        for child in [*workers, *reversed(others)]:
            child.stop(30)
        report("stopped")


def _workers(settings: Settings, count: int | None, logs: Path | None) -> list[WorkerChild]:
    gpus = _gpus()
    count = count or len(gpus) or _cores()
    share = settings.worker_memory_bytes or int(memory.SHARE * memory.total()) // count
    environment = _environment(settings.model_copy(update={"worker_memory_bytes": max(share, MIN_MEMORY)}))
    children = []
    for n in range(count):
        visible = {"CUDA_VISIBLE_DEVICES": gpus[n % len(gpus)]} if gpus else {}
        log = logs / f"worker-{n + 1}.log" if logs else None
        children.append(WorkerChild(f"worker {n + 1}", [*_LANDSCAPE, "worker"], environment | visible, log))
    return children


def _environment(settings: Settings) -> dict[str, str]:
    threads = thread_variables(settings.threads)
    return {**os.environ, **settings.environment(), **threads, "PYTHONUNBUFFERED": "1"}


def _gpus() -> list[str]:
    """Ids of the GPUs that torch can use; a separate process asks torch, and only if there may be any."""
    if not list(Path("/dev").glob("nvidia[0-9]*")):
        return []
    code = "import torch; print(torch.cuda.device_count())"
    answer = subprocess.run([*PYTHON, "-c", code], capture_output=True, text=True)
    ids = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")  # numbers count from the first of these
    return [ids[n] if n < len(ids) and ids[n] else str(n) for n in range(int(answer.stdout or 0))]


def _cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Terminal:
    """Reports the address and finished jobs to the person at the terminal; submits the jobs of the demo in turn."""

    def __init__(self, settings: Settings, demo: bool, report: Report):
        self.settings, self.demo, self.report = settings, demo, report
        self.announced, self._reported_until = False, 0.0

    def start(self, database: Database) -> None:
        for line in startup_messages(database, self.settings):
            self.report(line)
        if self.demo:
            gallery.add_checkpoints(database, open_store(self.settings, min_free_bytes=0))
        with database.reading() as session:
            self._reported_until = session.scalar(select(func.max(Job.finished))) or 0.0

    def update(self, database: Database) -> None:
        if not self.announced and _answers(self.settings):
            self.announced = True
            self.report(f"Loss Landscape is at {address(self.settings)}  (Ctrl-C stops it)")
        if not self.announced:
            return
        with contextlib.suppress(SQLAlchemyError):  # the database does not answer just now
            if self.demo:
                self.demo = not gallery.add_next_jobs(database)
            new = select(Job).where(Job.finished > self._reported_until).order_by(Job.finished)
            with database.reading() as session:
                for job in session.scalars(new):
                    self.report(_summary(job))
                    self._reported_until = job.finished or 0.0


def _summary(job: Job) -> str:
    seconds = (job.finished or 0.0) - (job.started or job.finished or 0.0)
    reason = f": {job.error}" if job.error else ""
    points = f"{job.points_done} of {job.points} points"
    return f"{job.state:9}  {job.kind:7}  {points}  {seconds:6.1f} s  {job.name}{reason}"


def _answers(settings: Settings) -> bool:
    try:
        with urllib.request.urlopen(f"http://{_address(settings.host)}:{settings.port}/api/health", timeout=2):
            return True
    except OSError:
        return False


def _address(host: str) -> str:
    """The address at which this machine reaches a service that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)


def _require_free_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise ServiceError(
                f"Port {settings.port} on {settings.host} cannot be used: {error.strerror}. "
                f"Choose another, for example: make demo PORT={settings.port + 1}"
            ) from None


@contextlib.contextmanager
def _lock(settings: Settings) -> Iterator[TextIO]:
    """Lock the data folder: two services on one folder would start everything twice."""
    with (settings.data / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            where = lock.read().strip() or "starting"
            raise ServiceError(
                f"Loss Landscape already runs on {settings.data.name}/ ({where}). Nothing was started."
            ) from None
        lock.truncate(0)
        lock.write(f"http://{settings.host}:{settings.port}")
        lock.flush()
        yield lock
