"""Uploaded checkpoints and data sets: add, choose an architecture, delete; each change is one transaction.

The bytes stay in the store: callers remove those that are no longer referenced.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from ..database.tables import TERMINAL, Checkpoint, Dataset, Job, new_id, require
from ..errors import ConflictError, InvalidError
from ..queue.fair_queue import READ_LEVEL, enqueue


def add_checkpoint(
    session: Session,
    *,
    name: str,
    sha256: str,
    size: int,
    owner: str | None = None,
    gallery: str | None = None,
    own_id: str | None = None,
) -> Checkpoint:
    """Add a checkpoint whose bytes are in the store, and enqueue it to be read; `own_id` if it already has an id."""
    checkpoint = Checkpoint(id=own_id or new_id(), name=name, sha256=sha256, size=size, owner=owner, gallery=gallery)
    session.add(checkpoint)
    session.flush()
    enqueue(session, owner=owner, level=READ_LEVEL, purpose="read", checkpoint_id=checkpoint.id)
    return checkpoint


def add_dataset(
    session: Session, *, name: str, sha256: str, size: int, owner: str | None = None, own_id: str | None = None
) -> Dataset:
    """Add a data set whose bytes are in the store, and enqueue it to be read; `own_id` if it already has an id."""
    dataset = Dataset(id=own_id or new_id(), name=name, sha256=sha256, size=size, owner=owner)
    session.add(dataset)
    session.flush()
    enqueue(session, owner=owner, level=READ_LEVEL, purpose="read-data", dataset_id=dataset.id)
    return dataset


def choose_architecture(session: Session, checkpoint_id: str, index: int) -> Checkpoint:
    """Choose one of several architectures that fit a checkpoint.

    Raises:
        NotFoundError: there is no checkpoint with this id.
        ConflictError: it has not been read, or nothing fits it.
        InvalidError: the index is out of range.
    """
    checkpoint = require(session, Checkpoint, checkpoint_id)
    if checkpoint.state != "ready" or not checkpoint.candidates:
        raise ConflictError("Only a checkpoint that has been read has networks to choose from.")
    if not 0 <= index < len(checkpoint.candidates):
        raise InvalidError(f"index must be from 0 to {len(checkpoint.candidates) - 1}; got {index}.", field="index")
    checkpoint.architecture = checkpoint.candidates[index]
    return checkpoint


def delete_checkpoint(session: Session, checkpoint_id: str) -> list[str]:
    """Delete a checkpoint that no unfinished job uses; finished results stay.

    Returns:
        Digests of stored bytes that nothing else refers to.

    Raises:
        ConflictError: a job that is not finished uses it.
        NotFoundError: there is no checkpoint with this id.
    """
    checkpoint = require(session, Checkpoint, checkpoint_id)
    specs = session.scalars(_unfinished_specs())
    if any(checkpoint_id in checkpoints_of(spec) for spec in specs):
        raise ConflictError("A job that is not finished uses this checkpoint. Cancel it first.")
    session.delete(checkpoint)
    session.flush()
    return [
        digest for digest in (checkpoint.sha256, checkpoint.weights_sha256) if digest and not is_used(session, digest)
    ]


def delete_dataset(session: Session, dataset_id: str) -> list[str]:
    """Delete an uploaded data set that no unfinished job uses; finished results stay.

    Returns:
        Digests of stored bytes that nothing else refers to.

    Raises:
        ConflictError: a job that is not finished uses it.
        NotFoundError: there is no data set with this id.
    """
    dataset = require(session, Dataset, dataset_id)
    specs = session.scalars(_unfinished_specs())
    if any(spec["dataset"] == dataset_id for spec in specs):
        raise ConflictError("A job that is not finished uses this data set. Cancel it first.")
    session.delete(dataset)
    session.flush()
    return [digest for digest in (dataset.sha256, dataset.data_sha256) if digest and not is_used(session, digest)]


def checkpoints_of(spec: Mapping[str, Any]) -> set[str]:
    """Ids of every checkpoint that a request of any kind names, including requests of earlier versions."""
    named = (spec.get(field) for field in ("checkpoint", "end", "second", "third"))
    return {checkpoint_id for checkpoint_id in named if checkpoint_id} | set(spec.get("epochs") or ())


def is_used(session: Session, sha256: str) -> bool:
    """Whether a checkpoint or a data set of any user refers to these bytes."""
    checkpoints = select(Checkpoint.id).where(or_(Checkpoint.sha256 == sha256, Checkpoint.weights_sha256 == sha256))
    datasets = select(Dataset.id).where(or_(Dataset.sha256 == sha256, Dataset.data_sha256 == sha256))
    queries = (query.limit(1).execution_options(all_owners=True) for query in (checkpoints, datasets))
    return any(session.scalar(query) is not None for query in queries)


def used_digests(session: Session) -> set[str]:
    """Digests of all bytes that a checkpoint or a data set of any user refers to."""
    columns = (Checkpoint.sha256, Checkpoint.weights_sha256, Dataset.sha256, Dataset.data_sha256)
    found = (session.scalars(select(column).execution_options(all_owners=True)) for column in columns)
    return {digest for digests in found for digest in digests if digest}


def _unfinished_specs() -> Select[tuple[dict[str, Any]]]:
    """The requests of unfinished jobs of all users."""
    return select(Job.spec).where(Job.state.not_in(TERMINAL)).execution_options(all_owners=True)
