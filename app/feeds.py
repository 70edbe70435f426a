"""Events of jobs for all followers of this process: one task polls the database for all of them together.

A follower fetches new events when its client has taken the previous one, so that a slow client costs a position
instead of a queue.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from anyio import CapacityLimiter, to_thread
from fastapi.sse import format_sse_event
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.database.sessions import Database
from service.database.tables import TERMINAL, Job
from service.jobs import results
from service.queue import progress
from service.queue.values import is_intact

from .slots import Slots

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
KEEP_ALIVE_SECONDS = 15.0  # a comment this often, so that a dead connection is noticed
KEPT_TILES = 64  # of a job, encoded once for all its followers; one that is further behind reads the database
KEPT_BYTES = 8 << 20  # of their text: tiles of fast networks are large
READ_TILES = 8  # at a time, for one that is further behind
REST = 3.0  # times as long as reading took, nothing is read for those: they get a quarter of this process
GONE = "gone"

Tile = tuple[int, str | None]  # sequence number in its job, and data of its event; None if the tile is damaged


@dataclass(eq=False)
class Feed:
    """A job as its followers see it; `state` is empty until it was read for the first time."""

    job: str
    state: str = ""
    error: str | None = None
    progress: str = ""
    preparing: Any = None
    last: int = 0  # sequence number of the newest tile
    tiles: deque[Tile] = field(default_factory=deque)
    followers: set[asyncio.Event] = field(default_factory=set)

    @property
    def ended(self) -> bool:
        """Whether no event can follow: the job is finished or was deleted."""
        return self.state in TERMINAL or self.state == GONE

    def update(self, tiles: Sequence[Tile], **changes: Any) -> None:
        """Add new tiles, set the fields in `changes`, and wake every follower."""
        self.tiles.extend(tiles)
        size = sum(len(data or "") for _, data in self.tiles)
        while len(self.tiles) > KEPT_TILES or (size > KEPT_BYTES and len(self.tiles) > 1):
            size -= len(self.tiles.popleft()[1] or "")
        for name, value in changes.items():
            setattr(self, name, value)
        for follower in self.followers:
            follower.set()

    def state_event(self) -> bytes:
        """The state as an event that is ready to be sent."""
        return _event("state", json.dumps({"job": self.job, "state": self.state, "error": self.error}))


@dataclass
class _Position:
    """What one client has been sent of one job."""

    feed: Feed
    number: int  # sequence number of the last tile
    state: str = ""
    progress: str = ""


class Feeds:
    """The jobs that are followed, polled while there are any."""

    def __init__(self, database: Database, slots: Slots):
        self._database, self.slots = database, slots
        self._readers = asyncio.Lock()  # one at a time: several would hold up everything else in this process
        self._thread = CapacityLimiter(1)
        self._feeds: dict[str, Feed] = {}
        self._poll_now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def events(self, jobs: Sequence[str], seen: Sequence[int]) -> AsyncIterator[bytes]:
        """`state` first and on every change, `tile` with values, `progress`; ends when every job has ended.

        Args:
            seen: sequence number of the last tile the client has, per job; an event's id contains all of them.
        """
        with self._following(jobs) as (feeds, wake):
            positions = [_Position(feed, number) for feed, number in zip(feeds, seen, strict=True)]
            while True:
                wake.clear()
                for position in positions:
                    async for event in self._new_events(position, positions):
                        yield event
                if all(position.feed.ended for position in positions):
                    return
                try:
                    await asyncio.wait_for(wake.wait(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    yield b": keep-alive\n\n"

    async def _new_events(self, position: _Position, positions: Sequence[_Position]) -> AsyncIterator[bytes]:
        feed, state = position.feed, position.state
        changed, position.state = feed.state != state, feed.state
        if changed and not feed.ended:
            yield feed.state_event()
        while position.number < (last := feed.last):
            for number, data in await self._after(position) or [(last, None)]:
                position.number = number
                if data is not None:
                    yield _event("tile", data, ",".join(str(one.number) for one in positions))
        if feed.progress != position.progress:
            position.progress = feed.progress
            yield _event("progress", feed.progress)
        if changed and feed.state in TERMINAL:
            yield feed.state_event()

    async def _after(self, position: _Position) -> list[Tile]:
        """The next tiles, those that the feed keeps or a few out of the database."""
        kept = position.feed.tiles
        if kept and kept[0][0] <= position.number + 1:
            return [tile for tile in kept if tile[0] > position.number]
        async with self._readers:
            started = time.monotonic()
            tiles = await to_thread.run_sync(self._tiles, position.feed.job, position.number, limiter=self._thread)
            await asyncio.sleep(REST * (time.monotonic() - started))
        return tiles

    def _tiles(self, job_id: str, number: int) -> list[Tile]:
        with self._database.reading() as session:
            job = session.get(Job, job_id)
            return _encoded(session, job, number, READ_TILES) if job else []

    @contextlib.contextmanager
    def _following(self, jobs: Sequence[str]) -> Iterator[tuple[list[Feed], asyncio.Event]]:
        feeds, wake = [self._feeds.setdefault(job, Feed(job)) for job in jobs], asyncio.Event()
        for feed in feeds:
            feed.followers.add(wake)
        self._poll_now.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            yield feeds, wake
        finally:
            for feed in feeds:
                feed.followers.discard(wake)
                if not feed.followers:
                    self._feeds.pop(feed.job, None)

    async def _poll(self) -> None:
        while self._feeds:
            self._poll_now.clear()
            try:
                for feed, changes in await asyncio.to_thread(self._read, list(self._feeds.values())):
                    feed.update(**changes)
            except SQLAlchemyError as error:
                logger.warning("event streams wait: the database does not answer", extra={"error": str(error)[:200]})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poll_now.wait(), POLL_SECONDS)

    def _read(self, feeds: Sequence[Feed]) -> list[tuple[Feed, Mapping[str, Any]]]:
        """One query for all jobs, and a few more for each that has changed."""
        open_feeds = [feed for feed in feeds if not feed.ended]
        with self._database.reading() as session:
            found = session.scalars(select(Job).where(Job.id.in_([feed.job for feed in open_feeds])))
            jobs = {job.id: job for job in found}
            changes = [(feed, _changes_of(session, jobs.get(feed.job), feed)) for feed in open_feeds]
        return [(feed, change) for feed, change in changes if change is not None]


def _changes_of(session: Session, job: Job | None, feed: Feed) -> Mapping[str, Any] | None:
    if job is None:
        return {"state": GONE, "tiles": []}
    if (job.state, job.tiles_done, job.preparing) == (feed.state, feed.last, feed.preparing):
        return None
    now = {"job": job.id, **progress.of(session, job), "state": job.state}
    # A follower who wants what was there before the feed reads it itself, a little at a time.
    after = max(feed.last, job.tiles_done - KEPT_TILES) if feed.state else job.tiles_done
    tiles = _encoded(session, job, after, KEPT_TILES)
    return {
        "state": job.state,
        "error": job.error,
        "progress": json.dumps(now),
        "preparing": job.preparing,
        "tiles": [tile for tile in tiles if tile[0] <= job.tiles_done],
        "last": job.tiles_done,
    }


def _encoded(session: Session, job: Job, after: int, most: int) -> list[Tile]:
    columns = results.columns_of(job)
    tiles = results.finished_tiles(session, job.id, after, most=most)
    return [(tile.sequence or 0, _tile_data(tile, job, columns) if is_intact(tile) else None) for tile in tiles]


def _tile_data(tile: Any, job: Job, columns: Sequence[str]) -> str:
    event = {"job": job.id, **results.tile_event(tile, columns)}
    return orjson.dumps(event).decode()  # null where a number is not finite; json would hold up other threads


def _event(name: str, data: str, number: str | None = None) -> bytes:
    return format_sse_event(data_str=data, event=name, id=number)
