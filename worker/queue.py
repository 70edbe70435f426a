"""Who may do what next: jobs and tiles change state here and nowhere else, each change one transaction.

Imports tables, spec, catalog. Never computes, never talks to the broker: hints.py tells workers that something waits.
"""

import logging
import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import CursorResult, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from landscape.grid import Grid, Point, tiles

from .catalog import dataset_facts
from .errors import ConflictError, InvalidError, NotFoundError
from .fitting import require_fit
from .spec import DEFAULT_POINTS, AnySpec, job_spec
from .tables import TERMINAL, Checkpoint, Dataset, Job, Tile, grid_of, new_id, now

logger = logging.getLogger(__name__)

Row = TypeVar("Row", Checkpoint, Dataset, Job)
READ_LEVEL, PREPARE_LEVEL = -2, -1
_READ: dict[str, type[Checkpoint] | type[Dataset]] = {"read": Checkpoint, "read-data": Dataset}  # what a tile reads


@dataclass(frozen=True)
class Lease:
    """A tile held by one worker until its lease runs out."""

    tile: int
    token: str
    purpose: str
    subject: str  # id of the checkpoint to read, or of the job
    points: list[Point]
    attempts: int  # times it was started, this one included


def receive_checkpoint(
    session: Session, *, name: str, sha256: str, size: int, gallery: str | None = None
) -> Checkpoint:
    """Note an upload whose bytes are in the store, and that it waits to be read."""
    checkpoint = Checkpoint(id=new_id(), name=name, sha256=sha256, size=size, gallery=gallery)
    session.add(checkpoint)
    session.flush()
    session.add(Tile(purpose="read", checkpoint_id=checkpoint.id, level=READ_LEVEL))
    return checkpoint


def receive_dataset(session: Session, *, name: str, sha256: str, size: int) -> Dataset:
    """Note an uploaded data set whose bytes are in the store, and that it waits to be read."""
    dataset = Dataset(id=new_id(), name=name, sha256=sha256, size=size)
    session.add(dataset)
    session.flush()
    session.add(Tile(purpose="read-data", dataset_id=dataset.id, level=READ_LEVEL))
    return dataset


def submit(session: Session, spec: AnySpec, *, gallery: str | None = None) -> Job:
    """Turn a request into a job that waits.

    Raises:
        InvalidError: a field names something unknown, or things that do not fit together.
    """
    checkpoint, architecture = _require_checkpoints(session, spec)
    facts = dataset_facts(spec.dataset, session)
    require_fit(spec, architecture, facts)
    spec = spec.model_copy(update={"dataset": facts.id or facts.name})  # a later upload of this name changes nothing
    job = Job(
        id=new_id(),
        kind=spec.kind,
        name=spec.name or f"{architecture['label']} on {facts.name}",
        spec=spec.model_dump(mode="json"),
        checkpoint={
            "id": checkpoint.id,
            "name": checkpoint.name,
            "label": architecture["label"],
            "architecture": architecture,
            "gallery": checkpoint.gallery,
        },
        checkpoint_id=checkpoint.id,
        gallery=gallery,
        grid=spec.grid.model_dump() if spec.grid else None,
        points=math.prod(spec.grid.grid().shape) if spec.grid else DEFAULT_POINTS,
    )
    session.add(job)
    session.flush()
    session.add(Tile(purpose="prepare", job_id=job.id, level=PREPARE_LEVEL))
    return job


def _require_checkpoints(session: Session, spec: AnySpec) -> tuple[Checkpoint, dict[str, Any]]:
    """The checkpoint in the center, and the architecture that all checkpoints of the request share."""
    rows = [session.get(Checkpoint, checkpoint_id) for checkpoint_id in spec.checkpoints]
    architectures = [_require_usable(row, spec.architecture) for row in rows]
    assert rows[0] is not None
    for row, architecture in zip(rows, architectures, strict=True):
        if row is not None and _network(architecture) != _network(architectures[0]):
            raise InvalidError(
                f"{row.name} is a {architecture['label']}, {rows[0].name} a {architectures[0]['label']}. "
                "Use checkpoints of one network.",
                field="checkpoint",
            )
    return rows[0], architectures[0]


def _network(architecture: dict[str, Any]) -> dict[str, Any]:
    """The network itself: an averaged copy and a plain file may be of one."""
    return {key: value for key, value in architecture.items() if key not in ("label", "copy")}


def _require_usable(checkpoint: Checkpoint | None, label: str | None) -> dict[str, Any]:
    """The network that a checkpoint is taken as: the one named, else the one chosen."""
    if checkpoint is None:
        raise InvalidError("No checkpoint has this id. Upload it first.", field="checkpoint")
    if checkpoint.state == "rejected":
        raise InvalidError(f"This checkpoint was rejected: {checkpoint.reason}", field="checkpoint")
    if checkpoint.state != "ready":
        raise InvalidError("This checkpoint is still being read. Try again in a moment.", field="checkpoint")
    named = [one for one in checkpoint.candidates if one["label"] == label]
    if label is not None and not named:
        known = ", ".join(candidate["label"] for candidate in checkpoint.candidates)
        raise InvalidError(f"This checkpoint does not fit {label!r}. It fits: {known}.", field="architecture")
    if named:
        return dict(named[0])
    if checkpoint.architecture is None:
        labels = " or ".join(candidate["label"] for candidate in checkpoint.candidates)
        raise InvalidError(f"Several networks fit this checkpoint: {labels}. Choose one first.", field="checkpoint")
    return checkpoint.architecture


def choose_architecture(session: Session, checkpoint_id: str, index: int) -> Checkpoint:
    """Say which of several networks that fit a checkpoint is meant."""
    checkpoint = require(session, Checkpoint, checkpoint_id)
    if checkpoint.state != "ready" or not checkpoint.candidates:
        raise ConflictError("Only a checkpoint that has been read has networks to choose from.")
    if not 0 <= index < len(checkpoint.candidates):
        raise InvalidError(f"index must be from 0 to {len(checkpoint.candidates) - 1}; got {index}.", field="index")
    checkpoint.architecture = checkpoint.candidates[index]
    return checkpoint


def delete_checkpoint(session: Session, checkpoint_id: str) -> list[str]:
    """Forget a checkpoint that no unfinished job uses; finished results stay.

    Returns:
        Digests of stored bytes that no other checkpoint refers to.

    Raises:
        ConflictError: a job that is not finished uses it.
    """
    checkpoint = require(session, Checkpoint, checkpoint_id)
    used = select(Job.id).where(Job.checkpoint_id == checkpoint_id, Job.state.not_in(TERMINAL)).limit(1)
    if session.scalar(used):
        raise ConflictError("A job that is not finished uses this checkpoint. Cancel it first.")
    session.delete(checkpoint)
    session.flush()
    return [
        digest for digest in (checkpoint.sha256, checkpoint.weights_sha256) if digest and not _is_used(session, digest)
    ]


def delete_dataset(session: Session, dataset_id: str) -> list[str]:
    """Forget an uploaded data set that no unfinished job uses; finished results stay.

    Returns:
        Digests of stored bytes that nothing else refers to.

    Raises:
        ConflictError: a job that is not finished uses it.
    """
    dataset = require(session, Dataset, dataset_id)
    specs = session.scalars(select(Job.spec).where(Job.state.not_in(TERMINAL)))
    if any(spec["dataset"] == dataset_id for spec in specs):
        raise ConflictError("A job that is not finished uses this data set. Cancel it first.")
    session.delete(dataset)
    session.flush()
    return [digest for digest in (dataset.sha256, dataset.data_sha256) if digest and not _is_used(session, digest)]


def _is_used(session: Session, sha256: str) -> bool:
    checkpoints = select(Checkpoint.id).where(or_(Checkpoint.sha256 == sha256, Checkpoint.weights_sha256 == sha256))
    datasets = select(Dataset.id).where(or_(Dataset.sha256 == sha256, Dataset.data_sha256 == sha256))
    return any(session.scalar(users.limit(1)) is not None for users in (checkpoints, datasets))


# --- tiles -----------------------------------------------------------------------------------------------------------


def lease(session: Session, seconds: float) -> Lease | None:
    """Take the tile whose turn it is: coarse levels of every job before fine levels of any, jobs in turn."""
    tile = session.scalar(
        select(Tile)
        .where(Tile.state == "waiting")
        .order_by(Tile.level, Tile.rank, Tile.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if tile is None:
        return None
    tile.state, tile.lease, tile.attempts = "leased", uuid4().hex, tile.attempts + 1
    session.execute(update(Tile).where(Tile.id == tile.id).values(leased_until=now() + seconds))
    subject = tile.job_id or tile.checkpoint_id or tile.dataset_id
    assert subject is not None
    if tile.purpose in _READ:
        table = _READ[tile.purpose]
        session.execute(update(table).where(table.id == subject).values(state="reading"))
    return Lease(tile.id, tile.lease, tile.purpose, subject, [(i, j) for i, j in tile.points], tile.attempts)


def beat(session: Session, held: Lease, seconds: float) -> bool:
    """Extend a lease. False: it was lost, or the job is no longer wanted, and the work should stop."""
    return _changed(session, update(Tile).where(_is_held(held)).values(leased_until=now() + seconds)) == 1


def finish_reading(session: Session, held: Lease, verdict: dict[str, Any]) -> bool:
    """Write what an upload was read as: the columns of its row that `verdict` names.

    Returns:
        Whether it counted: a worker that lost its lease changes nothing.
    """
    if not _finish(session, held):
        return False
    table = _READ[held.purpose]
    session.execute(update(table).where(table.id == held.subject).values(**verdict))
    return True


def finish_preparing(
    session: Session, held: Lease, provenance: dict[str, Any], grid: Grid, points_per_tile: int
) -> bool:
    """Write how a job's numbers are made, and cut its grid into tiles, coarse first."""
    if not _finish(session, held):
        return False
    job = require(session, Job, held.subject)
    job.provenance, job.points_per_tile = provenance, points_per_tile
    job.grid, job.points = asdict(grid), math.prod(grid.shape)
    _cut(session, job)
    session.execute(update(Job).where(Job.id == job.id, Job.state == "queued").values(state="running", started=now()))
    return True


def _cut(session: Session, job: Job, computed: list[Tile] | None = None) -> None:
    """Tiles for every point of the job that is not in `computed`."""
    there = {(i, j) for tile in computed or [] for i, j in tile.points}
    for level, points in enumerate(grid_of(job).levels()):
        first = sum(1 for tile in computed or [] if tile.level == level)
        missing = [point for point in points if point not in there]
        for rank, part in enumerate(tiles(missing, job.points_per_tile) if missing else [], first):
            session.add(Tile(purpose="points", job_id=job.id, level=level, rank=rank, points=part))


def finish_points(session: Session, held: Lease, values: bytes) -> bool:
    """Write the values of a tile; the last tile of a job finishes it."""
    counted = (
        update(Job)
        .where(Job.id == held.subject, Job.state == "running")
        .values(tiles_done=Job.tiles_done + 1, points_done=Job.points_done + len(held.points))
        .returning(Job.tiles_done, Job.points_done, Job.points)
    )
    if not _finish(session, held):
        return False
    row = session.execute(counted).one()
    session.execute(
        update(Tile).where(Tile.id == held.tile).values(values=values, sequence=row.tiles_done, finished=now())
    )
    if row.points_done == row.points:
        _end(session, held.subject, "done")
    return True


def fail(session: Session, held: Lease, reason: str) -> bool:
    """End what the tile belongs to, with the reason in words."""
    if not _finish(session, held):
        return False
    _fail_subject(session, held.purpose, held.subject, reason)
    return True


def give_back(session: Session, held: Lease, max_attempts: int) -> None:
    """Offer a tile again after an error nobody foresaw; end its job when that happened too often."""
    if held.attempts >= max_attempts:
        fail(session, held, f"An internal error came up {held.attempts} times on one tile; the worker's log has it.")
    else:
        session.execute(update(Tile).where(_is_held(held)).values(state="waiting", lease=None))


def _is_held(held: Lease) -> Any:
    return and_(Tile.id == held.tile, Tile.state == "leased", Tile.lease == held.token)


def _finish(session: Session, held: Lease) -> bool:
    done = update(Tile).where(_is_held(held)).values(state="done", lease=None, leased_until=None)
    return _changed(session, done) == 1


def _fail_subject(session: Session, purpose: str, subject: str, reason: str) -> None:
    if purpose in _READ:
        table = _READ[purpose]
        rejected = update(table).where(table.id == subject, table.state.in_(("received", "reading")))
        session.execute(rejected.values(state="rejected", reason=reason))
    else:
        _end(session, subject, "failed", reason)


def _end(session: Session, job_id: str, state: str, error: str | None = None) -> bool:
    """Compare-and-set into a terminal state; what waits or runs for the job is no longer wanted."""
    ended = update(Job).where(Job.id == job_id, Job.state.not_in(TERMINAL))
    if _changed(session, ended.values(state=state, error=error, finished=now())) == 0:
        return False
    session.execute(delete(Tile).where(Tile.job_id == job_id, Tile.state != "done"))
    logger.info("job %s", state, extra={"job": job_id, "error": error})
    return True


# --- jobs ------------------------------------------------------------------------------------------------------------


def cancel(session: Session, job_id: str) -> Job:
    """End a job that is not finished; what has been computed stays.

    Raises:
        ConflictError: it is finished already.
    """
    if not _end(session, require(session, Job, job_id).id, "cancelled"):
        state = session.scalar(select(Job.state).where(Job.id == job_id))
        raise ConflictError(f"The job is {state} already; a finished job does not change.")
    session.expire_all()
    return require(session, Job, job_id)


def retry(session: Session, job_id: str) -> Job:
    """A new job like a failed or cancelled one, which takes over what that had computed.

    Raises:
        ConflictError: the job did not fail and was not cancelled.
        InvalidError: its checkpoint is gone.
    """
    old = require(session, Job, job_id)
    if old.state not in ("failed", "cancelled"):
        raise ConflictError(f"The job is {old.state}; only a failed or cancelled one can be tried again.")
    job = submit(session, job_spec.validate_python(old.spec), gallery=old.gallery)
    if old.provenance is not None:
        session.execute(delete(Tile).where(Tile.job_id == job.id))
        job.provenance, job.points_per_tile, job.grid = old.provenance, old.points_per_tile, old.grid
        job.points = old.points
        job.state, job.tiles_done, job.points_done = "running", old.tiles_done, old.points_done
        _cut(session, job, _copy_tiles(session, old, job))
        session.execute(update(Job).where(Job.id == job.id).values(started=now()))
    return job


def _copy_tiles(session: Session, old: Job, job: Job) -> list[Tile]:
    copied = ("purpose", "level", "points", "state", "values", "sequence", "finished")
    ranks: Counter[int] = Counter()
    copies = []
    for tile in session.scalars(select(Tile).where(Tile.job_id == old.id, Tile.sequence.is_not(None))):
        values = {name: getattr(tile, name) for name in copied}
        copies.append(Tile(job_id=job.id, rank=ranks[tile.level], **values))
        ranks[tile.level] += 1
    session.add_all(copies)
    return copies


def delete_job(session: Session, job_id: str) -> None:
    """Forget a finished job and its values."""
    job = require(session, Job, job_id)
    if job.state not in TERMINAL:
        raise ConflictError("The job is not finished. Cancel it first.")
    session.delete(job)


def require(session: Session, table: type[Row], row_id: str) -> Row:
    """The row with this id.

    Raises:
        NotFoundError: there is none.
    """
    row = session.get(table, row_id)
    if row is None:
        raise NotFoundError(f"There is no {table.__name__.lower()} with this id.")
    return row


# --- what was lost ---------------------------------------------------------------------------------------------------


def waiting(session: Session, most: int = 1000) -> int:
    """Number of tiles nobody works on, counted up to `most`."""
    some = select(Tile.id).where(Tile.state == "waiting").limit(most).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def overdue(session: Session) -> bool:
    """Whether some worker fell silent while it held a tile."""
    return session.scalar(select(Tile.id).where(Tile.state == "leased", Tile.leased_until < now()).limit(1)) is not None


def reclaim(session: Session, max_attempts: int) -> int:
    """Offer tiles again whose worker fell silent; give up those that were started too often.

    Returns:
        The number of leases that had run out.
    """
    expired = select(Tile).where(Tile.state == "leased", Tile.leased_until < now()).with_for_update(skip_locked=True)
    lost = list(session.scalars(expired))
    for tile in lost:
        tile.state, tile.lease = "waiting", None
        if tile.attempts >= max_attempts:
            subject = tile.job_id or tile.checkpoint_id or tile.dataset_id or ""
            tile.state = "done"
            session.flush()
            reason = "The reader died" if tile.purpose in _READ else "Worker lost: the process died"
            _fail_subject(session, tile.purpose, subject, f"{reason} {tile.attempts} times in a row.")
    return len(lost)


def _changed(session: Session, statement: Any) -> int:
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount
