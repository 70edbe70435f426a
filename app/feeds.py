"""What followers of jobs are told: one task per process looks at the database for all of them together.

Imports the torch-free modules of worker/. A follower takes what is new when its client has taken the last, so that a
slow one holds nothing but its place. Never answers a request: events.py does.
"""

import asyncio
import contextlib
import json
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi.sse import format_sse_event
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.database.sessions import Database
from service.database.tables import TERMINAL, Job
from service.errors import BusyError, TooManyError
from service.jobs import results
from service.queue import progress
from service.queue.values import is_intact

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
ALIVE_SECONDS = 15.0  # a comment this often, so that a connection nobody hears any more is noticed
KEPT_TILES = 64  # of a job, encoded once for all who follow it; who is further behind asks the database
GONE = "gone"

Told = tuple[int, str | None]  # number of a tile in its job and its event's data; none where the tile is damaged


@dataclass(eq=False)
class Feed:
    """A job as those who follow it see it; `state` is empty until it was looked at."""

    job: str
    state: str = ""
    error: str | None = None
    progress: str = ""
    last: int = 0  # number of the newest tile
    tiles: deque[Told] = field(default_factory=lambda: deque(maxlen=KEPT_TILES))
    followers: set[asyncio.Event] = field(default_factory=set)

    @property
    def over(self) -> bool:
        return self.state in TERMINAL or self.state == GONE

    def take(self, tiles: Sequence[Told], **news: Any) -> None:
        self.tiles.extend(tiles)
        for name, value in news.items():
            setattr(self, name, value)
        for follower in self.followers:
            follower.set()

    def state_event(self) -> bytes:
        return _event("state", json.dumps({"job": self.job, "state": self.state, "error": self.error}))


@dataclass
class _Place:
    """What one follower has told its client of one job."""

    feed: Feed
    number: int  # of the last tile
    state: str = ""
    progress: str = ""


class Feeds:
    """The jobs that somebody follows, looked after while there are any."""

    def __init__(self, database: Database, *, most: int, most_each: int):
        self._database, self._most, self._most_each = database, most, most_each
        self._feeds: dict[str, Feed] = {}
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._by_owner: Counter[str] = Counter()

    @property
    def streams(self) -> int:
        return self._by_owner.total()

    def require_room(self, owner: str) -> None:
        """Refuse one stream more than the settings allow.

        Raises:
            BusyError: as many are open.
            TooManyError: as many of this user are.
        """
        if self._by_owner[owner] >= self._most_each:
            raise TooManyError(
                f"{self._most_each} of your event streams are open, the most one user may have. Close some.", seconds=30
            )
        if self.streams >= self._most:
            raise BusyError(f"{self._most} event streams are open, the most this service allows. Try again soon.")

    async def events(self, jobs: Sequence[str], seen: Sequence[int], owner: str) -> AsyncIterator[bytes]:
        """`state` first and on every change, `tile` with values, `progress`; ends when every job has ended.

        Args:
            seen: number of the last tile the client has, per job; ids of events hold them all, by comma.
        """
        with self._following(jobs, owner) as (feeds, wake):
            places = [_Place(feed, number) for feed, number in zip(feeds, seen, strict=True)]
            while True:
                wake.clear()
                for place in places:
                    async for event in self._news_for(place, places):
                        yield event
                if all(place.feed.over for place in places):
                    return
                try:
                    await asyncio.wait_for(wake.wait(), ALIVE_SECONDS)
                except TimeoutError:
                    yield b": here\n\n"

    async def _news_for(self, place: _Place, places: Sequence[_Place]) -> AsyncIterator[bytes]:
        feed, state = place.feed, place.state
        changed, place.state = feed.state != state, feed.state
        if changed and not feed.over:
            yield feed.state_event()
        while place.number < (last := feed.last):
            for number, data in await self._after(place) or [(last, None)]:
                place.number = number
                if data is not None:
                    yield _event("tile", data, ",".join(str(one.number) for one in places))
        if feed.progress != place.progress:
            place.progress = feed.progress
            yield _event("progress", feed.progress)
        if changed and feed.state in TERMINAL:
            yield feed.state_event()

    async def _after(self, place: _Place) -> list[Told]:
        """The next tiles, at most as many as a feed keeps."""
        kept = place.feed.tiles
        if kept and kept[0][0] <= place.number + 1:
            return [told for told in kept if told[0] > place.number]
        return await asyncio.to_thread(self._tiles, place.feed.job, place.number)

    def _tiles(self, job_id: str, number: int) -> list[Told]:
        with self._database.reading() as session:
            job = session.get(Job, job_id)
            return _encoded(session, job, number) if job else []

    @contextlib.contextmanager
    def _following(self, jobs: Sequence[str], owner: str) -> Iterator[tuple[list[Feed], asyncio.Event]]:
        feeds, wake = [self._feeds.setdefault(job, Feed(job)) for job in jobs], asyncio.Event()
        self._by_owner[owner] += 1
        for feed in feeds:
            feed.followers.add(wake)
        self._hurry.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_after())
        try:
            yield feeds, wake
        finally:
            self._by_owner -= Counter((owner,))
            for feed in feeds:
                feed.followers.discard(wake)
                if not feed.followers:
                    self._feeds.pop(feed.job, None)

    async def _look_after(self) -> None:
        while self._feeds:
            self._hurry.clear()
            try:
                for feed, news in await asyncio.to_thread(self._look, list(self._feeds.values())):
                    feed.take(**news)
            except SQLAlchemyError as error:
                logger.warning("followers wait: the database does not answer", extra={"error": str(error)[:200]})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), POLL_SECONDS)

    def _look(self, feeds: Sequence[Feed]) -> list[tuple[Feed, Mapping[str, Any]]]:
        """One query for all jobs, and a few more for each that has news."""
        open_feeds = [feed for feed in feeds if not feed.over]
        with self._database.reading() as session:
            found = session.scalars(select(Job).where(Job.id.in_([feed.job for feed in open_feeds])))
            jobs = {job.id: job for job in found}
            news = [(feed, _news_of(session, jobs.get(feed.job), feed)) for feed in open_feeds]
        return [(feed, new) for feed, new in news if new is not None]


def _news_of(session: Session, job: Job | None, feed: Feed) -> Mapping[str, Any] | None:
    if job is None:
        return {"state": GONE, "tiles": []}
    if (job.state, job.tiles_done) == (feed.state, feed.last):
        return None
    told = {"job": job.id, **progress.of(session, job), "state": job.state}
    tiles = _encoded(session, job, max(feed.last, job.tiles_done - KEPT_TILES))
    return {
        "state": job.state,
        "error": job.error,
        "progress": json.dumps(told),
        "tiles": [told for told in tiles if told[0] <= job.tiles_done],
        "last": job.tiles_done,
    }


def _encoded(session: Session, job: Job, after: int) -> list[Told]:
    columns = results.columns_of(job)
    tiles = results.finished_tiles(session, job.id, after, most=KEPT_TILES)
    return [(tile.sequence or 0, _tile(tile, job, columns) if is_intact(tile) else None) for tile in tiles]


def _tile(tile: Any, job: Job, columns: Sequence[str]) -> str:
    return json.dumps({"job": job.id, **results.tile_event(tile, columns)})


def _event(name: str, data: str, number: str | None = None) -> bytes:
    return format_sse_event(data_str=data, event=name, id=number)
