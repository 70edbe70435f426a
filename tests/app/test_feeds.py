"""Event streams of a large job: little is kept and read at a time, and every tile arrives once, in order."""

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from app import feeds
from app.slots import Slots
from service.database.sessions import Database
from tests.support.large_jobs import finished_surface

COUNT, PER_TILE = 61, 20


def test_a_feed_keeps_few_tiles_and_little_text() -> None:
    feed = feeds.Feed("a")
    feed.update([(number, "x") for number in range(1000)])
    assert [number for number, _ in feed.tiles] == list(range(1000 - feeds.KEPT_TILES, 1000))
    feed.update([(number, "x" * (1 << 20)) for number in range(1000, 1020)])
    assert sum(len(data or "") for _, data in feed.tiles) <= feeds.KEPT_BYTES
    feed.update([(1020, "x" * 2 * feeds.KEPT_BYTES)])
    assert [number for number, _ in feed.tiles] == [1020]


def test_streams_that_are_far_behind_read_a_few_tiles_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'landscape.sqlite'}")
    with database.writing() as session:
        job = finished_surface(session, COUNT, points_per_tile=PER_TILE)
        job_id, tiles = job.id, job.tiles_done
    reading, most = threading.Lock(), list[int]()
    real = feeds._encoded

    def watched(session: Any, job: Any, after: int, count: int) -> list[feeds.Tile]:
        if count == feeds.KEPT_TILES:  # the poll for all followers together
            return real(session, job, after, count)
        assert reading.acquire(blocking=False), "two streams read at once"
        found = real(session, job, after, count)
        most.append(len(found))
        reading.release()
        return found

    monkeypatch.setattr(feeds, "_encoded", watched)

    async def follow(own: feeds.Feeds) -> list[int]:
        return [int(n) async for event in own.events([job_id], [0]) for n in re.findall(rb"^id: (\d+)", event, re.M)]

    async def check() -> None:
        own = feeds.Feeds(database, Slots("event streams", 10))
        for numbers in await asyncio.gather(*(follow(own) for _ in range(5))):
            assert numbers == list(range(1, tiles + 1))

    asyncio.run(asyncio.wait_for(check(), 240))
    assert most
    assert max(most) <= feeds.READ_TILES
    database.engine.dispose()
