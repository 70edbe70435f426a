"""Turns of callers: few requests are processed at a time, and one who sends many does not hold up the others.

Fair queueing (Nagle 1985, "On packet switches with infinite storage", RFC 970): each caller has a queue, and the queues
are served in turn. A turn ends when the answer begins, and while a request waits for the rest of its body.
"""

import asyncio
from collections import deque

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .slots import Holder, Slots, network_of

AT_ONCE = 4  # requests; those of one caller are half of them at most
LONGEST_SECONDS = 0.25  # a request that takes longer waits for something else than a processor: others begin
MOST_REMEMBERED = 10_000  # credentials whose callers are known
SHARES = {"user": 1.0, "visitor": 1.0, "address": 1.0}
_CREDENTIALS = (b"authorization", b"cookie")


class Turns:
    """Who may begin, and who waits."""

    def __init__(self, at_once: int):
        self._slots = Slots("requests", at_once, shares=SHARES)
        self._waiting: dict[Holder, deque[asyncio.Future[None]]] = {}  # by caller, the one served next comes first

    async def begin(self, caller: Holder) -> None:
        """Wait for a turn of this caller; `end` must follow."""
        if caller not in self._waiting and self._slots.refusal([caller]) is None:
            return self._slots.take([caller])
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it has begun
                self.end(caller)
            raise

    def end(self, caller: Holder) -> None:
        """End a turn of this caller, and begin one of each caller that waits and may."""
        self._slots.release([caller])
        for other in list(self._waiting):
            if self._slots.refusal([other]) is None:
                self._begin_next(other)

    def _begin_next(self, caller: Holder) -> None:
        waiting = self._waiting.pop(caller)
        while waiting:
            turn = waiting.popleft()
            if not turn.cancelled():
                self._slots.take([caller])
                turn.set_result(None)
                break
        if waiting:
            self._waiting[caller] = waiting  # behind all others


class _Turn:
    """The turn of one request."""

    def __init__(self, turns: Turns, caller: Holder):
        self._turns, self._caller = turns, caller
        self._timer: asyncio.TimerHandle | None = None  # while it has begun

    @property
    def begun(self) -> bool:
        return self._timer is not None

    async def begin(self) -> None:
        await self._turns.begin(self._caller)
        self._timer = asyncio.get_running_loop().call_later(LONGEST_SECONDS, self.end)

    def end(self) -> None:
        """End it, unless it has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._turns.end(self._caller)


class TakeTurns:
    """ASGI middleware: lets requests begin in turn by caller.

    The caller is known only once a request is authenticated; until a credential was seen once, it is the address.
    """

    def __init__(self, app: ASGIApp, at_once: int = AT_ONCE):
        self._app, self._turns = app, Turns(at_once)
        self._callers: dict[int, Holder] = {}  # by the hash of a credential

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on when its turn has come."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        loop, state, answered = asyncio.get_running_loop(), scope.setdefault("state", {}), False
        turn = _Turn(self._turns, self.caller_of(scope))

        async def receive_outside_turn() -> Message:
            ending = loop.call_soon(turn.end)  # unless the message is there already
            try:
                message = await receive()
            finally:
                ending.cancel()
            if not turn.begun and not answered:
                await turn.begin()
            return message

        async def send_after_turn(message: Message) -> None:
            nonlocal answered
            if not answered:
                answered = True
                turn.end()
            await send(message)

        await turn.begin()
        try:
            await self._app(scope, receive_outside_turn, send_after_turn)
        finally:
            turn.end()
            if caller := state.get("caller"):
                self._remember(_credential(scope), caller)

    def caller_of(self, scope: Scope) -> Holder:
        """Whose turn a request waits for."""
        client = scope.get("client")
        return self._callers.get(_credential(scope)) or ("address", network_of(client[0] if client else ""))

    def _remember(self, credential: int, caller: Holder) -> None:
        if len(self._callers) >= MOST_REMEMBERED:
            self._callers.clear()
        self._callers[credential] = caller


def _credential(scope: Scope) -> int:
    return hash(tuple(value for name, value in scope["headers"] if name in _CREDENTIALS))
