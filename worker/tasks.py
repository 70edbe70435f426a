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
from typing import Any
from uuid import uuid4

import torch
from celery.signals import setup_logging
from safetensors.torch import load_file

from landscape import data
from landscape.errors import LandscapeError
from landscape.grid import Grid
from landscape.kinds import coordinates
from landscape.landscape import Landscape
from landscape.models import build
from landscape.models.architecture import from_json
from landscape.objective import Stopped

from . import queue
from .errors import ServiceError
from .hints import QUEUE, TASK, Hints
from .logs import log_as_json
from .queue import Lease, Spec
from .reader import RejectedError, read_checkpoint
from .results import pack
from .settings import Settings
from .spec import job_spec
from .store import Store
from .tables import Checkpoint, Database, Job, now
from .tables import Worker as WorkerRow

logger = logging.getLogger(__name__)

_KEPT_LANDSCAPES = 4


class Worker:
    """One process that computes; what it has loaded for a job it keeps for the job's next tile."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.database = Database(settings.database_url)
        self.store = Store(settings.store, max_bytes=settings.max_upload_bytes)
        self.hints = Hints(settings.broker)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
        self._landscapes: OrderedDict[str, Landscape] = OrderedDict()

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

    def _dispatch(self, held: Lease, stop: Callable[[], bool]) -> None:
        if held.purpose == "read":
            self._read(held)
        elif held.purpose == "prepare":
            self._prepare(held, stop)
        else:
            self._compute(held, stop)

    def _read(self, held: Lease) -> None:
        with self.database.reading() as session:
            sha256 = queue.require(session, Checkpoint, held.subject).sha256
        try:
            verdict = read_checkpoint(sha256, self.store, self.settings)
        except RejectedError as rejected:
            self._write(queue.finish_reading, held, {"state": "rejected", "reason": str(rejected)})
            return
        columns = {"state": "ready", **vars(verdict)}
        columns["architecture"] = verdict.candidates[0] if len(verdict.candidates) == 1 else None
        self._write(queue.finish_reading, held, columns)

    def _prepare(self, held: Lease, stop: Callable[[], bool]) -> None:
        job, landscape = self._job_and_landscape(held)
        spec = job_spec.validate_python(job.spec)
        grid = spec.grid.grid()
        dataset = data.load(spec.dataset, spec.split)
        provenance = {
            **landscape.provenance(grid, stop),
            "dataset": spec.dataset,
            "split": spec.split,
            "subset": spec.subset.model_dump() if spec.subset else None,
            "samples_in_split": len(dataset),
            "data_sha256": self._samples(spec).digest,
            "architecture": self._architecture(job),
        }
        self._write(queue.finish_preparing, held, provenance, self._points_per_tile(landscape, grid, stop))

    def _points_per_tile(self, landscape: Landscape, grid: Grid, stop: Callable[[], bool]) -> int:
        """As many points as take about `tile_seconds`, by measuring one group of those that are computed together."""
        points = coordinates(grid, grid.levels()[0][: landscape.plan.group])
        started = time.perf_counter()
        landscape.values(points, stop)
        groups = self.settings.tile_seconds / (time.perf_counter() - started)
        return landscape.plan.group * max(1, round(groups))

    def _compute(self, held: Lease, stop: Callable[[], bool]) -> None:
        job, landscape = self._job_and_landscape(held)
        grid = job_spec.validate_python(job.spec).grid.grid()
        values = landscape.values(coordinates(grid, held.points), stop)
        if not landscape.unchanged():
            raise LandscapeError("The parameters of the network changed while it was evaluated; nothing was kept.")
        self._write(queue.finish_points, held, pack(values))

    def _job_and_landscape(self, held: Lease) -> tuple[Job, Landscape]:
        with self.database.reading() as session:
            job = queue.require(session, Job, held.subject)
            checkpoint = queue.require(session, Checkpoint, job.checkpoint_id)
        spec = job_spec.validate_python(job.spec)
        key = spec.model_dump_json(exclude={"grid", "name"})
        choice = (job.provenance or {}).get("engine")  # the worker that prepared the job chose; all others follow
        landscape = self._landscapes.pop(key, None)
        if landscape is None or choice not in (None, landscape.plan.choice):
            landscape = self._landscape(spec, checkpoint, choice)
        self._landscapes[key] = landscape
        if len(self._landscapes) > _KEPT_LANDSCAPES:
            self._landscapes.popitem(last=False)
        return job, landscape

    def _landscape(self, spec: Spec, checkpoint: Checkpoint, choice: dict[str, Any] | None) -> Landscape:
        assert checkpoint.architecture is not None
        assert checkpoint.weights_sha256 is not None
        described = {k: v for k, v in checkpoint.architecture.items() if k not in ("label", "parameters")}
        model = build(from_json(described))
        model.load_state_dict(load_file(self.store.path(checkpoint.weights_sha256)), strict=False)
        samples = self._samples(spec)
        return Landscape(
            model.to(self.device),
            samples.images,
            samples.labels,
            dimensions=2 if spec.kind == "surface" else 1,
            seed=spec.seed,
            normalization=spec.normalization,
            precision=spec.precision,
            choice=choice,
        )

    def _samples(self, spec: Spec) -> data.Dataset:
        samples = data.load(spec.dataset, spec.split)
        return samples.subset(spec.subset.count, spec.subset.seed) if spec.subset else samples

    def _architecture(self, job: Job) -> dict[str, Any] | None:
        with self.database.reading() as session:
            return queue.require(session, Checkpoint, job.checkpoint_id).architecture

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
