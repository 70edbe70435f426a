"""Calls that send one request, or poll with one until something is finished. Every function is a flow."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from ..evaluation.progress import Report
from ..grid import Range
from ..terminal import printable
from .errors import JobEndedError, RejectedError
from .flow import Flow, Reply, Request, Wait
from .models import TERMINAL, Checkpoint, Dataset, JobInfo, Link, Number

if TYPE_CHECKING:
    from ..result import Result

Row = TypeVar("Row")
PAGE_SIZE = 100
MAX_POLL_INTERVAL = 1.0  # seconds


def get(path: str, **query: Any) -> Flow[Any]:
    """The JSON at `path`; a query value of None is left out."""
    reply: Reply = yield Request("GET", path, {name: value for name, value in query.items() if value is not None})
    return reply.json()


def delete(path: str) -> Flow[None]:
    """Delete what is at `path`."""
    yield Request("DELETE", path)


def list_all(path: str, of: Callable[[Mapping[str, Any]], Row], limit: int | None, **query: Any) -> Flow[list[Row]]:
    """The first `limit` rows of a list (None: all), page by page."""
    rows: list[Any] = []
    while limit is None or len(rows) < limit:
        wanted = PAGE_SIZE if limit is None else min(PAGE_SIZE, limit - len(rows))
        offset = sum(1 for row in rows if row.get("id", "") is not None)  # built-in data sets precede the first page
        page = yield from get(path, limit=wanted, offset=offset, **query)
        rows += page["items"]
        if len(rows) >= page["total"] or not page["items"]:
            break
    return [of(row) for row in rows[:limit]]


def checkpoint(checkpoint_id: str) -> Flow[Checkpoint]:
    """An uploaded checkpoint."""
    return Checkpoint.of((yield from get(f"/checkpoints/{checkpoint_id}")))


def choose(checkpoint_id: str, index: int) -> Flow[Checkpoint]:
    """Choose one of several architectures that fit a checkpoint."""
    path = f"/checkpoints/{checkpoint_id}/architecture"
    reply: Reply = yield Request("POST", path, body={"index": index}, idempotent=True)
    return Checkpoint.of(reply.json())


def dataset(name: str) -> Flow[Dataset]:
    """A data set, by its name, or an uploaded one by its id."""
    return Dataset.of((yield from get(f"/datasets/{name}")))


def wait_until_read(path: str) -> Flow[Mapping[str, Any]]:
    """Wait until the service has read an upload, and return it.

    Raises:
        RejectedError: it cannot be used.
    """
    interval = 0.05
    while (upload := (yield from get(path)))["state"] not in ("ready", "rejected"):
        yield Wait(interval)
        interval = min(MAX_POLL_INTERVAL, interval * 1.5)
    if upload["state"] == "rejected":
        raise RejectedError(printable(upload["reason"] or "The file cannot be used."))
    answer: Mapping[str, Any] = upload
    return answer


def submit(body: Mapping[str, Any]) -> Flow[JobInfo]:
    """Submit a job, idempotently: the request carries a key that becomes the job's id."""
    key = {"Idempotency-Key": uuid4().hex}
    reply: Reply = yield Request("POST", "/jobs", headers=key, body=body, idempotent=True)
    return (yield from job(reply.json()["id"]))


def job(job_id: str) -> Flow[JobInfo]:
    """A job in its current state."""
    return JobInfo.of((yield from get(f"/jobs/{job_id}")))


def cancel(job_id: str) -> Flow[JobInfo]:
    """Cancel a job, and return it."""
    reply: Reply = yield Request("POST", f"/jobs/{job_id}/cancel")
    return JobInfo.of(reply.json())


def retry(job_id: str) -> Flow[JobInfo]:
    """Submit a failed or cancelled job again, and return the new job."""
    reply: Reply = yield Request("POST", f"/jobs/{job_id}/retry")
    return JobInfo.of(reply.json())


def refine(job_id: str, factor: int, alpha: Range | None, beta: Range | None, repeats: int | None) -> Flow[JobInfo]:
    """Submit a refinement of a job, idempotently: the request carries a key that becomes the new job's id."""
    spans = {name: {"min": span[0], "max": span[1]} for name, span in (("alpha", alpha), ("beta", beta)) if span}
    body = {"factor": factor, **spans, **({"repeats": repeats} if repeats is not None else {})}
    key = {"Idempotency-Key": uuid4().hex}
    reply: Reply = yield Request("POST", f"/jobs/{job_id}/refine", headers=key, body=body, idempotent=True)
    return JobInfo.of(reply.json())


def numbers(job_id: str, level: float, radius: float) -> Flow[list[Number]]:
    """The metrics of a result.

    Args:
        level: loss at the contour whose area is measured.
        radius: of the sharpness, in units of the directions.
    """
    answer = yield from get(f"/jobs/{job_id}/numbers", level=level, radius=radius)
    return [Number.of(one) for one in answer["items"]]


def share(job_id: str, days: float | None, url: str) -> Flow[str]:
    """The URL of a new link; the service sends the secret at its end only once."""
    body = {} if days is None else {"days": days}
    reply: Reply = yield Request("POST", f"/jobs/{job_id}/share", body=body)
    return url + str(reply.json()["link"])


def links(job_id: str) -> Flow[list[Link]]:
    """The valid links to a result, without their secrets."""
    return [Link.of(one) for one in (yield from get(f"/jobs/{job_id}/share"))["items"]]


def fetch(job_id: str) -> "Flow[Result]":
    """What has been computed so far.

    Raises:
        FormatError: the answer is not the JSON of a result.
    """
    from ..result import Result

    return Result.from_json((yield from get(f"/jobs/{job_id}/result")))


def compute_again(request: Mapping[str, Any], report: Report) -> "Flow[Result]":
    """The result of a new job with the same request.

    Raises:
        JobEndedError: it failed or was cancelled.
        FormatError: see `fetch`.
    """
    again = yield from submit(request)
    yield from wait_until_done(again.id, report, None)
    return (yield from fetch(again.id))


def wait_until_done(job_id: str, report: Report, timeout: float | None) -> Flow[JobInfo]:
    """Wait until a job is done, and return it.

    Raises:
        JobEndedError: it failed or was cancelled.
        TimeoutError: it takes longer than `timeout` seconds; the job keeps running.
    """
    interval, deadline = 0.1, None if timeout is None else time.monotonic() + timeout
    while (info := (yield from job(job_id))).state not in TERMINAL:
        if info.progress.preparing:
            report.preparing(str(info.progress.preparing), info.progress.preparing.done, info.progress.preparing.total)
        else:
            report(info.progress.done, info.progress.total)
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError(f"Job {job_id} is {info.state} after {timeout:g} s. It goes on; wait again.")
        yield Wait(interval)
        interval = min(MAX_POLL_INTERVAL, interval * 1.5)
    report(info.progress.done, info.progress.total)
    if info.state != "done":
        raise JobEndedError(printable(info.error or f"The job was {info.state}."), code=info.state, job_id=job_id)
    return info
