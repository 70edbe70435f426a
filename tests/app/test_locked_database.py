"""The API while another program holds the lock of its SQLite database: reading goes on, writing is refused for now."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx

from app.main import create_app
from service.database.turns import FEW
from service.settings import Settings


def test_sixty_posts_to_a_locked_database_do_not_keep_readers_waiting(tmp_path: Path) -> None:
    """On the threads of a server, 40 at most: all of them would wait for the lock."""
    app = create_app(Settings(data=tmp_path / "data", access="off", broker="redis://127.0.0.1:1/0"))

    async def talk() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:

            async def post(n: int) -> httpx.Response:
                return await client.post("/api/v1/tokens", json={"user": f"u{n}", "scopes": ["read"]}, headers=SAME)

            with closing(sqlite3.connect(tmp_path / "data/landscape.sqlite", isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                posts = [asyncio.create_task(post(n)) for n in range(60)]
                for _ in range(20):
                    assert (await client.get("/api/v1/jobs")).json()["total"] == 0
                while sum(one.done() for one in posts) < 60 - 1 - FEW:
                    await asyncio.sleep(0.05)
                assert (await client.get("/api/v1/tokens")).json()["items"] == []
                refused = [one.result() for one in posts if one.done()]
                other.execute("ROLLBACK")
            assert {answer.status_code for answer in refused} == {503}
            assert {int(answer.headers["Retry-After"]) for answer in refused} == {5}
            assert "Try again in a moment" in refused[0].json()["error"]["message"]
            made = [one.status_code for one in await asyncio.gather(*posts) if one not in refused]
            assert made == [201] * (1 + FEW)
            assert len((await client.get("/api/v1/tokens")).json()["items"]) == 1 + FEW

    asyncio.run(talk())
    app.state.service.database.engine.dispose()


SAME = {"Sec-Fetch-Site": "same-origin"}
