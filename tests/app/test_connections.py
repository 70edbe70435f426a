"""More connections than a process may have open files: others still get in, and the log stays small."""

import asyncio
import contextlib
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.connections import Connections, most_connections
from app.slow_clients import _end_with_the_peer
from service import open_files
from service.errors import BusyError, TooManyError
from service.settings import Settings
from tests.support.service import LANDSCAPE, Api, serve, wait_for

FILES = 128
WITH_FEW_FILES = (
    sys.executable,
    "-c",
    f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES})); "
    "os.execv(sys.argv[1], sys.argv[1:])",
    *LANDSCAPE,
)
# Requests without a login that are never finished: their connections count as idle, or as busy with a body.
BEGUN = b"GET /api/ver"
BODY = b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{"


@pytest.fixture(scope="module")
def few_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    settings = {"client_patience_seconds": "120"}  # nothing is closed because it stalls
    with serve(tmp_path_factory.mktemp("few files"), program=WITH_FEW_FILES, **settings) as started:
        yield started


@contextlib.contextmanager
def held_open(api: Api, count: int, sent: bytes, address: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """Connections from one address that send this and then nothing."""
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.bind((address, 0))
            one.settimeout(60)
            one.connect(("127.0.0.1", api.port))
            with contextlib.suppress(OSError):  # it was refused meanwhile
                one.sendall(sent)
            sockets.append(one)
        yield sockets


def asked_from(api: Api, address: str, path: str = "/api/health") -> httpx.Response:
    """A request on a new connection from this address."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address), timeout=60) as client:
        return client.get(f"{api.url}{path}")


@pytest.mark.parametrize("sent", [b"", BEGUN, BODY], ids=["nothing", "half of the headers", "part of a body"])
def test_others_get_in_while_one_address_holds_more_connections_than_there_are_files(
    few_files: Api, sent: bytes
) -> None:
    log = few_files.data / "serve.log"
    before = log.stat().st_size
    with held_open(few_files, 3 * FILES, sent):
        for _ in range(5):
            assert asked_from(few_files, "127.0.0.2").status_code == 200
        assert few_files.process.num_fds() < FILES
        written = log.stat().st_size - before
        assert written < 20_000, f"{written} bytes of log"
    assert b"Too many open files" not in log.read_bytes()


def test_the_idle_connections_of_an_address_make_room_for_its_own_requests(few_files: Api) -> None:
    with held_open(few_files, 3 * FILES, b"") as idle:
        assert asked_from(few_files, "127.0.0.1").status_code == 200
        assert idle[0].recv(100) == b""  # the oldest was closed


def test_an_address_all_of_whose_connections_are_busy_is_answered_at_once(few_files: Api) -> None:
    with held_open(few_files, FILES, BODY, "127.0.0.3") as busy:

        def refused() -> httpx.Response | None:
            answer = asked_from(few_files, "127.0.0.3")
            return answer if answer.status_code == 429 else None

        answer = wait_for(refused, "the address to have its share")
        assert "of your address are open" in answer.json()["error"]["message"]
        assert int(answer.headers["Retry-After"]) > 0
        assert "Content-Security-Policy" in answer.headers
        assert b" 429 " in busy[-1].recv(10_000)
    wait_for(lambda: asked_from(few_files, "127.0.0.3").status_code == 200, "room again")


def test_requests_through_a_proxy_are_limited_by_the_address_that_it_names(few_files: Api) -> None:
    def begun(client: str) -> bytes:
        return BODY.replace(b"Host:", b"X-Forwarded-For: %s\r\nHost:" % client.encode())

    def asked(client: str) -> int:
        return httpx.get(
            f"{few_files.url}/api/health", headers={"X-Forwarded-For": client}, trust_env=False
        ).status_code

    with held_open(few_files, FILES // 4, begun("192.0.2.1")):  # fewer than the proxy may have
        wait_for(lambda: asked("192.0.2.1") == 429, "its share to be taken")
        assert asked("192.0.2.2") == 200
    wait_for(lambda: asked("192.0.2.1") == 200, "room again")


def test_a_flood_of_invalid_requests_writes_a_few_lines(few_files: Api) -> None:
    log = few_files.data / "serve.log"
    before = log.read_bytes().count(b"\n")
    for n in range(200):
        with socket.create_connection(("127.0.0.1", few_files.port), 60) as one:
            one.sendall(b"%d what is this?\r\n\r\n" % n)
            assert b" 400 " in one.recv(1000)
    assert log.read_bytes().count(b"\n") - before < 100


# The rules, without a process


class Fake:
    """A connection that is idle, or not."""

    def __init__(self, *, idle: bool):
        self.idle, self.closed = idle, False

    def close(self) -> None:
        self.closed = True


def test_a_new_connection_takes_the_place_of_the_one_that_was_idle_for_the_longest() -> None:
    open_now = Connections(8)
    first, second, busy = Fake(idle=True), Fake(idle=True), Fake(idle=False)
    for one in (first, busy, second, Fake(idle=True)):
        assert open_now.admit(one, "192.0.2.1") is None
    open_now.note_idle(first, "192.0.2.1")  # it has had a request just now
    assert open_now.admit(Fake(idle=True), "192.0.2.1") is None
    assert [one.closed for one in (first, busy, second)] == [False, False, True]


def test_a_connection_too_many_of_busy_ones_is_refused_and_others_are_not() -> None:
    open_now = Connections(8)
    busy = [Fake(idle=False) for _ in range(5)]
    refusals = [open_now.admit(one, "192.0.2.1") for one in busy]
    assert refusals[:4] == [None] * 4
    assert isinstance(refusals[4], TooManyError)
    assert open_now.admit(Fake(idle=False), "192.0.2.2") is None
    open_now.remove(busy[0], "192.0.2.1")
    open_now.remove(busy[0], "192.0.2.1")  # counted once
    assert open_now.admit(Fake(idle=False), "192.0.2.1") is None
    assert isinstance(open_now.admit(Fake(idle=False), "192.0.2.1"), TooManyError)


def test_many_addresses_that_take_everything_give_way_where_they_are_idle() -> None:
    open_now = Connections(8)
    others = [Fake(idle=True) for _ in range(8)]
    assert [open_now.admit(one, f"192.0.2.{n}") for n, one in enumerate(others)] == [None] * 8
    assert open_now.admit(Fake(idle=False), "198.51.100.1") is None
    assert [one.closed for one in others] == [True] + 7 * [False]
    for one in others:
        one.idle = False
    assert isinstance(open_now.admit(Fake(idle=False), "198.51.100.2"), BusyError)


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    open_now = Connections(8)
    refusals = [open_now.admit(Fake(idle=False), f"2001:db8::{n:x}:1") for n in range(5)]
    assert [isinstance(one, TooManyError) for one in refusals] == 4 * [False] + [True]


def test_the_limit_of_open_files_is_raised_and_there_are_always_fewer_connections() -> None:
    script = (
        "import resource; from service import open_files; from service.settings import Settings\n"
        "from app.connections import most_connections\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1024))\n"
        "print(open_files.raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE), most_connections(Settings()))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ended.stdout.split("\n")[0] == "1024 (1024, 1024) 512", ended.stderr
    assert most_connections(Settings(max_connections=10)) == 10
    assert open_files.limit() <= resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux ends connections this way")
def test_the_system_ends_the_connection_of_a_machine_that_has_vanished() -> None:
    class Transport(asyncio.Transport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            return {"socket": accepted}.get(name, default)

    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        accepted = server.accept()[0]
        with accepted:
            _end_with_the_peer(Transport())
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000  # milliseconds


# A server without our limits that runs out of files: what asyncio says of it.
RUNS_OUT = """
import asyncio, resource, sys
from app.connections import LoopErrors
from service.logs import log_as_json

async def main():
    log_as_json()
    asyncio.get_running_loop().set_exception_handler(LoopErrors())
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

async def answer(reader, writer):
    await reader.readline()
    writer.write(b"hello")
    writer.close()

asyncio.run(main())
"""


def test_running_out_of_files_is_said_in_one_line_and_connections_are_accepted_later(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUNS_OUT]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        assert server.stdout is not None
        port = int(server.stdout.readline())
        clients = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(100)]
        wait_for(lambda: "no more files" in (tmp_path / "log").read_text(), "the error")
        for one in clients[:-1]:
            one.close()
        clients[-1].sendall(b"\n")
        assert clients[-1].recv(10) == b"hello"
        clients[-1].close()
        server.kill()
    assert (tmp_path / "log").read_text().count("\n") == 1
