"""On the loopback address the account that runs the service needs no token; others of the machine do.

The tests act as another account by the effective user id, which is what the kernel records of a new socket.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.access.local_peer import LocalPeer, can_tell
from tests.support.service import Api, environment, free_port, make_token, serve, wait_for

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not can_tell(), reason="only root can act as another account, on Linux"
)
ANOTHER = 65_533


@contextlib.contextmanager
def another_account() -> Iterator[None]:
    os.seteuid(ANOTHER)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with serve(tmp_path_factory.mktemp("local") / "data") as api:
        yield api


def ask(api: Api, method: str, path: str, token: str | None = None, **options: Any) -> httpx.Response:
    """One request on a connection of its own, by whichever account this is now."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.request(
        method, api.url + path, headers=headers | options.pop("headers", {}), trust_env=False, **options
    )


def test_every_protected_route_is_closed_to_other_accounts_and_open_to_the_own_one(api: Api) -> None:
    document = ask(api, "GET", "/api/v1/openapi.json").json()
    secured = {(m, p) for p, item in document["paths"].items() for m, one in item.items() if one.get("security")}
    assert len(secured) > 30
    for method, path in secured:
        address = re.sub(r"\{.*?\}", "0" * 32, path)
        with another_account():
            refused = ask(api, method, address)
        assert refused.status_code == 401, (method, path)
        if method != "head":
            assert "Only the account that runs this service needs no token" in refused.json()["error"]["message"]
        assert ask(api, method, address).status_code not in (401, 403, 429), (method, path)


def test_another_account_with_a_token_is_the_user_of_the_token(api: Api) -> None:
    token = make_token(api.data, "ada")["token"]
    with another_account(), httpx.Client(base_url=api.url, trust_env=False) as page:
        who = ask(api, "GET", "/api/v1/session", token).json()
        own = {"Origin": api.url, "Sec-Fetch-Site": "same-origin"}
        assert page.post("/api/v1/session", json={"token": token}, headers=own).status_code == 200
        assert page.get("/api/v1/session").json()["user"] == "ada"
        assert page.post("/api/v1/session", json={"token": "ll_wrong"}, headers=own).status_code == 401
    assert (who["user"], who["access"]) == ("ada", True)
    who = ask(api, "GET", "/api/v1/session").json()
    assert (who["user"], who["access"]) == ("local", False)


def test_a_wrong_token_of_the_own_account_is_ignored_and_not_limited(api: Api) -> None:
    """A token for another service in the environment, for example."""
    assert {ask(api, "GET", "/api/v1/jobs", "ll_of_another_service").status_code for _ in range(30)} == {200}


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_what_a_proxy_passes_on_is_not_of_the_own_account(api: Api, name: str) -> None:
    assert ask(api, "GET", "/api/v1/jobs", headers={name: "127.0.0.1"}).status_code == 401


def test_a_connection_that_its_process_closes_at_once_has_no_account(api: Api) -> None:
    """The kernel reports such sockets like root's, who runs this service."""
    body = b'{"user": "eve", "scopes": ["admin"]}'
    request = (
        b"POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    for n in range(60):
        with another_account(), socket.create_connection(("127.0.0.1", api.port)) as connection:
            if n % 3 == 0:  # a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(request)
            if n % 3 == 1:
                connection.shutdown(socket.SHUT_WR)
    assert "eve" not in {one["user"] for one in ask(api, "GET", "/api/v1/tokens").json()["items"]}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_account_of_a_connection_is_known_while_it_is_open(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        server = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with server:
        with another_account():
            theirs = socket.create_connection(server.getsockname()[:2])
        at_our_end = server.accept()[0]
        with theirs, at_our_end:
            assert LocalPeer(at_our_end).uid == ANOTHER
            assert not LocalPeer(at_our_end).is_own_account
            theirs.shutdown(socket.SHUT_WR)
            assert LocalPeer(at_our_end).uid == ANOTHER
            theirs.close()
            assert LocalPeer(at_our_end).uid is None
        assert LocalPeer(None).uid is None


def test_access_off_lets_every_account_in_and_says_so_at_the_start(tmp_path: Path) -> None:
    with serve(tmp_path / "data", access="off") as api:
        with another_account():
            assert ask(api, "GET", "/api/v1/jobs").status_code == 200
        assert "every account of this machine can see and change everything" in (api.data / "serve.log").read_text()


def test_where_accounts_cannot_be_told_apart_the_printed_address_has_a_token(tmp_path: Path) -> None:
    """In a user namespace without any account, as in some containers."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-U", "true"], capture_output=True).returncode:
        pytest.skip("this machine has no user namespaces")
    port, log = free_port(), tmp_path / "log"
    words = ["serve", "--data", str(tmp_path / "data"), "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", "-U", sys.executable, "-m", "landscape.cli", *words],
            env=environment({"broker": f"redis://127.0.0.1:{free_port()}/0"}), stdout=output, stderr=output,
        )  # fmt: skip
    try:
        address = wait_for(lambda: re.search(r"will be at (http://\S+/\?token=ll_\S+)", log.read_text()), "an address")
        with httpx.Client(trust_env=False, base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as page:
            wait_for(lambda: _status(page, "/api/v1/version") == 200, "the API")
            assert _status(page, "/api/v1/jobs") == 401
            opened = page.get(address[1])
            assert (opened.status_code, str(opened.url)) == (200, f"http://127.0.0.1:{port}/")
            assert page.get("/api/v1/session").json()["user"] == "local"
    finally:
        process.terminate()
        process.wait(60)
    assert oct((tmp_path / "data" / "local-token").stat().st_mode)[-3:] == "600"


def _status(page: httpx.Client, path: str) -> int | None:
    with contextlib.suppress(httpx.TransportError):
        return page.get(path).status_code
    return None
