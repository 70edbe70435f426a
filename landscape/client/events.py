"""The events of a job, received as server-sent events; reconnects after a broken connection.

Tiles are numbered, so none is delivered twice; a state may be.
"""

import json

from .errors import UnreachableError
from .flow import Flow, NextLine, Request, Wait
from .models import Event

RECONNECT_SECONDS = 1.0  # before a stream that ended too early is requested again


class EventParser:
    """Parses the lines of a stream of server-sent events."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def feed(self, line: str) -> Event | None:
        """The event that ends with this line, if one does."""
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            self._fields[name] = f"{self._fields['data']}\n{value}" if name == "data" in self._fields else value
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None  # a comment that keeps the connection alive
        number = fields.get("id", "")
        return Event(fields.get("event", "message"), json.loads(fields["data"]), int(number) if number else None)


def follow(job_id: str, after: int, retries: int) -> Flow[None]:
    """Yield the events of a job that come after tile `after`, to the job's end; reconnects as needed.

    Raises:
        UnreachableError: `retries` + 1 connections in a row broke, or ended, without an event.
    """
    failures = 0
    while failures <= retries:
        headers = {"Last-Event-ID": str(after), "Accept": "text/event-stream"}
        yield Request("GET", f"/jobs/{job_id}/events", headers=headers, stream=True)
        parser, failures = EventParser(), failures + 1
        try:
            while (line := (yield NextLine())) is not None:
                if (event := parser.feed(line)) is not None:
                    after, failures = event.id or after, 0
                    yield event
                    if event.is_last:
                        return
        except UnreachableError:
            if failures > retries:
                raise
        yield Wait(RECONNECT_SECONDS)
    raise UnreachableError("The service ended the stream of events again and again without sending one.")
