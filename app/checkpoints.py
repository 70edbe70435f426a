"""Uploading checkpoints and asking what they were read as."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import func, select

from worker import library
from worker.tables import Checkpoint, require

from .deps import IdPath, PageDep, Service, ServiceDep
from .schemas import CheckpointList, CheckpointOut, Choice
from .uploads import printable, received

router = APIRouter(prefix="/checkpoints", tags=["checkpoints"])


@router.put("", status_code=201)
async def upload_checkpoint(
    request: Request,
    service: ServiceDep,
    name: Annotated[str, Query(min_length=1, max_length=255, description="file name, for people")],
) -> CheckpointOut:
    """Store the body as it streams in; a worker reads it afterwards. `curl -T file '…/api/checkpoints?name=file'`."""
    sha256, size = await received(request, service)
    return await run_in_threadpool(_note, service, printable(name), sha256, size)


def _note(service: Service, name: str, sha256: str, size: int) -> CheckpointOut:
    with service.database.writing() as session:
        checkpoint_id = library.receive_checkpoint(session, name=name, sha256=sha256, size=size).id
    service.hints.soon()
    with service.database.reading() as session:
        return CheckpointOut.of(require(session, Checkpoint, checkpoint_id))


@router.get("")
def list_checkpoints(service: ServiceDep, page: PageDep) -> CheckpointList:
    """Newest first."""
    newest = select(Checkpoint).order_by(Checkpoint.created.desc(), Checkpoint.id)
    with service.database.reading() as session:
        rows = session.scalars(newest.limit(page.limit).offset(page.offset))
        total = session.scalar(select(func.count()).select_from(Checkpoint)) or 0
        return CheckpointList(items=[CheckpointOut.of(row) for row in rows], total=total)


@router.get("/{checkpoint_id}")
def get_checkpoint(service: ServiceDep, checkpoint_id: IdPath) -> CheckpointOut:
    with service.database.reading() as session:
        return CheckpointOut.of(require(session, Checkpoint, checkpoint_id))


@router.post("/{checkpoint_id}/architecture")
def choose_architecture(service: ServiceDep, checkpoint_id: IdPath, choice: Choice) -> CheckpointOut:
    """Say which of several networks that fit is meant."""
    with service.database.writing() as session:
        return CheckpointOut.of(library.choose_architecture(session, checkpoint_id, choice.index))


@router.delete("/{checkpoint_id}", status_code=204)
def delete_checkpoint(service: ServiceDep, checkpoint_id: IdPath) -> None:
    """Results computed from it stay."""
    with service.database.writing() as session:
        unused = library.delete_checkpoint(session, checkpoint_id)
    for sha256 in unused:
        service.store.remove(sha256)
