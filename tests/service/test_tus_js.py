"""tus-js-client, the most common client, from npm, run by the node of Playwright."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import playwright
import pytest

from tests.support.paths import ROOT
from tests.support.processes import api_process
from tests.support.service import Service, start_service, wait_for
from tests.support.wire import Wire

PACKAGE = "tus-js-client@4.3.1"
SIZE = 24 << 20


@pytest.fixture(scope="module")
def package() -> Path:
    """Folder of the installed package."""
    home = ROOT / "build" / "tus"
    folder = home / "node_modules" / "tus-js-client"
    if not folder.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm was not found (apt-get install npm)")
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [npm, "install", "--prefix", home, "--no-audit", "--no-fund", PACKAGE], capture_output=True
        )
        if done.returncode:
            pytest.skip(f"npm could not install {PACKAGE}")
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start_service(tmp_path_factory.mktemp("tus"), workers=1)
    yield running
    running.stop()


@pytest.fixture
def wire(own: Service) -> Iterator[Wire]:
    wire = Wire(own.port)
    yield wire
    wire.close()


@pytest.fixture
def content() -> bytes:
    return os.urandom(SIZE)


@pytest.fixture
def start(package: Path, wire: Wire, content: bytes, tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts to upload `content` through the proxy."""
    node = Path(playwright.__file__).parent / "driver" / "node"
    script, path = Path(__file__).with_name("tus_client.cjs"), tmp_path / "content"
    path.write_bytes(content)

    def begin(*chunk_size: str) -> "subprocess.Popen[str]":
        command = [node, script, package, f"http://127.0.0.1:{wire.port}/api/uploads", path, *chunk_size]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return begin


def expect_arrived(service: Service, said: str, content: bytes) -> None:
    last = said.splitlines()[-1]
    assert last.startswith("done "), last
    found = service.api.get(f"/checkpoints/{last.rsplit('/', 1)[1]}").json()
    assert found["name"] == "from node.pt"
    assert found["sha256"] == hashlib.sha256(content).hexdigest()


def read_until(output: IO[str] | None, share: float) -> None:
    """Wait until the client reports that it has sent this share."""
    assert output is not None
    for line in output:
        if line.startswith("sent ") and int(line.split()[1]) > share * SIZE:
            return
    raise AssertionError("the client ended")


@pytest.mark.parametrize("chunk_size", [(), ("5000000",)])
def test_it_uploads_in_one_request_and_in_pieces(
    own: Service, start: Callable[..., "subprocess.Popen[str]"], content: bytes, chunk_size: tuple[str, ...]
) -> None:
    said, errors = start(*chunk_size).communicate(timeout=200)
    assert errors == ""
    expect_arrived(own, said, content)


def test_it_resumes_after_a_lost_connection(
    own: Service, wire: Wire, start: Callable[..., "subprocess.Popen[str]"], content: bytes
) -> None:
    wire.speed = 4 << 20
    client = start("5000000")
    read_until(client.stdout, 0.3)
    wire.cut()
    held = wait_for(lambda: [one.stat().st_size for one in (own.data / "store" / "resumable").iterdir()], "some of it")
    assert 0 < max(held) < SIZE
    wire.speed = 0
    wire.mend()
    said, errors = client.communicate(timeout=200)
    assert errors == ""
    expect_arrived(own, said, content)


def test_it_resumes_after_the_service_was_killed(
    own: Service, wire: Wire, start: Callable[..., "subprocess.Popen[str]"], content: bytes
) -> None:
    wire.speed = 4 << 20
    client = start("5000000")
    read_until(client.stdout, 0.3)
    api_process(own).kill()
    wire.speed = 0
    said, errors = client.communicate(timeout=200)
    assert errors == ""
    wait_for(lambda: own.api.get("/health").status_code == 200, "the service to answer")
    expect_arrived(own, said, content)
