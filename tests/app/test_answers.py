"""Answers made from results, in-process: what is refused while others go on, made once, kept, and not read again."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio import to_thread
from fastapi import FastAPI
from sqlalchemy import event, update

from app.answers import FOLDER, Answers
from app.main import create_app
from service.access import tokens
from service.database.tables import Job, Tile
from service.errors import UnavailableError
from service.jobs import large_answers, lifecycle, results
from service.jobs.downloads import Asked
from service.settings import Settings
from tests.support.large_jobs import finished_surface

SMALL, LARGE = 9, 143  # points along each axis


class Held:
    """Makes large answers as the service does, once it may: the tests hold it while they look."""

    def __init__(self) -> None:
        self.go, self.asked, self.fails = threading.Event(), list[Asked](), False

    def __call__(self, url: str, asked: Asked, path: Path) -> None:
        self.asked.append(asked)
        assert self.go.wait(60)
        if self.fails:
            raise UnavailableError("The process was killed.")
        large_answers.make(url, asked, path)


def application(folder: Path, **settings: Any) -> FastAPI:
    own = Settings(data=folder / "data", broker="redis://127.0.0.1:1/0", min_free_bytes=0, **settings)
    return create_app(own)


def add_job(app: FastAPI, count: int, owner: str | None = None) -> str:
    with app.state.service.database.writing() as session:
        return finished_surface(session, count, owner=owner).id


@asynccontextmanager
async def client_of(app: FastAPI, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/api/v1", headers=headers) as client:
        yield client


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """An application without access control that holds a small and a large result; the tests change neither."""
    app = application(tmp_path_factory.mktemp("answers"), access="off", max_answers=2)
    app.state.small, app.state.large = add_job(app, SMALL), add_job(app, LARGE)
    return app


@contextmanager
def held(app: FastAPI) -> Iterator[Held]:
    """Large answers of an application are held, and none is kept from before."""
    make, before = Held(), app.state.answers
    for file in before.folder.iterdir():
        file.unlink()
    app.state.answers = Answers(app.state.service.settings, make=make)
    try:
        yield make
    finally:
        make.go.set()
        app.state.answers = before


@contextmanager
def statements(app: FastAPI) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    engine, seen = app.state.service.database.engine, list[str]()

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(3000):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen within a minute")


def run(check: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(check(), 240))


def test_a_large_answer_more_is_refused_while_all_else_goes_on(shared: FastAPI) -> None:
    async def check() -> None:
        with held(shared) as make:
            async with client_of(shared) as client:
                path = f"/jobs/{shared.state.large}/result"
                first = asyncio.create_task(client.get(path))
                await until(lambda: bool(make.asked))
                refused = await client.get(path, params={"format": "csv"})
                assert refused.status_code == 429
                assert int(refused.headers["Retry-After"]) > 0
                assert "Try again" in refused.json()["error"]["message"]
                small = await client.get(f"/jobs/{shared.state.small}/result")
                assert len(small.json()["losses"]) == SMALL
                for other in (
                    "/health",
                    "/version",
                    "/jobs",
                    f"/jobs/{shared.state.large}",
                    "/checkpoints",
                    "/session",
                ):
                    assert (await client.get(other)).status_code == 200
                assert (await client.put("/checkpoints?name=a", content=b"bytes")).status_code == 201
                assert not first.done()
                again = asyncio.create_task(client.get(path))  # the same answer: it is waited for, not made twice
                await asyncio.sleep(0.1)
                make.go.set()
                answers = [await first, await again]
                assert [one.status_code for one in answers] == [200, 200]
                assert answers[0].content == answers[1].content
                assert len(answers[0].json()["losses"]) == LARGE
                assert len(make.asked) == 1
                assert (await client.get(path, params={"format": "csv"})).status_code == 200

    run(check)


def test_health_waits_for_none_of_the_threads_that_others_share(shared: FastAPI) -> None:
    async def check() -> None:
        limiter, go = to_thread.current_default_thread_limiter(), threading.Event()
        limiter.total_tokens = 1
        blocked = asyncio.create_task(to_thread.run_sync(go.wait))
        await until(lambda: limiter.borrowed_tokens == 1)
        try:
            async with client_of(shared) as client:
                assert (await client.get("/health")).status_code == 200
                assert not blocked.done()
        finally:
            go.set()
        await blocked

    run(check)


def test_visitors_of_a_link_have_fewer_slots_than_its_owner(tmp_path: Path) -> None:
    app = application(tmp_path, access="on", max_answers=8)
    job_id = add_job(app, 51, "ada")  # large for numbers
    with app.state.service.database.writing() as session:
        own = tokens.create(session, "token", owner="ada", scopes=["read"])[1]
        link = tokens.create(session, "link", owner="ada", scopes=["link"], job_id=job_id)[1]

    tasks: list[asyncio.Task[httpx.Response]] = []

    async def granted(client: httpx.AsyncClient) -> int:
        """The number of large answers, each another one, that are begun until one is refused."""
        for count in range(20):
            slots, level = app.state.answers.large, 1.0 + len(tasks)
            taken, task = slots.taken, asyncio.create_task(client.get(f"/jobs/{job_id}/numbers?level={level}"))
            tasks.append(task)
            await until(lambda: task.done() or slots.taken > taken)  # noqa: B023 - called in this round
            if task.done():
                assert task.result().status_code == 429
                return count
        raise AssertionError("none was refused")

    async def check() -> None:
        with held(app) as make:
            async with client_of(app, link) as visitor, client_of(app, own) as owner:
                visitors, owners = await granted(visitor), await granted(owner)
                assert 1 <= visitors < owners < 8
                make.fails = True
                make.go.set()
                answers = await asyncio.gather(*tasks)
                assert [one.status_code for one in answers].count(503) == visitors + owners
                assert app.state.answers.large.taken == 0

    run(check)


def test_what_the_client_has_is_not_read_again(shared: FastAPI) -> None:
    async def check() -> None:
        async with client_of(shared) as client:
            tags = set()
            for job_id, queries in (
                (shared.state.small, ("result", "result?format=npz", "numbers", "numbers?level=0.3")),
                (shared.state.large, ("result", "result?format=npz")),
            ):
                for path in (f"/jobs/{job_id}/{query}" for query in queries):
                    answer = await client.get(path)
                    assert answer.status_code == 200, answer.text
                    assert answer.headers["Cache-Control"] == "private, no-cache"
                    tags.add(answer.headers["ETag"])
                    with statements(shared) as seen:
                        same = await client.get(path, headers={"If-None-Match": f'"other", {answer.headers["ETag"]}'})
                    assert (same.status_code, same.content) == (304, b"")
                    assert same.headers["ETag"] == answer.headers["ETag"]
                    assert seen
                    assert not any("FROM tiles" in statement for statement in seen)
                    other = await client.get(path, headers={"If-None-Match": '"other"'})
                    assert (other.status_code, other.content) == (200, answer.content)
            assert len(tags) == 6

    run(check)


def test_a_large_answer_is_kept_as_a_file_until_its_job_is_deleted(tmp_path: Path) -> None:
    app = application(tmp_path, access="off")
    job_id, folder = add_job(app, LARGE), tmp_path / "data" / FOLDER
    left = folder / f".{job_id}-made-by-a-process-that-was-killed"
    left.touch()
    os.utime(left, (0, 0))

    async def check() -> None:
        async with client_of(app) as client:
            first = await client.get(f"/jobs/{job_id}/result?format=npz")
            assert "attachment" in first.headers["Content-Disposition"]
            app.state.answers.clean(app.state.service)
            assert [file.stat().st_size for file in folder.iterdir()] == [len(first.content)]
            with statements(app) as seen:
                assert (await client.get(f"/jobs/{job_id}/result?format=npz")).content == first.content
            assert not any("FROM tiles" in statement for statement in seen)
            part = await client.get(f"/jobs/{job_id}/result?format=npz", headers={"Range": "bytes=2-5"})
            assert (part.status_code, part.content) == (206, first.content[2:6])
            assert (await client.delete(f"/jobs/{job_id}")).status_code == 204
            assert (await client.get(f"/jobs/{job_id}/result?format=npz")).status_code == 404
            app.state.answers.clean(app.state.service)
            assert not list(folder.iterdir())

    run(check)


@pytest.mark.parametrize("count", [SMALL, LARGE])
def test_damage_is_found_when_values_are_read_and_then_shown(tmp_path: Path, count: int) -> None:
    app = application(tmp_path, access="off")
    job_id = add_job(app, count)

    async def check() -> None:
        async with client_of(app) as client:
            assert (await client.get(f"/jobs/{job_id}")).json()["damaged"] is None
            with statements(app) as seen:
                assert (await client.get(f"/jobs/{job_id}")).json()["damaged"] is None
                refused = await client.post(f"/jobs/{job_id}/retry")
            assert refused.status_code == 409
            assert not any("FROM tiles" in statement and "values" in statement for statement in seen)
            with app.state.service.database.writing() as session:
                tile = results.finished_tiles(session, job_id)[-1]
                session.execute(update(Tile).where(Tile.id == tile.id).values(values=(tile.values or b"")[:-1] + b"\0"))
            for query in ("result", "result?format=npz"):
                answer = await client.get(f"/jobs/{job_id}/{query}")
                assert (answer.status_code, answer.json()["error"]["code"]) == (500, "damaged")
            assert "Retry" in (await client.get(f"/jobs/{job_id}")).json()["damaged"]

    run(check)


def test_the_tag_of_a_running_job_changes_with_its_points(tmp_path: Path) -> None:
    app = application(tmp_path, access="off")
    job_id = add_job(app, SMALL)
    with app.state.service.database.writing() as session:
        session.execute(update(Job).where(Job.id == job_id).values(state="running", points_done=80))

    async def check() -> None:
        async with client_of(app) as client:
            path, tags = f"/jobs/{job_id}/result", []
            for points in (80, 81):
                with app.state.service.database.writing() as session:
                    session.execute(update(Job).where(Job.id == job_id).values(points_done=points))
                tags.append((await client.get(path)).headers["ETag"])
            with app.state.service.database.writing() as session:
                lifecycle.cancel(session, job_id)
            tags.append((await client.get(path)).headers["ETag"])
            assert len(set(tags)) == 3

    run(check)
