"""Uploads count for the quota while they arrive, whether or not their length was announced."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.main import create_app
from service.settings import Settings

QUOTA = 1_000_000


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    given: dict[str, Any] = {"data": tmp_path / "data", "broker": "redis://127.0.0.1:1/0", "access": "off"}
    app = create_app(Settings(**given, min_free_bytes=0, max_user_bytes=QUOTA))
    yield app
    app.state.service.database.engine.dispose()


async def body(size: int, wait: asyncio.Barrier | None = None) -> AsyncIterator[bytes]:
    """A body of `size` bytes, of unannounced length; it waits for others before its last block."""
    for _ in range(size // 10_000 - 1):
        yield bytes(10_000)
    if wait:
        await wait.wait()
    yield bytes(10_000)


async def put(app: FastAPI, name: str, content: AsyncIterator[bytes]) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        return await client.put("/api/v1/datasets", params={"name": name}, content=content)


def stored(app: FastAPI) -> list[int]:
    """Bytes of every file that is stored or arriving."""
    store = app.state.service.store
    assert not list(store.unfinished.iterdir())
    return [one.size for one in store.stored()]


def test_an_upload_over_the_quota_is_refused_before_it_is_stored(app: FastAPI) -> None:
    answer = asyncio.run(put(app, "a", body(QUOTA + 10_000)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "quota")
    assert stored(app) == []
    assert asyncio.run(put(app, "a", body(QUOTA))).status_code == 201
    assert stored(app) == [QUOTA]


def test_uploads_that_arrive_together_count_for_each_other(app: FastAPI) -> None:
    async def together() -> list[httpx.Response]:
        arrived = asyncio.Barrier(2)
        return await asyncio.gather(*(put(app, str(n), body(QUOTA // 2 + n * 10_000, arrived)) for n in (0, 1)))

    answers = asyncio.run(together())
    assert sorted(answer.status_code for answer in answers) == [201, 507]
    assert len(stored(app)) == 1
