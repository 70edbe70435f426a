"""Uploads by PUT: complete or not stored, many at once, large ones, and within the timeout."""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.processes import api_process, most_memory
from tests.support.service import LANDSCAPE, Service, start_service, wait_for


def unfinished(service: Service) -> list[Path]:
    """Files of incomplete uploads; folders belong to workers that are reading one."""
    return [path for path in (service.data / "store" / "unfinished").iterdir() if path.is_file()]


def slowly(service: Service, path: str, *, announced: int, pause: float, method: str = "PUT", head: str = "") -> bytes:
    """Send a byte at a time until the service responds; the response."""
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        lines = f"{method} /api{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {announced}\r\n{head}\r\n"
        connection.sendall(lines.encode())
        connection.settimeout(pause)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                connection.send(b"x")
            with contextlib.suppress(TimeoutError):
                return connection.recv(1000)
    raise AssertionError("the service did not answer")


def test_an_upload_that_is_too_slow_is_cut_off_and_not_kept(own: Callable[..., Service]) -> None:
    service = own(upload_patience_seconds="2", upload_slowest_bytes="1000")
    answer = slowly(service, "/checkpoints?name=slow.pt", announced=100_000, pause=0.2)
    assert b" 408 " in answer
    assert not unfinished(service)
    assert service.api.get("/checkpoints").json()["total"] == 0


def test_an_upload_that_stalls_is_cut_off(own: Callable[..., Service]) -> None:
    service = own(upload_patience_seconds="2")
    answer = slowly(service, "/checkpoints?name=mute.pt", announced=100_000, pause=60)
    assert b" 408 " in answer
    assert not unfinished(service)


def test_a_slow_upload_that_makes_progress_is_accepted(own: Callable[..., Service]) -> None:
    service = own(upload_patience_seconds="1", upload_slowest_bytes="10")

    def drops() -> Iterator[bytes]:
        for _ in range(12):
            time.sleep(0.3)
            yield b"x" * 100

    answer = service.api.put("/checkpoints", params={"name": "slow.pt"}, content=drops())
    assert answer.status_code == 201
    assert answer.json()["size"] == 1200


def test_an_upload_over_the_limit_of_concurrent_ones_gets_a_retry_after_header(own: Callable[..., Service]) -> None:
    service = own(max_uploads="1")
    with socket.create_connection(("127.0.0.1", service.port)) as first:
        first.sendall(b"PUT /api/checkpoints?name=a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nhalf")
        wait_for(lambda: unfinished(service), "the first upload to begin")
        refused = service.api.put("/checkpoints", params={"name": "b"}, content=b"second")
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        first.sendall(b"-done")
        assert b" 201 " in first.recv(1000)
    assert service.api.put("/checkpoints", params={"name": "b"}, content=b"second").status_code == 201


def test_an_upload_over_the_size_limit_is_refused_before_and_while_it_arrives(own: Callable[..., Service]) -> None:
    service = own(max_upload_bytes=str(10 << 20))

    def unannounced() -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(1 << 20)

    for body in (bytes(20 << 20), unannounced()):
        answer = service.api.put("/checkpoints", params={"name": "a"}, content=body)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "too_large"
    assert not unfinished(service)
    assert service.api.put("/checkpoints", params={"name": "a"}, content=bytes(10 << 20)).status_code == 201


def test_two_hundred_uploads_at_once_are_stored_or_refused_in_constant_memory(
    own: Callable[..., Service],
) -> None:
    service = own(max_user_uploads="200")
    contents = [os.urandom(1 << 20) * 5 + n.to_bytes(4, "big") for n in range(8)]

    def send(n: int) -> tuple[int, str]:
        content = contents[n % len(contents)] + n.to_bytes(4, "big")
        url = f"http://127.0.0.1:{service.port}/api/checkpoints?name=load-{n}"
        answer = httpx.put(url, content=content, timeout=280, trust_env=False)
        if answer.status_code == 201:
            assert answer.json()["sha256"] == hashlib.sha256(content).hexdigest()
            return 201, answer.json()["id"]
        return answer.status_code, ""

    with most_memory(api_process(service)) as memory, ThreadPoolExecutor(200) as threads:
        answers = list(threads.map(send, range(200)))
    statuses = Counter(status for status, _ in answers)
    assert set(statuses) <= {201, 429, 503}
    assert statuses[201] > 0
    assert service.api.get("/checkpoints").json()["total"] == statuses[201]
    assert not unfinished(service)
    assert memory[1] - memory[0] < 100 << 20, f"{(memory[1] - memory[0]) >> 20} MiB more"


@pytest.mark.skipif(shutil.disk_usage("/tmp").free < 8 << 30, reason="a 2 GB upload needs 8 GB of free disk here")
def test_a_two_gigabyte_upload_takes_less_than_a_hundred_megabytes_of_memory(own: Callable[..., Service]) -> None:
    service = own()
    block, count = os.urandom(1 << 20), 2000

    def blocks() -> Iterator[bytes]:
        for _ in range(count):
            yield block

    with most_memory(api_process(service)) as memory:
        answer = service.api.put("/checkpoints", params={"name": "large.pt"}, content=blocks(), timeout=280)
    assert answer.status_code == 201
    assert answer.json()["size"] == count << 20
    assert memory[1] - memory[0] < 100 << 20, f"{(memory[1] - memory[0]) >> 20} MiB more"


# Full disk


SMALL_DISK = """
mount -t tmpfs -o size=48m tmpfs "$1" || exit 77
shift
exec "$@"
"""


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts a service with its data folder on a separate disk of 48 MB."""
    probe = ["unshare", "-rm", "sh", "-c", f"mount -t tmpfs -o size=1m tmpfs {tmp_path}"]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("this machine lets no ordinary program make a disk of its own (unshare -rm)")
    started: list[Service] = []

    def start(**settings: Any) -> Service:
        (tmp_path / "data").mkdir()
        before = ["unshare", "-rm", "sh", "-c", SMALL_DISK, "sh", str(tmp_path / "data")]
        started.append(start_service(tmp_path / "data", workers=1, program=[*before, *LANDSCAPE], **settings))
        return started[-1]

    yield start
    for service in started:
        service.stop()


def seen_inside(service: Service, folder: str) -> list[str]:
    """Names in a folder, as seen by the service."""
    return [path.name for path in Path(f"/proc/{api_process(service).pid}/root{service.data}/{folder}").iterdir()]


def test_a_full_disk_refuses_uploads_with_a_message_and_keeps_nothing_of_them(
    on_small_disk: Callable[..., Service],
) -> None:
    service = on_small_disk(min_free_bytes="0")

    def unannounced() -> Iterator[bytes]:
        for _ in range(60):
            yield bytes(1 << 20)

    for body in (bytes(60 << 20), unannounced()):
        answer = service.api.put("/checkpoints", params={"name": "a"}, content=body)
        assert answer.status_code == 507, answer.text
        assert "Ask the operator" in answer.json()["error"]["message"]
        assert seen_inside(service, "store/unfinished") == []
    assert service.api.put("/checkpoints", params={"name": "a"}, content=bytes(1 << 20)).status_code == 201


def test_a_resumable_upload_survives_a_full_disk(on_small_disk: Callable[..., Service]) -> None:
    from tests.support import tus

    service = on_small_disk(min_free_bytes="0")
    content = os.urandom(20 << 20)
    where = tus.place(tus.create(service, len(content), content=content[: 5 << 20]))
    filler = Path(f"/proc/{api_process(service).pid}/root{service.data}/filler")
    with contextlib.suppress(OSError), filler.open("wb") as file:
        for _ in range(100):
            file.write(bytes(1 << 20))
    answer = tus.patch(service, where, 5 << 20, content[5 << 20 :])
    assert answer.status_code == 507
    start = tus.offset(service, where)
    assert start >= 5 << 20
    filler.unlink()
    assert tus.patch(service, where, start, content[start:]).status_code == 204
    found = service.api.get(f"/checkpoints/{where.rsplit('/', 1)[1]}").json()
    assert found["sha256"] == hashlib.sha256(content).hexdigest()
