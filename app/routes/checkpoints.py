"""Checkpoints: upload, list, choose an architecture, delete."""

import sys
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import func, select

from service.access.visibility import require_own
from service.database.tables import Checkpoint, require
from service.library import uploads
from service.maintenance import garbage

from ..deps import IdPath, PageDep, Reader, Service, Submitter
from ..openapi import errors, takes_bytes
from ..schemas import CheckpointList, CheckpointOut, Choice
from ..uploads import accept_upload, receive_body, require_name

router = APIRouter(prefix="/checkpoints", tags=["checkpoints"], responses=errors(401, 403, 422))


@router.put(
    "",
    status_code=201,
    max_body_size=sys.maxsize,  # bounded by the store, as it streams in
    responses=errors(408, 429, 507),
    openapi_extra=takes_bytes(),
)
async def upload_checkpoint(
    request: Request,
    service: Submitter,
    name: Annotated[str, Query(min_length=1, max_length=255, description="file name, for display")],
) -> CheckpointOut:
    """Store the body as it streams in; a worker reads it later. `curl -T file '…/api/v1/checkpoints?name=file'`."""
    name = require_name("checkpoint", name)
    sha256, size = await receive_body(request, service)
    return await run_in_threadpool(_record, service, name, sha256, size)


def _record(service: Service, name: str, sha256: str, size: int) -> CheckpointOut:
    checkpoint_id = accept_upload(service, "checkpoint", name=name, sha256=sha256, size=size)
    with service.database.reading() as session:
        return CheckpointOut.of(require(session, Checkpoint, checkpoint_id), service.caller)


@router.get("")
def list_checkpoints(service: Reader, page: PageDep) -> CheckpointList:
    """Newest first."""
    newest = select(Checkpoint).order_by(Checkpoint.created.desc(), Checkpoint.id)
    with service.database.reading() as session:
        rows = session.scalars(newest.limit(page.limit).offset(page.offset))
        total = session.scalar(select(func.count()).select_from(Checkpoint)) or 0
        return CheckpointList(items=[CheckpointOut.of(row, service.caller) for row in rows], total=total)


@router.get("/{checkpoint_id}", responses=errors(404))
def get_checkpoint(service: Reader, checkpoint_id: IdPath) -> CheckpointOut:
    """An uploaded checkpoint, and what was found in it."""
    with service.database.reading() as session:
        return CheckpointOut.of(require(session, Checkpoint, checkpoint_id), service.caller)


@router.post("/{checkpoint_id}/architecture", responses=errors(404, 409))
def choose_architecture(service: Submitter, checkpoint_id: IdPath, choice: Choice) -> CheckpointOut:
    """Choose one of several architectures that fit the file."""
    with service.database.writing() as session:
        require_own(session, Checkpoint, checkpoint_id)
        return CheckpointOut.of(uploads.choose_architecture(session, checkpoint_id, choice.index), service.caller)


@router.delete("/{checkpoint_id}", status_code=204, responses=errors(404, 409))
def delete_checkpoint(service: Submitter, checkpoint_id: IdPath) -> None:
    """Results computed from it stay."""
    with service.database.writing() as session:
        require_own(session, Checkpoint, checkpoint_id)
        unused = uploads.delete_checkpoint(session, checkpoint_id)
    garbage.remove_unused(service.database, service.store, unused)
