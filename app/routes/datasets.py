"""Data sets: upload, list, delete."""

import sys
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import func, select

from service.access.visibility import require_own
from service.database.tables import Dataset, require
from service.errors import NotFoundError
from service.library import uploads
from service.library.datasets import DATASETS, find
from service.maintenance import garbage

from ..deps import IdPath, PageDep, Reader, Service, Submitter
from ..openapi import errors, takes_bytes
from ..schemas import DatasetList, DatasetOut
from ..uploads import accept_upload, receive_body, require_name

router = APIRouter(prefix="/datasets", tags=["datasets"], responses=errors(401, 403, 422))


@router.put(
    "",
    status_code=201,
    max_body_size=sys.maxsize,  # bounded by the store, as it streams in
    responses=errors(408, 429, 507),
    openapi_extra=takes_bytes(),
)
async def upload_dataset(
    request: Request,
    service: Submitter,
    name: Annotated[str, Query(min_length=1, max_length=64, description="the name that jobs use")],
) -> DatasetOut:
    """Store the body as it streams in; a worker reads it. `.npz`, `.h5`, `.safetensors`, CIFAR and MNIST archives."""
    name = require_name("dataset", name)
    sha256, size = await receive_body(request, service)
    return await run_in_threadpool(_record, service, name, sha256, size)


def _record(service: Service, name: str, sha256: str, size: int) -> DatasetOut:
    dataset_id = accept_upload(service, "dataset", name=name, sha256=sha256, size=size)
    with service.database.reading() as session:
        return DatasetOut.of(require(session, Dataset, dataset_id), service.caller)


@router.get("")
def list_datasets(service: Reader, page: PageDep) -> DatasetList:
    """The built-in ones, then uploads, newest first."""
    newest = select(Dataset).order_by(Dataset.created.desc(), Dataset.id)
    with service.database.reading() as session:
        rows = session.scalars(newest.limit(page.limit).offset(page.offset))
        uploaded = [DatasetOut.of(row, service.caller) for row in rows]
        total = session.scalar(select(func.count()).select_from(Dataset)) or 0
    built_in = [DatasetOut.of_facts(facts) for facts in DATASETS.values()] if page.offset == 0 else []
    return DatasetList(items=[*built_in, *uploaded], total=total + len(DATASETS))


@router.get("/{name}", responses=errors(404))
def get_dataset(service: Reader, name: str) -> DatasetOut:
    """By its name or, if it was uploaded, by its id."""
    if name in DATASETS:
        return DatasetOut.of_facts(DATASETS[name])
    with service.database.reading() as session:
        row = find(session, name) if name.isprintable() else None
        if row is None:
            raise NotFoundError(f"There is no data set of this name. Built-in ones are: {', '.join(DATASETS)}.")
        return DatasetOut.of(row, service.caller)


@router.delete("/{dataset_id}", status_code=204, responses=errors(404, 409))
def delete_dataset(service: Submitter, dataset_id: IdPath) -> None:
    """Results computed from it stay."""
    with service.database.writing() as session:
        require_own(session, Dataset, dataset_id)
        unused = uploads.delete_dataset(session, dataset_id)
    garbage.remove_unused(service.database, service.store, unused)
