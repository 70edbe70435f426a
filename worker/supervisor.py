"""Everything on one machine: starts broker, HTTP face and workers, restarts the dead, stops all together.

Imports settings, tables, gallery; no torch.
Every process is on a leash (leash.py): none outlives this one, however it ends.
"""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from sqlalchemy import select

from . import gallery
from .broker import PrivateBroker
from .database import Database
from .errors import ServiceError
from .settings import Settings
from .store import Store
from .tables import TERMINAL, Job

Say = Callable[[str], None]

POLL_SECONDS = 0.3
SLOWEST_RESTART = 30.0


@dataclass
class _Child:
    """A process we keep running."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    failures: int = 0
    started: float = 0.0
    not_before: float = field(default=0.0)

    def start(self) -> None:
        with self.log.open("ab") as log:
            leash = [sys.executable, "-S", "-E", str(Path(__file__).with_name("leash.py"))]
            self.process = subprocess.Popen(
                [*leash, *self.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,  # Ctrl-C in the terminal is for us alone; we stop the others in order
            )
        self.started = time.monotonic()

    def keep_running(self, say: Say) -> None:
        """Start it again when it has ended: at once after a long life, later after a short one."""
        if self.process is not None and self.process.poll() is None:
            return
        clock = time.monotonic()
        if self.process is not None:
            self.failures = 0 if clock - self.started > 60 else self.failures + 1
            self.not_before = clock + (min(SLOWEST_RESTART, 2.0 ** (self.failures - 1)) if self.failures > 1 else 0.0)
            say(f"{self.name} ended with code {self.process.returncode}; starting it again (its log: {self.log})")
            self.process = None
        if clock >= self.not_before:
            self.start()

    def stop(self, seconds: float) -> None:
        """Let go of the leash and wait."""
        if self.process is None:
            return
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class _Stop(Exception):
    """A signal asked us to end."""


def run(settings: Settings, *, workers: int | None = None, demo: bool = False, say: Say = print) -> None:
    """Run the whole service until Ctrl-C, SIGTERM or the end of the terminal.

    Args:
        workers: worker processes; one per GPU, else one per CPU core, where absent.
        say: gets one line per event a person wants to know.

    Raises:
        ServiceError: the port is taken, or the service already runs on this data folder.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _raise_stop)
    with _only_one(settings), contextlib.suppress(_Stop):
        _require_free_port(settings)
        _run(settings, workers, demo, say)


def _raise_stop(*_: object) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # once is enough: stopping must not be interrupted
    raise _Stop


def _run(settings: Settings, workers: int | None, demo: bool, say: Say) -> None:
    broker = None if "broker" in settings.model_fields_set else PrivateBroker()
    if broker:
        settings = settings.model_copy(update={"broker": broker.url})
    gpus = _gpus()
    children = _children(settings, broker, workers or len(gpus) or _cores(), gpus)
    try:
        database = Database(settings.database_url)
        for child in children:
            child.start()
        if demo:
            gallery.add_checkpoints(database, Store(settings.store, max_bytes=settings.max_upload_bytes))
        _watch(settings, database, children, demo, say)
    finally:
        say("stopping …")
        for child in reversed(children):  # workers first, so that they can finish their tiles
            if child.process and child.process.stdin and child.name.startswith("worker"):
                child.process.stdin.close()
        for child in reversed(children):
            child.stop(30)
        if broker:
            broker.remove()
        say("stopped")


def _children(settings: Settings, broker: PrivateBroker | None, workers: int, gpus: list[str]) -> list[_Child]:
    logs = settings.data / "logs"
    logs.mkdir(exist_ok=True)
    threads = str(settings.threads)
    environment = {**os.environ, **settings.environment(), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    environment |= {"OPENBLAS_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
    landscape = [sys.executable, "-m", "landscape.cli"]
    children = [_Child("broker", broker.command(), logs / "broker.log", environment)] if broker else []
    children.append(_Child("service", [*landscape, "serve"], logs / "service.log", environment))
    for n in range(workers):
        seen = {"CUDA_VISIBLE_DEVICES": gpus[n % len(gpus)]} if gpus else {}
        children.append(
            _Child(f"worker {n + 1}", [*landscape, "worker"], logs / f"worker-{n + 1}.log", environment | seen)
        )
    return children


def _gpus() -> list[str]:
    """Ids of the GPUs that torch can use; asked in a process of its own, and only where there may be any."""
    if not list(Path("/dev").glob("nvidia[0-9]*")):
        return []
    code = "import torch; print(torch.cuda.device_count())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return [str(n) for n in range(int(answer.stdout or 0))]


def _cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _watch(settings: Settings, database: Database, children: list[_Child], demo: bool, say: Say) -> None:
    announced, finished_before = False, set(_finished(database))
    while True:
        for child in children:
            child.keep_running(say)
        if not announced and _answers(settings):
            announced = True
            say(f"Loss Landscape is at http://{settings.host}:{settings.port}  (Ctrl-C stops it)")
        if demo and announced:
            demo = not gallery.add_next_jobs(database)
        if announced:
            finished = _finished(database)
            for job in [job for job_id, job in finished.items() if job_id not in finished_before]:
                say(_line(job))
            finished_before = set(finished)
        time.sleep(POLL_SECONDS)


def _finished(database: Database) -> dict[str, Job]:
    with database.reading() as session:
        return {job.id: job for job in session.scalars(select(Job).where(Job.state.in_(TERMINAL)))}


def _line(job: Job) -> str:
    seconds = (job.finished or 0.0) - (job.started or job.finished or 0.0)
    reason = f": {job.error}" if job.error else ""
    points = f"{job.points_done} of {job.points} points"
    return f"{job.state:9}  {job.kind:7}  {points}  {seconds:6.1f} s  {job.name}{reason}"


def _answers(settings: Settings) -> bool:
    try:
        with urllib.request.urlopen(f"http://{_reachable(settings.host)}:{settings.port}/api/health", timeout=2):
            return True
    except OSError:
        return False


def _reachable(host: str) -> str:
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
def _only_one(settings: Settings) -> Iterator[TextIO]:
    """Hold the data folder: two services on one folder would start everything twice."""
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
