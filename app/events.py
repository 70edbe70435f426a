"""A job as it happens: server-sent events, which a browser resumes by itself with Last-Event-ID.

Values come from the database, so nothing is missed and nothing is told twice, whichever process answers.
"""

import asyncio
from collections.abc import AsyncIterable
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from worker import progress, results
from worker.tables import TERMINAL, Job, require

from .deps import IdPath, Service, ServiceDep

router = APIRouter(prefix="/jobs", tags=["jobs"])

POLL_SECONDS = 0.25


@router.get("/{job_id}/events", response_class=EventSourceResponse)
async def follow_job(
    service: ServiceDep, job_id: IdPath, last_event_id: Annotated[int, Header(ge=0, lt=2**31)] = 0
) -> AsyncIterable[ServerSentEvent]:
    """`state` first and on every change, `tile` with values as they arrive, `progress`; ends with a terminal state."""
    seen, state, told = last_event_id, None, None
    while True:
        news = await run_in_threadpool(_look, service, job_id, seen)
        if news["state"] != state and news["state"] not in TERMINAL:
            yield ServerSentEvent(event="state", data={"state": news["state"], "error": None})
        state = news["state"]
        for sequence, tile in news["tiles"]:
            seen = sequence
            yield ServerSentEvent(event="tile", data=tile, id=str(sequence))
        if news["progress"] != told:
            told = news["progress"]
            yield ServerSentEvent(event="progress", data={**told, "state": state})
        if state in TERMINAL:
            yield ServerSentEvent(event="state", data={"state": state, "error": news["error"]})
            return
        await asyncio.sleep(POLL_SECONDS)


def _look(service: Service, job_id: str, seen: int) -> dict[str, Any]:
    with service.database.reading() as session:
        job = require(session, Job, job_id)
        columns = results.columns_of(job)
        new = results.finished_tiles(session, job_id, seen)
        tiles = [(tile.sequence, results.tile_event(tile, columns)) for tile in new]
        return {"state": job.state, "error": job.error, "tiles": tiles, "progress": progress.of(session, job)}
