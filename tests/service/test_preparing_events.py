"""Event streams tell how far a job is prepared; the feed alone, without a server."""

import asyncio
import json
from typing import Any

from app.feeds import Feeds
from app.slots import Slots
from service.database.sessions import Database
from service.jobs import lifecycle
from service.queue import leases
from tests.service.queue.test_progress import HALF, preparing


def test_event_streams_tell_how_far_preparing_is(database: Database) -> None:
    with database.writing() as session:
        job, held = preparing(session)
        job_id = job.id

    async def told() -> list[dict[str, Any]]:
        feeds, found = Feeds(database, Slots("event streams", 1)), list[dict[str, Any]]()
        async for event in feeds.events([job_id], [0]):
            if b"event: progress" not in event:
                continue
            found.append(json.loads(event.decode().split("data: ")[1]))
            with database.writing() as session:
                if len(found) == 1:
                    assert leases.heartbeat(session, held, 60, {**HALF, "done": 700})
                elif len(found) == 2:
                    lifecycle.cancel(session, job_id)
        return found

    events = asyncio.run(told())
    assert [event["preparing"] for event in events] == [HALF, {**HALF, "done": 700}, None]
    assert [event["state"] for event in events] == ["queued", "queued", "cancelled"]
