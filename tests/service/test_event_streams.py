"""Event streams: no event is lost or repeated; many streams at once; clients that do not read."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.jobs import lifecycle
from tests.support.api_alone import ApiAlone, api_alone
from tests.support.service import wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[ApiAlone]:
    folder = tmp_path_factory.mktemp("following")
    with api_alone(folder, redis_url, max_event_streams="40", client_patience_seconds="2") as started:
        yield started


def cancel(server: ApiAlone, job_id: str) -> None:
    with server.database.writing() as session:
        lifecycle.cancel(session, job_id)


def events(server: ApiAlone, path: str, **headers: str) -> list[tuple[str, str | None, Any]]:
    """(event, id, data) of every event until the stream ends."""
    with httpx.stream("GET", server.url + "/api" + path, headers=headers, timeout=60, trust_env=False) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        blocks = answer.read().decode().split("\n\n")
    found = []
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


def tiles(found: list[tuple[str, str | None, Any]]) -> list[tuple[str | None, Any]]:
    return [(number, data) for kind, number, data in found if kind == "tile"]


def test_every_follower_gets_every_value_once_and_in_the_same_order(server: ApiAlone) -> None:
    job_id = server.job()
    with ThreadPoolExecutor(8) as threads:
        streams = [threads.submit(events, server, f"/jobs/{job_id}/events") for _ in range(8)]
        for _ in range(13):
            server.compute()
            time.sleep(0.05)
        told = [stream.result() for stream in streams]
    for found in told:
        points = [tuple(point) for _, tile in tiles(found) for point in tile["points"]]
        assert sorted(points) == [(i, j) for i in range(9) for j in range(7)]
        assert all(tile["losses"] == [i + 10 * j for i, j in tile["points"]] for _, tile in tiles(found))
        assert tiles(found) == tiles(told[0])
        assert [number for number, _ in tiles(found)] == [str(k + 1) for k in range(13)]
        assert found[0][2]["state"] in ("queued", "running")
        assert found[-1] == ("state", None, {"job": job_id, "state": "done", "error": None})
        assert found[-2][2]["done"] == 63


def test_a_follower_far_behind_gets_everything_after_its_last_event_id(server: ApiAlone) -> None:
    job_id = server.job(15, 13, points_per_tile=1)
    server.compute(195)  # more tiles than the server keeps encoded
    everything = tiles(events(server, f"/jobs/{job_id}/events"))
    assert [int(number or 0) for number, _ in everything] == list(range(1, 196))
    rest = tiles(events(server, f"/jobs/{job_id}/events", **{"Last-Event-ID": "77"}))
    assert rest == everything[77:]


def test_one_stream_follows_several_jobs_and_resumes_each_of_them(server: ApiAlone) -> None:
    first, second = server.job(5, 5), server.job(3, 3, points_per_tile=2)
    server.compute(10)
    found = events(server, f"/events?jobs={first},{second}")
    by_job = {job: [tile for _, tile in tiles(found) if tile["job"] == job] for job in (first, second)}
    assert [len(by_job[first]), len(by_job[second])] == [5, 5]
    assert {data["job"]: data["state"] for kind, _, data in found if kind == "state"} == {first: "done", second: "done"}
    place = tiles(found)[6][0]
    assert place == "5,2"
    rest = tiles(events(server, f"/events?jobs={first},{second}", **{"Last-Event-ID": place or ""}))
    assert rest == tiles(found)[7:]


def test_an_unknown_job_is_a_404_before_a_stream_starts(server: ApiAlone) -> None:
    answer = server.api.get(f"/jobs/{'0' * 32}/events")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    job_id = server.job(3, 3)
    for wrong in ("-1", "x", "1,2"):
        answer = server.api.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": wrong})
        assert answer.status_code == 422, wrong
    cancel(server, job_id)


def test_streams_over_the_limit_get_a_retry_after_header(server: ApiAlone) -> None:
    job_id = server.job(3, 3, points_per_tile=9)
    clients = [httpx.Client(timeout=60, trust_env=False) for _ in range(41)]
    url = f"{server.url}/api/jobs/{job_id}/events"
    streams = [client.send(client.build_request("GET", url), stream=True) for client in clients]
    refused = [one for one in streams if one.status_code == 429]
    assert len(refused) == 21  # half of the slots stay free for others
    assert refused[0].headers["retry-after"].isdigit()
    refused[0].read()
    assert refused[0].json()["error"]["message"].startswith("20 of your event streams are open")
    for client in clients:
        client.close()
    wait_for(lambda: _has_room(url), "room")
    server.compute()
    assert events(server, f"/jobs/{job_id}/events")[-1][2]["state"] == "done"


def _has_room(url: str) -> bool:
    with httpx.stream("GET", url, timeout=60, trust_env=False) as answer:
        return answer.status_code == 200


def open_socket(server: ApiAlone, request: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
    client.sendall(request)
    return client


def connections(server: ApiAlone) -> int:
    """Connections of clients, without those to the broker."""
    all_of_it = server.process.net_connections("tcp")
    return sum(one.status == "ESTABLISHED" and one.laddr.port == server.port for one in all_of_it)


LARGE = b"GET /static/plotly.min.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_a_client_that_reads_nothing_is_disconnected(server: ApiAlone) -> None:
    server.api.close()  # close our own connections
    before = connections(server)
    client = open_socket(server, LARGE)
    wait_for(lambda: connections(server) > before, "the connection")
    wait_for(lambda: connections(server) <= before, "the connection to be cut")
    client.close()
    assert "reads nothing" in (server.data / "serve.log").read_text()


def test_a_client_that_reads_slowly_gets_everything(server: ApiAlone) -> None:
    size = int(httpx.head(f"{server.url}/static/plotly.min.js", trust_env=False).headers["content-length"])
    with open_socket(server, LARGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as client:
        received, began = 0, time.monotonic()
        while block := client.recv(1 << 16):
            received += len(block)
            time.sleep(0.02)
    assert received > size
    assert time.monotonic() - began > 2  # longer than the timeout


BODY = b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n"
INCOMPLETE = {
    "nothing": b"",
    "a method": b"GET /api/ver",
    "headers": b"PUT /api/checkpoints?name=a HTTP/1.1\r\nHost: a\r\nContent-L",
    "a long header": b"GET /api/version HTTP/1.1\r\nX: " + bytes(200_000),
    "many headers": b"GET /api/version HTTP/1.1\r\n" + 20_000 * b"X: y\r\n",
    "a body": BODY + b"\r\n{",
    "no body after 100 Continue": BODY + b"Expect: 100-continue\r\n\r\n",
    "a body behind another request": b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n" + BODY + b"\r\n{",
    "a chunked body": BODY.replace(b"Content-Length: 9000", b"Transfer-Encoding: chunked") + b"\r\n1\r\n{\r\n",
}


def read_to_the_end(client: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while block := client.recv(1 << 16):
            received += block
    return received


@pytest.mark.parametrize("begun", INCOMPLETE)
def test_an_incomplete_request_is_disconnected(server: ApiAlone, begun: str) -> None:
    with open_socket(server, b"") as client:
        client.settimeout(60)
        with contextlib.suppress(ConnectionError):  # it may have been refused before all of it was sent
            client.sendall(INCOMPLETE[begun])
        received = read_to_the_end(client)
    assert received.count(b"HTTP/1.1 200") == (begun == "a body behind another request")


@pytest.mark.parametrize("piece", [b"{", b"1\r\n{\r\n"], ids=["one length", "in chunks"])
def test_a_body_that_trickles_is_disconnected(server: ApiAlone, piece: bytes) -> None:
    """One byte at a time, often enough that the connection is never silent."""
    begun = INCOMPLETE["a body" if piece == b"{" else "a chunked body"]
    with open_socket(server, begun) as client:

        def refused() -> bool:
            with contextlib.suppress(ConnectionError):
                client.sendall(piece)
                return False
            return True

        wait_for(refused, "the connection to be cut")
    assert "sends too little" in (server.data / "serve.log").read_text()


def test_the_log_of_a_job_is_paged(server: ApiAlone) -> None:
    job_id = server.job(3, 3, points_per_tile=3)
    server.compute(3)
    with httpx.Client(base_url=server.url + "/api", trust_env=False) as api:
        whole = api.get(f"/jobs/{job_id}/log").json()
        assert whole["total"] == len(whole["items"]) == 2
        assert {line["level"] for line in whole["items"]} == {"info"}
        assert whole["items"][-1]["text"].startswith("Done: 9 of 9 points")
        rest = api.get(f"/jobs/{job_id}/log", params={"offset": 1, "limit": 1}).json()
        assert rest["items"] == whole["items"][1:2]
        assert api.get(f"/jobs/{'0' * 32}/log").status_code == 404


def test_the_log_has_only_json_lines(server: ApiAlone, tmp_path: Path) -> None:
    address, *lines = (server.data / "serve.log").read_text().splitlines()
    assert address.startswith("Loss Landscape will be at http://")  # for the person at the terminal
    assert len(lines) > 3
    assert all({"time", "level", "event"} <= set(json.loads(line)) for line in lines)
