"""Asking for landscapes, following, cancelling and fetching them."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from sqlalchemy import func, select

from worker import jobs, progress, results
from worker.spec import JobSpec, Kind
from worker.tables import Job, require

from .deps import IdPath, PageDep, Service, ServiceDep
from .schemas import Accepted, JobList, JobOut, Number, NumberList, Progress

router = APIRouter(prefix="/jobs", tags=["jobs"])

MEDIA = {"npz": "application/octet-stream", "h5": "application/x-hdf5", "csv": "text/csv; charset=utf-8"}


@router.post("", status_code=202)
def submit_job(service: ServiceDep, spec: JobSpec) -> Accepted:
    """Ask for a slice, a surface or another landscape; the answer comes at once, the numbers as they are computed."""
    with service.database.writing() as session:
        job_id = jobs.submit(session, spec).id
    service.hints.soon()
    return Accepted(id=job_id)


@router.get("")
def list_jobs(
    service: ServiceDep,
    page: PageDep,
    state: Literal["queued", "running", "done", "failed", "cancelled"] | None = None,
    kind: Kind | None = None,
    checkpoint: Annotated[str | None, Query(pattern=r"^[a-z0-9]{16,64}$")] = None,
) -> JobList:
    """Newest first."""
    wanted = {Job.state: state, Job.kind: kind, Job.checkpoint_id: checkpoint}
    filters = [column == value for column, value in wanted.items() if value is not None]
    newest = select(Job).where(*filters).order_by(Job.created.desc(), Job.id)
    with service.database.reading() as session:
        rows = session.scalars(newest.limit(page.limit).offset(page.offset)).all()
        total = session.scalar(select(func.count()).select_from(Job).where(*filters)) or 0
        items = [JobOut.of(row, Progress(**progress.of(session, row))) for row in rows]
        return JobList(items=items, total=total)


@router.get("/{job_id}")
def get_job(service: ServiceDep, job_id: IdPath) -> JobOut:
    return _job(service, job_id)


@router.post("/{job_id}/cancel")
def cancel_job(service: ServiceDep, job_id: IdPath) -> JobOut:
    """End it; what has been computed stays and can be fetched."""
    with service.database.writing() as session:
        jobs.cancel(session, job_id)
    return _job(service, job_id)


@router.post("/{job_id}/retry", status_code=202)
def retry_job(service: ServiceDep, job_id: IdPath) -> JobOut:
    """A new job like this failed or cancelled one, which takes over what that had computed."""
    with service.database.writing() as session:
        new_id = jobs.retry(session, job_id).id
    service.hints.soon()
    return _job(service, new_id)


@router.delete("/{job_id}", status_code=204)
def delete_job(service: ServiceDep, job_id: IdPath) -> None:
    with service.database.writing() as session:
        jobs.delete_job(session, job_id)


@router.get("/{job_id}/result", response_model=None)
def get_result(
    service: ServiceDep, job_id: IdPath, format: Annotated[Literal["json", "npz", "csv", "h5"] | None, Query()] = None
) -> Response:
    """What has been computed so far. With `format` it comes as a file; `losses[i][j]` is at (alphas[i], betas[j])."""
    with service.database.reading() as session:
        job = require(session, Job, job_id)
        result = results.load(session, job)
    described = {"id": job.id, "state": job.state, "name": job.name, **result.to_json()}
    if format is None:
        return JSONResponse(described)
    headers = {"Content-Disposition": f'attachment; filename="{job.kind}-{job.id[:8]}.{format}"'}
    if format == "json":
        return JSONResponse(described, headers=headers)
    return Response(result.to_bytes(format), media_type=MEDIA[format], headers=headers)


@router.get("/{job_id}/numbers")
def get_numbers(
    service: ServiceDep,
    job_id: IdPath,
    level: Annotated[float, Query(allow_inf_nan=False, description="loss whose contour encloses an area")] = 0.1,
    radius: Annotated[float, Query(gt=0, allow_inf_nan=False, description="of the sharpness, in the plane")] = 0.5,
) -> NumberList:
    """The numbers beside the picture, each with its definition, unit and error."""
    with service.database.reading() as session:
        result = results.load(session, require(session, Job, job_id))
    return NumberList(items=[Number.model_validate(one.to_json()) for one in results.numbers(result, level, radius)])


def _job(service: Service, job_id: str) -> JobOut:
    with service.database.reading() as session:
        row = require(session, Job, job_id)
        return JobOut.of(row, Progress(**progress.of(session, row)))
