"""A call as a generator of effects, independent of I/O: it yields requests and waits, and is sent their outcome.

Retries and back-off are here. Nothing here sends, sleeps or reads: the clients in sync.py and aio.py do.
"""

import json
import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any, Generic, TypeVar

from ..terminal import printable
from .errors import RefusedError, UnreachableError
from .models import Event

T = TypeVar("T")

MAX_BACKOFF = 30.0  # seconds between two attempts, unless the service asks for more
BUSY = (429, 503)  # the service did nothing: any request may be resent
GATEWAY = (502, 504)  # a proxy got no answer: the request may have been carried out


@dataclass(frozen=True)
class Request:
    """One HTTP request; `path` is relative to /api/v1, or begins with /api."""

    method: str
    path: str
    query: Mapping[str, str | int | float] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None  # as JSON
    content: bytes = b""
    idempotent: bool | None = None  # whether it may be sent twice; None: by its method
    stream: bool = False  # reply after the headers; `NextLine` reads the lines

    @property
    def is_idempotent(self) -> bool:
        """Whether it may be sent twice."""
        return self.method in ("GET", "HEAD", "PUT", "DELETE") if self.idempotent is None else self.idempotent


@dataclass(frozen=True)
class Reply:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    content: bytes = b""
    repeated: bool = False  # the request was sent more than once

    def json(self) -> Any:
        """The content, parsed.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.content)


@dataclass(frozen=True)
class Wait:
    """Sleep."""

    seconds: float


@dataclass(frozen=True)
class BlockingCall:
    """A function that takes a while on this machine (reads a file, packs a model)."""

    function: Callable[[], Any]


class NextLine:
    """Read the next line of the response that is streaming; None at its end."""


Effect = Request | Wait | BlockingCall | NextLine | Event
Flow = Generator[Effect, Any, T]


class RunningFlow(Generic[T]):
    """A flow in progress: perform `effect`, then `answer` or `fail`, until `effect` is None and `result` is set."""

    result: T

    def __init__(self, flow: Flow[T], retries: int):
        self._flow = with_retries(flow, retries)
        self.effect: Effect | None = None
        self._advance(partial(next, self._flow))

    def answer(self, value: Any) -> None:
        """Resume the flow with the outcome of `effect`."""
        self._advance(partial(self._flow.send, value))

    def fail(self, error: UnreachableError) -> None:
        """Resume the flow with the error that `effect` ended in: it retries, or raises it."""
        self._advance(partial(self._flow.throw, error))

    def _advance(self, resume: Callable[[], Effect]) -> None:
        try:
            self.effect = resume()
        except StopIteration as end:
            self.effect, self.result = None, end.value


def with_retries(flow: Flow[T], retries: int) -> Flow[T]:
    """`flow` with its requests retried where that is safe; error responses are raised inside it."""
    resume: Callable[[], Effect] = partial(next, flow)
    while True:
        try:
            effect = resume()
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            outcome = (yield from _send(effect, retries)) if isinstance(effect, Request) else (yield effect)
        except (UnreachableError, RefusedError) as error:
            resume = partial(flow.throw, error)
        else:
            resume = partial(flow.send, outcome)


def _send(request: Request, retries: int) -> Flow[Reply]:
    """The reply to `request`, resent up to `retries` times if the service is busy or unreachable.

    Raises:
        RefusedError, UnreachableError
    """
    for attempt in count():
        retry_after = 0.0
        try:
            reply: Reply = yield request
        except UnreachableError as unreachable:
            error: UnreachableError | RefusedError = unreachable
            may_retry = request.is_idempotent or not unreachable.sent
        else:
            if reply.status < 400:
                return replace(reply, repeated=attempt > 0)
            error = _refusal(reply)
            may_retry = reply.status in BUSY or (reply.status in GATEWAY and request.is_idempotent)
            if request.method == "DELETE" and reply.status == 404 and attempt > 0:
                return reply  # an earlier attempt deleted it, and its response was lost
            retry_after = _seconds(reply.headers.get("retry-after"))
        if not may_retry or attempt >= retries:
            raise error
        yield Wait(max(retry_after, min(MAX_BACKOFF, 0.25 * 2**attempt) * random.uniform(0.5, 1.0)))
    raise AssertionError("count() never ends")


def _refusal(reply: Reply) -> RefusedError:
    try:
        error = reply.json()["error"]
        message, code, where = str(error["message"]), str(error["code"]), error.get("field")
    except (ValueError, KeyError, TypeError):  # a proxy answered, or the answer to HEAD has no body
        message, code, where = f"The service answered with HTTP status {reply.status}.", f"http_{reply.status}", None
    return RefusedError(printable(message), code=code, status=reply.status, field=where)


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 0.0
