"""Which requests are retried, without a network: the tests play the server for each flow."""

import json
from typing import Any

import pytest

from landscape.client import Event, RefusedError, UnreachableError
from landscape.client.calls import wait_until_done
from landscape.client.events import EventParser, follow
from landscape.client.flow import Flow, NextLine, Reply, Request, RunningFlow, Wait
from landscape.evaluation.progress import Report


def one(request: Request) -> Flow[Reply]:
    reply: Reply = yield request
    return reply


def refusal(status: int, code: str = "busy", **headers: str) -> Reply:
    return Reply(
        status, headers, json.dumps({"error": {"code": code, "message": "A sentence.", "field": "f"}}).encode()
    )


def play(
    flow: Flow[Any], *answers: "Reply | UnreachableError", retries: int = 3
) -> tuple[RunningFlow[Any], list[float]]:
    """Answer the requests of a flow in turn; returns it with the seconds of its waits."""
    running, waits, left = RunningFlow(flow, retries), [], list(answers)
    while running.effect is not None and (left or isinstance(running.effect, Wait)):
        if isinstance(running.effect, Wait):
            waits.append(running.effect.seconds)
            running.answer(None)
            continue
        answer = left.pop(0)
        running.fail(answer) if isinstance(answer, UnreachableError) else running.answer(answer)
    assert not left
    return running, waits


def away(*, sent: bool) -> UnreachableError:
    return UnreachableError("away", sent=sent)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"])
def test_a_request_that_did_not_arrive_is_sent_again_with_every_method(method: str) -> None:
    running, waits = play(one(Request(method, "/x")), away(sent=False), Reply(200, {}))
    assert running.result.status == 200
    assert len(waits) == 1


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_request_that_may_have_arrived_is_not_sent_again_if_it_is_not_idempotent(method: str) -> None:
    with pytest.raises(UnreachableError):
        play(one(Request(method, "/x")), away(sent=True))


def test_a_submission_with_an_idempotency_key_is_sent_again_even_if_it_may_have_arrived() -> None:
    running, _ = play(one(Request("POST", "/jobs", idempotent=True)), away(sent=True), Reply(202, {}))
    assert running.result.repeated


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_after_the_retry_after_it_gave(status: int) -> None:
    busy = refusal(status, **{"retry-after": "7"})
    running, waits = play(one(Request("POST", "/x")), busy, Reply(200, {}))
    assert running.result.status == 200
    assert waits == [7.0]


def test_the_back_off_grows_exponentially() -> None:
    _, waits = play(one(Request("GET", "/x")), *[away(sent=True)] * 5, Reply(200, {}), retries=5)
    assert all(0.125 * 2**n <= wait <= 0.25 * 2**n for n, wait in enumerate(waits))
    assert len(waits) == 5


def test_after_the_last_retry_the_services_error_is_raised() -> None:
    with pytest.raises(RefusedError, match="A sentence") as refused:
        play(one(Request("GET", "/x")), *[refusal(503)] * 3, retries=2)
    assert (refused.value.code, refused.value.status, refused.value.field) == ("busy", 503, "f")


def test_a_refusal_is_raised_without_a_retry() -> None:
    with pytest.raises(RefusedError) as refused:
        play(one(Request("GET", "/x")), refusal(422, "invalid"))
    assert refused.value.code == "invalid"


def test_a_post_is_not_sent_again_after_a_bad_gateway() -> None:
    with pytest.raises(RefusedError):
        play(one(Request("POST", "/x")), Reply(502, {}, b"<html>"))
    running, _ = play(one(Request("GET", "/x")), Reply(502, {}, b"<html>"), Reply(200, {}))
    assert running.result.status == 200


def test_a_retried_delete_succeeds_if_the_first_attempt_deleted_it() -> None:
    running, _ = play(one(Request("DELETE", "/x")), away(sent=True), refusal(404, "not_found"))
    assert running.result.repeated is False
    with pytest.raises(RefusedError):
        play(one(Request("DELETE", "/x")), refusal(404, "not_found"))


def test_server_sent_events_are_parsed_from_lines() -> None:
    parser = EventParser()
    lines = [": ping", "", "event: tile", "id: 7", 'data: {"a":', "data: 1}", ""]
    assert [event for line in lines if (event := parser.feed(line))] == [Event("tile", {"a": 1}, 7)]


def test_a_broken_stream_continues_after_the_last_tile() -> None:
    running: RunningFlow[None] = RunningFlow(follow("j" * 32, 0, 3), 3)
    last_ids, events = [], []
    script = [
        ["event: tile", "id: 4", "data: {}", "", "event: tile", "id: 5", "data"],  # the connection breaks within a line
        ["event: state", 'data: {"state": "done"}', ""],
    ]
    lines: list[str] = []
    while running.effect is not None:
        effect = running.effect
        if isinstance(effect, Request):
            last_ids.append(effect.headers["Last-Event-ID"])
            lines = script.pop(0)
            running.answer(Reply(200, {}))
        elif isinstance(effect, NextLine):
            running.answer(lines.pop(0)) if lines else running.fail(away(sent=True))
        elif isinstance(effect, Event):
            events.append((effect.kind, effect.id))
            running.answer(None)
        else:
            running.answer(None)
    assert last_ids == ["0", "4"]
    assert events == [("tile", 4), ("state", None)]


def test_a_stream_that_never_sends_an_event_is_given_up_after_the_retries() -> None:
    running: RunningFlow[None] = RunningFlow(follow("j" * 32, 0, 2), 2)
    requests = 0
    with pytest.raises(UnreachableError, match="again and again"):  # noqa: PT012
        while running.effect is not None:
            requests += isinstance(running.effect, Request)
            running.answer(Reply(200, {}) if isinstance(running.effect, Request) else None)
    assert requests == 3


def test_waiting_for_a_job_tells_how_far_it_is_prepared_and_then_its_points() -> None:
    told: list[tuple[str, int, int]] = []
    report = Report("net", lambda title, done, total: told.append((title, done, total)))
    answers = [
        job(preparing={"step": "path", "done": 312, "total": 1000}),
        job(preparing={"step": "of a later version", "done": 0, "total": 0}),
        job(state="running", done=3),
        job(state="done", done=9),
    ]
    del answers[3]["progress"]["preparing"]  # an earlier service
    replies = [Reply(200, {}, json.dumps(answer).encode()) for answer in answers]
    running, _ = play(wait_until_done("a", report, None), *replies)
    assert running.result.state == "done"
    assert told == [
        ("net, preparing: loss of checkpoint 312 of 1000", 312, 1000),
        ("net, preparing", 0, 0),
        ("net", 3, 9),
        ("net", 9, 9),
    ]


def job(state: str = "queued", done: int = 0, preparing: dict[str, Any] | None = None) -> dict[str, Any]:
    points = {"done": done, "total": 9, "level": 0, "levels": 1, "points_per_second": None, "eta_seconds": None}
    about = dict.fromkeys(("id", "kind", "name", "created", "started", "finished"), "")
    return {
        **about,
        "state": state,
        "error": None,
        "spec": {},
        "checkpoint": {},
        "progress": {**points, "preparing": preparing},
    }
