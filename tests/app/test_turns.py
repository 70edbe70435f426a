"""Turns: requests of one caller, however many, do not hold up those of another."""

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import httpx

from app.main import create_app
from app.slots import Holder
from app.turns import AT_ONCE, LONGEST_SECONDS, TakeTurns, Turns
from service.access.tokens import create_token
from service.settings import Settings

ADA, BOB, EVE = ("user", "ada"), ("user", "bob"), ("user", "eve")


def order(callers: list[Holder], at_once: int) -> list[Holder]:
    """Who begins when, if these ask for turns at the same time and each turn takes as long."""
    begun: list[Holder] = []

    async def one(turns: Turns, caller: Holder) -> None:
        await turns.begin(caller)
        begun.append(caller)
        await asyncio.sleep(0.01)
        turns.end(caller)

    async def all_at_once() -> None:
        turns = Turns(at_once)
        await asyncio.gather(*(one(turns, caller) for caller in callers))

    asyncio.run(asyncio.wait_for(all_at_once(), 60))
    return begun


def test_one_who_comes_after_fifty_requests_of_another_begins_at_once() -> None:
    begun = order([EVE] * 50 + [ADA], 4)
    assert begun[:3] == [EVE, EVE, ADA]
    assert len(begun) == 51


def test_callers_are_served_in_turn() -> None:
    begun = order([EVE] * 40 + [ADA] * 5 + [BOB] * 5, 4)
    assert len(begun) == 50
    assert {ADA, BOB} <= set(begun[:4])
    last = max(place for place, caller in enumerate(begun) if caller in (ADA, BOB))
    assert last < 3 * 5 + 4, "more than one turn of Eve's between two of the others'"


def test_a_single_caller_has_more_than_one_turn_at_a_time() -> None:
    async def check() -> None:
        turns = Turns(AT_ONCE)
        for _ in range(AT_ONCE // 2):
            await asyncio.wait_for(turns.begin(EVE), 1)
        waits = asyncio.ensure_future(turns.begin(EVE))
        await asyncio.sleep(0)
        assert not waits.done()
        turns.end(EVE)
        await asyncio.wait_for(waits, 1)

    asyncio.run(check())


def test_turns_that_are_given_up_are_not_lost() -> None:
    """Requests are cancelled at random moments, also just as they begin; afterwards every turn is free."""
    rng = random.Random(1)

    async def one(turns: Turns, caller: Holder) -> None:
        await turns.begin(caller)
        try:
            await asyncio.sleep(0.001)
        finally:
            turns.end(caller)

    async def check() -> None:
        turns = Turns(4)
        tasks = []
        for _ in range(500):
            tasks.append(asyncio.create_task(one(turns, rng.choice([ADA, BOB, EVE]))))
            if rng.random() < 0.5:
                rng.choice(tasks).cancel()
            if rng.random() < 0.1:
                await asyncio.sleep(0.001)
        await asyncio.wait(tasks)
        assert sum(not task.cancelled() for task in tasks) > 100
        for caller in (ADA, ADA, BOB):
            await asyncio.wait_for(turns.begin(caller), 1)

    asyncio.run(asyncio.wait_for(check(), 60))


Message = MutableMapping[str, Any]
Handler = Callable[[Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Served:
    """An application behind the middleware whose requests do what `handler` says."""

    def __init__(self, handler: Handler):
        self.begun = 0

        async def app(_: Any, receive: Any, send: Any) -> None:
            self.begun += 1
            await handler(receive, send)

        self.middleware = TakeTurns(app)

    def ask(self, address: str, body: asyncio.Event | None = None) -> asyncio.Task[None]:
        """Begin a request from this address, whose body arrives when the event is set."""

        async def receive() -> Message:
            if body is not None:
                await body.wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_: Message) -> None: ...

        scope = {"type": "http", "client": (address, 1), "headers": [], "state": {}}
        return asyncio.create_task(self.middleware(scope, receive, send))


async def settled() -> None:
    """Let everything go on that waits for nothing but its turn in the event loop."""
    for _ in range(500):
        await asyncio.sleep(0)


def test_a_request_whose_body_has_not_arrived_has_no_turn_until_it_has() -> None:
    computing = asyncio.Event()

    async def handler(receive: Any, _: Any) -> None:
        await receive()
        await computing.wait()

    async def check() -> None:
        served, body = Served(handler), asyncio.Event()
        slow = [served.ask("192.0.2.1", body) for _ in range(50)]
        await settled()
        assert served.begun == 50, "they wait for their bodies, not for turns"
        body.set()
        await settled()
        quick = served.ask("192.0.2.2")
        await settled()
        assert served.begun == 51
        computing.set()
        await asyncio.gather(*slow, quick)

    asyncio.run(asyncio.wait_for(check(), 60))


def test_an_answer_that_is_being_sent_holds_no_turn() -> None:
    read = asyncio.Event()

    async def handler(_: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await read.wait()

    async def check() -> None:
        served = Served(handler)
        streams = [served.ask("192.0.2.1") for _ in range(50)]
        await settled()
        assert served.begun == 50
        read.set()
        await asyncio.gather(*streams)

    asyncio.run(asyncio.wait_for(check(), 60))


def test_requests_that_wait_for_something_else_let_others_begin() -> None:
    locked = asyncio.Event()

    async def handler(_: Any, __: Any) -> None:
        await locked.wait()

    async def check() -> None:
        served = Served(handler)
        waiting = [served.ask("192.0.2.1") for _ in range(5)]
        await settled()
        assert served.begun == AT_ONCE // 2
        await asyncio.sleep(3 * LONGEST_SECONDS)
        assert served.begun == 5
        locked.set()
        await asyncio.gather(*waiting)

    asyncio.run(asyncio.wait_for(check(), 60))


def test_the_turn_of_a_request_that_fails_ends() -> None:
    async def handler(_: Any, __: Any) -> None:
        raise ValueError("a defect")

    async def check() -> None:
        served = Served(handler)
        failed = await asyncio.gather(*(served.ask("192.0.2.1") for _ in range(20)), return_exceptions=True)
        assert [str(one) for one in failed] == ["a defect"] * 20

    asyncio.run(asyncio.wait_for(check(), LONGEST_SECONDS * 20))


def test_a_caller_is_known_by_every_valid_credential_and_else_by_the_address(tmp_path: Path) -> None:
    app = create_app(Settings(data=tmp_path / "data", broker="redis://127.0.0.1:1/0", access="on", min_free_bytes=0))
    database = app.state.service.database
    with database.writing() as session:
        secrets = [create_token(session, user=user, scopes=["read"])[1] for user in ("ada", "ada", "eve")]
    served = TakeTurns(app)

    async def caller(secret: str) -> Holder:
        """The caller of the second request with a token, as far as the first has told it."""
        headers = {"Authorization": f"Bearer {secret}"}
        transport = httpx.ASGITransport(served, client=("192.0.2.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            await client.get("/api/v1/jobs")
            sent = client.build_request("GET", "/api/v1/jobs").headers.raw
        headers_sent = [(name.lower(), value) for name, value in sent]
        return served.caller_of({"type": "http", "client": ("192.0.2.1", 1), "headers": headers_sent})

    try:
        assert [asyncio.run(caller(secret)) for secret in secrets] == [ADA, ADA, EVE]
        assert asyncio.run(caller("wrong")) == ("address", "192.0.2.1")
    finally:
        database.engine.dispose()
