"""Which data sets a job may name, and uploading one's own."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import func, select

from worker import library
from worker.catalog import DATASETS, find
from worker.errors import InvalidError, NotFoundError
from worker.tables import Dataset, require

from .deps import IdPath, PageDep, Service, ServiceDep
from .schemas import DatasetList, DatasetOut
from .uploads import printable, received

router = APIRouter(prefix="/datasets", tags=["datasets"])


@router.put("", status_code=201)
async def upload_dataset(
    request: Request,
    service: ServiceDep,
    name: Annotated[str, Query(min_length=1, max_length=64, description="what jobs call it")],
) -> DatasetOut:
    """Store the body as it streams in; a worker reads it. `.npz`, `.h5`, `.safetensors`, CIFAR and MNIST archives."""
    name = printable(name)
    if name in DATASETS:
        raise InvalidError(f"{name!r} is built in. Choose another name.", field="name")
    sha256, size = await received(request, service)
    return await run_in_threadpool(_note, service, name, sha256, size)


def _note(service: Service, name: str, sha256: str, size: int) -> DatasetOut:
    with service.database.writing() as session:
        dataset_id = library.receive_dataset(session, name=name, sha256=sha256, size=size).id
    service.hints.soon()
    with service.database.reading() as session:
        return DatasetOut.of(require(session, Dataset, dataset_id))


@router.get("")
def list_datasets(service: ServiceDep, page: PageDep) -> DatasetList:
    """The built-in ones, then uploads, newest first."""
    newest = select(Dataset).order_by(Dataset.created.desc(), Dataset.id)
    with service.database.reading() as session:
        rows = session.scalars(newest.limit(page.limit).offset(page.offset))
        uploads = [DatasetOut.of(row) for row in rows]
        total = session.scalar(select(func.count()).select_from(Dataset)) or 0
    built_in = [DatasetOut.of_facts(facts) for facts in DATASETS.values()] if page.offset == 0 else []
    return DatasetList(items=[*built_in, *uploads], total=total + len(DATASETS))


@router.get("/{name}")
def get_dataset(service: ServiceDep, name: str) -> DatasetOut:
    """By name, or an uploaded one by its id."""
    if name in DATASETS:
        return DatasetOut.of_facts(DATASETS[name])
    with service.database.reading() as session:
        row = find(session, name)
        if row is None:
            raise NotFoundError(f"There is no data set of this name. Built in are: {', '.join(DATASETS)}.")
        return DatasetOut.of(row)


@router.delete("/{dataset_id}", status_code=204)
def delete_dataset(service: ServiceDep, dataset_id: IdPath) -> None:
    """Results computed from it stay."""
    with service.database.writing() as session:
        unused = library.delete_dataset(session, dataset_id)
    for sha256 in unused:
        service.store.remove(sha256)
