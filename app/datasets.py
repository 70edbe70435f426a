"""Which data sets a job may name."""

from fastapi import APIRouter

from worker.catalog import DATASETS, dataset_facts
from worker.errors import NotFoundError

from .schemas import DatasetList, DatasetOut

router = APIRouter(prefix="/datasets", tags=["datasets"])


@router.get("")
def list_datasets() -> DatasetList:
    items = [DatasetOut.model_validate(facts.to_json()) for facts in DATASETS.values()]
    return DatasetList(items=items, total=len(items))


@router.get("/{name}")
def get_dataset(name: str) -> DatasetOut:
    if name not in DATASETS:
        raise NotFoundError(f"There is no data set of this name. Known: {', '.join(DATASETS)}.")
    return DatasetOut.model_validate(dataset_facts(name).to_json())
