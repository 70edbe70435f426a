"""The work of a tile: read an upload, prepare a job, or compute points.

Nothing here writes to the database: a tile's outcome is a function that the caller runs in its transaction.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from sqlalchemy.orm import Session

from landscape.data import BUILT_IN, load, load_clean
from landscape.data import Dataset as Samples
from landscape.disk_cache import DiskCache
from landscape.engine import native
from landscape.engine.fused.onednn import EMULATED, emulated
from landscape.errors import LandscapeError
from landscape.evaluation.run import coordinates
from landscape.objective.objective import Stop
from service.database.sessions import Database
from service.database.tables import Checkpoint, Dataset, Job, require
from service.jobs.spec import job_spec
from service.queue import completion
from service.queue.leases import Lease
from service.queue.values import pack
from service.settings import Settings
from service.storage.store import Store

from .reader import RejectedError, read_checkpoint, read_dataset
from .subject import Subject

Outcome = Callable[[Session], object]
Finished = tuple[Callable[..., object], dict[str, Any]]  # the function that writes the outcome, and its arguments

_KEPT_SUBJECTS = 4


class TileRunner:
    """Processes tiles one at a time; the data loaded for a job is kept for the job's next tile."""

    def __init__(self, settings: Settings, database: Database, store: Store, device: torch.device):
        self.settings, self.database, self.store, self.device = settings, database, store, device
        self.kind = kind_of(device)
        self.sizes: dict[str, int] = {}  # points in about `tile_seconds` of this process, by job
        self._subjects: OrderedDict[str, Subject] = OrderedDict()

    def run(self, held: Lease, stop: Stop) -> Outcome:
        """Process a tile.

        Returns:
            A function that writes the outcome.

        Raises:
            Stopped: `stop` returned True.
            LandscapeError, ServiceError: the request cannot be carried out; the message says why.
        """
        started = time.perf_counter()
        work = {"read": self._read, "read-data": self._read_data, "prepare": self._prepare, "points": self._compute}
        write, details = work[held.purpose](held, stop)
        return partial(write, held=held, **details, seconds=time.perf_counter() - started)

    def free_memory(self) -> None:
        """Free the data kept for jobs."""
        self._subjects.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _read(self, held: Lease, _: Stop) -> Finished:
        with self.database.reading() as session:
            sha256 = require(session, Checkpoint, held.subject).sha256
        try:
            verdict = read_checkpoint(sha256, self.store, self.settings)
        except RejectedError as rejected:
            return completion.finish_reading, {"verdict": {"state": "rejected", "reason": str(rejected)}}
        columns = {"state": "ready", **vars(verdict)}
        columns["architecture"] = verdict.candidates[0] if len(verdict.candidates) == 1 else None
        return self._finish_reading, {"verdict": columns, "sha256": verdict.weights_sha256}

    def _read_data(self, held: Lease, _: Stop) -> Finished:
        with self.database.reading() as session:
            sha256 = require(session, Dataset, held.subject).sha256
        try:
            facts, digest = read_dataset(sha256, self.store, self.settings)
        except RejectedError as rejected:
            return completion.finish_reading, {"verdict": {"state": "rejected", "reason": str(rejected)}}
        verdict = {"state": "ready", "facts": facts, "data_sha256": digest}
        return self._finish_reading, {"verdict": verdict, "sha256": digest}

    def _finish_reading(
        self, session: Session, held: Lease, verdict: dict[str, Any], sha256: str, *, seconds: float
    ) -> None:
        """Write a verdict that refers to stored bytes, unless garbage collection has removed them."""
        completion.finish_reading(session, held, verdict, seconds=seconds)
        self.store.require(sha256)

    def _prepare(self, held: Lease, stop: Stop) -> Finished:
        subject = self._subject(held)
        provenance = subject.provenance(stop)
        first = coordinates(subject.grid, subject.grid.levels()[0][: subject.landscape.plan.group])
        started = time.perf_counter()
        subject.landscape.rows(first, stop)
        size = self._size(subject, len(first), time.perf_counter() - started)
        found = {"provenance": provenance, "grid": subject.grid, "points_per_tile": size, "device": self.kind}
        if emulated(str((provenance.get("engine") or {}).get("precision")), self.device):
            found["warning"] = f"bfloat16: {EMULATED}."
        return completion.finish_preparing, found

    def _compute(self, held: Lease, stop: Stop) -> Finished:
        subject = self._subject(held)
        started = time.perf_counter()
        rows = subject.rows(held.points, held.earlier, stop)
        if not subject.landscape.unchanged():
            raise LandscapeError("The parameters of the network changed while it was evaluated; nothing was kept.")
        size = self._size(subject, len(held.points), time.perf_counter() - started)
        self.sizes[held.subject] = min(size, 2 * self.sizes.get(held.subject, size))
        return completion.finish_points, {"values": pack(rows)}

    def _size(self, subject: Subject, points: int, seconds: float) -> int:
        """Points that fit in `tile_seconds` at the measured speed: whole groups, since a part of one costs as much."""
        group = subject.landscape.plan.group
        each = seconds / math.ceil(points / group)
        return group * max(1, round(self.settings.tile_seconds / max(each, 1e-6)))

    def _subject(self, held: Lease) -> Subject:
        """The loaded subject of the job, kept for its next tile."""
        with self.database.reading() as session:
            job = require(session, Job, held.subject)
            spec = job_spec.validate_python(job.spec)
            rows = [require(session, Checkpoint, one) for one in spec.checkpoints]
        choice = (job.provenance or {}).get("engine")  # chosen by the worker that prepared the job, followed by all
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
            oldest, _ = self._subjects.popitem(last=False)
            self.sizes.pop(oldest, None)
        return subject

    def _samples(self, name: str) -> Callable[[str], Samples]:
        """A function from a split to its samples, of a built-in or an uploaded data set."""
        cache = DiskCache(self.store.prepared, self.settings.cache_bytes)
        if name in BUILT_IN:
            return lambda split: load(name, split, cache=cache)
        with self.database.reading() as session:
            row = require(session, Dataset, name)
        key = row.data_sha256 or ""
        path = self.store.path(key)
        return lambda split: load_clean(path, row.name, split, cache=cache, key=key)


def kind_of(device: torch.device) -> str:
    """The kind of device, which determines a result's bits: the name of the GPU, or the instruction set of the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    names = [native.best_instruction_set(), "amx" if native.has_amx() else None]
    known = ", ".join(name for name in names if name)
    return f"CPU ({known})" if known else "CPU"
