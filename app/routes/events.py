"""Server-sent events of one job, or of several in one stream.

A browser resumes with Last-Event-ID: no event is lost or repeated, whichever process answers.
"""

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractContextManager
from typing import Annotated, cast

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.access import tokens
from service.database.tables import Job, require
from service.errors import InvalidError

from ..deps import Guest, IdPath, Reader, Service
from ..feeds import Feeds
from ..openapi import errors, sends_events
from ..slots import holders_of

router = APIRouter(tags=["jobs"], responses={**errors(401, 403, 404, 422, 429), **sends_events()})

CHECK_SECONDS = 5.0  # a stream outlives its token by this, or by the pause between two events

LastEventId = Annotated[str, Header(pattern=r"^[0-9]{1,9}(,[0-9]{1,9}){0,31}$")]
Jobs = Annotated[str, Query(pattern=r"^[a-z0-9]{16,64}(,[a-z0-9]{16,64}){0,31}$", description="comma-separated ids")]


class EventStream(StreamingResponse):
    """For encoded events: FastAPI's own response starts before an error could be answered.

    It holds a slot as long as it lasts, and is answered like any error where there is none.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], slot: AbstractContextManager[None]):
        super().__init__(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._slot = slot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events.

        Raises:
            BusyError, TooManyError: there is no slot; nothing has been sent.
        """
        with self._slot:
            await super().__call__(scope, receive, send)


@router.get("/jobs/{job_id}/events", response_class=Response)
async def follow_job(request: Request, service: Guest, job_id: IdPath, last_event_id: LastEventId = "0") -> EventStream:
    """`state` first and on every change, `tile` with computed values, `progress`; ends with a terminal state."""
    return await _stream(request, service, [job_id], last_event_id)


@router.get("/events", response_class=Response)
async def follow_jobs(request: Request, service: Reader, jobs: Jobs, last_event_id: LastEventId = "") -> EventStream:
    """The same for several jobs in one stream, each event with its `job`; ends when all of them have ended."""
    ids = list(dict.fromkeys(jobs.split(",")))
    return await _stream(request, service, ids, last_event_id or ",".join("0" for _ in ids))


async def _stream(request: Request, service: Service, jobs: Sequence[str], last_event_id: str) -> EventStream:
    seen = [int(number) for number in last_event_id.split(",")]
    if len(seen) != len(jobs):
        raise InvalidError("Last-Event-ID belongs to a stream of other jobs.", field="last-event-id")
    await run_in_threadpool(_require_all, service, jobs)
    feeds: Feeds = request.app.state.feeds
    return EventStream(
        _while_allowed(service, feeds.events(jobs, seen)), feeds.slots.acquire(holders_of(request, service.caller))
    )


async def _while_allowed(service: Service, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The events, until the client has logged out or its token is revoked or has expired."""
    checked = time.monotonic()
    async with contextlib.aclosing(cast(AsyncGenerator[bytes], events)) as all_events:
        async for event in all_events:
            yield event
            if time.monotonic() - checked > CHECK_SECONDS:
                checked = time.monotonic()
                if not await run_in_threadpool(_is_allowed, service):
                    return


def _is_allowed(service: Service) -> bool:
    with service.database.reading() as session:
        return tokens.still_valid(session, service.caller)


def _require_all(service: Service, jobs: Sequence[str]) -> None:
    with service.database.reading() as session:
        for job_id in jobs:
            require(session, Job, job_id)
