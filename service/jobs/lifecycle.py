"""The life of a job as its user controls it: submit, cancel, retry, delete; each change is one transaction.

Nothing here uses the broker: queue/wakeups.py sends the wake-up messages to workers.
"""

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ..database.job_log import plural, write_line
from ..database.tables import TERMINAL, Checkpoint, Job, Tile, new_id, now, require
from ..errors import ConflictError, InvalidError
from ..library.datasets import dataset_facts
from ..queue import fair_queue
from ..queue.completion import end_job
from ..queue.reuse import copy_finished, enqueue_missing, inherit, intact_tiles, shared_parts
from .compatibility import require_compatible
from .spec import AnySpec, job_spec

NOT_TO_RETRY = "The job is {state}; only a failed or cancelled job can be retried, or one whose result is damaged."


def submit(
    session: Session,
    spec: AnySpec,
    *,
    owner: str | None = None,
    gallery: str | None = None,
    job_id: str | None = None,
) -> Job:
    """Create a waiting job from a request; `job_id` is its Idempotency-Key, if it was sent with one.

    Raises:
        InvalidError: a field names something unknown or incompatible.
    """
    checkpoint, architecture = _require_checkpoints(session, spec)
    facts = dataset_facts(spec.dataset, session)
    require_compatible(spec, architecture, facts)
    spec = spec.model_copy(update={"dataset": facts.id or facts.name})  # unaffected by later uploads of this name
    job = Job(
        id=job_id or new_id(),
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
        owner=owner,
        gallery=gallery,
        grid=spec.grid.model_dump() if spec.grid else None,
        points=spec.points,
    )
    session.add(job)
    session.flush()
    fair_queue.enqueue_preparing(session, job)
    write_line(session, job.id, f"Submitted: {job.kind} of {architecture['label']} on {facts.name}.")
    return job


def find_by_idempotency_key(session: Session, key: str, spec: AnySpec, owner: str | None) -> Job | None:
    """The job that this request has already created: its response was lost, and the client sent it again.

    Raises:
        ConflictError: the key was used for another request, or by another user.
    """
    job = session.get(Job, key, execution_options={"all_owners": True})
    if job is not None:
        again = {**spec.model_dump(mode="json"), "dataset": job.spec["dataset"]}  # stored as its id
        if job.owner != owner or again != job_spec.validate_python(job.spec).model_dump(mode="json"):
            raise ConflictError("This Idempotency-Key was sent with another request. Make a new one for each job.")
    return job


def _require_checkpoints(session: Session, spec: AnySpec) -> tuple[Checkpoint, dict[str, Any]]:
    """The checkpoint at the center, and the architecture that all checkpoints of the request share."""
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
    """The network without the choice of a copy: averaged weights and plain ones may be of the same network."""
    return {key: value for key, value in architecture.items() if key not in ("label", "copy")}


def _require_usable(checkpoint: Checkpoint | None, label: str | None) -> dict[str, Any]:
    """The architecture to use a checkpoint with: the one named, else the one chosen."""
    if checkpoint is None:
        raise InvalidError("No checkpoint has this id. Upload it first.", field="checkpoint")
    if checkpoint.state == "rejected":
        raise InvalidError(f"This checkpoint was rejected: {checkpoint.reason}", field="checkpoint")
    if checkpoint.state != "ready":
        raise InvalidError("This checkpoint is still being read. Try again in a moment.", field="checkpoint")
    named = [candidate for candidate in checkpoint.candidates if candidate["label"] == label]
    if label is not None and not named:
        known = ", ".join(candidate["label"] for candidate in checkpoint.candidates)
        raise InvalidError(f"This checkpoint does not fit {label!r}. It fits: {known}.", field="architecture")
    if named:
        return dict(named[0])
    if checkpoint.architecture is None:
        labels = " or ".join(candidate["label"] for candidate in checkpoint.candidates)
        raise InvalidError(f"Several networks fit this checkpoint: {labels}. Choose one first.", field="checkpoint")
    return checkpoint.architecture


def cancel(session: Session, job_id: str) -> Job:
    """Cancel an unfinished job; computed tiles are kept.

    Raises:
        ConflictError: it is already finished.
        NotFoundError: there is no job with this id.
    """
    if not end_job(session, require(session, Job, job_id).id, "cancelled"):
        state = session.scalar(select(Job.state).where(Job.id == job_id))
        raise ConflictError(f"The job is already {state}; a finished job does not change.")
    session.expire_all()
    return require(session, Job, job_id)


def retry(session: Session, job_id: str) -> Job:
    """Create a new job from a failed, cancelled or damaged one, and copy its intact tiles.

    Raises:
        ConflictError: the job is not finished, or is done and undamaged.
        InvalidError: its checkpoint is gone.
        NotFoundError: there is no job with this id.
    """
    old = require(session, Job, job_id)
    if old.state not in TERMINAL or (old.state == "done" and len(intact_tiles(session, old.id)) == old.tiles_done):
        raise ConflictError(NOT_TO_RETRY.format(state=old.state))
    job = submit(session, job_spec.validate_python(old.spec), owner=old.owner, gallery=old.gallery)
    if old.provenance is not None:
        job.grid, job.points = old.grid, old.points
        inherit(session, job, old, old.provenance)
        copy_finished(session, job, shared_parts(session, old, job))
        if old.started is not None:
            _start(session, job)
        write_line(
            session, job.id, f"{plural(job.points_done, 'point')} of {job.points} were copied from an earlier job."
        )
    return job


def _start(session: Session, job: Job) -> None:
    """Start a job that need not be prepared, since an earlier one was."""
    session.execute(delete(Tile).where(Tile.job_id == job.id, Tile.purpose == "prepare"))
    enqueue_missing(session, job)
    session.execute(update(Job).where(Job.id == job.id).values(state="running", started=now()))


def delete_job(session: Session, job_id: str) -> None:
    """Delete a finished job and its values.

    Raises:
        NotFoundError: there is no job with this id.
        ConflictError: it is not finished.
    """
    job = require(session, Job, job_id)
    if job.state not in TERMINAL:
        raise ConflictError("The job is not finished. Cancel it first.")
    session.delete(job)
