"""What a call is before anything is sent: a generator that yields effects and gets answers, and patience around it.

Imports the standard library and errors. Never sends, waits or reads by itself: sync.py and unblocked.py do.
"""

import json
import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any, Generic, TypeVar

from .errors import RefusedError, UnreachableError
from .models import Event

T = TypeVar("T")

LONGEST_WAIT = 30.0  # seconds between two attempts, unless the service asks for more
BUSY = (429, 503)  # the service did nothing: any request may be sent again
GATEWAY = (502, 504)  # a proxy got no answer: the request may have been carried out


@dataclass(frozen=True)
class Request:
    """One HTTP request; `path` is below /api."""

    method: str
    path: str
    query: Mapping[str, str | int | float] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None  # as JSON
    content: bytes = b""
    repeatable: bool | None = None  # whether sending it twice does no harm; by its method where absent
    stream: bool = False  # answer with the headers; the lines are read by `NextLine`

    @property
    def harmless_twice(self) -> bool:
        return self.method in ("GET", "HEAD", "PUT", "DELETE") if self.repeatable is None else self.repeatable


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    content: bytes = b""
    repeated: bool = False  # it was not the first attempt

    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True)
class Wait:
    """Do nothing for a while."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Something that takes time on this machine (reading a file, packing a model)."""

    do: Callable[[], Any]


class NextLine:
    """The next line of the reply that is streaming, None at its end."""


Effect = Request | Wait | Work | NextLine | Event
Flow = Generator[Effect, Any, T]


class Course(Generic[T]):
    """A flow on its way: perform `effect`, then `answer` or `fail`, until `effect` is None and `result` is there."""

    result: T

    def __init__(self, flow: Flow[T], retries: int):
        self._flow = persistent(flow, retries)
        self.effect: Effect | None = None
        self._move(partial(next, self._flow))

    def answer(self, value: Any) -> None:
        self._move(partial(self._flow.send, value))

    def fail(self, error: UnreachableError) -> None:
        self._move(partial(self._flow.throw, error))

    def _move(self, move: Callable[[], Effect]) -> None:
        try:
            self.effect = move()
        except StopIteration as end:
            self.effect, self.result = None, end.value


def persistent(flow: Flow[T], retries: int) -> Flow[T]:
    """`flow` with patience: its requests are sent again where that does no harm, and refusals become errors in it."""
    move: Callable[[], Effect] = partial(next, flow)
    while True:
        try:
            effect = move()
        except StopIteration as end:
            ended: T = end.value
            return ended
        try:
            got = (yield from _insist(effect, retries)) if isinstance(effect, Request) else (yield effect)
        except (UnreachableError, RefusedError) as error:
            move = partial(flow.throw, error)
        else:
            move = partial(flow.send, got)


def _insist(request: Request, retries: int) -> Flow[Reply]:
    """The reply to `request`, sent up to `retries` times more where the service is busy or away.

    Raises:
        RefusedError, UnreachableError
    """
    for attempt in count():
        asked = 0.0
        try:
            reply: Reply = yield request
        except UnreachableError as unreachable:
            error: UnreachableError | RefusedError = unreachable
            again = request.harmless_twice or not unreachable.sent
        else:
            if reply.status < 400:
                return replace(reply, repeated=attempt > 0)
            error = _refusal(reply)
            again = reply.status in BUSY or (reply.status in GATEWAY and request.harmless_twice)
            if request.method == "DELETE" and reply.status == 404 and attempt > 0:
                return reply  # an earlier attempt removed it, and its answer got lost
            asked = _seconds(reply.headers.get("retry-after"))
        if not again or attempt >= retries:
            raise error
        yield Wait(max(asked, min(LONGEST_WAIT, 0.25 * 2**attempt) * random.uniform(0.5, 1.0)))
    raise AssertionError("counting ends never")


def _refusal(reply: Reply) -> RefusedError:
    try:
        told = reply.json()["error"]
        message, code, where = str(told["message"]), str(told["code"]), told.get("field")
    except (ValueError, KeyError, TypeError):  # a proxy answered, or the answer to HEAD has no body
        message, code, where = f"The service answered with HTTP status {reply.status}.", f"http_{reply.status}", None
    return RefusedError(message, code=code, status=reply.status, field=where)


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 0.0
