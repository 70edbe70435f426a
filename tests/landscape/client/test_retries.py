"""What is sent again and what is not, without a network: the flows are asked and answered by hand."""

import json
from typing import Any

import pytest

from landscape.client import Event, RefusedError, UnreachableError
from landscape.client.events import EventReader, follow
from landscape.client.flow import Course, Flow, NextLine, Reply, Request, Wait


def one(request: Request) -> Flow[Reply]:
    reply: Reply = yield request
    return reply


def refused(status: int, code: str = "busy", **headers: str) -> Reply:
    return Reply(
        status, headers, json.dumps({"error": {"code": code, "message": "A sentence.", "field": "f"}}).encode()
    )


def play(flow: Flow[Any], *answers: "Reply | UnreachableError", retries: int = 3) -> tuple[Course[Any], list[float]]:
    """Answer the requests of a flow one after the other; the waits it asked for."""
    course, waits, left = Course(flow, retries), [], list(answers)
    while course.effect is not None and (left or isinstance(course.effect, Wait)):
        if isinstance(course.effect, Wait):
            waits.append(course.effect.seconds)
            course.answer(None)
            continue
        answer = left.pop(0)
        course.fail(answer) if isinstance(answer, UnreachableError) else course.answer(answer)
    assert not left
    return course, waits


def away(*, sent: bool) -> UnreachableError:
    return UnreachableError("away", sent=sent)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"])
def test_a_request_that_did_not_arrive_is_sent_again_whatever_it_asks(method: str) -> None:
    course, waits = play(one(Request(method, "/x")), away(sent=False), Reply(200, {}))
    assert course.result.status == 200
    assert len(waits) == 1


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_request_that_may_have_arrived_is_not_sent_twice_where_that_could_do_harm(method: str) -> None:
    with pytest.raises(UnreachableError):
        play(one(Request(method, "/x")), away(sent=True))


def test_a_submission_with_a_key_is_sent_again_though_it_may_have_arrived() -> None:
    course, _ = play(one(Request("POST", "/jobs", repeatable=True)), away(sent=True), Reply(202, {}))
    assert course.result.repeated


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_no_sooner_than_it_says(status: int) -> None:
    busy = refused(status, **{"retry-after": "7"})
    course, waits = play(one(Request("POST", "/x")), busy, Reply(200, {}))
    assert course.result.status == 200
    assert waits == [7.0]


def test_pauses_grow() -> None:
    _, waits = play(one(Request("GET", "/x")), *[away(sent=True)] * 5, Reply(200, {}), retries=5)
    assert all(0.125 * 2**n <= wait <= 0.25 * 2**n for n, wait in enumerate(waits))
    assert len(waits) == 5


def test_after_the_last_attempt_the_error_is_told() -> None:
    with pytest.raises(RefusedError, match="A sentence") as told:
        play(one(Request("GET", "/x")), *[refused(503)] * 3, retries=2)
    assert (told.value.code, told.value.status, told.value.field) == ("busy", 503, "f")


def test_a_refusal_is_told_at_once() -> None:
    with pytest.raises(RefusedError) as told:
        play(one(Request("GET", "/x")), refused(422, "invalid"))
    assert told.value.code == "invalid"


def test_a_gateway_without_an_answer_is_not_asked_to_post_again() -> None:
    with pytest.raises(RefusedError):
        play(one(Request("POST", "/x")), Reply(502, {}, b"<html>"))
    course, _ = play(one(Request("GET", "/x")), Reply(502, {}, b"<html>"), Reply(200, {}))
    assert course.result.status == 200


def test_removing_twice_because_the_first_answer_was_lost_is_removing() -> None:
    course, _ = play(one(Request("DELETE", "/x")), away(sent=True), refused(404, "not_found"))
    assert course.result.repeated is False
    with pytest.raises(RefusedError):
        play(one(Request("DELETE", "/x")), refused(404, "not_found"))


def test_events_are_read_from_lines() -> None:
    reader = EventReader()
    lines = [": ping", "", "event: tile", "id: 7", 'data: {"a":', "data: 1}", ""]
    assert [event for line in lines if (event := reader.feed(line))] == [Event("tile", {"a": 1}, 7)]


def test_a_broken_stream_is_taken_up_behind_the_last_tile() -> None:
    course: Course[None] = Course(follow("j" * 32, 0, 3), 3)
    asked, told = [], []
    script = [
        ["event: tile", "id: 4", "data: {}", "", "event: tile", "id: 5", "data"],  # the connection breaks in a line
        ["event: state", 'data: {"state": "done"}', ""],
    ]
    lines: list[str] = []
    while course.effect is not None:
        effect = course.effect
        if isinstance(effect, Request):
            asked.append(effect.headers["Last-Event-ID"])
            lines = script.pop(0)
            course.answer(Reply(200, {}))
        elif isinstance(effect, NextLine):
            course.answer(lines.pop(0)) if lines else course.fail(away(sent=True))
        elif isinstance(effect, Event):
            told.append((effect.kind, effect.id))
            course.answer(None)
        else:
            course.answer(None)
    assert asked == ["0", "4"]
    assert told == [("tile", 4), ("state", None)]


def test_a_stream_that_never_says_anything_is_given_up() -> None:
    course: Course[None] = Course(follow("j" * 32, 0, 2), 2)
    asked = 0
    with pytest.raises(UnreachableError, match="again and again"):  # noqa: PT012
        while course.effect is not None:
            asked += isinstance(course.effect, Request)
            course.answer(Reply(200, {}) if isinstance(course.effect, Request) else None)
    assert asked == 3
