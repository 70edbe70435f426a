"""Limits of the application, asked without a server: unfinished uploads, labels of metrics, requests of an address."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from app.main import create_app
from service.settings import Settings

TUS = {"Tus-Resumable": "1.0.0"}


class Api:
    """An application that is called without a server; its background tasks are not started."""

    def __init__(self, app: FastAPI):
        self.app = app

    def __call__(self, method: str, path: str, **headers: str) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(send())


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Callable[..., Api]]:
    made = []

    def make(**settings: object) -> Api:
        given = {"data": tmp_path / "data", "broker": "redis://127.0.0.1:1/0", "access": "off", "min_free_bytes": 0}
        made.append(create_app(Settings(**{**given, **settings})))  # type: ignore[arg-type]
        return Api(made[-1])

    yield make
    for app in made:
        app.state.service.database.engine.dispose()


def test_unfinished_uploads_of_a_user_are_limited_and_a_deleted_one_makes_room(
    api: Callable[..., Api],
) -> None:
    call = api(max_user_unfinished_uploads=2)
    created = [call("POST", "/api/v1/uploads", **TUS, **{"Upload-Length": "5"}) for _ in range(3)]
    assert [one.status_code for one in created] == [201, 201, 429]
    assert "2 of your resumable uploads are not complete" in created[2].json()["error"]["message"]
    assert int(created[2].headers["Retry-After"]) > 0
    assert call("DELETE", created[0].headers["Location"], **TUS).status_code == 204
    assert call("POST", "/api/v1/uploads", **TUS, **{"Upload-Length": "5"}).status_code == 201


def test_made_up_methods_and_paths_make_no_metrics(api: Callable[..., Api]) -> None:
    call = api()

    def labels() -> set[tuple[str, ...]]:
        families = text_string_to_metric_families(call("GET", "/metrics").text)
        return {tuple(one.labels.values()) for family in families for one in family.samples if "http" in family.name}

    def strange(n: int) -> None:
        for path in ("/api/v1/jobs", f"/made/up/{n}", f"/static/made-up-{n}", "/metrics"):
            call(f"METHOD{n}", path)

    strange(0)
    labels()
    before = labels()
    assert ("other", "/api/jobs", "405") in before
    for n in range(1, 20):
        strange(n)
    assert labels() == before
