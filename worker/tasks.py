"""What a worker does with a tile: read a checkpoint, prepare a job, compute points.

Imports landscape (and so torch), queue, store, reader; the only module of worker/ that does: app/ never imports it.
Never decides whose turn it is, and never writes to the database but through queue.py.
"""

import logging
import os
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import torch
from celery.signals import setup_logging

from landscape import data
from landscape.errors import LandscapeError
from landscape.kinds import coordinates
from landscape.objective import Stopped

from . import queue
from .database import Database
from .errors import ServiceError
from .hints import QUEUE, TASK, Hints
from .landscapes import Subject
from .logs import log_as_json
from .queue import Lease
from .reader import RejectedError, read_checkpoint, read_dataset
from .results import pack
from .settings import Settings
from .spec import job_spec
from .store import Store
from .tables import Checkpoint, Dataset, Job, now, require
from .tables import Worker as WorkerRow

logger = logging.getLogger(__name__)

Stop = Callable[[], bool]

_KEPT_SUBJECTS = 4


class Worker:
    """One process that computes; what it has loaded for a job it keeps for the job's next tile."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.database = Database(settings.database_url)
        self.store = Store(settings.store, max_bytes=settings.max_upload_bytes)
        self.hints = Hints(settings.broker)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
        self._subjects: OrderedDict[str, Subject] = OrderedDict()

    def work(self) -> None:
        """Take the tile whose turn it is, if any, and see it through."""
        with self.database.writing() as session:
            held = queue.lease(session, self.settings.lease_seconds)
        if held is None:
            return
        started = time.perf_counter()
        try:
            with self._heartbeat(held) as stop:
                self._dispatch(held, stop)
        except Stopped:
            logger.info("tile dropped", extra={"tile": held.tile, "purpose": held.purpose})
        except (LandscapeError, ServiceError) as error:
            self._write(queue.fail, held, str(error))
        except Exception:
            logger.exception("tile failed", extra={"tile": held.tile, "purpose": held.purpose, "subject": held.subject})
            self._write(queue.give_back, held, self.settings.max_attempts)
        took = round(time.perf_counter() - started, 3)
        logger.info("tile", extra={"tile": held.tile, "purpose": held.purpose, "job": held.subject, "elapsed_s": took})
        with self.database.reading() as session:
            waiting = queue.waiting(session)
        self.hints.top_up(waiting)

    def _dispatch(self, held: Lease, stop: Stop) -> None:
        if held.purpose == "read":
            self._read(held)
        elif held.purpose == "read-data":
            self._read_data(held)
        elif held.purpose == "prepare":
            self._prepare(held, stop)
        else:
            self._compute(held, stop)

    def _read(self, held: Lease) -> None:
        with self.database.reading() as session:
            sha256 = require(session, Checkpoint, held.subject).sha256
        try:
            verdict = read_checkpoint(sha256, self.store, self.settings)
        except RejectedError as rejected:
            self._write(queue.finish_reading, held, {"state": "rejected", "reason": str(rejected)})
            return
        columns = {"state": "ready", **vars(verdict)}
        columns["architecture"] = verdict.candidates[0] if len(verdict.candidates) == 1 else None
        self._write(queue.finish_reading, held, columns)

    def _read_data(self, held: Lease) -> None:
        with self.database.reading() as session:
            sha256 = require(session, Dataset, held.subject).sha256
        try:
            facts, digest = read_dataset(sha256, self.store, self.settings)
        except RejectedError as rejected:
            self._write(queue.finish_reading, held, {"state": "rejected", "reason": str(rejected)})
            return
        self._write(queue.finish_reading, held, {"state": "ready", "facts": facts, "data_sha256": digest})

    def _prepare(self, held: Lease, stop: Stop) -> None:
        subject = self._subject(held)
        provenance = subject.provenance(stop)
        points_per_tile = self._points_per_tile(subject, stop)
        self._write(queue.finish_preparing, held, provenance, subject.grid, points_per_tile)

    def _points_per_tile(self, subject: Subject, stop: Stop) -> int:
        """As many points as take about `tile_seconds`, by measuring one and, if that is quick, a group of them."""
        group, points = subject.landscape.plan.group, coordinates(subject.grid, subject.grid.levels()[0])
        seconds = self._seconds(subject, points[:1], stop)
        if seconds > self.settings.tile_seconds:
            return 1
        seconds = self._seconds(subject, points[:group], stop)
        return len(points[:group]) * max(1, round(self.settings.tile_seconds / seconds))

    def _seconds(self, subject: Subject, points: list[tuple[float, float]], stop: Stop) -> float:
        started = time.perf_counter()
        subject.landscape.rows(points, stop)
        return time.perf_counter() - started

    def _compute(self, held: Lease, stop: Stop) -> None:
        subject = self._subject(held)
        rows = subject.landscape.rows(coordinates(subject.grid, held.points), stop)
        if not subject.landscape.unchanged():
            raise LandscapeError("The parameters of the network changed while it was evaluated; nothing was kept.")
        self._write(queue.finish_points, held, pack(rows))

    def _subject(self, held: Lease) -> Subject:
        """What the job asks for, kept for its next tile."""
        with self.database.reading() as session:
            job = require(session, Job, held.subject)
            spec = job_spec.validate_python(job.spec)
            rows = [require(session, Checkpoint, one) for one in spec.checkpoints]
        choice = (job.provenance or {}).get("engine")  # the worker that prepared the job chose; all others follow
        subject = self._subjects.pop(job.id, None)
        if subject is None or choice not in (None, subject.landscape.plan.choice):
            weights = [row.weights_sha256 or "" for row in rows]
            subject = Subject(
                spec,
                job.checkpoint["architecture"],
                weights,
                store=self.store,
                samples=self._samples(spec.dataset),
                facts=rows[0].facts,
                device=self.device,
                choice=choice,
            )
        self._subjects[job.id] = subject
        if len(self._subjects) > _KEPT_SUBJECTS:
            self._subjects.popitem(last=False)
        return subject

    def _samples(self, name: str) -> Callable[[str], data.Dataset]:
        """From a split to its samples, of a built-in or an uploaded data set."""
        if name in data.BUILT_IN:
            return lambda split: data.load(name, split)
        with self.database.reading() as session:
            row = require(session, Dataset, name)
        path = self.store.path(row.data_sha256 or "")
        return lambda split: data.load_clean(path, row.name, split)

    def _write(self, change: Callable[..., object], held: Lease, *details: object) -> None:
        with self.database.writing() as session:
            change(session, held, *details)

    @contextmanager
    def _heartbeat(self, held: Lease) -> Iterator[Callable[[], bool]]:
        """Keep the lease alive from a thread; the answer says whether the work is no longer wanted."""
        over, lost = threading.Event(), threading.Event()

        def beat() -> None:
            while not over.wait(self.settings.lease_seconds / 8) and not lost.is_set():
                try:
                    with self.database.writing() as session:
                        if not queue.beat(session, held, self.settings.lease_seconds):
                            lost.set()
                except Exception:
                    logger.exception("heartbeat failed", extra={"tile": held.tile})

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield lost.is_set
        finally:
            over.set()
            thread.join()

    def show_presence(self) -> None:
        """Say every few seconds that this worker lives, until the process ends."""
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        while True:
            try:
                with self.database.writing() as session:
                    session.merge(WorkerRow(id=self.id, device=device, seen=now()))
            except Exception:
                logger.exception("presence failed")
            time.sleep(3)


def main() -> None:
    """Run one worker process until it is told to stop; SIGTERM lets it finish its tile."""
    log_as_json()
    setup_logging.connect(lambda **_: None, weak=False)  # Celery would set the levels of our loggers otherwise
    settings = Settings()
    torch.set_num_threads(settings.threads)
    worker = Worker(settings)
    worker.hints.celery.task(worker.work, name=TASK)
    threading.Thread(target=worker.show_presence, daemon=True).start()
    logger.info("worker ready", extra={"worker": worker.id})
    options = ["--pool=solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    worker.hints.celery.worker_main(["worker", *options, "-Q", QUEUE, "-n", worker.id])


if __name__ == "__main__":
    main()
