"""The work of a tile: read an upload, prepare a job, or compute points.

Files are read in the sandbox, jobs are computed in cells (worker/cell/); this process handles neither's contents.
Nothing here writes to the database: a tile's outcome is a function that the caller runs in its transaction.
"""

import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from landscape.parsers.source import printable
from landscape.results.arrays import VALUES
from landscape.stop import Stop, Stopped
from service.database.sessions import Database
from service.database.tables import Checkpoint, Dataset, Job, require
from service.errors import NoSpaceError, QuotaError, ServiceError
from service.jobs.quotas import Room, require_bytes, sanitized_room
from service.jobs.spec import AnySpec, job_spec
from service.library.datasets import DATASETS
from service.queue import completion
from service.queue.leases import READS, Lease
from service.queue.progress import prepared
from service.settings import Settings
from service.storage.store import Store
from service.supervisor import memory

from .cell.answers import grid_in, memory_in, provenance_in
from .cell.cell import Cell, Limits
from .cell.messages import Message, closed
from .cell.server import CellError, ForkServer
from .reader import RejectedError, TooLongError, read_checkpoint, read_dataset

Upload = TypeVar("Upload", Checkpoint, Dataset)
Outcome = Callable[[Session], object]
Finished = tuple[Callable[..., object], dict[str, Any]]  # the function that writes the outcome, and its arguments

MOST_CELLS = 4  # jobs whose cells are kept for their next tiles
LONGER = 3  # a curvature map, or preparing a job, may take this many times the limit of a tile
MOST_POINTS = 8192  # of a tile: an event of more keeps the API from others for too long
WALL = 3  # a tile may take this many times its computing time on a busy machine
MOST_GROUP = 1 << 20  # points computed together: a cell cannot claim more


class NoWallsError(ServiceError):
    """The kernel lacks walls that the settings require."""

    code = "no_walls"


class TileRunner:
    """Processes tiles one at a time; the cell of a job is kept for the job's next tile."""

    def __init__(self, settings: Settings, database: Database, store: Store):
        """
        Raises:
            CellError, TooMuchWorkError: no cell can be started.
            NoWallsError: the kernel lacks walls that the settings require.
        """
        self.settings, self.database, self.store = settings, database, store
        self.sizes: dict[str, int] = {}  # points in about `tile_seconds` of this process, by job
        self.preparing: dict[str, Any] | None = None  # how far the job that is being prepared is
        self.most_memory = settings.worker_memory_bytes or int(memory.SHARE * memory.total())
        self._server = ForkServer()
        self._cells: OrderedDict[str, Cell] = OrderedDict()
        empty = self._new_cell()
        self.kind, self.gpu, self.walls = (empty.hello[name] for name in ("kind", "gpu", "walls"))
        empty.end()
        needed = {"seccomp"} if self.gpu else {"landlock", "seccomp"}  # CUDA's own threads are not behind Landlock
        if settings.sandbox == "required" and not needed <= set(self.walls):
            raise NoWallsError(
                f"This kernel gives the cells only {', '.join(self.walls)}; LANDSCAPE_SANDBOX=required needs "
                f"{' and '.join(sorted(needed))}. Use Linux 5.13 or later, or LANDSCAPE_SANDBOX=auto."
            )

    def run(self, held: Lease, stop: Stop) -> Outcome:
        """Process a tile.

        Returns:
            A function that writes the outcome.

        Raises:
            Stopped: `stop` returned True.
            LandscapeError, ServiceError: the request cannot be carried out; the message says why.
            CellError: the cell of the job ended or failed for another reason.
        """
        started = time.perf_counter()
        work = {"read": self._read, "read-data": self._read_data, "prepare": self._prepare, "points": self._compute}
        self.preparing = None
        try:
            write, details = work[held.purpose](held, stop)
        except CellError as error:
            if error.memory:
                self.end_cells()
            raise
        finally:
            self._end_surplus()
        return partial(write, held=held, **details, seconds=time.perf_counter() - started)

    def end_cells(self) -> None:
        """End every cell, and so free its memory."""
        while self._cells:
            self._end_oldest()

    def close(self) -> None:
        """End every cell, and the process that starts them."""
        self.end_cells()
        self._server.close()

    @property
    def device_memory(self) -> int | None:
        """Bytes in use on the GPU by all cells, as they said last; None without a GPU."""
        return sum(cell.device_memory or 0 for cell in list(self._cells.values())) if self.gpu else None

    @property
    def resident(self) -> int:
        """Bytes of memory in use by this process and its cells; mapped files are not counted."""
        return (memory.resident() or 0) + sum(cell.resident for cell in list(self._cells.values()))

    def _read(self, held: Lease, stop: Stop) -> Finished:
        upload, room = self._upload(held, Checkpoint)
        try:
            verdict = read_checkpoint(upload.sha256, self.store, self.settings, output_bytes=room.bytes, stop=stop)
        except RejectedError as rejected:
            return completion.finish_reading, {"verdict": _rejected(rejected, room)}
        columns = {"state": "ready", **vars(verdict)}
        columns["architecture"] = verdict.candidates[0] if len(verdict.candidates) == 1 else None
        return self._finish_reading, {"verdict": columns, "sha256": verdict.weights_sha256}

    def _read_data(self, held: Lease, stop: Stop) -> Finished:
        upload, room = self._upload(held, Dataset)
        try:
            facts, digest = read_dataset(upload.sha256, self.store, self.settings, output_bytes=room.bytes, stop=stop)
        except RejectedError as rejected:
            return completion.finish_reading, {"verdict": _rejected(rejected, room)}
        verdict = {"state": "ready", "facts": facts, "data_sha256": digest}
        return self._finish_reading, {"verdict": verdict, "sha256": digest}

    def _upload(self, held: Lease, table: type[Upload]) -> tuple[Upload, Room]:
        """The row of an upload to be read, and how long the sanitized file may become."""
        with self.database.reading() as session:
            row = require(session, table, held.subject)
            return row, sanitized_room(session, self.settings, row, self.store.free_bytes())

    def _finish_reading(
        self, session: Session, held: Lease, verdict: dict[str, Any], sha256: str, *, seconds: float
    ) -> None:
        """Write a verdict that refers to stored bytes, unless garbage collection has removed them.

        The room is asked for again: other uploads of the same user may have been read at the same time.
        """
        row: Any = session.get_one(READS[held.purpose], held.subject)
        stored = self.store.find(sha256)
        verdict = {**verdict, "sanitized_size": stored.size if stored else 0}
        try:
            if row.owner is not None:
                require_bytes(session, self.settings, row.owner, verdict["sanitized_size"])
        except QuotaError as error:
            verdict = {"state": "rejected", "reason": str(error)}
        completion.finish_reading(session, held, verdict, seconds=seconds)
        if verdict["state"] == "ready":
            self.store.require(sha256)

    def _prepare(self, held: Lease, stop: Stop) -> Finished:
        with self._cell(held, stop) as (spec, _, cell):
            found = cell.ask("prepare", self._limits(LONGER), stop=stop, report=self._note).head
            cell.device_memory, size = memory_in(found["device_memory"]), self._size(found)
            provenance, grid = provenance_in(found["provenance"]), grid_in(found["grid"])
            if (spec.grid and grid != spec.grid.grid()) or math.prod(grid.shape) > self.settings.max_job_points:
                raise CellError("the process that computed it answered with another grid")
            cell.choice = provenance.get("engine")
        details = {"provenance": provenance, "grid": grid, "points_per_tile": size, "device": self.kind}
        return completion.finish_preparing, {
            **details,
            "warning": found["warning"] and printable(str(found["warning"]), 300),
        }

    def _compute(self, held: Lease, stop: Stop) -> Finished:
        values, seeds = held.earlier or (b"", None)
        points = [list(point) for point in held.points]
        with self._cell(held, stop) as (_, job, cell):
            limits = self._limits(LONGER if job.kind == "curvature" else 1)
            answer = cell.ask("points", limits, stop=stop, body=values, points=points, earlier_seeds=seeds)
            cell.device_memory, size = memory_in(answer.head["device_memory"]), self._size(answer.head)
            columns = (job.provenance or {}).get("columns", VALUES)
            if len(answer.body) != 8 * len(points) * len(columns):
                raise CellError("the process that computed it answered with other points")
        self.sizes[held.subject] = min(size, 2 * self.sizes.get(held.subject, size))
        return completion.finish_points, {"values": answer.body}

    def _size(self, found: dict[str, Any]) -> int:
        """Points that fit in `tile_seconds` at the measured speed: whole groups, since a part of one costs as much."""
        group = max(1, min(int(found["group"]), MOST_GROUP))
        each = float(found["seconds"]) / math.ceil(int(found["points"]) / group)
        most = max(1, MOST_POINTS // group)
        return group * min(most, max(1, round(self.settings.tile_seconds / max(each, 1e-6))))

    @contextlib.contextmanager
    def _cell(self, held: Lease, stop: Stop) -> Iterator[tuple[AnySpec, Job, Cell]]:
        """The request, the job and its cell, which is kept for the next tile unless there is an error."""
        with self.database.reading() as session:
            job = require(session, Job, held.subject)
            spec = job_spec.validate_python(job.spec)
            rows = [require(session, Checkpoint, one) for one in spec.checkpoints]
        choice = (job.provenance or {}).get("engine")  # chosen by the worker that prepared the job, followed by all
        cell = self._cells.get(job.id)
        if cell is not None and choice not in (None, cell.choice):
            self._end(job.id)
            cell = None
        if cell is None:
            cell = self._filled_cell(spec, job, rows, choice, stop)
        self._cells[job.id] = cell
        self._cells.move_to_end(job.id)
        try:
            yield spec, job, cell
        except BaseException:
            self._end(job.id)
            raise

    def _filled_cell(self, spec: AnySpec, job: Job, rows: list[Checkpoint], choice: Any, stop: Stop) -> Cell:
        """A new cell with the request of a job, its weights and its samples."""
        order = {"architecture": job.checkpoint["architecture"], "facts": rows[0].facts, "choice": choice}
        with self._samples(spec, stop) as samples:
            cell, limits = self._new_cell(), self._limits(LONGER)
            cell.choice = choice
            try:
                cell.ask("job", limits, spec=job.spec, in_split=samples["samples"].head["in_split"], **order)
                for done, row in enumerate(rows):
                    self._note({"step": "checkpoints", "done": done, "total": len(rows)})
                    if stop():
                        raise Stopped
                    with self.store.path(row.weights_sha256 or "").open("rb") as file:
                        cell.ask("weights", limits, stop=stop, file=file.fileno())
                for role, part in samples.items():
                    cell.ask("samples", limits, stop=stop, file=part.file, role=role, **part.head["described"])
            except BaseException:
                cell.end()
                raise
        return cell

    @contextlib.contextmanager
    def _samples(self, spec: AnySpec, stop: Stop) -> Iterator[dict[str, Message]]:
        """The samples of a job by role, each with an open file: prepared in a cell that sees nothing but them."""
        cache = {"folder": str(self.store.prepared), "cache_bytes": self.settings.cache_bytes}
        asked: dict[str, Any] = {**cache, "name": spec.dataset, "key": "", "path": None}
        if spec.dataset not in DATASETS:
            with self.database.reading() as session:
                row = require(session, Dataset, spec.dataset)
            key = row.data_sha256 or ""
            asked |= {"name": row.name, "key": key, "path": str(self.store.path(key))}
        subset = spec.subset.model_dump() if spec.subset else None
        parts: dict[str, dict[str, Any]] = {"samples": {"split": spec.split, "subset": subset}}
        if spec.also:
            parts["also"] = {"split": spec.also, "subset": None}
        cell, found = self._new_cell(samples=True), dict[str, Message]()
        try:
            for role, part in parts.items():
                found[role] = cell.ask("split", self._limits(LONGER), stop=stop, **asked, **part)
            yield found
        finally:
            cell.end()
            for message in found.values():
                closed(message.file)

    def _new_cell(self, *, samples: bool = False) -> Cell:
        walls = self.settings.sandbox != "off" and not samples
        limits = self._limits(1)
        return Cell(self._server, threads=self.settings.threads, limits=limits, walls=walls, samples=samples)

    def _limits(self, times: float) -> Limits:
        seconds = times * self.settings.tile_deadline_seconds
        return Limits(seconds * self.settings.threads, WALL * seconds, self.most_memory)

    def _note(self, progress: dict[str, Any]) -> None:
        """Take over how far preparing is, for the next heartbeat."""
        self.preparing = prepared(progress)

    def _end_surplus(self) -> None:
        """End the cells that were not used for longest: above `MOST_CELLS`, or if together they hold too much."""
        while len(self._cells) > 1 and (len(self._cells) > MOST_CELLS or self.resident > self.most_memory):
            self._end_oldest()

    def _end_oldest(self) -> None:
        oldest = next(iter(self._cells))
        self._end(oldest)
        self.sizes.pop(oldest, None)

    def _end(self, job: str) -> None:
        self._cells.pop(job).end()


def _rejected(rejected: RejectedError, room: Room) -> dict[str, Any]:
    """The verdict on a file that cannot be used.

    Raises:
        NoSpaceError: it can, once there is space on the disk.
    """
    if not isinstance(rejected, TooLongError):
        return {"state": "rejected", "reason": str(rejected)}
    if isinstance(room.reached, NoSpaceError):
        raise room.reached
    return {"state": "rejected", "reason": str(room.reached)}
