"""Jobs: submit, list, cancel, retry, delete, and their results."""

import re
import unicodedata
from typing import Annotated, Literal, cast
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import AfterValidator
from sqlalchemy import func, select

from service.access.visibility import require_own
from service.database.tables import Job, LogLine, require
from service.errors import ConflictError
from service.jobs import lifecycle, quotas
from service.jobs.downloads import ENDINGS, NUMBERS, Asked
from service.jobs.refine import Refinement, refine, refined_spec
from service.jobs.spec import JobSpec, Kind
from service.queue import progress

from ..answers import Answers
from ..cookies import renew_link
from ..deps import Guest, IdPath, PageDep, Reader, Service, Submitter
from ..openapi import errors
from ..schemas import Accepted, JobList, JobLog, JobOut, LogEntry, NumberList, Progress, moment

router = APIRouter(prefix="/jobs", tags=["jobs"], responses=errors(401, 403, 422))


def attachment(name: str) -> str:
    """The Content-Disposition header that makes a browser save the response under this name; any name is made safe.

    Source: RFC 6266, section 4.3; the plain name is for clients that do not know `filename*`.
    """
    name = re.sub(r"[^\w.,()=+ -]+|^[. ]+", "_", name)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _known(ending: str | None) -> str | None:
    if ending not in (None, *ENDINGS):
        raise ValueError(f"expected one of {', '.join(ENDINGS)}")
    return ending


FileFormat = Annotated[
    str | None,
    AfterValidator(_known),
    Query(description="as a file of this format", json_schema_extra={"enum": list(ENDINGS)}),
]


Key = Annotated[str | None, Header(alias="Idempotency-Key", pattern=r"^[a-z0-9]{16,64}$")]


@router.post("", status_code=202, responses=errors(409, 429))
def submit_job(service: Submitter, spec: JobSpec, key: Key = None) -> Accepted:
    """Submit a slice, a surface or another kind of job; answered at once, before anything is computed.

    With an `Idempotency-Key` the request can be retried when its answer was lost: the key becomes the id of the job.
    """
    with service.database.writing() as session:
        if key and lifecycle.find_by_idempotency_key(session, key, spec, service.owner):
            return Accepted(id=key)
        quotas.require_job(session, service.settings, service.owner, spec)
        job_id = lifecycle.submit(session, spec, owner=service.owner, job_id=key).id
    service.wakeups.notify()
    return Accepted(id=job_id)


@router.get("")
def list_jobs(
    service: Reader,
    page: PageDep,
    state: Literal["queued", "running", "done", "failed", "cancelled"] | None = None,
    kind: Kind | None = None,
    checkpoint: Annotated[str | None, Query(pattern=r"^[a-z0-9]{16,64}$")] = None,
) -> JobList:
    """Newest first."""
    wanted = {Job.state: state, Job.kind: kind, Job.checkpoint_id: checkpoint}
    filters = [column == value for column, value in wanted.items() if value is not None]
    newest = (Job.created.desc(), Job.id.desc())
    wanted_ids = select(Job.id).where(*filters).order_by(*newest).limit(page.limit).offset(page.offset)
    with service.database.reading() as session:
        ids = session.scalars(wanted_ids).all()  # out of an index: whole rows are read for this page alone
        rows = session.scalars(select(Job).where(Job.id.in_(ids)).order_by(*newest)).all()
        total = session.scalar(select(func.count()).select_from(Job).where(*filters)) or 0
        items = [JobOut.of(row, Progress(**progress.of(session, row)), service.caller) for row in rows]
        return JobList(items=items, total=total)


@router.get("/{job_id}", responses=errors(404))
def get_job(request: Request, response: Response, service: Guest, job_id: IdPath) -> JobOut:
    """A job and its progress."""
    renew_link(request, response, service.caller, job_id)
    return _job(request, service, job_id)


@router.post("/{job_id}/cancel", responses=errors(404, 409))
def cancel_job(request: Request, service: Submitter, job_id: IdPath) -> JobOut:
    """Cancel the job; what was computed is kept and can be fetched."""
    with service.database.writing() as session:
        require_own(session, Job, job_id)
        lifecycle.cancel(session, job_id)
    return _job(request, service, job_id)


@router.post("/{job_id}/retry", status_code=202, responses=errors(404, 409, 429))
def retry_job(request: Request, service: Submitter, job_id: IdPath) -> JobOut:
    """Submit a failed, cancelled or damaged job again; the new job reuses what was computed."""
    _require_retry(request, service, job_id)
    with service.database.writing() as session:
        require_own(session, Job, job_id)
        quotas.require_job(session, service.settings, service.owner)
        new_id = lifecycle.retry(session, job_id).id
    service.wakeups.notify()
    return _job(request, service, new_id)


@router.post("/{job_id}/refine", status_code=202, responses=errors(404, 409, 429))
def refine_job(request: Request, service: Submitter, job_id: IdPath, refinement: Refinement, key: Key = None) -> JobOut:
    """Submit a job with more points, another range or more seeds; it reuses every point that this job has computed.

    Any job that you may see, in any state, once it is prepared. `provenance.reused` of the result has the number of
    points. If the versions or the engine's choice turn out to differ when it is prepared, it fails with the reason.
    """
    with service.database.writing() as session:
        spec = refined_spec(require(session, Job, job_id), refinement)
        job = lifecycle.find_by_idempotency_key(session, key, spec, service.owner) if key else None
        if job is None:
            quotas.require_job(session, service.settings, service.owner, spec)
            job = refine(session, job_id, refinement, owner=service.owner, job_id=key)
    service.wakeups.notify()
    return _job(request, service, job.id)


@router.delete("/{job_id}", status_code=204, responses=errors(404, 409))
def delete_job(service: Submitter, job_id: IdPath) -> None:
    """Delete a finished job and its result."""
    with service.database.writing() as session:
        require_own(session, Job, job_id)
        lifecycle.delete_job(session, job_id)


@router.get("/{job_id}/log", responses=errors(404))
def get_log(service: Guest, job_id: IdPath, page: PageDep) -> JobLog:
    """The log of the job, oldest line first; pass `offset` to get only new lines."""
    with service.database.reading() as session:
        of_job = LogLine.job_id == require(session, Job, job_id).id
        lines = session.scalars(
            select(LogLine).where(of_job).order_by(LogLine.id).limit(page.limit).offset(page.offset)
        )
        items = [LogEntry.model_validate({"at": moment(x.at), "level": x.level, "text": x.text}) for x in lines]
        return JobLog(items=items, total=session.scalar(select(func.count()).where(of_job)) or 0)


@router.get("/{job_id}/result", response_model=None, responses=errors(404, 409, 429, 500, 507))
async def get_result(
    request: Request,
    service: Guest,
    job_id: IdPath,
    format: FileFormat = None,
    height: Annotated[str, Query(description="vertical scale of a picture: auto, paper, linear or log")] = "auto",
    array: Annotated[str, Query(description="the array that a picture shows")] = "losses",
) -> Response:
    """What has been computed so far, as JSON or a file; `losses[i][j]` is at (alphas[i], betas[j]).

    With the `ETag` of an earlier answer in `If-None-Match`, 304 says that it is still the same.
    """

    def as_file(name: str) -> dict[str, str]:
        return {"Content-Disposition": attachment(f"{name} {job_id[:8]}.{format}")}

    if format is None:
        return await _answers(request).respond(request, service, Asked(job_id))
    asked = Asked(job_id, format, height, array)
    return await _answers(request).respond(request, service, asked, as_file)


@router.get("/{job_id}/numbers", response_model=NumberList, responses=errors(404, 409, 429, 500, 507))
async def get_numbers(
    request: Request,
    service: Guest,
    job_id: IdPath,
    level: Annotated[float, Query(allow_inf_nan=False, description="loss at the contour whose area is measured")] = 0.1,
    radius: Annotated[float, Query(gt=0, allow_inf_nan=False, description="of the sharpness, in the plane")] = 0.5,
) -> Response:
    """Summary numbers of the result, each with its definition, unit and error; `ETag` as at `result`."""
    return await _answers(request).respond(request, service, Asked(job_id, NUMBERS, level=level, radius=radius))


def _require_retry(request: Request, service: Service, job_id: str) -> None:
    """Refuse a job that is done and not known to be damaged, before all its values are verified in a transaction."""
    with service.database.reading() as session:
        row = require_own(session, Job, job_id)
        if row.state == "done" and not _answers(request).damage(session, row):
            raise ConflictError(lifecycle.NOT_TO_RETRY.format(state=row.state))


def _answers(request: Request) -> Answers:
    return cast(Answers, request.app.state.answers)


def _job(request: Request, service: Service, job_id: str) -> JobOut:
    with service.database.reading() as session:
        row = require(session, Job, job_id)
        shown = JobOut.of(row, Progress(**progress.of(session, row)), service.caller)
        return shown.model_copy(update={"damaged": _answers(request).damage(session, row)})
