"""A real S3-compatible server for tests: moto's, an ordinary process on a free port, stopped at the end."""

import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from service.storage.s3 import client_factory
from tests.support.servers import GUARDED
from tests.support.service import free_port

BUCKET = "landscape-tests"
KEY, SECRET = "tester", "secret of the tests"


class ObjectServer:
    """The server, and clients of boto3 for it."""

    def __init__(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self.process = subprocess.Popen(
            [*GUARDED, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait_until_it_answers()
        self.clients: Callable[..., Any] = client_factory(self.url, KEY, SECRET, "us-east-1")
        self.client = self.clients(timeout_seconds=60, attempts=2)
        self.client.create_bucket(Bucket=BUCKET)

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            assert self.process.poll() is None, "the S3 server ended"
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/moto-api/", timeout=5):
                return
            time.sleep(0.1)
        raise AssertionError("the S3 server does not answer")

    def keys(self, prefix: str = "") -> list[str]:
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]

    def parts(self) -> list[str]:
        """Keys of uploads that are not complete."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


@contextlib.contextmanager
def object_server() -> Iterator[ObjectServer]:
    server = ObjectServer()
    try:
        yield server
    finally:
        server.stop()
